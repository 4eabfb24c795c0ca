"""How rare a face is, from a histogram."""

import numpy as np
import pytest
from evenface_client import Histogram
from evenface_studio.rarity import activity, bins_of, rarity


@pytest.fixture
def histogram() -> Histogram:
    """1,000 faces, two dimensions of four bins: one with rare ends, one without."""
    edges = np.array([[0.0, 1, 2, 3, 4], [-10, -5, 0, 5, 10]])
    return Histogram(edges, np.array([[5, 400, 590, 5], [250, 250, 250, 250]]))


def test_the_outer_bins_are_open_and_an_edge_belongs_to_the_bin_above(histogram: Histogram) -> None:
    assert bins_of(histogram, np.array([-99, 0], np.float32)).tolist() == [0, 2]
    assert bins_of(histogram, np.array([99, 99], np.float32)).tolist() == [3, 3]
    assert bins_of(histogram, np.array([1, -5], np.float32)).tolist() == [1, 1]


def test_a_face_is_rare_in_the_dimensions_whose_bin_holds_fewer_than_one_in_a_hundred(
    histogram: Histogram,
) -> None:
    rare = rarity(histogram, np.array([3.5, 1], np.float32))
    assert (rare.rare, rare.shares.tolist(), rare.order.tolist()) == (1, [0.005, 0.25], [0, 1])
    common = rarity(histogram, np.array([2.5, 1], np.float32))
    assert (common.rare, common.order.tolist()) == (0, [1, 0])


def test_what_is_expected_is_the_average_over_the_faces_that_were_counted() -> None:
    # Whatever hangs together among dimensions: here all of them are one.
    faces = np.repeat(np.random.default_rng(1).standard_normal((3000, 1)), 7, axis=1)
    histogram = Histogram.from_latents(faces)
    found = [rarity(histogram, face.astype(np.float32)) for face in faces]
    assert found[0].expected == pytest.approx(np.mean([one.rare for one in found]), abs=1e-3)
    assert found[0].expected > 0


def test_a_dimension_is_as_active_as_its_means_vary() -> None:
    spread = np.array([0.1, 3.0, 1.0])
    faces = np.random.default_rng(2).standard_normal((20_000, 3)) * spread
    found = activity(Histogram.from_latents(faces, bins=60))
    assert np.sqrt(found) == pytest.approx(spread, rel=0.05)
