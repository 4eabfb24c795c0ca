"""OpenTelemetry's variables: what the server starts with, and what it does not."""

from pathlib import Path

import pytest
from evenface_core.errors import ConfigError
from evenface_server.tracing.variables import GRPC, HTTP, check_variables

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
BY_GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": GRPC}


def problem(values: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        check_variables(values, samples=True)
    return str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"OTEL_TRACES_SAMPLER": "", "OTEL_BSP_SCHEDULE_DELAY": " "},
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
        {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_SDK_DISABLED": "TRUE"},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "16", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "16"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "2.5", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:secret@collector:4318/base"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[::1]:4318/v1/traces"},
        {"OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=a,k8s.namespace.name=b"},
        {HEADERS: "authorization=Bearer%20secret, x=y", "OTEL_METRICS_EXPORTER": "prometheus"},
    ],
)
def test_what_opentelemetry_knows_is_taken(values: dict[str, str]) -> None:
    assert check_variables(values, samples=True) == HTTP


@pytest.mark.parametrize("endpoint", ["collector:4317", "http://collector:4317", "127.0.0.1:4317"])
def test_by_grpc_an_endpoint_may_be_a_host_and_port(endpoint: str) -> None:
    values = {**BY_GRPC, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    assert check_variables(values, samples=True) == GRPC


EXPORTER = "OTEL_EXPORTER_OTLP_"
URL = "http://HOST:PORT or https://HOST:PORT"
SAMPLERS = ("always_on", "always_off", "traceidratio")


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        (
            "OTEL_TRACES_SAMPLER",
            "often",
            ", ".join((*(f"parentbased_{name}" for name in SAMPLERS), *SAMPLERS)),
        ),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "numbers from 0 to 1"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan", "numbers from 0 to 1"),
        ("OTEL_TRACES_EXPORTER", "console", "otlp"),
        ("OTEL_SDK_DISABLED", "1", "true, false"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "whole numbers from 1 on"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "whole numbers from 1 on"),
        (f"{EXPORTER}TRACES_TIMEOUT", "10s", "numbers of seconds above 0"),
        (f"{EXPORTER}TIMEOUT", "inf", "numbers of seconds above 0"),
        (f"{EXPORTER}COMPRESSION", "zstd", "none, gzip, deflate"),
        (f"{EXPORTER}ENDPOINT", "collector:4318", URL),
        (f"{EXPORTER}TRACES_ENDPOINT", "http:collector", URL),
        (
            f"{EXPORTER}CERTIFICATE",
            "/gone.pem",
            "a file that can be read (No such file or directory)",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "a list of NAME=VALUE with commas between them"),
        (f"{EXPORTER}TRACES_PROTOCOL", "http/json", "http/protobuf, grpc"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_is_allowed(
    variable: str, value: str, allowed: str
) -> None:
    assert problem({variable: value}) == f"{variable} is '{value}'; allowed: {allowed}"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("COMPRESSION", "deflate", "gzip"),
        ("ENDPOINT", "http://", "http://HOST:PORT, https://HOST:PORT, HOST:PORT"),
    ],
)
def test_what_grpc_does_not_know_is_refused_there(name: str, value: str, allowed: str) -> None:
    said = problem({**BY_GRPC, EXPORTER + name: value})
    assert said == f"{EXPORTER}{name} is '{value}'; allowed: {allowed}"


def test_a_batch_larger_than_the_queue_is_refused() -> None:
    said = problem({"OTEL_BSP_MAX_QUEUE_SIZE": "100"})
    assert said == (
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is '512'; allowed: at most OTEL_BSP_MAX_QUEUE_SIZE, 100"
    )


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    said = problem({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:secret@collector:{port}"})
    assert said.startswith(f"OTEL_EXPORTER_OTLP_ENDPOINT is 'http://…@collector:{port}'; allowed: ")


@pytest.mark.parametrize("endpoint", ["http://user:sec/re@t@collector", "user:sec/re@t@collector"])
def test_of_a_password_nothing_is_shown(endpoint: str) -> None:
    said = problem({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    assert said.split("'")[1].removeprefix("http://") == "…@collector"


def test_nothing_of_headers_is_shown() -> None:
    said = problem({HEADERS: "Bearer secret"})
    assert said == f"{HEADERS} is no list of NAME=VALUE with commas between them"


def test_a_file_that_is_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    values = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")}
    assert check_variables(values, samples=True) == HTTP


def test_variables_of_the_sampler_count_only_where_they_decide() -> None:
    values = {"OTEL_TRACES_SAMPLER": "often", "OTEL_TRACES_SAMPLER_ARG": "x"}
    assert check_variables(values, samples=False) == HTTP
