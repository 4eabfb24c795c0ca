"""The synthetic benchmark: the same images always, as often as asked, with all that is known."""

from concurrent.futures import ProcessPoolExecutor
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
from evenface_training.synthetic.streams import Render, stream

BOTH = pytest.mark.parametrize("render", [render_faces, render_nonfaces])
CONFIG = SyntheticConfig(seed=7)
FACTORS = sorted(set(Frequencies.model_fields) - {"kind"})


def _in_one_process(render: Render, start: int) -> Rendered:
    return render(CONFIG, start, 12)


@BOTH
def test_an_image_is_the_same_alone_and_in_any_batch(render: Render) -> None:
    together = render(CONFIG, 40, 60)
    for index in range(40, 100, 7):
        alone, row = render(CONFIG, index, 1), index - 40
        np.testing.assert_array_equal(alone.images[0], together.images[row])
        assert {name: column[0] for name, column in alone.labels.items()} == {
            name: column[row] for name, column in together.labels.items()
        }


@BOTH
def test_images_are_the_same_in_another_process_and_on_several_threads(render: Render) -> None:
    expected = render(CONFIG, 0, 300)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        elsewhere = pool.submit(_in_one_process, render, 288).result()
    np.testing.assert_array_equal(elsewhere.images, expected.images[288:])
    for workers in (1, 3):
        parts = list(stream(render, CONFIG, 0, 300, workers))
        assert len(parts) > 1
        np.testing.assert_array_equal(
            np.concatenate([part.images for part in parts]), expected.images
        )


@BOTH
def test_another_seed_and_another_index_give_other_images(render: Render) -> None:
    images = render(CONFIG, 0, 100).images
    assert len(np.unique(images.reshape(100, -1), axis=0)) == 100
    others = render(SyntheticConfig(seed=8), 0, 100).images
    assert (images != others).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("size", [32, 100, 256])
@BOTH
def test_a_scene_is_the_same_at_every_size(render: Render, size: int) -> None:
    small, large = render(CONFIG, 3, 8), render(SyntheticConfig(seed=7, size=size), 3, 8)
    assert large.images.shape == (8, size, size, 3)
    for name, column in small.labels.items():
        np.testing.assert_array_equal(column, large.labels[name])
    # Seen from far away (the mean of each of 4 × 4 fields), both look alike.
    far = [
        part.images.reshape(8, 4, edge // 4, 4, edge // 4, 3).mean(axis=(2, 4))
        for part, edge in ((small, 64), (large, size))
    ]
    assert np.abs(far[0] - far[1]).max() < 12
