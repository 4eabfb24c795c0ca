"""What it takes to bring images to the model's size, and that it is done where it should be."""

import asyncio
import threading

import numpy as np
import pytest
from evenface_core.errors import DeadlineExpired, InvalidInput
from evenface_core.images import Preprocessing, preprocess
from evenface_server.calls import ImageFiles, RawPixels
from evenface_server.intake import Limits, receive
from evenface_server.workshop import Workshop
from PIL import Image
from support.bundles import images
from support.image_files import png, saved
from support.lanes import Clock

SPEC = Preprocessing(size=16)
LIMITS = Limits(max_items=2000, max_message_bytes=2**24, max_pixels=2**22)


def photo(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def raw(count: int, height: int, width: int) -> RawPixels:
    return RawPixels(photo(count * height, width).tobytes(), height, width, 3)


def test_images_of_the_models_size_are_no_work() -> None:
    assert receive(raw(4, 16, 16), SPEC, LIMITS).work == 0


@pytest.mark.parametrize(
    ("source", "is_small"),
    [
        (raw(1, 200, 300), True),
        (raw(1, 200, 400), False),
        (raw(20, 2, 2), True),  # they grow to 16 × 16
        (raw(300, 2, 2), False),
        (ImageFiles([png(photo(64, 64))]), True),
        (ImageFiles([png(np.zeros((256, 256, 3), np.uint8))]), True),
        (ImageFiles([png(np.zeros((256, 257, 3), np.uint8))]), False),
        (ImageFiles([png(photo(64, 64))] * 20), False),
        (ImageFiles([png(photo(8, 8)) + bytes(2**16)]), False),  # few pixels, many bytes
        (ImageFiles([b"no image"]), False),
        (ImageFiles([png(photo(64, 64)).replace(b"IDAT", b"IHDR", 1)]), False),
        (ImageFiles([saved(Image.new("RGB", (64, 64)), "JPEG")]), True),
        (ImageFiles([saved(Image.new("RGB", (64, 64)), "JPEG", progressive=True)]), False),
    ],
)
def test_what_takes_little_is_small(source: RawPixels | ImageFiles, is_small: bool) -> None:
    assert receive(source, SPEC, LIMITS).is_small == is_small


def test_an_image_counts_with_the_larger_of_its_sizes() -> None:
    assert receive(raw(3, 100, 50), SPEC, LIMITS).work == 3 * 5000
    assert receive(raw(3, 5, 5), SPEC, LIMITS).work == 3 * 256
    assert receive(raw(3, 5, 5), SPEC, LIMITS).bytes_when_loaded == 3 * 256 * 3


@pytest.mark.parametrize("kind", ["raw", "files"])
async def test_images_are_the_same_wherever_they_are_loaded(kind: str) -> None:
    pictures = [photo(40, 30 + number % 2 * (kind == "files")) for number in range(5)]
    if kind == "raw":
        source: RawPixels | ImageFiles = RawPixels(np.stack(pictures).tobytes(), 40, 30, 3)
    else:
        source = ImageFiles([png(picture) for picture in pictures])
    batch = receive(source, SPEC, LIMITS)
    (here,) = batch.load_small()
    workshop = Workshop(2)
    there = await batch.load(workshop, None)
    workshop.stop()
    expected = np.stack([preprocess(picture, SPEC) for picture in pictures])
    np.testing.assert_array_equal(here, expected)
    np.testing.assert_array_equal(there, expected)


async def test_a_bad_image_is_named_wherever_it_is_loaded() -> None:
    batch = receive(ImageFiles([png(images(1)[0]), b"no image"]), SPEC, LIMITS)
    with pytest.raises(InvalidInput, match=r"images.encoded.data\[1\]: not a JPEG"):
        batch.load_small()
    workshop = Workshop(1)
    with pytest.raises(InvalidInput, match=r"images.encoded.data\[1\]: not a JPEG"):
        await batch.load(workshop, None)
    workshop.stop()


async def test_images_whose_caller_has_given_up_are_not_loaded() -> None:
    clock, begun, go_on = Clock(), threading.Event(), threading.Event()
    workshop = Workshop(1, clock)

    def wait(_: int, __: int) -> None:
        begun.set()
        assert go_on.wait(10)

    blocker = asyncio.create_task(workshop.each(wait, [0], work=1))
    await asyncio.to_thread(begun.wait, 10)
    batch = receive(raw(4, 40, 40), SPEC, LIMITS)
    late = asyncio.create_task(batch.load(workshop, clock.now + 1))
    await asyncio.sleep(0)
    clock.now += 1
    go_on.set()
    with pytest.raises(DeadlineExpired, match="images waited"):
        await late
    await blocker
    workshop.stop()
