"""Mixed calls as many different callers make them, some of which are rude."""

import asyncio
import io
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import numpy as np
from evenface.v1 import common_pb2, face_service_pb2
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from PIL import Image

SIZE, LATENTS = 64, 100
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\0" + bytes(4)
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0))


class Traffic:
    """Callers of one server.

    Args:
        address: "host:port" of the server.
        connections: Channels, which callers share.
        seed: Of what they do.

    Attributes:
        outcomes: How calls ended: names of status codes, "cancelled by us", "hung up".
        problems: Texts of statuses that nobody asked for.
    """

    def __init__(self, address: str, connections: int, seed: int) -> None:
        self._address = address
        self._random = random.Random(seed)  # noqa: S311 - what callers do is no secret
        self._channels = [_channel(address) for _ in range(connections)]
        rng = np.random.default_rng(seed)
        self._pixels = rng.integers(0, 256, (32, SIZE, SIZE, 3), np.uint8)
        self._latents = rng.standard_normal((32, LATENTS), np.float32)
        self._jpegs = [_jpeg(image) for image in self._pixels[:8]]
        self._kinds: dict[Callable[[], Awaitable[None]], float] = {
            self._encode: 50, self._encode_many: 10, self._encode_file: 10, self._classify: 6,
            self._decode: 4, self._sample: 3, self._weigh: 3, self._stream: 3,
            self._leave_stream: 2, self._cancel: 4, self._hurry: 2, self._hang_up: 1,
            self._drop_dead: 1, self._mistake: 1,
        }  # fmt: skip
        self.outcomes: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    async def one(self) -> None:
        """Do one thing: most often a call, at times something rude."""
        (kind,) = self._random.choices(list(self._kinds), list(self._kinds.values()))
        try:
            await kind()
        except grpc.aio.AioRpcError as error:
            self._note(error)
        except asyncio.CancelledError:
            self.outcomes["cancelled by us"] += 1
        else:
            self.outcomes["OK"] += 1

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels:
            await channel.close(None)

    def _note(self, error: grpc.aio.AioRpcError) -> None:
        name = error.code().name
        self.outcomes[name] += 1
        if name not in ("OK", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"):
            self.problems[f"{name}: {(error.details() or '')[:120]}"] += 1

    def _stub(self) -> Any:  # noqa: ANN401 - the asynchronous stub exists for type checkers alone
        return FaceServiceStub(self._random.choice(self._channels))

    def _raw(self, count: int) -> common_pb2.Images:
        data = self._pixels[:count].tobytes()
        raw = common_pb2.RawImages(data=data, height=SIZE, width=SIZE, channels=3)
        return common_pb2.Images(raw=raw)

    async def _encode(self) -> None:
        await self._stub().Encode(_encode(self._raw(1)), timeout=20)

    async def _encode_many(self) -> None:
        count = self._random.choice((2, 8, 32))
        await self._stub().Encode(_encode(self._raw(count)), timeout=20)

    async def _encode_file(self) -> None:
        files = common_pb2.EncodedImages(data=[self._random.choice(self._jpegs)])
        await self._stub().Encode(_encode(common_pb2.Images(encoded=files)), timeout=20)

    async def _classify(self) -> None:
        request = face_service_pb2.ClassifyFaceRequest(images=self._raw(8))
        await self._stub().ClassifyFace(request, timeout=20)

    async def _decode(self) -> None:
        latents = _tensor(self._latents[:2])
        request = face_service_pb2.DecodeRequest(
            latents=latents, format=common_pb2.IMAGE_FORMAT_JPEG
        )
        await self._stub().Decode(request, timeout=20)

    async def _sample(self) -> None:
        seed = self._random.randrange(2**32)
        await self._stub().Sample(face_service_pb2.SampleRequest(count=2, seed=seed))

    async def _weigh(self) -> None:
        request = face_service_pb2.ResampleWeightsRequest(latents=_tensor(self._latents))
        await self._stub().ResampleWeights(request, timeout=20)

    async def _stream(self) -> None:
        async def requests() -> AsyncIterator[face_service_pb2.EncodeStreamRequest]:
            for number in range(10):
                yield face_service_pb2.EncodeStreamRequest(id=number, request=_encode(self._raw(4)))

        replies = self._stub().EncodeStream(requests(), timeout=30)
        count = 0
        async for _ in replies:
            count += 1
        if count != 10:
            self.problems[f"a stream of 10 had {count} replies"] += 1

    async def _leave_stream(self) -> None:
        call = self._stub().EncodeStream(timeout=30)
        for number in range(4):
            request = face_service_pb2.EncodeStreamRequest(id=number, request=_encode(self._raw(4)))
            await call.write(request)
        await call.read()
        call.cancel()
        raise asyncio.CancelledError

    async def _cancel(self) -> None:
        call = self._stub().Encode(_encode(self._raw(32)), timeout=20)
        await asyncio.sleep(self._random.random() * 0.02)
        call.cancel()
        await call

    async def _hurry(self) -> None:
        await self._stub().Encode(_encode(self._raw(32)), timeout=0.005)

    async def _hang_up(self) -> None:
        """Close a connection in the middle of calls."""
        channel = _channel(self._address)
        calls = [FaceServiceStub(channel).Encode(_encode(self._raw(8))) for _ in range(4)]
        await asyncio.sleep(self._random.random() * 0.02)
        await channel.close(None)
        await asyncio.gather(*calls, return_exceptions=True)

    async def _drop_dead(self) -> None:
        """Send the half of something and reset the connection."""
        host, _, port = self._address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(_PREFACE + struct.pack(">HBBBL", 0, 100, 1, 4, 1) + bytes(50))
        await writer.drain()
        await asyncio.sleep(self._random.random() * 0.05)
        writer.transport.abort()

    async def _mistake(self) -> None:
        images = common_pb2.Images(encoded=common_pb2.EncodedImages(data=[b"no picture"]))
        try:
            await self._stub().Encode(_encode(images))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise


def _channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(
        address, options=(*_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
    )


def _encode(images: common_pb2.Images) -> face_service_pb2.EncodeRequest:
    return face_service_pb2.EncodeRequest(images=images)


def _tensor(array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> common_pb2.Tensor:
    return common_pb2.Tensor(
        data=array.tobytes(), shape=array.shape, data_type=common_pb2.DATA_TYPE_FLOAT32
    )


def _jpeg(image: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).resize((178, 218)).save(file, "JPEG", quality=90)
    return file.getvalue()
