"""Group tables of models, side by side."""

from dataclasses import replace

import pytest
from evenface_client import GroupQuality, ModelDetails
from evenface_studio import groups
from evenface_studio.fairness import compared
from support.model_infos import model_info


def details(*found: GroupQuality, **changes: object) -> ModelDetails:
    return ModelDetails(model_info(**changes), "", found, None, None)


def group(value: str, count: int, rate: float | None, **changes: object) -> GroupQuality:
    made = GroupQuality("tone", value, count, rate, 0.2, 0.3)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_rate_has_wilsons_interval_and_few_faces_are_flagged() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:857), table I: 81 of 263.
    found = groups.treatment(group("dark", 263, 81 / 263))
    assert (found.recognised, found.is_small) == (81, False)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert found.raised == pytest.approx(1.5)
    assert groups.treatment(group("dark", 49, 1.0)).is_small


def test_the_difference_has_newcombes_interval() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:873), table II, method 10: 56/70 less 48/80.
    first, second = details(group("dark", 80, 48 / 80)), details(group("dark", 70, 56 / 70))
    [found] = groups.side_by_side([first, second])
    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.2)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (0.0524, 0.3339), abs=5e-5
    )
    assert found.difference.is_beyond_chance


def test_a_group_that_one_model_does_not_know_has_no_difference() -> None:
    known = details(group("dark", 30, 0.9), group("light", 40, 1.0))
    other = details(group("light", 40, None), group("grey", 0, None, share=0.0))
    dark, light, grey = groups.side_by_side([known, other])
    assert (dark.models[1], dark.difference) == (None, None)
    assert light.difference is None
    assert grey.models[1] is not None
    assert (grey.models[1].rate, grey.models[1].raised) == (None, None)


def test_mean_variance_and_worst_are_over_the_groups_that_have_a_rate() -> None:
    found = groups.spread([group("a", 10, 0.9), group("b", 20, 0.7), group("c", 0, None)])
    assert found is not None
    assert (found.mean, found.worst, found.worst_group) == (0.8, 0.7, "tone = b")
    assert found.variance == pytest.approx(100)
    assert groups.spread([group("a", 5, None)]) is None


def test_figures_that_no_card_has_are_left_out_and_images_compared_by_digest() -> None:
    told = compared([details(), details(quality={}, provenance={"data_digest": "e"})])
    assert (told["groups"], told["figures"], told["same_images"]) == ([], [], False)
    rate = {"true_positive_rate": 0.5}
    told = compared([details(), details(quality=rate)])
    assert told["figures"][0]["values"] == [None, 0.5]
    assert told["same_images"]
    assert told["models"][0]["over_groups"] is None
