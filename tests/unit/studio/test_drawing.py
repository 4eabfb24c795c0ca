"""Sheets and walks as files."""

import io

import numpy as np
import pytest
from evenface_studio.drawing import kept_scale, sheet, walk
from evenface_studio.problems import StudioError
from PIL import Image, ImageSequence
from support.bundles import images


def test_a_sheet_without_gaps_holds_the_faces_to_the_last_bit() -> None:
    faces = images(6, size=5)
    read = np.asarray(Image.open(io.BytesIO(sheet(faces, 3))))
    assert read.shape == (10, 15, 3)
    assert np.array_equal(read[5:, 10:], faces[5])


def test_a_walk_goes_there_and_back_and_rests_at_both_ends() -> None:
    levels = np.array([0, 80, 160, 240], np.uint8)
    faces = np.broadcast_to(levels[:, None, None, None], (4, 8, 8, 1))
    with Image.open(io.BytesIO(walk(faces, scale=2))) as read:
        frames = [(f.convert("L").getpixel((3, 3)), f.size) for f in ImageSequence.Iterator(read)]
        read.seek(0)
        first = read.info["duration"]
        read.seek(1)
        assert first > read.info["duration"]
    assert frames == [(level, (16, 16)) for level in (0, 80, 160, 240, 160, 80)]


@pytest.mark.parametrize(
    ("size", "scale"), [(1, 128), (60, 2), (64, 2), (65, 1), (128, 1), (300, 1)]
)
def test_faces_are_enlarged_to_be_kept_but_small_ones_alone(size: int, scale: int) -> None:
    assert kept_scale(np.zeros((2, size, size, 3), np.uint8)) == scale


@pytest.mark.parametrize("shape", [(2, 0, 0, 3), (0, 8, 8, 3), (2, 8, 8, 4)])
def test_images_that_cannot_be_are_the_service_s_mistake(shape: tuple[int, ...]) -> None:
    with pytest.raises(StudioError, match="images of shape"):
        kept_scale(np.zeros(shape, np.uint8))
