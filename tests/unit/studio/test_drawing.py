"""Sheets and walks as files."""

import io

import numpy as np
from evenface_studio.drawing import sheet, walk
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
