"""What the server keeps of a request: what was sent, once, while it waits; nothing afterwards."""

import asyncio
import gc
import gzip
from collections.abc import Awaitable, Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
from evenface.v1.face_service_pb2 import (
    ClassifyFaceStreamRequest,
    DecodeRequest,
    EncodeRequest,
    EncodeStreamRequest,
    ResampleWeightsRequest,
)
from evenface_core.manifest import FunctionName
from evenface_transport import frames
from evenface_transport.frames import ErrorCode
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.bundles import LATENT, images
from support.http2 import Peer, connected, prefixed
from support.inference import infer
from support.messages import classify, encode, files, tensor
from support.servers import admitted, running, until

ROWS = 250
IMAGES = images(ROWS)
LATENTS = np.random.default_rng(0).standard_normal((ROWS, LATENT)).astype(np.float32)
INITIAL_WINDOW = frames.SETTINGS_INITIAL_WINDOW_SIZE
WIDE = {INITIAL_WINDOW: 2**24}
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
DECODE = Kind(f"{FACES}/Decode", lambda: DecodeRequest(latents=tensor(LATENTS)), "decode")
DRAWN = Kind(
    f"{OPEN}/ModelStreamInfer", lambda: infer("faces.decode", {"latents": LATENTS}), "decode"
)


@pytest.fixture(autouse=True)
def only_what_is_new() -> Iterator[None]:
    """Hide all that was there before from the collector, as there may be millions of things."""
    gc.freeze()
    yield
    gc.unfreeze()


def large() -> dict[int, str]:
    """Kinds of all that could hold the images and that anything refers to, by id."""
    found: dict[int, str] = {}
    seen: set[int] = set()
    looked_into: list[Any] = gc.get_objects()
    while looked_into:
        things, looked_into = gc.get_referents(*looked_into), []
        for each in things:
            thing = each
            while issubclass(type(thing), np.ndarray) and thing.base is not None:
                thing = thing.base
            if bytes_of(thing) >= IMAGES.nbytes:
                found[id(thing)] = type(thing).__name__
            if not gc.is_tracked(each) and id(each) not in seen:  # such as tuples of bytes
                seen.add(id(each))
                looked_into.append(each)
    return found


def new_since(before: dict[int, str]) -> list[str]:
    """Kinds of what is `large` and was not before."""
    return [kind for number, kind in large().items() if number not in before]


def bytes_of(thing: Any) -> int:  # noqa: ANN401 - anything
    """How many bytes something holds by itself."""
    kind = type(thing)  # isinstance asks some things of other packages to warn
    if issubclass(kind, bytes | bytearray | memoryview):
        return len(thing)
    if issubclass(kind, BytesIO):
        return 0 if thing.closed else int(thing.getbuffer().nbytes)
    if issubclass(kind, np.ndarray):
        return int(thing.nbytes)
    return int(thing.ByteSize()) if issubclass(kind, Message) else 0


@pytest.mark.parametrize("kind", [*UNARY, *STREAMS], ids=lambda kind: kind.path)
async def test_what_was_sent_is_held_once_while_a_call_waits_and_not_afterwards(
    tiny_models: Path, kind: Kind
) -> None:
    async with running(tiny_models, open_inference=True) as server:
        lane = server.app.engine.registry.resolve("", "").lanes[kind.function]
        async with connected(server.port) as peer:
            data = prefixed(kind.make().SerializeToString())
            before = large()
            lane._is_pumping = True  # noqa: SLF001 - so that calls wait while this test looks
            peer.open(1, kind.path)
            peer.data(1, data)
            if kind in UNARY:
                peer.data(1, b"", ends=True)
            await admitted(server.app, ROWS, kind.function)
            assert new_since(before) == ["bytes"]
            lane._pump_here()  # noqa: SLF001
            await peer.until(frames.DATA, 1)
            await until(lambda: not new_since(before))  # a thread may be about to let go


@pytest.mark.parametrize("kind", [UNARY[0], STREAMS[0]], ids=["unary", "stream"])
@pytest.mark.parametrize("missing", [0, 1], ids=["the end", "a byte and the end"])
async def test_a_connection_holds_nothing_of_a_request_that_was_cut_off(
    tiny_models: Path, kind: Kind, missing: int
) -> None:
    async with running(tiny_models) as server, connected(server.port) as peer:
        data = prefixed(kind.make().SerializeToString())
        data = data[: len(data) - missing]
        before = large()
        peer.open(1, kind.path)
        peer.data(1, data)
        peer.send(frames.reset(1, ErrorCode.CANCEL))
        await peer.settled()
        await until(lambda: not server.app._server.tasks)  # noqa: SLF001
        assert new_since(before) == []


