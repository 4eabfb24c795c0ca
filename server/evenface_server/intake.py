"""Images as the caller sent them to the pixels that a model sees. Transport-free.

Counts are checked before any work, each image by itself before it joins a batch.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from evenface_core.errors import InvalidInput
from evenface_core.image_header import is_plain, pixels_of
from evenface_core.images import ImageLimits, Preprocessing, load_image, preprocess, raw_images
from numpy.typing import NDArray

from evenface_server.calls import ImageSource, RawPixels
from evenface_server.workshop import Workshop

UInt8 = NDArray[np.uint8]

_RAW = "images.raw"
_FILES = "images.encoded.data"
# About half a millisecond of JPEG, and no more of anything that is not made to take long.
_SMALL_PIXELS = 2**16
# Files of few pixels and many bytes hold metadata that is read, too.
_PIXELS_PER_BYTE = 2
# What a reply holds besides its items, and what protobuf adds to each, at most.
_ENVELOPE_BYTES, _ITEM_BYTES = 512, 8


@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Attributes:
        max_items: Images or latents.
        max_message_bytes: Size of the request and of the reply.
        max_pixels: Width × height of one image.
    """

    max_items: int
    max_message_bytes: int
    max_pixels: int

    @cached_property
    def image(self) -> ImageLimits:
        """What one image may cost."""
        return ImageLimits(max_pixels=self.max_pixels, max_bytes=self.max_message_bytes)

    def check_count(self, field: str, count: int) -> None:
        """Check a number of items.

        Raises:
            InvalidInput: It is 0 or above the limit.
        """
        if not 1 <= count <= self.max_items:
            raise InvalidInput(
                field, f"{count} items; allowed: 1 to {self.max_items}", value=count,
                limit=self.max_items,
            )  # fmt: skip

    def check_reply(self, field: str, count: int, item_bytes: int) -> None:
        """Check that a reply of `count` items of a size fits into a message.

        Raises:
            InvalidInput: It does not; the message says how many would.
        """
        most = (self.max_message_bytes - _ENVELOPE_BYTES) // (item_bytes + _ITEM_BYTES)
        if count > most:
            raise InvalidInput(
                field,
                f"the reply to {count} items of {item_bytes} bytes is larger than a message of "
                f"{self.max_message_bytes} bytes, which fits {most}",
                value=count,
                limit=most,
            )

    def check_weighting(self, field: str, items: int, dimensions: int, bins: int) -> None:
        """Check that a reply with weights and a histogram fits into a message.

        Raises:
            InvalidInput: It does not; the message says how many bins would.
        """
        numbers = (self.max_message_bytes - _ENVELOPE_BYTES) // 8 - items
        most = (numbers // dimensions - 1) // 2  # bins counts and bins + 1 edges each
        if bins > most:
            raise InvalidInput(
                field,
                f"{bins} bins in {dimensions} dimensions do not fit into a message of "
                f"{self.max_message_bytes} bytes; limit {most}",
                value=bins,
                limit=most,
            )


@dataclass(slots=True)
class Batch:
    """Images that were counted, and what it takes to bring them to the model's size.

    Attributes:
        count: Number of images.
        work: Pixels to decode or to resize; 0 where the images are of the model's size.
    """

    count: int
    work: int
    _images: UInt8 | tuple[bytes, ...]
    _spec: Preprocessing
    _limits: ImageLimits

    @property
    def is_small(self) -> bool:
        """Whether all that is to be done takes no longer than running the images."""
        return self.work <= _SMALL_PIXELS

    @property
    def bytes_when_loaded(self) -> int:
        """Bytes of the images at the model's size."""
        return self.count * self._spec.size**2 * self._spec.channels

    def as_they_are(self) -> UInt8:
        """Return the images where there is no work: uint8 [N, size, size, channels]."""
        assert isinstance(self._images, np.ndarray)  # noqa: S101 - for the type checker
        return self._images

    def load_small(self) -> tuple[UInt8]:
        """Do the work here and now.

        Raises:
            InvalidInput: Names the image that cannot be used.
        """
        pixels = self._empty()
        for index, image in enumerate(self._images):
            pixels[index] = self._load(index, image)
        return (pixels,)

    async def load(self, workshop: Workshop, deadline: float | None) -> UInt8:
        """Do the work in the workshop.

        Raises:
            InvalidInput: Names the image that cannot be used.
            DeadlineExpired: The deadline passed before all images were taken up.
        """
        pixels = self._empty()

        def load(index: int, image: UInt8 | bytes) -> None:
            pixels[index] = self._load(index, image)

        await workshop.each(load, self._images, work=self.work, deadline=deadline)
        return pixels

    def _empty(self) -> UInt8:
        size = self._spec.size
        return np.empty((self.count, size, size, self._spec.channels), np.uint8)

    def _load(self, index: int, image: UInt8 | bytes) -> UInt8:
        if isinstance(image, bytes):
            return load_image(image, self._spec, self._limits, field=_FILES, index=index)
        return preprocess(image, self._spec)


def receive(source: ImageSource, spec: Preprocessing, limits: Limits) -> Batch:
    """Count images and check what can be checked without decoding them.

    Raises:
        InvalidInput: There are none or too many, or raw pixels do not fit their size.
    """
    if not isinstance(source, RawPixels):
        limits.check_count(_FILES, len(source.files))
        files = tuple(source.files)
        work = sum(_work_on(data, spec) for data in files)
        return Batch(len(files), work, files, spec, limits.image)
    pixels = raw_images(
        source.data, source.height, source.width, source.channels, limits.image, field=_RAW
    )
    count, height, width, channels = pixels.shape
    limits.check_count(f"{_RAW}.data", count)
    if height == width == spec.size and channels == spec.channels:
        return Batch(count, 0, pixels, spec, limits.image)
    work = count * max(height * width, spec.size**2)
    return Batch(count, work, pixels, spec, limits.image)


def _work_on(data: bytes, spec: Preprocessing) -> int:
    """Pixels that decoding and resizing a file should be like."""
    pixels = pixels_of(data) or 0
    work = max(pixels, spec.size**2, _PIXELS_PER_BYTE * len(data))
    if work <= _SMALL_PIXELS and not (pixels and is_plain(data)):
        return _SMALL_PIXELS + 1  # there is no telling
    return work
