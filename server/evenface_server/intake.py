"""Images as the caller sent them to the pixels that a model sees. Transport-free.

Counts are checked before any work, each image by itself before it joins a batch.
"""

from dataclasses import dataclass

import numpy as np
from evenface_core.errors import InvalidInput
from evenface_core.images import ImageLimits, Preprocessing, load_image, preprocess, raw_images
from numpy.typing import NDArray

from evenface_server.calls import ImageSource, RawPixels
from evenface_server.workshop import Workshop

UInt8 = NDArray[np.uint8]

_RAW = "images.raw"
_FILES = "images.encoded.data"
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

    @property
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


@dataclass(frozen=True)
class Batch:
    """Images that were counted, but not yet brought to the model's size."""

    pixels: UInt8 | None
    files: tuple[bytes, ...]
    count: int


def receive(source: ImageSource, limits: Limits) -> Batch:
    """Count images and check what can be checked without decoding them.

    Raises:
        InvalidInput: There are none or too many, or raw pixels do not fit their size.
    """
    if isinstance(source, RawPixels):
        pixels = raw_images(
            source.data, source.height, source.width, source.channels, limits.image, field=_RAW
        )
        limits.check_count(f"{_RAW}.data", len(pixels))
        return Batch(pixels, (), len(pixels))
    limits.check_count(_FILES, len(source.files))
    return Batch(None, tuple(source.files), len(source.files))


async def load(batch: Batch, spec: Preprocessing, limits: Limits, workshop: Workshop) -> UInt8:
    """Bring images to the model's size: uint8 [N, size, size, channels].

    Raw pixels of that size are passed on without a copy.

    Raises:
        InvalidInput: Names the image that cannot be used.
    """
    size = (spec.size, spec.size, spec.channels)
    if batch.pixels is not None and batch.pixels.shape[1:] == size:
        return batch.pixels
    pixels = np.empty((batch.count, *size), np.uint8)

    def load_raw(index: int, image: UInt8) -> None:
        pixels[index] = preprocess(image, spec)

    def load_file(index: int, data: bytes) -> None:
        pixels[index] = load_image(data, spec, limits.image, field=_FILES, index=index)

    if batch.pixels is not None:
        await workshop.each(load_raw, batch.pixels)
    else:
        await workshop.each(load_file, batch.files)
    return pixels
