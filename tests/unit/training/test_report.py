"""The parts of a report against plain computations."""

import base64
import io
import math

import numpy as np
import pytest
from evenface_core.intervals import wilson_interval
from evenface_training.report.charts import bar_chart, line_chart
from evenface_training.report.groups import SHOWN, Rate, tabulate_groups
from evenface_training.report.latents import describe_latents
from evenface_training.report.tiles import tile, tile_edge
from PIL import Image


def test_groups_and_their_intersections_are_counted() -> None:
    tone = np.array(["dark"] * 40 + ["light"] * 60)
    gender = np.array(["F", "M"] * 45 + [""] * 10)
    recognised = np.arange(100) % 10 != 0
    tables = {
        t.title: t for t in tabulate_groups({"tone": tone, "gender": gender}, {"a": recognised})
    }
    assert list(tables) == ["tone", "gender", "tone × gender"]
    groups = {group.name: group for table in tables.values() for group in table.groups}
    assert groups["tone=dark"].count == 40
    assert groups["gender=F"].count == 45
    inside = (tone == "light") & (gender == "M")
    light_men = groups["tone=light, gender=M"]
    assert (light_men.count, light_men.small) == (25, True)
    rate = recognised[inside].mean()
    assert light_men.rates["a"] == Rate(rate, *wilson_interval(rate, 25))
    assert not any("gender=," in name or name == "gender=" for name in groups)


def test_differences_are_between_groups_that_are_not_small() -> None:
    tone = np.array(["a"] * 40 + ["b"] * 40 + ["c"] * 29)
    recognised = np.array([True] * 40 + [True] * 30 + [False] * 10 + [False] * 29)
    (table,) = tabulate_groups({"tone": tone}, {"trial": recognised})
    (found,) = table.differences
    assert found.gap == pytest.approx(0.25)
    assert found.spread.mean == pytest.approx(0.875)
    assert found.spread.variance == pytest.approx(12.5**2)
    assert found.spread.worst == "tone=b"


def test_without_a_classifier_groups_are_only_counted() -> None:
    (table,) = tabulate_groups({"tone": np.array(["x", "", "x"])}, {})
    assert [(group.count, group.rates) for group in table.groups] == [(2, {})]
    assert tabulate_groups({"tone": np.array(["", ""])}, {}) == []


def test_of_many_groups_the_largest_are_shown() -> None:
    names = np.array([f"{n:03}" for n in range(100) for _ in range(1 + (n == 99))])
    (table,) = tabulate_groups({"person": names}, {"a": np.ones(len(names), bool)})
    assert len(table.groups) == SHOWN
    assert table.left_out == 100 - SHOWN
    assert table.groups[0].name == "person=099"


def test_latents_are_described_the_most_active_first() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal([0.5, 0.0, -1.0], [0.09, 0.0, 2.0], (500, 3)).astype(np.float32)
    log_variance = np.broadcast_to(np.array([-1.0, 0.0, -2.0], np.float32), mean.shape)
    facts = describe_latents(mean, log_variance)
    assert [dimension.number for dimension in facts.dimensions] == [2, 0, 1]
    assert [dimension.active for dimension in facts.dimensions] == [True, False, False]
    assert facts.active == 1
    first = facts.dimensions[0]
    assert first.mean == pytest.approx(mean[:, 2].mean(), abs=1e-6)
    assert first.deviation == pytest.approx(mean[:, 2].std(), abs=1e-6)
    assert first.posterior_deviation == pytest.approx(math.exp(-1))
    expected = np.mean(0.5 * (math.exp(-2) + mean[:, 2] ** 2 - 1 + 2))
    assert first.kl == pytest.approx(expected, rel=1e-5)
    assert all(sum(dimension.counts) == 500 for dimension in facts.dimensions)
    assert facts.dimensions[2].kl == 0


def test_latents_that_are_all_alike_have_a_histogram() -> None:
    facts = describe_latents(np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32))
    assert facts.low < 0 < facts.high
    assert max(facts.dimensions[0].counts) == 4


def test_a_line_goes_through_its_points_and_leaves_out_what_is_no_number() -> None:
    points = [(1, 0.0), (2, math.nan), (3, 1.0), (4, math.inf)]
    chart = line_chart("loss", {"empty": [], "training": points})
    assert chart is not None
    (line,) = chart.lines
    assert line.style == 2  # the first colour stays free for the empty one
    ticks = {text: place for place, text in chart.y_ticks}
    assert [(y, text) for _, y, text in line.dots] == [
        (ticks["0"], "training, 1: 0.00000"),
        (ticks["1"], "training, 3: 1.00000"),
    ]
    assert chart.summary == "loss by epoch. training: from 0.00000 to 1.00000."
    assert line_chart("loss", {"a": [(1, math.nan)]}) is None


def test_a_line_of_equal_values_and_one_of_very_many_are_drawn() -> None:
    flat = line_chart("auc", {"a": [(1, 1.0), (2, 1.0)]})
    assert flat is not None
    assert flat.y_ticks[-1][1] == "1"
    long = line_chart("loss", {"a": [(n, n * n) for n in range(100_000)]}, "step")
    assert long is not None
    assert len(long.lines[0].path) < 10_000
    assert long.lines[0].dots == []


def test_bars_are_as_long_as_their_rates() -> None:
    groups = {"tone=a": {"cnn": (Rate(0.5, 0.4, 0.6), False)}, "b" * 99: {}}
    chart = bar_chart("At 0.5", groups, ["vae", "cnn"], zoomed=False)
    (bar,) = chart.bars
    ticks = {text: place for place, text in chart.ticks}
    assert bar.end == ticks["50 %"]
    assert chart.left == ticks["0 %"]
    assert bar.style == 2
    assert bar.text == "cnn: 50.0 % (40.0 % to 60.0 %)"
    assert "tone=a: cnn 50.0 %" in chart.summary
    assert len(chart.names[1][1]) < 50
    zoomed = bar_chart("At 0.5", groups, ["vae", "cnn"], zoomed=True)
    assert zoomed.bars[0].low == zoomed.left  # the scale begins at 40 %
    assert zoomed.zoomed


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tile_is_a_small_picture_in_the_page_itself(channels: int) -> None:
    image = np.full((200, 200, channels), 128, np.uint8)
    url = tile(image, 64)
    begin = "data:image/jpeg;base64,"
    assert url.startswith(begin)
    with Image.open(io.BytesIO(base64.b64decode(url.removeprefix(begin)))) as picture:
        assert picture.size == (64, 64)
        assert picture.mode == ("L" if channels == 1 else "RGB")


def test_tiles_of_many_runs_are_smaller() -> None:
    assert tile_edge(1) == 128
    assert tile_edge(4) == 64
