"""Where settings come from, and what is said of wrong ones."""

from pathlib import Path

import pytest
from evenface_core.errors import ConfigError
from evenface_server.options import load_settings
from evenface_server.settings import Settings
from evenface_server.settings_table import render
from PIL import Image

DOCS = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_command_line_wins_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings([], {}).port == 50051
    monkeypatch.setenv("EVENFACE_PORT", "1234")
    assert load_settings([], {}).port == 1234
    assert load_settings(["--port", "77"], {}).port == 77


def test_switches_can_be_turned_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENFACE_REFLECTION", "true")
    assert load_settings([], {}).reflection is True
    assert load_settings(["--no-reflection"], {}).reflection is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--max-batch-row", "3"],
            "unknown option '--max-batch-row' (did you mean '--max-batch-rows'?)",
        ),
        (["--port=70000"], "--port is '70000': Input should be less than or equal to 65535"),
        (
            ["--max-batch-rows", "0"],
            "--max-batch-rows is '0': Input should be greater than or equal to 1",
        ),
        (
            ["--max-pixels-per-image", "200000000"],
            f"should be less than or equal to {2 * (Image.MAX_IMAGE_PIXELS or 0)}",  # Pillow's own
        ),
        (["--log-level", "loud"], "--log-level is 'loud': Input should be 'debug', 'info'"),
        (["--max-items-per-request", "9999"], "9999 is above max_queue_rows 4096"),
        (["--tls-cert", "x"], "tls_cert and tls_key belong together"),
        (["--tls-client-ca", "x"], "tls_client_ca needs tls_cert"),
        (["--tls-allowed-subjects", "x"], "tls_allowed_subjects needs tls_client_ca"),
        (["--tokens", "x"], "did you mean '--tokens-file'?"),
        (["--cuda-graphs", "--device", "cpu"], "cuda_graphs needs device cuda, not cpu"),
        (["--cuda-graphs", "--device=tensorrt"], "cuda_graphs needs device cuda, not tensorrt"),
        (["--tensorrt-cache", "x"], "tensorrt_cache needs device tensorrt, not auto"),
        (["--gpu-memory-limit", "0"], "--gpu-memory-limit is '0': Input should be greater"),
        (["--port"], "expected one argument"),
        (["--admin-port=0", "--admin-host=0.0.0.0"], "admin_host 0.0.0.0 lets other machines"),
        (["--admin-port=0", "--admin-host=ops.internal"], "that needs tokens_file"),
        (["--traffic", "faces=1"], "--traffic is 'faces=1': Value error, 'faces=1' is not NAME/"),
    ],
)
def test_a_wrong_option_is_named_with_value_and_limit(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(arguments, {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--admin-host", "192.0.2.1"],
        ["--admin-port", "0", "--admin-host", "::1"],
        ["--admin-port", "0", "--admin-host", "localhost"],
        ["--admin-port", "0", "--admin-host", "192.0.2.1", "--tokens-file", "x"],
    ],
)
def test_the_admin_service_may_be_open_to_this_machine_or_to_those_with_tokens(
    arguments: list[str],
) -> None:
    load_settings(arguments, {})


def test_a_wrong_variable_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENFACE_DRAIN_GRACE", "soon")
    with pytest.raises(ConfigError, match="EVENFACE_DRAIN_GRACE is 'soon'"):
        load_settings([], {})


def test_a_misspelt_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="EVENFACE_MAX_BATCH_ROWS"):
        load_settings([], {"EVENFACE_MAX_BATCHROWS": "3"})


def test_the_client_s_token_is_not_taken_for_the_server_s_file() -> None:
    load_settings([], {"EVENFACE_TOKEN": "x"})
    for name in ("EVENFACE_TOKENS", "EVENFACE_TOKEN_FILE"):
        with pytest.raises(ConfigError, match="EVENFACE_TOKENS_FILE"):
            load_settings([], {name: "x"})


def test_variables_that_kubernetes_sets_for_a_service_are_let_be() -> None:
    names = ("SERVICE_HOST", "SERVICE_PORT", "PORT_50051_TCP", "PORT_50051_TCP_ADDR")
    load_settings([], {f"EVENFACE_{name}": "tcp://10.0.0.1" for name in names})


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_page_of_settings_is_current() -> None:
    assert DOCS.read_text(encoding="utf-8") == render(), (
        "run: python -m evenface_server.settings_table > docs/settings.md"
    )
