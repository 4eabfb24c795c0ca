"""The server's settings, read from command line and environment; says what is wrong with them."""

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from evenface_core.errors import ConfigError
from pydantic import ValidationError

from evenface_server.settings import PREFIX, Settings, default_of, option_of, variable_of

_LIKELY_TYPO = 0.7
# What Kubernetes sets in every pod beside a Service called evenface (its EVENFACE_PORT, such as
# "tcp://10.0.0.1:50051", is no port: switch enableServiceLinks off there).
_KUBERNETES = re.compile(r"SERVICE_.*|PORT_\d+_.*")


def load_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read the settings from command line and environment.

    Args:
        arguments: The command line without the program's name.
        environment: Read for names that nearly are a setting's; pydantic reads the values from
            the process's own.

    Returns:
        The settings.

    Raises:
        ConfigError: One line that names the setting, its value and the limit, or the nearest
            valid name for one that does not exist.
    """
    _check_environment(environment)
    given = vars(_parser().parse_args(list(arguments)))
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(item, given) for item in error.errors())) from error


class _Parser(argparse.ArgumentParser):
    """Raises ConfigError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            option = unknown.split()[0].split("=")[0]
            message = f"unknown option '{option}'{_hint(option, self._option_string_actions)}"
        raise ConfigError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="evenface-server",
        description="Serves evenface bundles over gRPC. Each option can be set in the environment "
        f"too, as {PREFIX}NAME; the command line wins.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for name, field in Settings.model_fields.items():
        text = f"{field.description} [{variable_of(name)}; default: {default_of(field)}]"
        options: dict[str, Any] = {"help": text.replace("%", "%%")}
        if field.annotation is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["metavar"] = "VALUE"
        parser.add_argument(option_of(name), dest=name, **options)
    return parser


def _check_environment(environment: Mapping[str, str]) -> None:
    """Refuse near misses alone: other programs set EVENFACE_* names as well."""
    known = [name.upper() for name in Settings.model_fields]
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        near = difflib.get_close_matches(name, known, n=1, cutoff=_LIKELY_TYPO)
        if near and name not in (variable, *known) and not _KUBERNETES.fullmatch(name):
            raise ConfigError(
                f"unknown environment variable {variable} (did you mean {PREFIX}{near[0]}?)"
            )


def _hint(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean '{near[0]}'?)" if near else " (see --help)"


def _explain(item: Any, given: Mapping[str, object]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    if not item["loc"]:
        return str(item["ctx"]["error"])
    name = str(item["loc"][0])
    source = option_of(name) if name in given else variable_of(name)
    return f"{source} is {item['input']!r}: {item['msg']}"
