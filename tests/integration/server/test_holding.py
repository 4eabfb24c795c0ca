"""What the server keeps of a request: what was sent, once, while it waits; nothing afterwards."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest
from evenface.v1.face_service_pb2 import (
    ClassifyFaceStreamRequest,
    EncodeRequest,
    EncodeStreamRequest,
    ResampleWeightsRequest,
)
from evenface_core.manifest import FunctionName
from evenface_transport import frames
from evenface_transport.frames import ErrorCode
from google.protobuf.message import Message
from support.bundles import images
from support.http2 import Peer, connected, prefixed
from support.inference import infer
from support.messages import classify, encode, files
from support.servers import admitted, running, until

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
        elif isinstance(each, BytesIO):
            length = each.getbuffer().nbytes
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
            await until(lambda: not held())  # a thread may be about to let go


@pytest.mark.parametrize("kind", [UNARY[0], STREAMS[0]], ids=["unary", "stream"])
@pytest.mark.parametrize("missing", [0, 1], ids=["the end", "a byte and the end"])
async def test_a_connection_holds_nothing_of_a_request_that_was_cut_off(
    tiny_models: Path, kind: Kind, missing: int
) -> None:
    async with (
        running(tiny_models) as server,
        connected(int(server.address.rpartition(":")[2])) as peer,
    ):
        data = prefixed(kind.make().SerializeToString())
        data = data[: len(data) - missing]
        before = large()
        peer.open(1, kind.path)
        peer.data(1, data)
        peer.send(frames.reset(1, ErrorCode.CANCEL))
        await peer.settled()
        await until(lambda: not server.app._server.tasks)  # noqa: SLF001
        assert [name for number, name in large().items() if number not in before] == []


async def answered(peer: Peer, kind: Kind) -> None:
    """Call, and be answered."""
    peer.open(1, kind.path)
    peer.message(1, kind.make().SerializeToString(), ends=True)
    await peer.reply(1)


async def unusable(peer: Peer, kind: Kind) -> None:
    """Send what is no message."""
    peer.call(1, kind.path, b"\xff" * 999)
    await peer.reply(1)


async def spoilt(peer: Peer, kind: Kind) -> None:
    """Send a file that is no picture."""
    message = EncodeRequest(images=files(b"no picture" * 999))
    item = EncodeStreamRequest(id=1, request=message)
    peer.call(1, kind.path, (item if kind in STREAMS else message).SerializeToString())
    await peer.reply(1)


async def given_up(peer: Peer, kind: Kind) -> None:
    """Call, and cancel before the answer."""
    peer.open(1, kind.path)
    peer.message(1, kind.make().SerializeToString(), ends=kind in UNARY)
    peer.send(frames.reset(1, ErrorCode.CANCEL))


async def late(peer: Peer, kind: Kind) -> None:
    """Call with a deadline that passes."""
    peer.open(1, kind.path, ("grpc-timeout", "1u"))
    peer.message(1, kind.make().SerializeToString(), ends=kind in UNARY)
    await peer.reply(1)


async def cut(peer: Peer, kind: Kind) -> None:
    """Send a part of a message, and cancel."""
    peer.open(1, kind.path)
    peer.data(1, prefixed(kind.make().SerializeToString())[:-1])
    await peer.settled()
    peer.send(frames.reset(1, ErrorCode.CANCEL))


ENDS = [
    *[
        (end, kind)
        for kind in (*UNARY, *STREAMS)
        for end in (answered, unusable, given_up, late, cut)
    ],
    (spoilt, UNARY[0]),
    (spoilt, STREAMS[0]),
]


@pytest.mark.parametrize(("end", "kind"), ENDS)
async def test_nothing_of_a_call_waits_for_the_garbage_collector(
    tiny_models: Path, end: Callable[[Peer, Kind], Awaitable[None]], kind: Kind
) -> None:
    async with running(tiny_models, open_inference=True) as server:
        async with connected(int(server.address.rpartition(":")[2])) as peer:
            await peer.settled()
            gc.collect()
            gc.disable()
            try:
                await end(peer, kind)
                await peer.settled()
                await until(lambda: not server.app._server.tasks)  # noqa: SLF001
                await asyncio.sleep(0)  # what they have told the loop of their end
                assert garbage() == []
            finally:
                gc.enable()
        assert server.app.held_bytes == 0


def garbage() -> list[str]:
    """Kinds of our own things that only the collector finds."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = [f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage]
    gc.garbage.clear()
    return [name for name in found if name.startswith("evenface")]
