"""The command `evenface-studio`, where it cannot start."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.patience import PATIENCE


def refused(*options: str) -> str:
    """What the command says on stderr when it ends at once."""
    done = subprocess.run(
        [sys.executable, "-m", "evenface_studio", "--port", "0", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    return done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--data", "nowhere"), "nowhere"),
        (("--server", "faces.example:1", "--token", "secret"), "in plain text"),
        (("--tls-ca", "nowhere.pem"), "nowhere.pem"),
        (("--server", ""), "empty address"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line(options: tuple[str, ...], said: str) -> None:
    (line,) = refused(*options).splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert "secret" not in line


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        (line,) = refused("--port", port).splitlines()
    assert "in use" in line
    assert port in line


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("0.0.0.0", True)])  # noqa: S104
def test_an_address_that_others_reach_comes_with_a_warning(host: str, warns: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "evenface_studio", "--port", "0", "--host", host],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)
    assert said.startswith("warning: there is no sign-in") is warns
    assert process.returncode == 0


def test_help_says_where_it_listens() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evenface_studio", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert "127.0.0.1:50051" in done.stdout
    assert "7860" in done.stdout
