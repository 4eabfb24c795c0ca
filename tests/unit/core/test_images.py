"""Image files of every kind that people send, good and bad."""

import io
import struct
import zlib

import numpy as np
import pytest
from evenface_core.errors import InvalidInput
from evenface_core.images import (
    ImageLimits,
    Preprocessing,
    decode_image,
    encode_image,
    load_image,
    preprocess,
    raw_images,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

SPEC = Preprocessing(size=16)


def gradient(height: int = 40, width: int = 60) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 255 / height, columns * 255 / width, 0 * rows + 128], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_lossless_files_decode_to_their_pixels(file_format: str) -> None:
    image = gradient()
    assert np.array_equal(decode_image(saved(image, file_format, lossless=True)), np.asarray(image))


def test_a_jpeg_decodes_close_to_its_pixels() -> None:
    image = gradient()
    decoded = decode_image(saved(image, "JPEG", quality=95)).astype(int)
    assert np.abs(decoded - np.asarray(image)).mean() < 3


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    decoded = decode_image(saved(gradient().convert("CMYK"), "JPEG", quality=95))
    assert decoded.shape == (40, 60, 3)
    assert np.abs(decoded.astype(int) - np.asarray(gradient())).mean() < 5


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    decoded = decode_image(saved(Image.fromarray(grey), "PNG"))
    assert decoded[..., 0].ravel().tolist() == list(range(256))


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter
    decoded = decode_image(saved(gradient(), "PNG", exif=exif))
    assert np.array_equal(decoded, np.rot90(np.asarray(gradient()), -1))


@pytest.mark.parametrize("orientation", range(10))
def test_every_exif_orientation_is_as_pillow_has_it(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(gradient(), "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(decode_image(data), np.asarray(upright))


@pytest.mark.parametrize("kind", [2, 7], ids=["text", "bytes"])
def test_an_odd_exif_tag_beside_the_orientation_does_no_harm(kind: int) -> None:
    head = struct.pack("<4sIH", b"II*\0", 8, 2)
    tags = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, kind, 4, b"abc\0")
    exif = b"Exif\0\0" + head + tags + bytes(4)  # a resolution that is no fraction
    decoded = decode_image(saved(gradient(), "PNG", exif=exif))
    assert np.array_equal(decoded, np.rot90(np.asarray(gradient()), -1))


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    assert decode_image(saved(clear, "PNG")).tolist() == np.full((8, 8, 3), 255).tolist()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert decode_image(saved(gradient().convert(mode), "PNG")).shape == (40, 60, 3)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_an_animation_is_refused(file_format: str) -> None:
    frames = [Image.new("RGB", (8, 8), (n, 0, 0)) for n in (0, 200)]
    data = saved(frames[0], file_format, save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidInput, match="animated"):
        decode_image(data)


def test_a_phone_picture_with_a_second_image_behind_it_is_read() -> None:
    data = saved(gradient(), "MPO", save_all=True, append_images=[gradient(8, 8)])
    assert decode_image(data).shape == (40, 60, 3)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(file_format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    data = saved(Image.fromarray(noise), file_format)
    with pytest.raises(InvalidInput, match=r"faces\[3\]"):
        decode_image(data[: int(len(data) * share)], field="faces", index=3)


@pytest.mark.parametrize("data", [b"\0" * 100, b"GIF89a", b"<svg/>", saved(gradient(), "BMP")])
def test_another_format_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a JPEG, PNG or WebP"):
        decode_image(data)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        decode_image(b"")


def test_a_large_file_is_refused_with_size_and_limit() -> None:
    with pytest.raises(InvalidInput, match="101 bytes; limit 100"):
        decode_image(b"x" * 101, ImageLimits(max_bytes=100))


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [6000, 12_000, 60_000])
def test_a_bomb_is_refused_from_its_header(side: int) -> None:
    with pytest.raises(InvalidInput, match="pixels; limit 25000000"):
        decode_image(png_header(side, side))


def test_the_pixel_limit_itself_is_allowed() -> None:
    data = saved(gradient(40, 60), "PNG")
    assert decode_image(data, ImageLimits(max_pixels=2400)).shape == (40, 60, 3)
    with pytest.raises(InvalidInput, match="60×40 = 2400 pixels; limit 2399"):
        decode_image(data, ImageLimits(max_pixels=2399))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_a_damaged_file_is_refused_or_read_but_never_crashes(
    file_format: str, draw: st.DataObject
) -> None:
    data = bytearray(saved(gradient(), file_format))
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        decoded = decode_image(bytes(data))
    except InvalidInput:
        return
    assert decoded.dtype == np.uint8
    assert decoded.ndim == 3


def test_the_center_square_is_cut_before_the_resize() -> None:
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 20:40] = 255
    assert (preprocess(image, SPEC) == 255).all()
    stretched = preprocess(image, SPEC.model_copy(update={"crop": "none"}))
    assert 0.2 < (stretched > 127).mean() < 0.5


def test_shrinking_averages_over_what_it_shrinks() -> None:
    image = np.zeros((160, 160, 3), np.uint8)
    image[::2] = 255
    assert np.abs(preprocess(image, SPEC).astype(int) - 127).max() <= 5


def test_grey_is_the_luma_of_rgb() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    spec = Preprocessing(size=16, channels=1)
    assert preprocess(red, spec).shape == (16, 16, 1)
    assert (preprocess(red, spec) == 76).all()


def test_grey_input_becomes_three_equal_channels() -> None:
    grey = np.full((16, 16, 1), 40, np.uint8)
    assert preprocess(grey, SPEC).tolist() == np.full((16, 16, 3), 40).tolist()


def test_an_image_of_the_model_s_size_is_not_copied() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    assert preprocess(image, SPEC) is image


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_encoded_images_can_be_loaded_again(file_format: str, channels: int) -> None:
    image = np.full((16, 16, channels), 90, np.uint8)
    spec = Preprocessing(size=16, channels=channels)  # type: ignore[arg-type]
    data = encode_image(image, file_format)  # type: ignore[arg-type]
    assert np.abs(load_image(data, spec).astype(int) - 90).max() <= 2


def test_raw_images_share_the_memory_of_the_message() -> None:
    data = bytes(range(24))
    images = raw_images(data, 2, 2, 3, ImageLimits(), field="images.raw")
    assert images.shape == (2, 2, 2, 3)
    assert np.shares_memory(images, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((2, 2, 2), r"raw.channels: 2 is neither 1 nor 3"),
        ((0, 2, 3), r"raw.height: 0 is below 1"),
        ((2, 0, 3), r"raw.width: 0 is below 1"),
        ((5000, 5001, 3), r"raw: 5001×5000 = 25005000 pixels; limit 25000000"),
        ((5, 2, 3), r"raw.data: 24 bytes is no multiple of 5×2×3 = 30"),
    ],
)
def test_raw_images_of_impossible_shape_are_refused(
    shape: tuple[int, int, int], problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        raw_images(bytes(24), *shape, ImageLimits(), field="raw")
