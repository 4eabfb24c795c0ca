"""YAML configuration checked by pydantic, with errors that say how to mend them."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from evenface_core.errors import ConfigError

ModelT = TypeVar("ModelT", bound=BaseModel)


def load_yaml(model: type[ModelT], path: Path, overrides: Sequence[str] = ()) -> ModelT:
    """Read a YAML file into a pydantic model.

    Args:
        model: The model to validate with.
        path: The file.
        overrides: `key.sub=value` pairs that replace single values; the value is YAML.

    Returns:
        The validated model.

    Raises:
        ConfigError: The file is missing or is no YAML mapping, or a key or value is wrong.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {_problem(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values")
    for override in overrides:
        _override(values, override)
    return parse(model, values, source=str(path))


def parse(model: type[ModelT], values: Mapping[str, Any], *, source: str) -> ModelT:
    """Validate a mapping, explaining what is wrong in one line.

    Values are quoted, unless the model's configuration has `hide_input_in_errors`.

    Raises:
        ConfigError: Names `source`, each key at fault and, for a typo, the nearest valid key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explain(error, model)}") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say in one line what a validation error of `model` found."""
    hidden = model.model_config.get("hide_input_in_errors", False)
    return "; ".join(_explain_one(item, model, hidden=hidden) for item in error.errors())


def _problem(error: yaml.YAMLError) -> str:
    """What is wrong and where, in one line and without the text around, which may be secret."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error)
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


def _explain_one(
    item: Any,  # noqa: ANN401 - pydantic's ErrorDetails
    model: type[BaseModel],
    *,
    hidden: bool,
) -> str:
    path = [str(part) for part in item["loc"]]
    name = ".".join(path)
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
        return f"unknown key '{name}' ({hint})"
    if item["type"] == "missing":
        return f"missing key '{name}'"
    message = str(item["msg"]).removeprefix("Value error, ")
    if not path:  # a rule between several keys, which names them itself
        return message
    if hidden:
        return f"'{name}': {message}"
    given = repr(item["input"])
    shown = given if len(given) <= 60 else given[:57] + "..."  # noqa: PLR2004
    return f"'{name}' is {shown}: {message}"


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    for part in path:
        if part.isdigit():  # a place in a list, of models of one kind
            continue
        field = model.model_fields.get(part)
        nested = _nested_model(field.annotation) if field else None
        if nested is None:
            return []
        model = nested
    return list(model.model_fields)


def _nested_model(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override '{override}' is not of the form key=value")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"override '{override}': '{parent}' holds a value, not keys")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{override}': the value is not YAML") from error