async def test_an_idle_stream_holds_nothing_of_its_last_reply(tiny_models: Path) -> None:
    async with (
        running(tiny_models, open_inference=True) as server,
        connected(server.port, WIDE) as peer,
    ):
        peer.send(frames.window_update(0, 2**24))
        before = large()
        peer.open(1, DRAWN.path)
        peer.message(1, DRAWN.make().SerializeToString())
        size = 0
        while size < IMAGES.nbytes:
            size += len((await peer.until(frames.DATA, 1)).payload)
        await until(lambda: not new_since(before))


async def test_replies_that_wait_for_a_slow_reader_are_counted(tiny_models: Path) -> None:
    count = 3
    async with (
        running(tiny_models, open_inference=True, stream_requests=count) as server,
        connected(server.port, {INITIAL_WINDOW: 0}) as peer,
    ):
        peer.open(1, DRAWN.path)
        for _ in range(count):
            peer.message(1, DRAWN.make().SerializeToString())
        await until(lambda: server.app.held_bytes >= count * IMAGES.nbytes)
        peer.send(frames.window_update(0, 2**24), frames.window_update(1, 2**24))
        size = 0
        while size < count * IMAGES.nbytes:
            size += len((await peer.until(frames.DATA, 1)).payload)
        await until(lambda: server.app.held_bytes < IMAGES.nbytes)
        peer.send(frames.reset(1, ErrorCode.CANCEL))
        await until(lambda: not server.app.held_bytes)


async def test_what_waits_for_a_reader_who_leaves_is_let_go(tiny_models: Path) -> None:
    async with (
        running(tiny_models, open_inference=True) as server,
        connected(server.port, {INITIAL_WINDOW: 0}) as peer,
    ):
        peer.open(1, DRAWN.path)
        for _ in range(2):
            peer.message(1, DRAWN.make().SerializeToString())
        await until(lambda: server.app.held_bytes >= 2 * IMAGES.nbytes)
        peer.hang_up()
        await until(lambda: not server.app.held_bytes)


async def test_a_watch_takes_one_request(tiny_models: Path) -> None:
    async with running(tiny_models) as server, connected(server.port) as peer:
        peer.open(1, "/grpc.health.v1.Health/Watch")
        peer.message(1, b"")
        await peer.until(frames.DATA, 1)
        peer.message(1, b"")
        assert (await peer.reply(1)).status == (13, "more than one request")
        assert not server.app.held_bytes


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_a_long_name_is_refused_where_it_might_be_held_for_days(
    tiny_models: Path, method: str
) -> None:
    async with running(tiny_models) as server:
        call: Any = getattr(health_pb2_grpc.HealthStub(server.channel), method)
        request = health_pb2.HealthCheckRequest(service="x" * 2**10)
        reply = call(request)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (reply if method == "Check" else reply.read())
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == "request: a request of 1027 bytes; limit 1024"


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
    peer.message(1, kind.make().SerializeToString(), ends=kind not in STREAMS)
    peer.send(frames.reset(1, ErrorCode.CANCEL))


async def late(peer: Peer, kind: Kind) -> None:
    """Call with a deadline that passes."""
    peer.open(1, kind.path, ("grpc-timeout", "1u"))
    peer.message(1, kind.make().SerializeToString(), ends=kind not in STREAMS)
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
        for kind in (*UNARY, DECODE, *STREAMS)
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
        async with connected(server.port, WIDE) as peer:
            peer.send(frames.window_update(0, 2**24))
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
    """Kinds of what only the collector finds."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = [type(each).__qualname__ for each in gc.garbage]
    gc.garbage.clear()
    return found


async def test_what_a_small_request_becomes_when_inflated_is_limited_alike(
    tiny_models: Path,
) -> None:
    async with running(tiny_models) as server, connected(server.port) as peer:
        request = health_pb2.HealthCheckRequest(service="x" * 2**14).SerializeToString()
        peer.open(1, "/grpc.health.v1.Health/Watch", ("grpc-encoding", "gzip"))
        peer.data(1, prefixed(gzip.compress(request), compressed=True))
        code, text = (await peer.reply(1)).status
        assert code == 3
        assert text.endswith("when inflated; limit 1024")
