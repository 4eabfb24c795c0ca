"""Every line of code and every command of docs/client.md, run against a server."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evenface_client.cli import main
from evenface_client.cli.arguments import parser
from PIL import Image
from support.bundles import images
from support.markdown import code_blocks
from support.servers import server_process

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
DEFAULT = "127.0.0.1:50051"


@pytest.fixture(scope="module")
def address(tiny_models: Path) -> Iterator[str]:
    with server_process(tiny_models) as server:
        yield server.address


@pytest.fixture(autouse=True)
def _folder_with_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENFACE_SERVER", address)
    (tmp_path / "faces").mkdir()
    pixels = images(6)
    for name, image in zip(("a", "b"), pixels, strict=False):
        Image.fromarray(image).save(f"{name}.png")
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(f"faces/{number}.png")


def test_the_code_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for code in code_blocks(PAGE, "python"):
        assert not code.count("127.0.0.1") or DEFAULT in code
        exec(code.replace(DEFAULT, address), names)  # noqa: S102 - our own page
    assert names["weights"].sum() == pytest.approx(1)
    said = capsys.readouterr().out
    assert "skipped missing.png: images[1] (missing.png): No such file or directory" in said
    assert "temperature 99.0 is outside 0 to 10" in said


def test_the_commands_run() -> None:
    lines = [line for block in code_blocks(PAGE, "sh") for line in block.splitlines()]
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "evenface"
        assert main(arguments) == 0, line
        for option in ("--out", "--csv", "--histogram-out"):
            if option in arguments:
                assert Path(arguments[arguments.index(option) + 1]).stat().st_size > 0, line


def test_every_command_is_on_the_page() -> None:
    usage = parser().format_help()
    commands = set(re.findall(r"^    ([a-z]+)\b", usage, re.MULTILINE))
    shown = {line.split()[1] for block in code_blocks(PAGE, "sh") for line in block.splitlines()}
    assert commands == shown
