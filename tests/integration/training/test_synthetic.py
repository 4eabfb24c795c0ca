"""Drawn images as a source of training, as files, and as a balanced test set."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import ConfigError, DataError
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.sources import drawn
from evenface_training.synthetic import (
    SyntheticConfig,
    balanced,
    collect,
    render_faces,
    render_nonfaces,
)
from evenface_training.synthetic.__main__ import main
from evenface_training.synthetic.render import VERSION
from PIL import Image
from support.training_data import both_rows, group_sizes

BothMaker = Callable[..., TrainingConfig]
ConfigMaker = Callable[..., TrainingConfig]

SOURCE = {"kind": "synthetic", "faces": 50, "nonfaces": 30, "seed": 3}


def test_faces_and_non_faces_are_drawn_with_their_labels(both_of: BothMaker) -> None:
    config = both_of(SOURCE, group_columns=["tone", "pose"])
    data = load_data(config)
    expected = SyntheticConfig(seed=3, size=config.model.image_size)
    faces, others = render_faces(expected, 0, 50), render_nonfaces(expected, 0, 30)
    np.testing.assert_array_equal(data.faces.images[:50], faces.images)
    np.testing.assert_array_equal(data.faces.images[50:], others.images)
    assert both_rows(data) == (set(range(50)), set(range(50, 80)))
    assert data.labels["tone"].texts()[:50].tolist() == faces.labels["tone"].astype(str).tolist()
    assert data.labels["kind"].texts()[50:].tolist() == others.labels["kind"].tolist()
    assert group_sizes(data)["pose=frontal"] == (faces.labels["pose"] == "frontal").sum()


def test_drawn_images_are_kept_until_a_setting_or_the_renderer_changes(
    both_of: BothMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listing(**changed: object) -> str:
        return str(load_data(both_of({**SOURCE, **changed})).faces.source.listing)

    first = listing()
    with monkeypatch.context() as patch:
        patch.delattr(drawn.DrawnSource, "items")  # they are found, not drawn
        assert listing() == first
    others = [listing(seed=4), listing(faces=51), listing(frequencies={"hat": {"cap": 1}})]
    monkeypatch.setattr(drawn, "VERSION", VERSION + 1)
    assert len({first, *others, listing()}) == 5


def test_faces_and_non_faces_may_be_sources_of_their_own(make_config: ConfigMaker) -> None:
    one: dict[str, object] = {
        "faces": {**SOURCE, "nonfaces": 0},
        "nonfaces": {**SOURCE, "faces": 0},
        "labels": None,
        "group_columns": ["light"],
    }
    data = load_data(make_config(data=one))
    assert data.nonfaces is not None
    assert (len(data.faces.images), len(data.nonfaces.images)) == (50, 30)


def test_a_model_of_small_grey_images_gets_them_from_the_smallest_that_can_be_drawn(
    make_config: ConfigMaker,
) -> None:
    model = {"architecture": "mlp", "image_size": 30, "channels": 1}
    source: dict[str, object] = {"faces": None, "nonfaces": None, "labels": None, "source": SOURCE}
    data = load_data(make_config(model=model, data={**source, "group_columns": ["tone"]}))
    assert data.faces.images.shape == (80, 30, 30, 1)


def test_no_image_at_all_is_refused(both_of: BothMaker) -> None:
    with pytest.raises(DataError, match="synthetic: faces and nonfaces are both 0"):
        load_data(both_of({**SOURCE, "faces": 0, "nonfaces": 0}))


def test_a_balanced_test_set_has_other_images_and_no_rare_value() -> None:
    config = SyntheticConfig(seed=3, size=32)
    test = collect(render_faces, balanced(config, "tone", "hat"), 0, 400)
    assert test.images.shape == (400, 32, 32, 3)
    counts = np.unique(test.labels["hat"], return_counts=True)[1]
    assert len(counts) == 5
    assert (np.abs(counts - 80) < 40).all()  # five standard deviations
    assert (test.labels["glasses"] == "none").mean() > 0.8  # as it was
    learned = render_faces(config, 0, 400).images
    assert len(np.unique(np.concatenate([test.images, learned]), axis=0)) == 800
    assert balanced(config).frequencies.glasses["none"] == 0.25
    with pytest.raises(ConfigError, match=r"unknown key 'frequencies.hats' \(did you mean 'hat'"):
        balanced(config, "hats")


def test_a_sheet_is_one_picture(tmp_path: Path) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    assert main(["--count", "20", "--out", str(sheet), "--set", "size=32", "seed=9"]) == 0
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture)
    first = render_faces(SyntheticConfig(seed=9, size=32), 0, 1).images[0]
    np.testing.assert_array_equal(pixels[:32, :32], first)
    assert pixels.shape == (3 * 34 - 2, 16 * 34 - 2, 3)


def test_a_sheet_of_factors_has_each_value_once_and_nothing_else_changed(tmp_path: Path) -> None:
    sheet = tmp_path / "factors.png"
    assert main(["--factors", str(sheet), "--set", "size=64"]) == 0
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture)
    high, wide = 64 + 16 + 2, 64 + 2
    tiles = [
        [pixels[y : y + 64, x : x + 64] for x in range(0, pixels.shape[1], wide)]
        for y in range(0, pixels.shape[0], high)
    ]
    shown = [[tile for tile in line if (tile < 255).any()] for line in tiles]
    expected = [len(shares) for shares in SyntheticConfig().frequencies.model_dump().values()]
    assert [len(line) for line in shown] == expected
    for line in shown:
        assert len(np.unique(np.reshape(line, (len(line), -1)), axis=0)) == len(line)
    # Corners above the shoulders are the same whatever is on the head.
    hats = np.array(shown[8])
    assert (hats[:, :3, :3] == hats[0, :3, :3]).all()


def test_a_folder_of_files_trains_like_the_source(tmp_path: Path, both_of: BothMaker) -> None:
    folder = tmp_path / "drawn"
    words = ["--count", "30", "--folder", str(folder), "--set", "seed=3", "size=32"]
    assert main(words) == 0
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    with (folder / "labels.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == files
    assert len(files) == 60
    written = load_data(
        both_of(folder, labels=folder / "labels.csv", group_columns=["tone", "yaw"])
    )
    drawn_ = load_data(both_of({**SOURCE, "faces": 30}, group_columns=["tone", "yaw"]))
    np.testing.assert_array_equal(written.faces.images, drawn_.faces.images)
    assert group_sizes(written) == group_sizes(drawn_)


def test_files_are_never_written_over_and_wrong_settings_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--count", "1", "--part", "nonface", "--format", "jpeg", "--folder", str(tmp_path)]
    assert main(words) == 0
    assert [path.name for path in (tmp_path / "nonface").iterdir()] == ["00000000.jpg"]
    assert main(words) == 2
    assert f"error: {tmp_path / 'labels.csv'} exists" in capsys.readouterr().err
    out = ["--out", str(tmp_path / "sheet.png")]
    assert main(["--count", "3000", *out]) == 2
    assert "a sheet has 1 to 4096 images, not 6000" in capsys.readouterr().err
    assert main(["--count", "0", *out]) == 2
    assert "--count is 0" in capsys.readouterr().err
    assert main([*out, "--set", "size=60"]) == 2
    assert "'size' is 60: Input should be a multiple of 8" in capsys.readouterr().err
