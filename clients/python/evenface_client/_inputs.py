"""The images that callers pass, checked and brought to the two forms in which images travel.

Knows nothing of gRPC. Pillow is used only on images that a caller made with it.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, Union, cast

import numpy as np
from numpy.typing import NDArray

from evenface_client.errors import InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

UInt8: TypeAlias = NDArray[np.uint8]
# Union, because a name in quotes does not take part in `|`; Pillow may not be installed.
ImageSource: TypeAlias = Union[UInt8, "PILImage", str, os.PathLike[str], bytes]
Images: TypeAlias = ImageSource | Iterable[ImageSource]

_FIELD = "images"
_ONE, _MANY = 3, 4  # dimensions of an image, and of a batch of them
_IN_PNG = frozenset({"1", "LA", "P", "PA", "RGBA", "I", "I;16"})  # modes that PNG can hold


@dataclass(frozen=True)
class Item:
    """One image, ready to travel.

    Attributes:
        data: The pixels in C order, or an image file.
        shape: Height, width and channels of pixels; None for a file.
        source: Path of the file it came from, where known.
    """

    data: bytes | memoryview
    shape: tuple[int, int, int] | None = None
    source: str | None = None


@dataclass(frozen=True)
class Place:
    """Which of the caller's items a request holds.

    Attributes:
        start: Number of the first.
        sources: Path of each, where known.
    """

    start: int = 0
    sources: tuple[str | None, ...] = ()

    def source(self, offset: int) -> str | None:
        """The path of the item at `offset` in the request."""
        return self.sources[offset] if offset < len(self.sources) else None


def each_source(images: Images) -> Iterator[ImageSource]:
    """Iterate over what was passed, be it one image or many.

    Raises:
        InvalidRequest: It is neither.
    """
    if _is_one(images):
        yield images
    elif isinstance(images, Iterable):
        yield from cast("Iterable[ImageSource]", images)
    else:
        raise InvalidRequest(_FIELD, _unusable(images))


def coerce(source: object, index: int) -> list[Item]:
    """Bring one source to the form in which it travels; files are read, not decoded.

    Args:
        source: uint8 [H, W, C] or [N, H, W, C] with C 1 or 3, a Pillow image, a path, or the
            bytes of a JPEG, PNG or WebP file.
        index: Its number, for errors.

    Returns:
        One item, or N.

    Raises:
        InvalidRequest: The source cannot be used, or its file cannot be read.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, index)
    if isinstance(source, (str, os.PathLike)):
        return [_from_file(Path(source), index)]
    if isinstance(source, (bytes, bytearray, memoryview)):
        return [_from_bytes(bytes(source), index, None)]
    if _is_pillow(source):
        return _from_pillow(source, index)
    raise InvalidRequest(_FIELD, _unusable(source), index=index)


def _is_one(images: object) -> TypeGuard[ImageSource]:
    kinds = (np.ndarray, str, os.PathLike, bytes, bytearray, memoryview)
    return isinstance(images, kinds) or _is_pillow(images)


def _is_pillow(source: object) -> "TypeGuard[PILImage]":
    # Whoever holds a Pillow image has imported Pillow.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(source, module.Image)


def _unusable(source: object) -> str:
    return (
        f"{type(source).__name__} is not an image; "
        "pass a uint8 array, a path, the bytes of a file or a Pillow image"
    )


def _from_array(array: NDArray[np.generic], index: int) -> list[Item]:
    if array.dtype != np.uint8:
        raise InvalidRequest(
            _FIELD, f"dtype {array.dtype}; pass uint8, 0 (black) to 255", index=index
        )
    if array.ndim not in (_ONE, _MANY) or array.shape[-1] not in (1, 3) or 0 in array.shape[-3:]:
        raise InvalidRequest(
            _FIELD,
            f"shape {array.shape} is neither [H, W, C] nor [N, H, W, C] with C 1 or 3",
            index=index,
        )
    height, width, channels = array.shape[-3:]
    rows = np.ascontiguousarray(array).reshape(-1, height * width * channels)
    return [Item(row.data, (height, width, channels)) for row in rows]


def _from_file(path: Path, index: int) -> Item:
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = error.strerror or "cannot be read"
        raise InvalidRequest(_FIELD, problem, index=index, source=str(path)) from error
    return _from_bytes(data, index, str(path))


def _from_bytes(data: bytes, index: int, source: str | None) -> Item:
    if not data:
        raise InvalidRequest(_FIELD, "empty image", index=index, source=source)
    return Item(data, None, source)


def _from_pillow(image: "PILImage", index: int) -> list[Item]:
    from PIL import ImageOps  # noqa: PLC0415

    upright = ImageOps.exif_transpose(image)
    if upright.mode in _IN_PNG:
        # The server knows how to treat transparency, palettes and 16 bits.
        buffer = io.BytesIO()
        upright.save(buffer, "PNG", compress_level=1)
        return [Item(buffer.getvalue())]
    pixels = np.asarray(upright if upright.mode in ("L", "RGB") else upright.convert("RGB"))
    return _from_array(pixels[..., None] if pixels.ndim < _ONE else pixels, index)
