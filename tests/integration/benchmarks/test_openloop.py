"""The open-loop client against a real gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from benchmarks.serving import http2
from benchmarks.serving.connection import Offer
from benchmarks.serving.http2 import DATA, DEFAULT_WINDOW, frame, split
from benchmarks.serving.openloop import Outcome, offer_calls
from benchmarks.serving.wires import Request

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ANSWER = bytes(300)
REQUEST = bytes(12_300)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = frame(http2.SETTINGS, 0, 0)  # calls are sent when it has come


class Methods(grpc.GenericRpcHandler):
    """/t/Answer answers, /t/Refuse refuses, /t/Short answers too little, /t/Wait never answers."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401
        name = handler_call_details.method.removeprefix("/t/").lower()
        return grpc.unary_unary_rpc_method_handler(getattr(self, name))

    async def answer(self, request: bytes, context: object) -> bytes:
        del context
        assert request == REQUEST
        return ANSWER

    async def refuse(self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        del request
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full")

    async def short(self, request: bytes, context: object) -> bytes:
        del request, context
        return ANSWER[:-1]

    async def wait(self, request: bytes, context: object) -> bytes:
        del request, context
        await asyncio.Event().wait()
        return ANSWER


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Methods(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


async def outcome(
    port: int, method: str, folder: Path, rate: float, deadline: float = 20.0
) -> Outcome:
    body = folder / "body"
    body.write_bytes(Request("", (REQUEST,)).framed)
    return await offer_calls(
        Offer(
            port=port,
            path=f"/t/{method}",
            body=body,
            answer_bytes=len(ANSWER) + 5,
            rate=rate,
            seconds=0.5,
            deadline=deadline,
            connections=2,
        )
    )


async def test_calls_come_at_the_rate_that_was_asked_for_and_are_all_answered(
    port: int, tmp_path: Path
) -> None:
    found = await outcome(port, "Answer", tmp_path, rate=400)  # 5 MB: many times a first window
    assert found.offered == pytest.approx(400, rel=0.3)
    assert (found.good, found.refused, found.expired, found.lost) == (found.offered, 0, 0, 0)
    assert 0 < found.p50 <= found.p99
    assert found.client_cores > 0


@pytest.mark.parametrize("method", ["Refuse", "Short"])
async def test_an_answer_without_the_right_message_is_no_good_one(
    port: int, tmp_path: Path, method: str
) -> None:
    found = await outcome(port, method, tmp_path, rate=100)
    assert (found.good, found.refused) == (0, found.offered)
    assert found.refused_p50 > 0


async def test_a_call_is_given_up_at_its_deadline(port: int, tmp_path: Path) -> None:
    found = await outcome(port, "Wait", tmp_path, rate=100, deadline=0.2)
    # Server and client both watch the deadline; either may be first.
    assert (found.good, found.refused + found.expired) == (0, found.offered)


@asynccontextmanager
async def _peer(handle: Handler) -> AsyncIterator[int]:
    """A server that speaks as told, on the port that it yields; no connection outlives it."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await handle(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async with await asyncio.start_server(tracked, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*filter(None, tasks), return_exceptions=True)


async def test_calls_on_a_connection_that_is_closed_are_lost(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SETTINGS)
        await reader.readuntil(b"/t/Answer")

    async with _peer(hang_up) as port:
        found = await outcome(port, "Answer", tmp_path, rate=100)
    assert (found.good, found.lost) == (0, found.offered)


async def test_no_more_is_sent_than_the_server_s_window_holds(tmp_path: Path) -> None:
    sent = 0

    async def never_widen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(SETTINGS)
        buffer = bytearray(await reader.readexactly(24)).replace(PREFACE, b"")
        while data := await reader.read(65536):
            buffer += data
            sent += sum(len(each.payload) for each in split(buffer) if each.kind == DATA)

    async with _peer(never_widen) as port:
        found = await outcome(port, "Answer", tmp_path, rate=100, deadline=0.2)
    assert 0 < sent <= 2 * DEFAULT_WINDOW
    assert (found.good, found.expired) == (0, found.offered)
