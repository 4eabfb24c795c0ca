"""Where a model's latents lie, and what the page may send of them."""

from dataclasses import replace

import numpy as np
import pytest
from evenface_client import Histogram, ModelDetails
from evenface_core.errors import InvalidInput
from evenface_studio.asked import latents_of
from evenface_studio.explore import rareness, space
from evenface_studio.latents import centre, spans
from evenface_studio.morph import varied
from evenface_studio.problems import StudioError
from support.model_infos import model_info

INFO = model_info(
    kind="vae",
    image_size=16,
    latent_size=3,
    functions=("encode", "decode"),
    quality={},
    provenance={},
)
PLAIN = ModelDetails(INFO, "", (), None, None)
KNOWN = replace(PLAIN, aggregate_posterior=np.array([[1.0, 2, 3], [0.5, 1, 2]]))


def test_the_range_of_a_dimension_is_three_deviations_around_the_training_faces() -> None:
    assert spans(KNOWN) == [(-0.5, 2.5), (-1, 5), (-3, 9)]
    assert centre(KNOWN).tolist() == [1, 2, 3]


def test_without_an_aggregate_posterior_it_is_that_of_the_prior() -> None:
    assert spans(PLAIN) == [(-3, 3)] * 3
    assert centre(PLAIN).tolist() == [0, 0, 0]
    assert space(PLAIN)["dimensions"][2] == {"index": 2, "edges": [-3, 3], "counts": []}
    assert rareness(PLAIN, np.zeros(3, np.float32)) is None


def test_dimensions_come_with_the_most_active_first() -> None:
    faces = np.random.default_rng(0).standard_normal((500, 3)) * [1, 9, 3]
    told = space(replace(PLAIN, training_histogram=Histogram.from_latents(faces)))
    assert [one["index"] for one in told["dimensions"]] == [1, 2, 0]
    assert told["total"] == 500
    assert sum(told["dimensions"][0]["counts"]) == 500


def test_a_traversal_varies_its_dimensions_one_after_the_other() -> None:
    rows = varied(KNOWN, np.array([7, 8, 9], np.float32), [2, 0], 3)
    assert rows.tolist() == [[7, 8, -3], [7, 8, 3], [7, 8, 9], [-0.5, 8, 9], [1, 8, 9], [2.5, 8, 9]]


@pytest.mark.parametrize("dimension", [-1, 3])
def test_a_dimension_that_the_model_lacks_is_refused(dimension: int) -> None:
    with pytest.raises(InvalidInput, match=rf"{dimension} is outside 0 to 2"):
        varied(KNOWN, np.zeros(3, np.float32), [dimension], 3)


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [1.0]], [[1e39]]])
def test_latents_that_make_no_float32_array_are_refused(rows: list[list[float]]) -> None:
    with pytest.raises(StudioError, match="latents"):
        latents_of(rows)
