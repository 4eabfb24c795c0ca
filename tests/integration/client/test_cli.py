"""The command `evenface` against a real server; what it writes is opened and looked at."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evenface_client.cli import main
from evenface_core.latents import standard_normal
from evenface_core.resampling import LatentHistogram, weigh
from numpy.typing import NDArray
from PIL import Image
from support.bundles import (
    LATENT,
    SIZE,
    Tiny,
    expected_images,
    expected_logits,
    expected_mean,
    tiny_manifest,
)

UInt8 = NDArray[np.uint8]
TILE = 128  # what images of 16 pixels are enlarged to
GAP = 2
SHIFT = 0.5


@pytest.fixture(autouse=True)
def _server(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENFACE_SERVER", address)


@pytest.fixture
def with_bad(folder: Path, tmp_path: Path) -> list[str]:
    """A folder of seven images, a damaged file and one that is not there."""
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nonsense")
    return [str(folder), str(bad), str(tmp_path / "gone.png")]


def table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def tiles(path: Path, columns: int) -> UInt8:
    """Cut a grid into its images, one pixel for each that was enlarged: [N, SIZE, SIZE, 3]."""
    page = np.asarray(Image.open(path))
    step = TILE + GAP
    assert page.shape[1] == columns * step - GAP
    rows = (page.shape[0] + GAP) // step
    return np.stack(
        [
            page[
                r * step : r * step + TILE : TILE // SIZE, c * step : c * step + TILE : TILE // SIZE
            ]
            for r in range(rows)
            for c in range(columns)
        ]
    )


def close_to(found: UInt8, expected: UInt8) -> bool:
    return bool((np.abs(found.astype(int) - expected.astype(int)) <= 1).all())


def test_info_shows_models_and_limits(capsys: pytest.CaptureFixture[str], address: str) -> None:
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"server   {address}"
    assert lines[1] == "limits   1024 items a request, 64 MiB a message, 25000000 pixels an image"
    shown = "faces/2: dbvae, 16×16×3, 4 latents; encode decode classify, default"
    assert f"model    {shown}" in lines


def test_info_shows_one_model_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", "faces", "--version", "1"]) == 0
    out = capsys.readouterr().out
    assert "model       faces/1: dbvae" in out
    assert "attributes  smiling" in out
    worth = "AUC 0.750 on held-out faces, 30 training faces with it, 50 without"
    assert f"attribute   smiling: {worth}" in out
    assert "quality     auc = 0.5" in out
    assert "group       tone = gray: 3 held-out faces, 25.0% of the training faces" in out
    assert "provenance  made_by = tests" in out


def test_encode_writes_latents(folder: Path, tmp_path: Path, pixels: UInt8) -> None:
    out = tmp_path / "new" / "latents.npy"
    assert main(["encode", str(folder), "--out", str(out)]) == 0
    latents = np.load(out)
    assert latents.dtype == np.float32
    np.testing.assert_allclose(latents, expected_mean(pixels[:7], SHIFT), atol=1e-5)


def test_encode_goes_on_past_bad_files_and_names_them(
    with_bad: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "latents.csv"
    assert main(["encode", *with_bad, "--out", str(out)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"skipped {with_bad[1]}: not a JPEG, PNG or WebP image",
        f"skipped {with_bad[2]}: No such file or directory",
        "2 of 9 images skipped",
    ]
    header, *rows = table(out)
    assert header == ["file", "mean_0", "mean_1", "mean_2", "mean_3"]
    assert [Path(row[0]).name for row in rows] == [f"{number}.png" for number in range(7)]


def test_encode_of_bad_files_alone_fails(
    with_bad: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "latents.npy"
    assert main(["encode", *with_bad[1:], "--out", str(out)]) == 2
    assert capsys.readouterr().err.endswith("error: none of 2 images could be used\n")
    assert not out.exists()


def test_patterns_are_resolved_here_too(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "latents.npy"
    assert main(["encode", str(folder / "[0-2].png"), "--out", str(out)]) == 0
    assert len(np.load(out)) == 3


def test_decode_writes_a_grid_or_an_array(tmp_path: Path) -> None:
    latents = standard_normal(1, range(5), LATENT)
    np.save(tmp_path / "latents.npy", latents)
    source = str(tmp_path / "latents.npy")
    assert main(["decode", source, "--out", str(tmp_path / "grid.png")]) == 0
    found = tiles(tmp_path / "grid.png", 3)
    assert close_to(found[:5], expected_images(latents))
    assert (found[5] == 255).all()
    options = ["--attribute", "smiling=2", "--out", str(tmp_path / "moved.npy")]
    assert main(["decode", source, *options]) == 0
    moved = latents + 2 * np.array([1, 0, 0, 2], np.float32)
    assert close_to(np.load(tmp_path / "moved.npy"), expected_images(moved))


def test_edit_lays_the_steps_beside_the_original(
    with_bad: list[str], tmp_path: Path, pixels: UInt8, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "edited.png"
    options = ["--set", "smiling=1", "--steps", "2", "--version", "1", "--out", str(out)]
    assert main(["edit", *with_bad, *options]) == 1
    assert "7 faces with smiling=1" in capsys.readouterr().out
    found = tiles(out, 4).reshape(7, 4, SIZE, SIZE, 3)
    means = expected_mean(pixels[:7])
    assert close_to(found[:, 0], pixels[:7])
    for place, strength in enumerate((0, 0.5, 1), 1):
        moved = means + np.float32(strength) * np.array([1, 0, 0, 2], np.float32)
        assert close_to(found[:, place], expected_images(moved))


def test_edit_changes_faces_that_a_seed_draws(tmp_path: Path) -> None:
    out, latents = tmp_path / "edited.npy", tmp_path / "latents.npy"
    drawn = ["--seed", "7", "--count", "3"]
    options = ["--out", str(tmp_path / "x.npy"), "--latents", str(latents)]
    assert main(["sample", *drawn, *options]) == 0
    assert main(["edit", *drawn, "--set", "smiling=-1", "--out", str(out)]) == 0
    moved = np.load(latents) - np.array([1, 0, 0, 2], np.float32)
    assert close_to(np.load(out)[:, 0], expected_images(moved))


def test_sample_writes_faces_and_their_latents(tmp_path: Path) -> None:
    out, latents = tmp_path / "faces.png", tmp_path / "latents.npy"
    options = ["--count", "4", "--seed", "7", "--temperature", "0.5", "--prior", "normal"]
    assert main(["sample", *options, "--out", str(out), "--latents", str(latents)]) == 0
    drawn = np.load(latents)
    np.testing.assert_allclose(drawn, 0.5 * standard_normal(7, range(4), LATENT), atol=1e-6)
    assert close_to(tiles(out, 2), expected_images(drawn))


def test_classify_prints_and_writes_a_table(
    folder: Path, tmp_path: Path, pixels: UInt8, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.csv"
    assert main(["classify", str(folder), "--threshold", "0.6", "--csv", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    header, *rows = table(out)
    assert header == ["file", "logit", "probability", "is_face"]
    logits = np.array([float(row[1]) for row in rows])
    np.testing.assert_allclose(logits, expected_logits(pixels[:7]), atol=1e-5)
    for line, (file, _, probability, is_face) in zip(printed, rows, strict=True):
        assert line.startswith(f"{float(probability):.4f}  ")
        assert line.endswith(file)
        assert ("non-face" in line) == (is_face == "0") == (float(probability) < 0.6)


def test_weights_writes_a_table_and_says_which_are_rare(
    folder: Path, tmp_path: Path, pixels: UInt8, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weights.csv"
    options = ["--out", str(out), "--rule", "paper", "--min-ess", "0.9"]
    assert main(["weights", str(folder), *options]) == 0
    header, *rows = table(out)
    weights = np.array([float(row[1]) for row in rows])
    latents = expected_mean(pixels[:7], SHIFT)
    histogram = LatentHistogram.from_latents(latents)
    expected = histogram.weights(latents, "paper", min_effective_sample_size=0.9)
    assert header == ["file", "weight"]
    np.testing.assert_allclose(weights, expected.values, rtol=1e-3)
    said = capsys.readouterr().out
    assert said.startswith("effective sample size 6.3 of 7 (90%)\ntempered: ")
    rarest = said.split("rarest:\n")[1].splitlines()[0]
    assert rarest.endswith(rows[int(weights.argmax())][0])
    commonest = said.split("commonest:\n")[1].splitlines()[0]
    assert commonest.endswith(rows[int(weights.argmin())][0])


def test_hard_weights_are_those_of_the_logits(folder: Path, tmp_path: Path, pixels: UInt8) -> None:
    out = tmp_path / "weights.csv"
    assert main(["weights", str(folder), "--out", str(out), "--rule", "hard"]) == 0
    weights = np.array([float(row[1]) for row in table(out)[1:]])
    logits = expected_logits(pixels[:7])[:, None].astype(np.float32)
    _, expected = weigh(logits, rule="hard")
    np.testing.assert_allclose(weights, expected.values, rtol=1e-3)


def test_weights_can_be_judged_by_another_population(folder: Path, tmp_path: Path) -> None:
    population, again = tmp_path / "population.npz", tmp_path / "again.npz"
    run = ["weights", str(folder), "--out", str(tmp_path / "weights.csv")]
    few = ["weights", str(folder / "0.png"), "--out", str(tmp_path / "few.csv")]
    assert main([*run, "--histogram-out", str(population)]) == 0
    assert main([*few, "--histogram", str(population), "--histogram-out", str(again)]) == 0
    with np.load(population) as first, np.load(again) as second:
        assert first["counts"].sum(axis=1).tolist() == [7] * LATENT
        np.testing.assert_array_equal(first["counts"], second["counts"])
    assert main([*few, "--histogram", "training", "--histogram-out", str(again)]) == 0
    with np.load(again) as trained:
        assert trained["counts"].sum(axis=1).tolist() == [200] * LATENT


def test_reconstruct_lays_results_below_originals(
    folder: Path, tmp_path: Path, pixels: UInt8
) -> None:
    out = tmp_path / "reconstructions.png"
    assert main(["reconstruct", str(folder), "--out", str(out)]) == 0
    found = tiles(out, 7)
    np.testing.assert_array_equal(found[:7], pixels[:7])
    assert close_to(found[7:], expected_images(expected_mean(pixels[:7], SHIFT)))


def test_reconstruct_fills_the_last_rows_up(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "reconstructions.png"
    files = [str(folder / f"{number % 7}.png") for number in range(9)]
    assert main(["reconstruct", *files, "--out", str(out)]) == 0
    found = tiles(out, 8)
    assert len(found) == 32
    assert (found[17:24] == 255).all()
    np.testing.assert_array_equal(found[16], found[1])  # 9 = 7 + 2: the second file again


def test_morph_walks_from_one_face_to_the_other(
    folder: Path, tmp_path: Path, pixels: UInt8
) -> None:
    out = tmp_path / "morph.png"
    ends = [str(folder / "0.png"), str(folder / "1.png")]
    assert main(["morph", *ends, "--steps", "5", "--out", str(out)]) == 0
    means = expected_mean(pixels[:2], SHIFT)
    line = np.linspace(means[0], means[1], 5, dtype=np.float32)
    assert close_to(tiles(out, 5), expected_images(line))


def test_traverse_varies_one_dimension_a_row(folder: Path, tmp_path: Path, pixels: UInt8) -> None:
    out = tmp_path / "traverse.png"
    run = ["traverse", str(folder / "0.png"), "--version", "1", "--steps", "3", "--range", "2"]
    assert main([*run, "--out", str(out)]) == 0
    found = tiles(out, 3).reshape(LATENT, 3, SIZE, SIZE, 3)
    start = expected_mean(pixels[:1])[0]
    posterior = tiny_manifest(Tiny()).aggregate_posterior
    assert posterior is not None
    mean, std = posterior.mean, posterior.std
    for dimension in range(LATENT):
        rows = np.repeat(start[None], 3, axis=0)
        rows[:, dimension] = mean[dimension] + np.array([-2, 0, 2]) * std[dimension]
        assert close_to(found[dimension], expected_images(rows))


def test_traverse_starts_at_a_drawn_face_and_takes_some_dimensions(tmp_path: Path) -> None:
    out = tmp_path / "traverse.npy"
    run = ["traverse", "--seed", "3", "--dimensions", "0,2-3", "--out", str(out)]
    assert main(run) == 0
    assert np.load(out).shape == (3 * 8, SIZE, SIZE, 3)


def test_the_command_runs_as_a_module(address: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "evenface_client", "info", "--server", address],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    assert f"server   {address}" in run.stdout
