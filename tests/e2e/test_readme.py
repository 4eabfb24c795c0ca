"""The README's examples, run as they stand, in a folder such as its reader has."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from support.commands import succeed
from support.faces import write_images
from support.markdown import code_blocks
from support.servers import server_process

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DEFAULT = "127.0.0.1:50051"


def commands() -> list[list[str]]:
    return [shlex.split(line) for block in code_blocks(README, "sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with server_process(ROOT / "models") as server:
        yield server.address


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_images(tmp_path_factory.mktemp("reader"))
    (root / "face").rename(root / "faces")
    (root / "nonface").rename(root / "other")
    shutil.copytree(root / "faces", root / "photos")
    for name, number in (("a", "001"), ("b", "012")):
        with Image.open(root / "faces" / f"{number}.png") as image:
            image.save(root / f"{name}.jpg")
    return root


def run(folder: Path, command: list[str], address: str = DEFAULT) -> None:
    succeed(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        folder=folder,
        environment={**os.environ, "EVENFACE_SERVER": address},
    )


def test_the_code_runs(address: str) -> None:
    names: dict[str, Any] = {}
    for code in code_blocks(README, "python"):
        assert DEFAULT in code
        exec(code.replace(DEFAULT, address), names)  # noqa: S102 - our own page
    assert names["faces"].shape == (8, 64, 64, 3)
    assert names["latents"].shape == (8, 100)


def test_the_client_s_commands_leave_their_files(folder: Path, address: str) -> None:
    mine = [command for command in commands() if command[0] == "evenface"]
    assert len(mine) > 4
    for command in mine:
        run(folder, command, address)
        for option in ("--out", "--csv"):
            if option in command:
                assert (folder / command[command.index(option) + 1]).stat().st_size > 0, command


def test_a_scoring_job_leaves_rows_and_a_page(folder: Path, tmp_path: Path) -> None:
    (command,) = (command for command in commands() if command[0] == "evenface-batch")
    (tmp_path / "photos").symlink_to(folder / "photos")
    (tmp_path / "models").symlink_to(ROOT / "models")
    run(tmp_path, command)
    images = len(list((folder / "photos").iterdir()))
    assert pq.read_table(tmp_path / "scores" / "parts").num_rows == images
    assert "Rarest" in (tmp_path / "scores" / "page.html").read_text()


def test_a_model_of_one_s_own_is_trained_reported_exported_and_served(folder: Path) -> None:
    mine = (c for c in commands() if c[0] not in ("evenface", "evenface-batch"))
    train, report, export, serve = mine
    run(folder, train)
    run(folder, report)
    assert "Traversals" in (folder / "runs" / "mine" / "report.html").read_text()
    run(folder, export)
    assert serve == ["evenface-server", "--models", "models"]
    with server_process(folder / "models") as server:
        run(folder, ["evenface", "info"], server.address)
