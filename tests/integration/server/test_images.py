"""Image files of every kind, over the wire."""

import grpc
import numpy as np
import pytest
from evenface.v1.face_service_pb2 import EncodeRequest
from evenface_core.images import Preprocessing, load_image
from grpc import StatusCode
from PIL import Image
from support import image_files
from support.bundles import SIZE, expected_mean, images
from support.messages import array, details, encode, files
from support.servers import Running

PICTURE = images(1)[0]
PNG = image_files.png(PICTURE)
JPEG = image_files.saved(Image.fromarray(images(1, size=64)[0]), "JPEG")
CLOSE = 1e-5


async def _mean(server: Running, *data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return array((await server.face.Encode(EncodeRequest(images=files(*data)))).mean)


async def test_files_are_cropped_and_resized_as_training_does(server: Running) -> None:
    wide = image_files.saved(Image.fromarray(images(1, size=80)[0][:40]), "WEBP", lossless=True)
    spec = Preprocessing(size=SIZE)
    loaded = np.stack([load_image(data, spec) for data in (PNG, JPEG, wide)])
    np.testing.assert_allclose(
        await _mean(server, PNG, JPEG, wide), expected_mean(loaded), atol=CLOSE
    )


async def test_raw_pixels_of_another_size_are_resized(server: Running) -> None:
    large = images(4, size=50)
    reply = await server.face.Encode(encode(large))
    spec = Preprocessing(size=SIZE)
    loaded = np.stack([load_image(image_files.png(image), spec) for image in large])
    np.testing.assert_allclose(array(reply.mean), expected_mean(loaded), atol=CLOSE)


async def test_exif_orientation_is_applied(server: Running) -> None:
    picture = images(1, size=48)[0]
    picture[:24, :, 0] = 250  # encode looks at the upper half alone
    upright = await _mean(server, image_files.png(picture))
    np.testing.assert_allclose(
        await _mean(server, image_files.rotated(picture)), upright, atol=CLOSE
    )
    sideways = image_files.png(np.ascontiguousarray(np.rot90(picture)))
    assert abs(await _mean(server, sideways) - upright).max() > 0.1


async def test_cmyk_and_sixteen_bit_become_rgb(server: Running) -> None:
    red = np.full((1, SIZE, SIZE, 3), (250, 10, 10), np.uint8)
    grey = np.full((1, SIZE, SIZE, 3), 128, np.uint8)
    found = await _mean(
        server, image_files.cmyk(250, 10, 10, 32), image_files.sixteen_bit(128 << 8, 32)
    )
    np.testing.assert_allclose(found[0], expected_mean(red)[0], atol=0.05)
    np.testing.assert_allclose(found[1], expected_mean(grey)[0], atol=CLOSE)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"not an image", "not a JPEG, PNG or WebP"),
        (b"", "empty"),
        (PNG[: len(PNG) // 2], "damaged"),
        (JPEG[: len(JPEG) // 2], "damaged"),
        (image_files.animated(PICTURE), "animated"),
        (image_files.bomb(30_000), "limit 25000000"),
        (image_files.saved(Image.fromarray(PICTURE), "GIF"), "not a JPEG, PNG or WebP"),
    ],
    ids=["text", "empty", "half a PNG", "half a JPEG", "animated", "bomb", "GIF"],
)
async def test_a_bad_file_is_refused_with_its_index(
    server: Running, data: bytes, problem: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _mean(server, PNG, data, JPEG)
    found = details(caught.value)
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    assert found.info.metadata["field"] == "images.encoded.data[1]"
    assert found.info.metadata["index"] == "1"
    assert problem in found.message


async def test_a_bad_file_hurts_no_other_request(server: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await _mean(server, image_files.bomb(30_000))
    np.testing.assert_allclose(await _mean(server, PNG), expected_mean(PICTURE[None]), atol=CLOSE)
