"""Medians and the report of how cost grows."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.serving.floors import Floor
from benchmarks.serving.growth import LoadCurve, LoadPoint, ModelsPoint, RowsPoint, best
from benchmarks.serving.growth_report import Growth, write_growth
from benchmarks.serving.measure import Figures
from benchmarks.serving.medians import median
from benchmarks.serving.openloop import Outcome
from benchmarks.serving.results import write_json


def load(share: float, good: float, refused_p50: float = math.nan) -> LoadPoint:
    offered = 1000 * share
    outcome = Outcome(offered, good, offered - good, 0, 0, 10.0, 20.0, refused_p50, 1.0, 0.1, 2.0)
    return LoadPoint(share, outcome, 1.5, 0.2)


def test_figures_within_figures_have_medians_too() -> None:
    found = median([load(1, good) for good in (700, 900, 100)])
    assert found.outcome.good == 700


def test_a_time_that_was_not_measured_leaves_the_median_to_the_others() -> None:
    found = median([load(3, 1, 4.0), load(3, 1), load(3, 1, 6.0)])
    assert found.outcome.refused_p50 == 5.0
    assert math.isnan(median([load(3, 1)]).outcome.refused_p50)


def test_goodput_past_the_capacity_is_told_as_a_share_of_its_peak_in_the_same_moment() -> None:
    points = load(0.5, 500), load(1, 1000), load(3, 400, 2.0)
    text = write_growth(Growth((LoadCurve("calls", 0.25, 800, points, (0.9, 0.94, 0.92)),)))
    assert "Goodput at 300% of the capacity" in text
    assert "highest: 0.92 of that (0.90 to 0.94)." in text
    assert best(points) is points[1]
    assert "| 50% | 500 | 500 | 0 |" in text
    assert "Models" not in text


def test_each_part_has_its_table() -> None:
    figures = Figures(10, 320, 1.0, 2.0, 1.5, 0.1, 0.0, 4e-3, 1e-5, "h2load")
    floor = Floor("python", 400, 1.0, 2.0, 1e-3, 2.0, 0.0)
    models = ModelsPoint(4, 900, 30.0, 60.0, 1.5, 0.2, 127.4, 0.9)
    text = write_growth(Growth((), (RowsPoint(32, figures, floor),), (models,)))
    assert "| 32 | 320 | 400 | 0.80 | 1.0 | 2.0 | 1.50 | 0.00 | 125 |" in text
    assert "| 4 | 900 | 30.0 | 60.0 | 1.50 | 0.20 | 127 | 0.9 |" in text


def test_results_are_valid_json_without_needless_digits(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "x.json", {"a": [1.23456789, math.nan], "b": {1: "c"}})
    values = json.loads((tmp_path / "new" / "x.json").read_text())
    assert values == {"a": [pytest.approx(1.2346), None], "b": {"1": "c"}}
