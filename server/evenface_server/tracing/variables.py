"""OpenTelemetry's variables (OTEL_*), checked before its SDK reads them.

The SDK takes a value that it cannot use for none, with a line of the log at most, or fails later.
An empty variable is one that is not set, as its specification has it.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from evenface_core.errors import ConfigError

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"

# Says what is allowed, where a value is none of it.
Check = Callable[[str], str | None]

_EXPORTER: Final = "OTEL_EXPORTER_OTLP_"
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_SAMPLERS: Final = tuple(
    prefix + name
    for prefix in ("parentbased_", "")
    for name in ("always_on", "always_off", "traceidratio")
)
_QUEUE, _BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
# The SDK's own.
_QUEUE_SIZE, _BATCH_SIZE = 2048, 512


def check_variables(values: Mapping[str, str], *, samples: bool) -> str:
    """Check what is set.

    Args:
        values: The environment.
        samples: Whether the variables decide which calls are traced.

    Returns:
        The protocol to export by.

    Raises:
        ConfigError: Names a variable, its value and what is allowed.
    """
    given = {name: value.strip() for name, value in values.items() if value.strip()}
    for name in _both("HEADERS"):
        _check_headers(name, given.get(name, ""))
    protocol = _protocol(given)
    for name, check in _checks(protocol, samples=samples):
        if name in given and (allowed := check(given[name])) is not None:
            raise ConfigError(f"{name} is '{_shown(given[name])}'; allowed: {allowed}")
    queue, batch = int(given.get(_QUEUE, _QUEUE_SIZE)), int(given.get(_BATCH, _BATCH_SIZE))
    if batch > queue:
        raise ConfigError(f"{_BATCH} is '{batch}'; allowed: at most {_QUEUE}, {queue}")
    return protocol


def _checks(protocol: str, *, samples: bool) -> Iterator[tuple[str, Check]]:
    """What there is to check, by variable."""
    yield "OTEL_TRACES_EXPORTER", _one_of("otlp")
    yield "OTEL_SDK_DISABLED", _one_of("true", "false")
    if samples:
        yield "OTEL_TRACES_SAMPLER", _one_of(*_SAMPLERS)
        yield "OTEL_TRACES_SAMPLER_ARG", _share
    for name in (_QUEUE, _BATCH, "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT"):
        yield name, _positive
    yield "OTEL_RESOURCE_ATTRIBUTES", _pairs
    by_protocol: dict[str, Check] = {
        "ENDPOINT": _url if protocol == HTTP else _target,
        "COMPRESSION": _one_of("none", "gzip", "deflate") if protocol == HTTP else _one_of("gzip"),
        "TIMEOUT": _seconds,
        "CERTIFICATE": _file,
        "CLIENT_KEY": _file,
        "CLIENT_CERTIFICATE": _file,
        "INSECURE": _one_of("true", "false"),
    }
    for name, check in by_protocol.items():
        for variable in _both(name):
            yield variable, check


def _both(name: str) -> tuple[str, str]:
    """The variable of traces alone, which counts first, and that of all that is exported."""
    return f"{_EXPORTER}TRACES_{name}", f"{_EXPORTER}{name}"


def _protocol(given: Mapping[str, str]) -> str:
    names = _both("PROTOCOL")
    variable = next((name for name in names if name in given), names[-1])
    found = given.get(variable, HTTP)
    if found not in (HTTP, GRPC):
        raise ConfigError(f"{variable} is '{found}'; allowed: {HTTP}, {GRPC}")
    return found


def _check_headers(name: str, value: str) -> None:
    """Check them, and show nothing of them: there are tokens in them."""
    for item in filter(None, map(str.strip, value.split(","))):
        key, is_pair, text = item.partition("=")
        if not (is_pair and _HEADER_NAME.fullmatch(key.strip()) and unquote(text).isprintable()):
            raise ConfigError(f"{name} is no list of NAME=VALUE with commas between them")


def _shown(value: str) -> str:
    """A value without the password of a URL, whatever is in that."""
    return re.sub(r"^(.*?//)?.*@", r"\1…@", value, flags=re.DOTALL)


def _one_of(*allowed: str) -> Check:
    return lambda value: None if value.lower() in allowed else ", ".join(allowed)


def _positive(value: str) -> str | None:
    return None if _WHOLE.fullmatch(value) and int(value) else "whole numbers from 1 on"


def _seconds(value: str) -> str | None:
    return None if 0 < _number(value) < math.inf else "numbers of seconds above 0"


def _share(value: str) -> str | None:
    return None if 0 <= _number(value) <= 1 else "numbers from 0 to 1"


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _pairs(value: str) -> str | None:
    is_list = all("=" in item for item in value.split(","))
    return None if is_list else "a list of NAME=VALUE with commas between them"


def _url(value: str) -> str | None:
    return None if _has_host(value) else "http://HOST:PORT or https://HOST:PORT"


def _target(value: str) -> str | None:
    is_plain = "//" not in value and _has_host(f"http://{value}")
    return (
        None if is_plain or _has_host(value) else "http://HOST:PORT, https://HOST:PORT, HOST:PORT"
    )


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        return False


def _file(value: str) -> str | None:
    try:
        Path(value).read_bytes()
    except OSError as error:
        return f"a file that can be read ({error.strerror})"
    return None
