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
    for text in overrides:
        override(values, text)
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


def override(values: dict[str, Any], text: str) -> None:
    """Replace one value in nested mappings, in place.

    Args:
        values: The mappings.
        text: `key.sub=value`; the value is YAML.

    Raises:
        ConfigError: The text is not of that form.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"override '{text}' is not of the form key=value")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"override '{text}': '{parent}' holds a value, not keys")
    try:
        values[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{text}': the value is not YAML") from error


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
    path, _ = _walk(model, item["loc"])
    name = ".".join(path)
    if item["type"] == "extra_forbidden":
        _, models = _walk(model, item["loc"][:-1])
        known = sorted({key for inner in models for key in inner.model_fields})
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
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


def _walk(
    model: type[BaseModel], location: Sequence[object]
) -> tuple[list[str], list[type[BaseModel]]]:
    """Follow the place of an error.

    Returns:
        The keys on the way, without the `kind` of a union's member, which pydantic puts between
        them and nobody has written there; and the models that may have keys at the end of it.
    """
    path: list[str] = []
    models = [model]
    for part in map(str, location):
        chosen = [member for member in models if _kind(member) == part]
        if chosen:
            models = chosen
            continue
        path.append(part)
        if not part.isdigit():  # a place in a list, of models of one kind
            fields = [known.model_fields[part] for known in models if part in known.model_fields]
            models = [inner for field in fields for inner in _nested_models(field.annotation)]
    return path, models


def _kind(model: type[BaseModel]) -> str | None:
    """What tells a member of a union from the others: its `kind`, if that has one value alone."""
    field = model.model_fields.get("kind")
    values = get_args(field.annotation) if field else ()
    return str(values[0]) if len(values) == 1 else None


def _nested_models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _nested_models(part)]
