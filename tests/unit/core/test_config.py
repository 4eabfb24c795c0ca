"""Configuration files, command-line errors and picture grids."""

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pytest
from evenface_core.cli import EXIT_ERROR, EXIT_INTERRUPTED, guarded
from evenface_core.config import load_yaml
from evenface_core.errors import ConfigError
from evenface_core.pictures import grid, save_png
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    learning_rate: float = Field(default=0.1, gt=0)


class Circle(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["square"]
    side: float


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    optimizer: Inner = Inner()
    extra: Inner | None = None
    stages: tuple[Inner, ...] = ()
    shape: Annotated[Circle | Square, Field(discriminator="kind")] | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.name == "extra" and self.extra is None:
            raise ValueError("name 'extra' needs extra")
        return self


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_values_and_overrides_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "name: a\noptimizer: {learning_rate: 2}\n")
    config = load_yaml(Outer, path, ["optimizer.learning_rate=1e-3", "name=b", "extra={}"])
    assert (config.name, config.optimizer.learning_rate) == ("b", 0.001)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("naem: a\nname: b", r"unknown key 'naem' \(did you mean 'name'\?\)"),
        (
            "name: a\noptimizer: {lerning_rate: 1}",
            r"unknown key 'optimizer.lerning_rate' \(did you mean 'learning_rate'\?\)",
        ),
        ("name: a\nextra: {leaning_rate: 1}", r"did you mean 'learning_rate'"),
        (
            "name: a\nstages: [{}, {leaning_rate: 1}]",
            r"unknown key 'stages.1.leaning_rate' \(did you mean 'learning_rate'\?\)",
        ),
        ("name: a\nzzz: 1", r"unknown key 'zzz' \(known: extra, name, optimizer, shape, stages\)"),
        ("optimizer: {}", "missing key 'name'"),
        ("name: a\nshape: {kind: square}", "missing key 'shape.side'"),
        (
            "name: a\nshape: {kind: square, side: 1, radus: 1}",
            r"unknown key 'shape.radus' \(known: kind, side\)",
        ),
        (
            "name: a\nshape: {kind: circle, radius: 1, radus: 1}",
            r"unknown key 'shape.radus' \(did you mean 'radius'\?\)",
        ),
        ("name: a\noptimizer: {learning_rate: -1}", r"'optimizer.learning_rate' is -1: .*greater"),
        ("name: extra", r"run.yaml: name 'extra' needs extra$"),
        ("- a", "expected a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_mistake_is_named_with_the_file_and_the_nearest_key(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        load_yaml(Outer, written(tmp_path, text))
    assert "run.yaml" in str(caught.value)


@pytest.mark.parametrize("override", ["name", "=1", "name.x=1", "name=["])
def test_an_override_that_cannot_be_read_is_named(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_yaml(Outer, written(tmp_path, "name: a"), [override])
    assert f"override '{override}'" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.yaml: No such file"):
        load_yaml(Outer, tmp_path / "absent.yaml")


def test_a_command_s_errors_become_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(error: BaseException) -> int:
        def main() -> None:
            raise error

        return guarded(main)

    assert guarded(lambda: None) == 0
    assert guarded(lambda: 3) == 3
    assert fails(ConfigError("first\nsecond")) == EXIT_ERROR
    assert fails(FileNotFoundError(2, "No such file", "x.yaml")) == EXIT_ERROR
    assert fails(KeyboardInterrupt()) == EXIT_INTERRUPTED
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["error: first second", "error: x.yaml: No such file", "interrupted"]


def test_a_programming_error_keeps_its_traceback() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guarded(broken)


def test_a_grid_lays_images_out_in_rows() -> None:
    tiles = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    page = grid(tiles, 2, scale=2, gap=1)
    assert page.shape == (9, 9, 3)
    assert page[0, 0].tolist() == [0, 0, 0]
    assert page[3, 5].tolist() == [1, 1, 1]
    assert page[5, 0].tolist() == [2, 2, 2]
    assert page[4].tolist() == [[255, 255, 255]] * 9
    assert page[8, 8].tolist() == [255, 255, 255]


def test_a_png_holds_the_pixels_it_was_given(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    save_png(tmp_path / "new" / "a.png", image)
    with Image.open(tmp_path / "new" / "a.png") as stored:
        assert np.array_equal(np.asarray(stored), image)


class Secret(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    pin: int


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pin: hunter2", r"run.yaml: 'pin': Input should be a valid integer"),
        ("pin: [hunter2", r"run.yaml: not YAML: line 1, column 14: "),
        ("pin: 1\nhunter2", r"run.yaml: not YAML: line 2, column 8: "),
    ],
)
def test_what_a_model_hides_is_not_in_its_errors(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        load_yaml(Secret, written(tmp_path, text))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
