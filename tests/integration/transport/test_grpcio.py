"""The clients that people use: grpcio, with asyncio and without."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from evenface_transport import Code, Limits
from grpc import StatusCode
from support.transports import Served, serving, until

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
SIZES = (0, 1, 12_345, 400_000, 5_000_000)


@asynccontextmanager
async def channel(served: Served) -> AsyncIterator[Any]:
    """A channel of the asyncio client."""
    address = f"127.0.0.1:{served.port}"
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as found:
        yield found


async def failed(call: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - any call of grpcio
    """Return the error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_messages_of_all_sizes_go_both_ways() -> None:
    async with serving() as served, channel(served) as found:
        unary, stream = found.unary_unary("/t/echo"), found.stream_stream("/t/echoes")
        messages = [bytes([size % 251]) * size for size in SIZES]
        assert [await unary(message) for message in messages] == messages
        assert [reply async for reply in stream(iter(messages))] == messages
        assert await found.stream_unary("/t/sums")(iter(messages)) == b"%d" % sum(SIZES)
        replies = found.unary_stream("/t/sizes")(b"20 300000")
        assert [len(reply) async for reply in replies] == [300_000] * 20


async def test_a_client_that_asks_for_a_sign_of_life_again_and_again_is_borne_with() -> None:
    # As often as grpcio can, about once a second, and without a call: other servers say
    # too_many_pings to that.
    options = {
        "grpc.keepalive_time_ms": 20,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 0,
    }
    async with serving() as served:
        address = f"127.0.0.1:{served.port}"
        async with grpc.aio.insecure_channel(address, options=list(options.items())) as found:
            unary: Any = found.unary_unary("/t/echo")
            await unary(b"x")
            (guest,) = served.server._connections  # noqa: SLF001 - nothing shows it
            life = guest._life  # type: ignore[attr-defined] # noqa: SLF001
            for _ in range(3):
                heard = life.heard
                await until(lambda: life.heard > heard)  # noqa: B023 - called at once
            await unary(b"x")
            assert served.server._connections == {guest}  # noqa: SLF001


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_are_inflated(compression: grpc.Compression) -> None:
    async with serving() as served, channel(served) as found:
        message = b"face" * 100_000
        unary = found.unary_unary("/t/echo")
        assert await unary(message, compression=compression) == message
        messages = [message, b"short", b"x" * 70_000] * 5
        replies = found.stream_stream("/t/echoes")(iter(messages), compression=compression)
        assert [reply async for reply in replies] == messages


async def test_a_compressed_request_over_the_limit_is_refused_before_it_is_whole() -> None:
    limits = Limits(max_message_bytes=100_000)
    async with serving(limits) as served, channel(served) as found:
        call = found.unary_unary("/t/echo")(bytes(50_000_000), compression=grpc.Compression.Gzip)
        error = await failed(call)
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert "limit 100000" in str(error.details())


async def test_what_compressed_requests_become_is_held_against_the_budget() -> None:
    limits = Limits(max_held_bytes=20_000_000, max_message_bytes=8_000_000)
    async with serving(limits) as served, channel(served) as found:
        unary = found.unary_unary("/t/wait")
        gzip = grpc.Compression.Gzip
        first = asyncio.ensure_future(unary(bytes(7_000_000), compression=gzip))
        await until(lambda: served.handlers.begun)
        assert served.held > 7_000_000
        error = await failed(unary(bytes(7_000_000), compression=gzip))
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
        served.handlers.may_end.set()
        assert len(await first) == 7_000_000
        assert await unary(bytes(7_000_000), compression=gzip) == bytes(7_000_000)


