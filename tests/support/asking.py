"""Sends bytes as requests and insists that what comes back is an answer."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import grpc
from evenface.v1 import face_service_pb2, model_service_pb2
from evenface_core.errors import EvenfaceError
from google.protobuf.message_factory import GetMessageClass
from grpc_status import rpc_status

from support.http2 import connected, prefixed
from support.messages import array, status_details
from support.servers import Running

_PATIENCE = 60.0  # beyond it, a server is taken to hang: what is sought here
# What a caller can be told that sends nonsense and has no deadline.
_CODES = frozenset({
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
})  # fmt: skip
# A stream takes so much before it is read.
_WINDOW, _OVERHEAD = 2**20, 32
_STREAMS: Mapping[str, Any] = {
    "Encode": (face_service_pb2.EncodeStreamRequest, face_service_pb2.EncodeStreamResponse),
    "ClassifyFace": (
        face_service_pb2.ClassifyFaceStreamRequest,
        face_service_pb2.ClassifyFaceStreamResponse,
    ),
}
_SERVICES = (
    face_service_pb2.DESCRIPTOR.services_by_name["FaceService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
)
_REPLIES: Mapping[str, Any] = {
    f"/{service.full_name}/{method.name}": GetMessageClass(method.output_type)
    for service in _SERVICES
    for method in service.methods
}


async def ask(channel: grpc.aio.Channel, path: str, data: bytes) -> str:
    """Send a request as it is.

    Returns:
        The code's name.

    Raises:
        AssertionError: The answer is none that the API promises.
        TimeoutError: There is none.
    """
    method = channel.unary_unary(path, lambda raw: raw, lambda raw: raw)
    call: Any = method(data)
    async with asyncio.timeout(_PATIENCE):
        code = await call.code()
        if code is grpc.StatusCode.OK:
            _check_reply(_REPLIES[path].FromString(await call))
        else:
            await _check_error(call, code)
    assert "x-request-id" in dict(await call.trailing_metadata())
    return str(code.name)


async def stream_together(server: Running, name: str, requests: Sequence[Any]) -> list[Any]:
    """Send requests on one stream in one go.

    Args:
        server: The server.
        name: Of the unary RPC that the stream is made of.
        requests: For it, a MiB at most.

    Returns:
        The stream's replies, each in the place of its request.

    Raises:
        AssertionError: One is missing or in another place, or the stream ended with an error.
        TimeoutError: The stream does not end.
    """
    kind, reply_kind = _STREAMS[name]
    items = [kind(id=3 * place, request=request) for place, request in enumerate(requests)]
    async with (
        asyncio.timeout(_PATIENCE),
        connected(server.port) as peer,
    ):
        peer.open(1, f"/evenface.v1.FaceService/{name}Stream")
        messages = [prefixed(item.SerializeToString()) for item in items]
        peer.data(1, b"".join(messages), ends=True)
        whole = await peer.reply(1)
    assert whole.status == (0, ""), whole.status
    replies = [reply_kind.FromString(message) for message in whole.messages]
    assert [reply.id for reply in replies] == [item.id for item in items]
    return replies


async def ask_together(server: Running, name: str, requests: Sequence[bytes]) -> Counter[str]:
    """Send requests on one stream at once, and insist that each is answered as it is alone.

    Args:
        server: With models that answer a row in the same way whatever else is in its batch.
        name: Of the unary RPC.
        requests: For it; those that come after a MiB are left out.

    Returns:
        How many were answered, "OK", and how many were not, "error".

    Raises:
        AssertionError: An answer is another, or in another place, or missing.
        TimeoutError: One is missing and the stream does not end.
    """
    path = f"/evenface.v1.FaceService/{name}"
    request_kind = _STREAMS[name][0]().request.__class__
    sizes = accumulate(len(request) + _OVERHEAD for request in requests)
    sent = [request for request, size in zip(requests, sizes, strict=True) if size < _WINDOW]
    replies = await stream_together(server, name, [request_kind.FromString(each) for each in sent])
    alone = server.channel.unary_unary(path, lambda raw: raw, _REPLIES[path].FromString)
    async with asyncio.timeout(_PATIENCE):
        expected = await asyncio.gather(*map(alone, sent), return_exceptions=True)
    for reply, one in zip(replies, expected, strict=True):
        if isinstance(one, grpc.aio.AioRpcError):
            assert reply.error.code == one.code().value[0]
            assert _subject(reply.error.message) == _subject(one.details() or "")
        else:
            answer: Any = one
            if name == "ClassifyFace":  # zeros of either sign are one
                reply.response.threshold += 0.0
                answer.threshold += 0.0
            assert reply.response == answer
    return Counter("error" if isinstance(one, BaseException) else "OK" for one in expected)


def check_idle(server: Running) -> None:
    """Insist that nothing is left of what was asked."""
    engine = server.app.engine
    assert all(lane.rows == 0 for served in engine.registry for lane in served.lanes.values())
    assert server.app.held_bytes == 0
    assert engine._room.held == 0  # noqa: SLF001 - nothing shows it


def _subject(message: str) -> str:
    """What an error is about; of several bad files the first to be found may be any of them."""
    return re.split(r"[:\[]", message)[0]


def _check_reply(reply: Any) -> None:  # noqa: ANN401 - of any RPC
    for name in ("mean", "log_variance", "weights"):
        if name in reply.DESCRIPTOR.fields_by_name and reply.HasField(name):
            array(getattr(reply, name))  # its bytes have its shape


async def _check_error(call: Any, code: grpc.StatusCode) -> None:  # noqa: ANN401
    status = await rpc_status.aio.from_call(call)
    assert status is not None, f"{code.name} without a google.rpc.Status"
    found = status_details(status)
    assert code in _CODES, f"{code.name}: {found.message}"
    assert found.message
    assert found.info.domain == "evenface"
    assert found.info.reason in {kind.reason for kind in _kinds(EvenfaceError)}, found.info.reason
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        (bad,) = found.bad_requests
        assert bad.field_violations[0].field
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        assert len(found.retries) == 1


def _kinds(kind: type[EvenfaceError]) -> set[type[EvenfaceError]]:
    return {kind}.union(*(_kinds(each) for each in kind.__subclasses__()))
