"""The synthetic benchmark: the same images always, as often as asked, with all that is known."""

from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from multiprocessing import get_context

import numpy as np
import pytest
from evenface_training.synthetic import (
    Frequencies,
    Rendered,
    SyntheticConfig,
    render_faces,
    render_nonfaces,
)
from evenface_training.synthetic.config import POSE_DEGREES, TONE_GROUPS
from evenface_training.synthetic.draws import Draws
from evenface_training.synthetic.scene import draw_scene
from evenface_training.synthetic.streams import Render, stream
from pydantic import ValidationError

BOTH = pytest.mark.parametrize("render", [render_faces, render_nonfaces])
CONFIG = SyntheticConfig(seed=7)
FACTORS = sorted(set(Frequencies.model_fields) - {"kind"})


def _draw_twelve(render: Render) -> Rendered:
    return render(CONFIG, 288, 12)


@BOTH
def test_an_image_is_the_same_alone_and_in_any_batch(render: Render) -> None:
    together = render(CONFIG, 40, 60)
    for index in range(40, 100, 7):
        alone, row = render(CONFIG, index, 1), index - 40
        np.testing.assert_array_equal(alone.images[0], together.images[row])
        assert {name: column[0] for name, column in alone.labels.items()} == {
            name: column[row] for name, column in together.labels.items()
        }


def test_images_are_the_same_in_another_process() -> None:
    renders: list[Render] = [render_faces, render_nonfaces]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for render, elsewhere in zip(renders, pool.map(_draw_twelve, renders), strict=True):
            np.testing.assert_array_equal(elsewhere.images, render(CONFIG, 280, 20).images[8:])


@BOTH
def test_images_are_the_same_on_any_number_of_threads(render: Render) -> None:
    expected = render(CONFIG, 5, 300)
    for workers in (1, 3):
        parts = list(stream(render, CONFIG, 5, 300, workers))
        assert len(parts) > 1
        np.testing.assert_array_equal(
            np.concatenate([part.images for part in parts]), expected.images
        )


@BOTH
def test_another_seed_and_another_index_give_other_images(render: Render) -> None:
    images = render(CONFIG, 0, 50).images
    assert len(np.unique(images.reshape(50, -1), axis=0)) == 50
    others = render(SyntheticConfig(seed=8), 0, 50).images
    assert (images != others).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("size", [32, 104, 256])
@BOTH
def test_a_scene_is_the_same_at_every_size(render: Render, size: int) -> None:
    small, large = render(CONFIG, 3, 6), render(SyntheticConfig(seed=7, size=size), 3, 6)
    assert large.images.shape == (6, size, size, 3)
    for name, column in small.labels.items():
        np.testing.assert_array_equal(column, large.labels[name])
    # Seen from far away (the mean of each of 4 × 4 fields), both look alike.
    far = [
        part.images.reshape(6, 4, edge // 4, 4, edge // 4, 3).mean(axis=(2, 4))
        for part, edge in ((small, 64), (large, size))
    ]
    assert np.abs(far[0] - far[1]).max() < 12


@pytest.mark.parametrize("shares", ["default", "uniform"])
def test_every_value_of_every_factor_is_drawn_as_often_as_its_frequency_says(shares: str) -> None:
    count = 20_000
    uniform = dict.fromkeys(Frequencies.model_fields, "uniform") if shares == "uniform" else {}
    config = SyntheticConfig(seed=11, frequencies=Frequencies.model_validate(uniform))
    draws = Draws(config.seed, 0, 0, count)
    known = {factor: getattr(config.frequencies, factor) for factor in FACTORS}
    scene = draw_scene(draws, config)
    codes = {**scene.codes, "kind": draws.pick("kind", config.frequencies.kind)}
    for factor, expected in {**known, "kind": config.frequencies.kind}.items():
        found = np.bincount(codes[factor], minlength=len(expected)) / count
        share = np.array(list(expected.values()))
        # Five standard deviations of a binomial: one of 60 is beyond them once in 30,000 seeds.
        assert (np.abs(found - share) <= 5 * np.sqrt(share * (1 - share) / count)).all(), factor


def test_factors_are_independent_of_each_other() -> None:
    count = 20_000
    codes = draw_scene(Draws(5, 0, 0, count), SyntheticConfig(seed=5)).codes
    for first, second in combinations(FACTORS, 2):
        correlation = np.corrcoef(codes[first], codes[second])[0, 1]
        assert abs(correlation) < 5 / np.sqrt(count), (first, second)


def test_a_value_with_no_share_never_occurs_and_one_with_all_always() -> None:
    only = {"tone": {10: 1}, "hat": {"cap": 0.5, "scarf": 0.5}}
    config = SyntheticConfig(frequencies=Frequencies.model_validate(only))
    labels = render_faces(config, 0, 60).labels
    assert set(labels["tone"]) == {10}
    assert set(labels["tone_group"]) == {"dark"}
    assert set(labels["hat"]) == {"cap", "scarf"}


def test_faces_have_all_labels_and_they_agree_with_each_other() -> None:
    labels = render_faces(CONFIG, 0, 200).labels
    degrees = {"yaw", "pitch", "roll", "light_angle"}
    assert set(labels) == {*FACTORS, "tone_group", *degrees}
    assert all(len(column) == 200 for column in labels.values())
    for factor in set(FACTORS) - {"tone"}:
        assert set(labels[factor]) <= set(getattr(Frequencies(), factor))
    for pose, (low, high) in POSE_DEGREES.items():
        yaw = np.abs(labels["yaw"][labels["pose"] == pose])
        assert len(yaw)
        assert ((low <= yaw) & (yaw <= high)).all()
    assert np.abs(labels["roll"]).max() <= CONFIG.max_roll
    for name, tones in TONE_GROUPS.items():
        assert set(labels["tone"][labels["tone_group"] == name]) <= set(tones)


def test_non_faces_are_labelled_by_what_they_show() -> None:
    labels = render_nonfaces(CONFIG, 0, 200).labels
    assert set(labels) == {"kind", "background"}
    assert set(labels["kind"]) == set(Frequencies().kind)


def test_a_darker_tone_gives_darker_skin_and_little_light_a_darker_picture() -> None:
    def brightness(**shares: dict[object, float]) -> float:
        frequencies = Frequencies.model_validate({"light": {"even": 1}, **shares})
        images = render_faces(SyntheticConfig(frequencies=frequencies, size=32), 0, 32).images
        return float(images[:, 12:20, 13:19].mean())

    tones = [brightness(tone={tone: 1}) for tone in range(3, 11)]
    assert tones == sorted(tones, reverse=True)
    assert brightness(light={"dim": 1}) < 0.6 * brightness()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 24}, "greater than or equal to 32"),
        ({"size": 264}, "less than or equal to 256"),
        ({"size": 65}, "multiple of 8"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"frequencies": {"tone": {11: 1}}}, "unknown 11; known are 1, 2, 3"),
        ({"frequencies": {"hat": {"none": 0.5}}}, "the shares add up to 0.5, not to 1"),
        ({"frequencies": {"hat": {"none": 1.5, "cap": -0.5}}}, "a share is below 0"),
        ({"frequencies": {"hat": {"none": float("nan")}}}, "finite number"),
        ({"frequencies": {"shoes": "uniform"}}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SyntheticConfig.model_validate(values)