async def test_hundreds_of_calls_at_once_get_each_its_own_reply() -> None:
    async with serving() as served, channel(served) as found:
        unary = found.unary_unary("/t/echo")
        for size in (4, 20_000):
            messages = [number.to_bytes(4, "big") * (size // 4) for number in range(400)]
            assert await asyncio.gather(*(unary(message) for message in messages)) == messages
        stream = found.stream_stream("/t/echoes")

        async def echoed(number: int) -> bool:
            sent = [b"%d %d" % (number, at) for at in range(50)]
            return [reply async for reply in stream(iter(sent))] == sent

        assert all(await asyncio.gather(*(echoed(number) for number in range(40))))


async def test_metadata_goes_both_ways_as_it_is() -> None:
    sent = (("x-text", "a b~!"), ("x-many", "1"), ("x-many", "2"), ("x-raw-bin", bytes(range(256))))
    async with serving() as served, channel(served) as found:
        for _ in range(3):
            call = found.unary_unary("/t/look")(b"", metadata=sent, timeout=30)
            await call
            got = [(key, value) for key, value in await call.trailing_metadata()]
            assert got == list(sent)
    seen = served.handlers.seen[0]
    assert [item for item in seen.metadata if item[0].startswith("x-")] == list(sent)
    assert str(dict(seen.metadata)["user-agent"]).startswith("grpc-python")
    assert not any(key.startswith(("grpc-", ":")) for key, _ in seen.metadata)
    assert seen.peer.address.startswith("127.0.0.1:")
    assert seen.path == "/t/look"


async def test_errors_arrive_with_code_text_and_trailers() -> None:
    async with serving() as served, channel(served) as found:
        error = await failed(found.unary_unary("/t/fail")("9 naïve: 100%\n✓".encode()))
        assert (error.code(), error.details()) == (
            StatusCode.FAILED_PRECONDITION,
            "naïve: 100%\n✓",
        )
        assert dict(error.trailing_metadata()) == {"x-own": "trailer", "x-more-bin": b"\0\xff"}
        for path in ("/t/nobody", "/t/no/body"):
            error = await failed(found.unary_unary(path)(b""))
            assert error.code() is StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("size", [10, 2_000_000])
async def test_refused_calls_of_any_kind_are_told_why(size: int) -> None:
    async with serving(Limits(max_message_bytes=1000)) as served, channel(served) as found:
        for number in range(40):
            path = ("/t/nobody", "/t/echoes")[number % 2]
            code = StatusCode.UNIMPLEMENTED if number % 2 == 0 else StatusCode.RESOURCE_EXHAUSTED
            if size < 1000 and number % 2:
                continue
            replies = found.stream_stream(path)(iter([bytes(size)]))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                assert [reply async for reply in replies] == []
            assert caught.value.code() is code


async def test_a_deadline_cancels_the_handler_on_both_sides() -> None:
    async with serving() as served, channel(served) as found:
        error = await failed(found.unary_unary("/t/wait")(b"", timeout=0.2))
        assert error.code() is StatusCode.DEADLINE_EXCEEDED
        await until(lambda: served.handlers.ended)
        assert set(served.handlers.ended) <= {Code.DEADLINE_EXCEEDED, Code.CANCELLED}


async def test_a_cancelled_call_cancels_its_handler() -> None:
    async with serving() as served, channel(served) as found:
        unary, stream = found.unary_unary("/t/wait"), found.stream_stream("/t/waits")
        calls = unary(b""), stream(iter([b"x"]))
        assert await anext(aiter(calls[1])) == b"x"
        await until(lambda: len(served.handlers.begun) == 2)
        for call in calls:
            call.cancel()
        await until(lambda: served.handlers.ended == [Code.CANCELLED] * 2)
        assert await found.unary_unary("/t/echo")(b"still") == b"still"


async def test_a_closed_channel_cancels_all_its_handlers() -> None:
    async with serving() as served:
        async with channel(served) as found:
            calls = [asyncio.ensure_future(found.unary_unary("/t/wait")(b"")) for _ in range(20)]
            await until(lambda: len(served.handlers.begun) == 20)
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: served.handlers.ended == [Code.CANCELLED] * 20)


async def test_a_client_that_stops_reading_stops_being_answered() -> None:
    async with serving() as served, channel(served) as found:
        call = found.unary_stream("/t/sizes")(b"1000 100000")
        replies = aiter(call)
        await anext(replies)
        done = -1
        while done != len(served.handlers.begun):
            done = len(served.handlers.begun)
            await asyncio.sleep(0.3)
        assert done < 900
        assert len([reply async for reply in replies]) == 999


async def test_a_client_that_is_not_read_stops_sending() -> None:
    async with serving() as served, channel(served) as found:
        sent = 0

        async def requests() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(200):
                sent += 1
                yield bytes(100_000)

        call = found.stream_stream("/t/reads")(requests())
        before = -1
        while before != sent or not sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 150
        assert served.held < 2_000_000
        for _ in range(201):
            served.handlers.may_read.release()
        assert [reply async for reply in call] == [b"100000"] * 200


async def test_the_client_without_asyncio_works_as_well() -> None:
    def talk(port: int) -> None:
        found: Any
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as found:
            unary = found.unary_unary("/t/echo")
            messages = [bytes([size % 251]) * size for size in SIZES]
            assert [unary(message, timeout=30) for message in messages] == messages
            futures = [unary.future(b"%d" % number) for number in range(200)]
            assert [future.result(30) for future in futures] == [b"%d" % n for n in range(200)]

            def requests() -> Iterator[bytes]:
                yield from messages

            assert list(found.stream_stream("/t/echoes")(requests())) == messages
            with pytest.raises(grpc.RpcError) as caught:
                found.unary_unary("/t/fail")(b"3 no")
            assert caught.value.code() is StatusCode.INVALID_ARGUMENT
            waiting = found.unary_unary("/t/wait").future(b"")
            waiting.cancel()

    async with serving() as served:
        await asyncio.to_thread(talk, served.port)
        await until(lambda: not served.server.tasks)
