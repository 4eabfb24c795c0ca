"""The debiasing benchmark's figures, its bootstrap and its ledger, on made-up scores."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import DataError
from evenface_training.groups import group_rates, spread
from numpy.typing import NDArray

from benchmarks.debiasing.bootstrap import Comparison, Sample, interval, replicate
from benchmarks.debiasing.report import Evidence, write
from benchmarks.debiasing.runs import PARTS, Ledger, Run, Scores
from benchmarks.debiasing.sets import HeldOut, Sizes, drawn_test, even_frequencies

FACES, NONFACES = 400, 300
GROUPS = {"tone=dark": np.arange(FACES) % 4 == 0, "tone=light": np.arange(FACES) % 4 != 0}


def scores(seed: int, dark: float = 0.0) -> Scores:
    """Logits of faces around 1, of dark ones lower by `dark`, and of non-faces around -1."""
    rng = np.random.default_rng(seed)
    faces = rng.normal(1, 1, FACES) - dark * GROUPS["tone=dark"]
    return Scores(faces.astype(np.float32), rng.normal(-1, 1, NONFACES).astype(np.float32))


def run(variant: str, seed: int, dark: float = 0.0) -> Run:
    return Run(
        variant=variant,
        augmented=False,
        seed=seed,
        cpu_seconds=1.0,
        scores={part: scores(10 * seed + place, dark) for place, part in enumerate(PARTS)},
        shares={"tone=dark": (0.02, 0.08)},
        effective_share=0.5 if variant == "lab" else 1.0,
    )


def runs(dark: Mapping[str, float]) -> list[Run]:
    return [run(variant, seed, low) for variant, low in dark.items() for seed in range(3)]


def test_figures_are_those_of_each_run_averaged_over_seeds() -> None:
    made = runs({"cnn": 1.0})
    comparison = Comparison(made, GROUPS)
    for part in PARTS:
        rates = [
            group_rates(each.scores[part].faces, each.scores[part].nonfaces, GROUPS)
            for each in made
        ]
        for at, found in (
            ("half", [spread(each.at_half) for each in rates]),
            ("one percent", [spread(each.at_one_percent) for each in rates]),
        ):
            figures = comparison.figures(("cnn", False), part, at, comparison.whole())
            assert figures["mean"] == pytest.approx(100 * np.mean([each.mean for each in found]))
            assert figures["variance"] == pytest.approx(np.mean([each.variance for each in found]))
            assert figures["worst"] == pytest.approx(100 * np.mean([e.worst_rate for e in found]))


def _repeated(values: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.repeat(values, counts)


def test_a_replicate_is_the_figure_of_the_images_that_it_drew() -> None:
    made = runs({"cnn": 1.0})
    comparison = Comparison(made, GROUPS)
    sample = comparison.draw(np.random.default_rng(0))
    rates = comparison.rates(("cnn", False), "clean", "one percent", sample)
    for row, seed in zip(rates, sample.seeds, strict=True):
        drawn = made[seed].scores["clean"]
        members = {name: np.repeat(group, sample.faces) for name, group in GROUPS.items()}
        expected = group_rates(
            _repeated(drawn.faces, sample.faces),
            _repeated(drawn.nonfaces, sample.nonfaces),
            members,
        )
        np.testing.assert_allclose(row, list(expected.at_one_percent.values()))


def test_a_replicate_draws_as_much_as_there_is() -> None:
    comparison = Comparison(runs({"cnn": 0.0}), GROUPS)
    sample: Sample = comparison.draw(np.random.default_rng(1))
    assert (sample.faces.sum(), sample.nonfaces.sum(), len(sample.seeds)) == (FACES, NONFACES, 3)
    assert sample.faces.max() > 1


def test_equal_variants_differ_by_nothing_in_every_replicate() -> None:
    comparison = Comparison(runs({"cnn": 0.5, "lab": 0.5}), GROUPS)
    drawn = replicate(comparison, 5)
    np.testing.assert_array_equal(drawn["cnn", False], drawn["lab", False])
    assert drawn["cnn", False].std(axis=0).min() > 0


def test_intervals_hold_ninety_five_percent() -> None:
    assert interval(np.arange(1001.0)) == (25.0, 975.0)


def test_finished_runs_are_found_again_and_torn_lines_and_other_settings_are_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.jsonl"
    kept = run("lab", 2)
    Ledger(path, {"epochs": 3}).add(run("cnn", 1))
    with path.open("a") as file:
        file.write('\n{"settings": "torn')
    Ledger(path, {"epochs": 4}).add(kept)
    (found,) = Ledger(path, {"epochs": 4}).runs()
    assert found.key == ("lab", False, 2)
    assert found.shares == {"tone=dark": (0.02, 0.08)}
    for part in PARTS:
        np.testing.assert_array_equal(found.scores[part].faces, kept.scores[part].faces)
        np.testing.assert_array_equal(found.scores[part].nonfaces, kept.scores[part].nonfaces)


def _evidence(made: list[Run]) -> Evidence:
    pixels = np.zeros((FACES, 2, 2, 3), np.uint8)
    test = HeldOut(pixels, pixels[:NONFACES], GROUPS)
    settings = {"sizes": {"size": 32}, "optimizer": {"epochs": 6, "ema_decay": 0.99}}
    return Evidence("synthetic", "python -m benchmarks.debiasing evidence", settings, made, test)


def test_the_report_compares_seeds_that_all_variants_have(tmp_path: Path) -> None:
    made = [*runs({"cnn": 2.0, "lab": 0.0}), run("cnn", 7, 2.0)]
    report = write(_evidence(made), tmp_path / "found", replicates=50)
    assert "3 seeds" in report
    (row,) = [line for line in report.splitlines() if line.startswith("| DB-VAE, lab")][:1]
    false_positives, mean, _, worst = (cell.strip() for cell in row.split("|")[5:9])
    shares = [np.mean(scores(10 * seed).nonfaces >= 0) for seed in range(3)]
    assert float(false_positives) == pytest.approx(100 * np.mean(shares), abs=0.005)
    assert mean.startswith("+")
    assert "(+" in mean
    assert "(+" in worst
    assert "| DB-VAE, lab's rule | 8.00 % | 50.0 % |" in report
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".json", ".png"}


def test_a_report_without_the_plain_cnn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no seed has a finished run of every variant, cnn among"):
        write(_evidence(runs({"lab": 0.0})), tmp_path / "found", replicates=5)


def test_an_even_test_set_has_every_value_of_a_factor_equally_often() -> None:
    frequencies = even_frequencies()
    assert set(frequencies.hat.values()) == {0.2}
    assert sum(frequencies.tone[tone] for tone in (8, 9, 10)) == pytest.approx(1 / 3)


def test_each_drawn_group_differs_in_its_own_factor_alone() -> None:
    test = drawn_test(Sizes(size=32, train=0, test=500, nonfaces=30))
    members = np.stack(list(test.groups.values()))
    assert (members.sum(axis=0) == 1).all()
    hats = np.logical_or.reduce([m for name, m in test.groups.items() if name.startswith("hat=")])
    assert hats.sum() == 100
    assert len(test.nonfaces) == 30
    assert test.groups["hat=none"].sum() < 40  # of those drawn for hats, not of all faces
