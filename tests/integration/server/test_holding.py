"""What the server keeps of a request: what was sent, once, while it waits; nothing afterwards."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from evenface.v1.face_service_pb2 import (
    ClassifyFaceStreamRequest,
    EncodeStreamRequest,
    ResampleWeightsRequest,
)
from evenface_core.manifest import FunctionName
from evenface_transport import frames
from google.protobuf.message import Message
from support.bundles import images
from support.http2 import connected, prefixed
from support.inference import infer
from support.messages import classify, encode
from support.servers import admitted, running

ROWS = 250
IMAGES = images(ROWS)
FACES, OPEN = "/evenface.v1.FaceService", "/inference.GRPCInferenceService"


class Kind(NamedTuple):
    """A kind of request: how it is made, and who answers it."""

    path: str
    make: Callable[[], Message]
    function: FunctionName = "encode"


UNARY = (
    Kind(f"{FACES}/Encode", lambda: encode(IMAGES)),
    Kind(f"{FACES}/ClassifyFace", lambda: classify(IMAGES), "classify"),
    Kind(f"{FACES}/ResampleWeights", lambda: ResampleWeightsRequest(images=encode(IMAGES).images)),
    Kind(f"{OPEN}/ModelInfer", lambda: infer("faces.encode", {"images": IMAGES})),
)
STREAMS = (
    Kind(f"{FACES}/EncodeStream", lambda: EncodeStreamRequest(id=1, request=encode(IMAGES))),
    Kind(
        f"{FACES}/ClassifyFaceStream",
        lambda: ClassifyFaceStreamRequest(id=1, request=classify(IMAGES)),
        "classify",
    ),
    Kind(f"{OPEN}/ModelStreamInfer", UNARY[-1].make),
)


def large() -> dict[int, str]:
    """Kinds of all messages and bytes that could hold the images, by id."""
    found = {}
    for each in gc.get_referents(*gc.get_objects()):
        if isinstance(each, bytes | bytearray | memoryview):
            length = len(each)
        else:
            length = each.ByteSize() if isinstance(each, Message) else 0
        if length >= IMAGES.nbytes:
            found[id(each)] = type(each).__name__
    return found


@pytest.mark.parametrize("kind", [*UNARY, *STREAMS], ids=lambda kind: kind.path)
async def test_what_was_sent_is_held_once_while_a_call_waits_and_not_afterwards(
    tiny_models: Path, kind: Kind
) -> None:
    async with running(tiny_models, open_inference=True) as server:
        lane = server.app.engine.registry.resolve("", "").lanes[kind.function]
        async with connected(int(server.address.rpartition(":")[2])) as peer:
            data = prefixed(kind.make().SerializeToString())
            before = large()

            def held() -> list[str]:
                return [name for number, name in large().items() if number not in before]

            lane._is_pumping = True  # noqa: SLF001 - so that calls wait while this test looks
            peer.open(1, kind.path)
            peer.data(1, data)
            if kind in UNARY:
                peer.data(1, b"", ends=True)
            await admitted(server.app, ROWS, kind.function)
            assert held() == ["bytes"]
            lane._pump_here()  # noqa: SLF001
            await peer.until(frames.DATA, 1)
            assert held() == []
