"""Latents: seeded noise, sampling, interpolation; tensors as bytes."""

import numpy as np
import pytest
from evenface_core.errors import InvalidInput
from evenface_core.latents import (
    interpolate,
    interpolate_spherical,
    posterior_sample,
    require_finite,
    standard_normal,
    traverse,
)
from evenface_core.tensors import from_bytes, to_bytes


def test_an_item_s_noise_does_not_depend_on_its_batch() -> None:
    together = standard_normal(7, range(10), 5)
    alone = np.concatenate([standard_normal(7, [item], 5) for item in range(10)])
    assert np.array_equal(together, alone)


def test_seeds_and_items_give_different_noise() -> None:
    rows = np.concatenate([standard_normal(seed, range(50), 8) for seed in range(4)])
    assert len(np.unique(rows, axis=0)) == 200


def test_the_noise_is_standard_normal() -> None:
    noise = standard_normal(3, range(2000), 20)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert abs(np.corrcoef(noise.T) - np.eye(20)).max() < 0.12


def test_the_noise_of_a_seed_stays_what_it_was() -> None:
    # Users keep seeds: a change here changes their faces.
    assert standard_normal(1, [2], 3).ravel() == pytest.approx(
        [-0.36082658, -0.20863281, -0.12069435], abs=1e-6
    )


@pytest.mark.parametrize(("seed", "item"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**64)])
def test_seeds_and_items_beyond_64_bits_are_refused(seed: int, item: int) -> None:
    with pytest.raises(InvalidInput, match=r"outside 0 to 2\^64"):
        standard_normal(seed, [item], 2)


def test_no_items_give_no_rows() -> None:
    assert standard_normal(0, [], 6).shape == (0, 6)


def test_a_posterior_sample_has_the_stated_mean_and_deviation() -> None:
    mean = np.full((1, 2), 3, np.float32)
    log_variance = np.log(np.array([[4.0, 0.25]], np.float32))
    noise = np.array([[1.0, -2.0]], np.float32)
    assert posterior_sample(mean, log_variance, noise).tolist() == [[5.0, 2.0]]


def test_interpolation_starts_and_ends_at_the_latents() -> None:
    path = interpolate(np.zeros(2, np.float32), np.array([4, 8], np.float32), 5)
    assert path.tolist() == [[0, 0], [1, 2], [2, 4], [3, 6], [4, 8]]
    with pytest.raises(InvalidInput, match="steps: 1 is below 2"):
        interpolate(path[0], path[1], 1)


def test_a_spherical_walk_keeps_its_distance_from_the_centre() -> None:
    centre = np.array([10, 20, 30], np.float32)
    start, end = centre + np.array([3, 0, 0], np.float32), centre + np.array([0, 5, 0], np.float32)
    path = interpolate_spherical(start, end, 3, centre)
    assert path.dtype == np.float32
    assert path[[0, 2]].tolist() == [start.tolist(), end.tolist()]
    assert np.linalg.norm(path - centre, axis=1) == pytest.approx([3, 4, 5])
    assert path[1] - centre == pytest.approx([4 / np.sqrt(2), 4 / np.sqrt(2), 0], abs=1e-5)
    with pytest.raises(InvalidInput, match="steps: 1 is below 2"):
        interpolate_spherical(start, end, 1, centre)


def test_a_spherical_walk_begins_and_ends_at_the_latents_to_the_last_bit() -> None:
    start, end, centre = np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)
    path = interpolate_spherical(start, end, 9, centre)
    assert np.array_equal(path[[0, -1]], [start, end])


@pytest.mark.parametrize("end", [[2.0, 2.0], [-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
def test_a_spherical_walk_without_a_circle_is_straight(end: list[float]) -> None:
    start, last = np.ones(2, np.float32), np.array(end, np.float32)
    found = interpolate_spherical(start, last, 5, np.zeros(2, np.float32))
    assert np.array_equal(found, interpolate(start, last, 5))


def test_a_traversal_varies_one_dimension() -> None:
    rows = traverse(np.array([1, 2, 3], np.float32), 1, [-9, 9])
    assert rows.tolist() == [[1, -9, 3], [1, 9, 3]]
    with pytest.raises(InvalidInput, match="dimension: 3 is outside 0 to 2"):
        traverse(rows[0], 3, [0])


def test_the_first_latent_that_is_not_finite_is_named() -> None:
    latents = np.zeros((4, 2))
    latents[2, 0] = np.nan
    with pytest.raises(InvalidInput, match=r"latents\[2\]"):
        require_finite(latents, field="latents")


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", "<i8"])
def test_tensors_travel_little_endian(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    plain = np.dtype(dtype).newbyteorder("=")
    assert to_bytes(array) == array.astype(plain.newbyteorder("<")).tobytes()
    back = from_bytes(to_bytes(array), (2, 3), plain, field="x")
    assert np.array_equal(back, array)


def test_a_tensor_shares_the_memory_of_its_message() -> None:
    data = bytes(16)
    array = from_bytes(data, (2, 2), np.float32, field="x")
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
    assert not array.flags.writeable


def test_a_tensor_whose_bytes_do_not_fit_its_shape_is_refused() -> None:
    with pytest.raises(InvalidInput, match="x: 15 bytes, but shape 2×2 of float32 takes 16"):
        from_bytes(bytes(15), (2, 2), np.float32, field="x")
