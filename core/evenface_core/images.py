"""Image files to the pixels that a model sees: one path for training and server.

Each image is checked by itself, before it joins a batch, so that a bad one is refused with its
index and hurts no other.
"""

import io
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field

from evenface_core.errors import InvalidInput

UInt8 = NDArray[np.uint8]
EncodedFormat = Literal["png", "jpeg", "webp"]

_READABLE = ("JPEG", "PNG", "WEBP")
_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
_PAPER = (255, 255, 255, 255)
# By EXIF's number of the orientation, how to bring an image upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageLimits:
    """What one image may cost at most.

    Attributes:
        max_pixels: Width × height, read from the header before anything is decoded.
        max_bytes: Size of the file.
    """

    max_pixels: int = 25_000_000
    max_bytes: int = 20 * 2**20


DEFAULT_LIMITS = ImageLimits()


class Preprocessing(BaseModel):
    """How an image of any size becomes one of the model's size. Travels in the manifest.

    Attributes:
        size: Height and width of the result in pixels.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).
        crop: "center" cuts the largest centred square before resizing; "none" resizes the whole
            image and so may change its proportions.
        resample: Filter of the resize; all of them average over what they shrink.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=8, le=1024)
    channels: Literal[1, 3] = 3
    crop: Literal["center", "none"] = "center"
    resample: Literal["bilinear", "lanczos", "box"] = "bilinear"


def load_image(
    data: bytes,
    spec: Preprocessing,
    limits: ImageLimits = DEFAULT_LIMITS,
    *,
    field: str = "image",
    index: int | None = None,
) -> UInt8:
    """Decode an image file and bring it to the model's size.

    Args:
        data: A JPEG, PNG or WebP file.
        spec: The model's preprocessing.
        limits: What the image may cost.
        field: Name for errors.
        index: Position for errors.

    Returns:
        uint8 [size, size, channels].

    Raises:
        InvalidInput: As `decode_image`.
    """
    return _fit(_decoded(data, limits, field, index), spec)


def decode_image(
    data: bytes,
    limits: ImageLimits = DEFAULT_LIMITS,
    *,
    field: str = "image",
    index: int | None = None,
) -> UInt8:
    """Decode an image file to RGB.

    EXIF orientation is applied. CMYK, palette and grey become RGB; 16 bits a channel become 8;
    transparency is laid on white.

    Args:
        data: A JPEG, PNG or WebP file.
        limits: What the image may cost.
        field: Name for errors.
        index: Position for errors.

    Returns:
        uint8 [H, W, 3].

    Raises:
        InvalidInput: The file is empty, too large, of another format, damaged or animated.
    """
    return np.asarray(_decoded(data, limits, field, index))


def _decoded(data: bytes, limits: ImageLimits, field: str, index: int | None) -> Image.Image:
    if not data:
        raise InvalidInput(field, "empty image", index=index)
    if len(data) > limits.max_bytes:
        raise InvalidInput(
            field,
            f"{len(data)} bytes; limit {limits.max_bytes}",
            index=index,
            value=len(data),
            limit=limits.max_bytes,
        )
    try:
        return _decode(data, limits, field, index)
    except UnidentifiedImageError as error:
        raise InvalidInput(field, "not a JPEG, PNG or WebP image", index=index) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidInput(
            field, f"too many pixels; limit {limits.max_pixels}", index=index
        ) from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        EOFError,
        struct.error,
        LookupError,
    ) as error:
        # Pillow's decoders raise all of these on damaged files.
        raise InvalidInput(field, f"damaged image ({error})", index=index) from error


def _decode(data: bytes, limits: ImageLimits, field: str, index: int | None) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_READABLE) as image:
        pixels = image.width * image.height
        if pixels > limits.max_pixels:
            raise InvalidInput(
                field,
                f"{image.width}×{image.height} = {pixels} pixels; limit {limits.max_pixels}",
                index=index,
                value=pixels,
                limit=limits.max_pixels,
            )
        # MPO is what phones write: a JPEG with a depth map or thumbnail behind it.
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            raise InvalidInput(field, "animated image; send one frame", index=index)
        image.load()
        return _to_rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """Apply EXIF's orientation alone.

    Pillow's own function writes the whole EXIF block anew, which fails where any tag is odd.
    """
    method = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; convert() would clip instead of scale
        grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, _PAPER)
        return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def preprocess(image: UInt8, spec: Preprocessing) -> UInt8:
    """Crop and resize an image to the model's size; an image of that size is returned as it is.

    Args:
        image: uint8 [H, W, C], C 1 or 3.
        spec: The model's preprocessing.

    Returns:
        uint8 [size, size, channels].
    """
    if image.shape == (spec.size, spec.size, spec.channels):
        return image
    return _fit(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image), spec)


def _fit(picture: Image.Image, spec: Preprocessing) -> UInt8:
    if spec.crop == "center" and picture.width != picture.height:
        picture = _center_square(picture)
    if picture.size != (spec.size, spec.size):
        picture = picture.resize((spec.size, spec.size), _FILTERS[spec.resample])
    mode = "RGB" if spec.channels == 3 else "L"  # noqa: PLR2004
    pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    return pixels.reshape(spec.size, spec.size, spec.channels)


def _center_square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def raw_images(
    data: bytes, height: int, width: int, channels: int, limits: ImageLimits, *, field: str
) -> UInt8:
    """View raw pixels as a batch of images.

    Args:
        data: N × height × width × channels bytes, NHWC.
        height: Rows of pixels.
        width: Pixels in a row.
        channels: 1 or 3.
        limits: What one image may cost.
        field: Name for errors.

    Returns:
        uint8 [N, height, width, channels], read-only, sharing the memory of `data`.

    Raises:
        InvalidInput: A dimension is out of range or the length is no multiple of one image's.
    """
    if channels not in (1, 3):
        raise InvalidInput(f"{field}.channels", f"{channels} is neither 1 nor 3", value=channels)
    for name, value in (("height", height), ("width", width)):
        if value < 1:
            raise InvalidInput(f"{field}.{name}", f"{value} is below 1", value=value, limit=1)
    if height * width > limits.max_pixels:
        raise InvalidInput(
            field,
            f"{width}×{height} = {height * width} pixels; limit {limits.max_pixels}",
            value=height * width,
            limit=limits.max_pixels,
        )
    size = height * width * channels
    if len(data) % size:
        raise InvalidInput(
            f"{field}.data",
            f"{len(data)} bytes is no multiple of {height}×{width}×{channels} = {size}",
            value=len(data),
            limit=size,
        )
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, channels)


def encode_image(image: UInt8, file_format: EncodedFormat, quality: int = 90) -> bytes:
    """Compress an image to a file.

    Args:
        image: uint8 [H, W, C], C 1 or 3.
        file_format: "png" (lossless), "jpeg" or "webp".
        quality: 1 to 100, for JPEG and WebP.

    Returns:
        The file's bytes.
    """
    buffer = io.BytesIO()
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    if file_format == "png":
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, file_format.upper(), quality=quality)
    return buffer.getvalue()
