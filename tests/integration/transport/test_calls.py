"""What is wrong with one call ends that call, with a status that says what, and no other."""

import base64
import gzip
import zlib

import pytest
from evenface_transport import Code, Limits, StatusError, frames
from evenface_transport.frames import ErrorCode, frame
from support.http2 import Peer, connected, prefixed
from support.transports import serving, until

ENDS = frames.END_HEADERS | frames.END_STREAM
LIMIT = 100_000


async def answers_still(peer: Peer, stream: int) -> None:
    """Insist that a connection still answers."""
    peer.call(stream, "/t/echo", b"still")
    assert (await peer.reply(stream)).messages == [b"still"]


async def test_a_call_without_a_known_method_is_refused_by_its_name() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/nobody")
        assert (await peer.reply(1)).status == (Code.UNIMPLEMENTED, "there is no RPC /t/nobody")
        await answers_still(peer, 3)


async def test_a_refusal_waits_for_what_the_caller_sends_but_not_for_long() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/nobody")
        await peer.settled()
        assert not any(f.stream == 1 for f in peer.seen)
        assert (await peer.reply(1)).status[0] == Code.UNIMPLEMENTED


async def test_a_call_that_is_refused_as_it_begins_reaches_no_handler_and_holds_nothing() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/refuses", b"let me in")
        assert (await peer.reply(1)).messages == [b"let me in"]
        peer.open(3, "/t/refuses", ("x-refuse", "1"))
        await until(lambda: len(served.handlers.seen) == 2)  # before any of its request is here
        peer.data(3, prefixed(bytes(LIMIT)), ends=True)
        found = await peer.reply(3)
        assert found.status == (Code.RESOURCE_EXHAUSTED, "full")
        assert found.fields["x-retry"] == "1"
        assert served.handlers.begun == served.handlers.seen[:1]
        await answers_still(peer, 5)
        await until(lambda: served.held == 0)


@pytest.mark.parametrize(
    ("headers", "without"),
    [
        ((), (":path",)),
        ((), (":method",)),
        ((), (":scheme",)),
        (((":path", "/t/again"),), ()),
        (((":status", "200"),), ()),
        ((("x-late", "1"), (":authority", "again")), (":authority",)),
        ((("X-Upper", "1"),), ()),
        ((("connection", "close"),), ()),
        ((("x-value", "a\r\nb: c"),), ()),
        ((("x\0", "1"),), ()),
        ((("", "1"),), ()),
        ((("te", "gzip"),), ()),
    ],
)
async def test_a_header_block_that_is_no_request_resets_its_stream_alone(
    headers: tuple[tuple[str, str], ...], without: tuple[str, ...]
) -> None:
    async with serving() as served, connected(served.port) as peer:
        block = peer.block("/t/echo", *headers, without=without)
        peer.send(frame(frames.HEADERS, ENDS, 1, block))
        assert (await peer.reply(1)).reset == ErrorCode.PROTOCOL_ERROR
        await answers_still(peer, 3)


@pytest.mark.parametrize(
    ("replaced", "with_"),
    [("content-type", ("content-type", "text/plain")), (":method", (":method", "GET"))],
)
async def test_what_is_no_grpc_is_answered_in_http(replaced: str, with_: tuple[str, str]) -> None:
    async with serving() as served, connected(served.port) as peer:
        pseudo = [(":method", "POST"), (":scheme", "http"), (":path", "/t/echo")]
        fields = [*pseudo, ("content-type", "application/grpc")]
        fields = [with_ if field[0] == replaced else field for field in fields]
        peer.send(frame(frames.HEADERS, ENDS, 1, bytes(peer.encoder.encode(fields))))
        assert (await peer.reply(1)).fields == {":status": "415"}
        await answers_still(peer, 3)


@pytest.mark.parametrize("kind", ["application/grpc+proto", "application/grpc;charset=utf-8"])
async def test_the_content_type_may_say_more(kind: str) -> None:
    async with serving() as served, connected(served.port) as peer:
        block = peer.block("/t/echo", ("content-type", kind), without=("content-type",))
        peer.send(frame(frames.HEADERS, frames.END_HEADERS, 1, block))
        peer.message(1, b"x", ends=True)
        assert (await peer.reply(1)).messages == [b"x"]


@pytest.mark.parametrize(
    ("header", "code", "text"),
    [
        (("grpc-timeout", "5"), Code.INTERNAL, "grpc-timeout '5' is no time"),
        (("grpc-timeout", "123456789S"), Code.INTERNAL, "grpc-timeout '123456789S' is no time"),
        (("grpc-timeout", "-1S"), Code.INTERNAL, "grpc-timeout '-1S' is no time"),
        (("x-data-bin", "a"), Code.INTERNAL, "metadata 'x-data-bin' is not base64"),
        (("x-data-bin", "*"), Code.INTERNAL, "metadata 'x-data-bin' is not base64"),
        (
            ("grpc-encoding", "snappy"),
            Code.UNIMPLEMENTED,
            "grpc-encoding 'snappy' is not supported; identity, gzip and deflate are",
        ),
    ],
)
async def test_headers_that_make_no_sense_are_named(
    header: tuple[str, str], code: Code, text: str
) -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/echo", b"", header)
        reply = await peer.reply(1)
        assert reply.status == (code, text)
        assert reply.fields["grpc-accept-encoding"] == "identity,deflate,gzip"
        await answers_still(peer, 3)


async def test_metadata_over_the_limit_is_refused_and_far_over_it_ends_the_connection() -> None:
    async with serving(Limits(max_header_bytes=2000)) as served:
        async with connected(served.port) as peer:
            peer.call(1, "/t/echo", b"", ("x-long", "a" * 3000))
            code, text = (await peer.reply(1)).status
            assert code == Code.RESOURCE_EXHAUSTED
            assert text.endswith("bytes; limit 2000")
            await answers_still(peer, 3)
        async with connected(served.port) as peer:
            peer.send(frame(frames.HEADERS, 0, 1, b"\x82"))
            piece = b"\0\x01a" + bytes((0x7F, 0)) + b"b" * 127
            for _ in range(70):
                peer.send(frame(frames.CONTINUATION, 0, 1, piece))
            assert (await peer.goodbye()).code == ErrorCode.ENHANCE_YOUR_CALM


async def test_a_small_block_that_becomes_a_large_one_ends_the_connection() -> None:
    async with serving(Limits(max_header_bytes=8000)) as served, connected(served.port) as peer:
        large = b"\x40\x01a\x7f" + bytes((0xA1, 0x1E)) + b"b" * (0x7F + 0x21 + (0x1E << 7))
        peer.send(frame(frames.HEADERS, ENDS, 1, large))
        peer.send(frame(frames.HEADERS, ENDS, 3, b"\xbe" * 16))
        last = await peer.goodbye()
    assert last.code == ErrorCode.COMPRESSION_ERROR
    assert b"more than 32000 bytes" in last.payload


@pytest.mark.parametrize("path", ["/t/echo", "/t/echoes"])
@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (prefixed(bytes(LIMIT + 1))[:10], 8, f"a request of {LIMIT + 1} bytes; limit {LIMIT}"),
        (b"\xff\xff\xff\xff\xff", 8, f"a request of {2**32 - 1} bytes; limit {LIMIT}"),
        (b"\x01\0\0\0\x01x", 13, "a message is compressed without grpc-encoding"),
        (b"\x02\0\0\0\x01x", 13, "a message is compressed without grpc-encoding"),
        (prefixed(b"abc")[:-1], 13, "the request ends too early"),
        (prefixed(b"abc")[:3], 13, "the request ends too early"),
    ],
)
async def test_a_message_that_cannot_be_is_refused_by_what_is_wrong(
    path: str, data: bytes, code: int, text: str
) -> None:
    async with serving(Limits(max_message_bytes=LIMIT)) as served, connected(served.port) as peer:
        peer.open(1, path)
        peer.data(1, data, ends=True)
        assert (await peer.reply(1)).status == (code, text)
        await answers_still(peer, 3)


async def test_a_unary_call_has_exactly_one_request() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/echo", ends=True)
        peer.open(3, "/t/echo")
        peer.data(3, b"", ends=True)
        peer.open(5, "/t/echo")
        peer.data(5, prefixed(b"a") + prefixed(b"b"), ends=True)
        assert (await peer.reply(1)).status == (Code.INTERNAL, "there is no request")
        assert (await peer.reply(3)).status == (Code.INTERNAL, "there is no request")
        assert (await peer.reply(5)).status == (Code.INTERNAL, "more than one request")
        assert served.handlers.begun == []


async def test_many_messages_in_one_frame_and_one_in_many_are_told_apart() -> None:
    messages = [b"", b"a", b"", b"b" * 70_000, b"c" * 5]
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/echoes")
        data = b"".join(map(prefixed, messages))
        for at in range(0, len(data), 1003):
            peer.send(frame(frames.DATA, 0, 1, data[at : at + 1003]))
        peer.data(1, b"", ends=True)
        peer.send(frames.window_update(1, 2**20) + frames.window_update(0, 2**20))
        assert (await peer.reply(1)).messages == messages


async def test_compressed_and_plain_messages_mix() -> None:
    gzip = zlib.compressobj(wbits=31)
    packed = gzip.compress(b"a" * 300_000) + gzip.flush()
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/sums", ("grpc-encoding", "gzip"))
        peer.data(1, prefixed(packed, compressed=True) + prefixed(b"plain"), ends=True)
        assert (await peer.reply(1)).messages == [b"300005"]


@pytest.mark.parametrize("path", ["/t/echo", "/t/echoes"])
@pytest.mark.parametrize(
    ("packed", "code", "text"),
    [
        (zlib.compress(bytes(LIMIT + 1)), 8, "bytes or more when inflated; limit 100000"),
        (zlib.compress(bytes(5000))[:-5], 13, "a message ends within its deflate data"),
        (b"", 13, "a message ends within its deflate data"),
        (b"what is this?", 13, "a message is no deflate data"),
    ],
)
async def test_what_cannot_be_inflated_is_refused(
    path: str, packed: bytes, code: int, text: str
) -> None:
    async with serving(Limits(max_message_bytes=LIMIT)) as served, connected(served.port) as peer:
        peer.open(1, path, ("grpc-encoding", "deflate"))
        peer.data(1, prefixed(packed, compressed=True), ends=True)
        found, said = (await peer.reply(1)).status
        assert found == code
        assert text in said
        await answers_still(peer, 3)


async def test_how_a_handler_ends_is_how_the_call_ends() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/fail", "5 naïve: 100% ✓\n".encode())
        reply = await peer.reply(1)
        assert reply.status == (Code.NOT_FOUND, "naïve: 100% ✓\n")
        assert reply.fields["grpc-message"] == "na%C3%AFve: 100%25 %E2%9C%93%0A"
        assert reply.fields["x-own"] == "trailer"
        assert base64.b64decode(reply.fields["x-more-bin"] + "==") == b"\0\xff"
        peer.call(3, "/t/gives_up")
        assert (await peer.reply(3)).status[0] == Code.UNAVAILABLE


@pytest.mark.parametrize("message", [b"", b"with trailers that cannot be sent"])
async def test_a_handler_that_crashes_tells_the_caller_nothing_but_that(message: bytes) -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/crash", message)
        assert (await peer.reply(1)).status == (Code.INTERNAL, "internal error")
        peer.open(3, "/t/crashes")
        peer.message(3, b"first", ends=True)
        reply = await peer.reply(3)
        assert (reply.messages, reply.status) == ([b"first"], (Code.INTERNAL, "internal error"))


async def test_an_error_is_told_even_if_it_is_too_long_or_cannot_be_explained() -> None:
    def explain(error: StatusError) -> StatusError:
        if error.text == "explain":
            raise RuntimeError("no")
        return StatusError(error.code, error.text, [("x-detail", "d" * 10_000)])

    async with serving(explain=explain) as served, connected(served.port) as peer:
        peer.call(1, "/t/fail", b"9 explain")
        assert (await peer.reply(1)).status == (Code.FAILED_PRECONDITION, "explain")
        peer.call(3, "/t/fail", b"9 " + "ü".encode() * 50_000)
        code, text = (await peer.reply(3)).status
        assert code == Code.FAILED_PRECONDITION
        assert text == "ü" * 256


async def test_errors_of_the_transport_are_said_in_the_service_s_own_way() -> None:
    def explain(error: StatusError) -> StatusError:
        retry = [] if error.retry_after is None else [("x-retry", str(error.retry_after))]
        return StatusError(error.code, f"we say: {error.text}", retry)

    limits = Limits(max_held_bytes=50_000, max_message_bytes=40_000)
    async with serving(limits, explain=explain) as served, connected(served.port) as peer:
        peer.call(1, "/t/nobody")
        assert (await peer.reply(1)).status[1] == "we say: there is no RPC /t/nobody"
        peer.call(3, "/t/wait", bytes(30_000))
        await until(lambda: served.handlers.begun)
        peer.call(5, "/t/echo", bytes(30_000))
        reply = await peer.reply(5)
        assert reply.status[0] == Code.RESOURCE_EXHAUSTED
        assert reply.fields["x-retry"] == "0.5"
        served.handlers.may_end.set()
        assert len((await peer.reply(3)).messages[0]) == 30_000
        peer.call(7, "/t/echo", bytes(30_000))
        assert len((await peer.reply(7)).messages[0]) == 30_000


async def test_a_reset_cancels_the_handler_and_nothing_more_is_said() -> None:
    async with serving() as served, connected(served.port) as peer:
        for stream, path in ((1, "/t/wait"), (3, "/t/waits")):
            peer.open(stream, path)
            peer.message(stream, b"x", ends=True)
        await until(lambda: len(served.handlers.begun) == 2)
        peer.send(frames.reset(1, ErrorCode.CANCEL) + frames.reset(3, ErrorCode.CANCEL))
        await until(lambda: served.handlers.ended == [Code.CANCELLED] * 2)
        before = len(peer.seen)
        await peer.settled()
        assert not any(f.stream == 1 or f.is_last for f in peer.seen[before:])


async def test_a_lost_connection_cancels_all_its_handlers() -> None:
    async with serving() as served, connected(served.port) as peer:
        for stream in range(1, 21, 2):
            peer.call(stream, "/t/wait", bytes(1000))
        await until(lambda: len(served.handlers.begun) == 10)
        peer.hang_up()
        await until(lambda: served.handlers.ended == [Code.CANCELLED] * 10)
        await until(lambda: not served.server.connections and not served.held)


async def test_a_handler_that_ignores_being_cancelled_is_not_heard() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/waits")
        peer.message(1, b"x")
        peer.call(3, "/t/stubborn", b"y")
        await until(lambda: len(served.handlers.begun) == 2)
        peer.send(frames.reset(1, ErrorCode.CANCEL) + frames.reset(3, ErrorCode.CANCEL))
        await until(lambda: len(served.handlers.ended) == 2)
        await peer.settled()
        before = len(peer.seen)
        served.handlers.may_end.set()
        await until(lambda: not served.server.tasks)
        await peer.settled()
        assert not any(f.stream in (1, 3) for f in peer.seen[before:])


async def test_who_does_not_end_its_half_of_an_answered_call_is_made_to() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/crashes")
        peer.message(1, b"x")
        assert (await peer.reply(1)).status[0] == Code.INTERNAL
        assert (await peer.until(frames.RST_STREAM, 1)).code == ErrorCode.NO_ERROR
        peer.open(3, "/t/crashes")
        peer.data(3, prefixed(b"x") + prefixed(b"y")[:-1])
        assert (await peer.reply(3)).status[0] == Code.INTERNAL
        await peer.settled()  # amid a message there is nothing to wait for
        assert (await peer.until(frames.RST_STREAM, 3)).code == ErrorCode.NO_ERROR
        peer.open(5, "/t/crashes")
        peer.message(5, b"x")
        peer.open(7, "/t/crashes")
        peer.message(7, b"x")
        await peer.reply(5)
        await peer.reply(7)
        peer.data(5, b"", ends=True)
        peer.send(frames.reset(7, ErrorCode.CANCEL))
        await answers_still(peer, 9)


async def test_a_call_may_be_refused_before_its_request_comes_in() -> None:
    async with serving() as served, connected(served.port) as peer:
        for stream, said, status in (
            (1, "refuse", (Code.PERMISSION_DENIED, "no")),
            (3, "crash", (Code.INTERNAL, "internal error")),
            (5, "welcome", (Code.OK, "")),
        ):
            peer.call(stream, "/t/judged", b"x", ("x-judge", said))
            assert (await peer.reply(stream)).status == status
        assert len(served.handlers.begun) == 1


async def test_a_request_may_be_refused_for_how_it_begins_before_the_rest_is_here() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/asks")
        peer.data(1, prefixed(b"no" + b"x" * 10_000)[:-1])
        assert (await peer.reply(1)).status == (Code.RESOURCE_EXHAUSTED, "full")
        await until(lambda: served.held == 0)
        peer.call(3, "/t/asks", b"yes")
        assert (await peer.reply(3)).messages == [b"yes"]
        assert served.handlers.beginnings == [b"no" + b"x" * 254, b"yes"]
        assert len(served.handlers.begun) == 1


async def test_nobody_is_asked_about_requests_that_are_compressed() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/asks", ("grpc-encoding", "gzip"))
        peer.data(1, prefixed(gzip.compress(b"no"), compressed=True), ends=True)
        assert (await peer.reply(1)).messages == [b"no"]
        assert not served.handlers.beginnings


async def test_a_request_refused_while_its_peer_reads_nothing_is_taken_no_further() -> None:
    windows = {frames.SETTINGS_INITIAL_WINDOW_SIZE: 2**30}
    async with serving() as served, connected(served.port, windows) as peer:
        peer.send(frames.window_update(0, 2**30))
        await peer.settled()
        peer.stop_reading()
        peer.call(1, "/t/size", b"30000000")
        await until(lambda: bool(served.handlers.begun))
        peer.open(3, "/t/asks")
        peer.data(3, prefixed(b"no" + b"x" * 8)[:-8])
        await until(lambda: bool(served.handlers.beginnings))
        peer.data(3, b"x" * 10, ends=True)
        peer.call(5, "/t/echo", b"still")
        await until(lambda: len(served.handlers.begun) == 2)
        peer.read_on()
        assert (await peer.reply(3)).status[0] == Code.RESOURCE_EXHAUSTED
        assert [call.path for call in served.handlers.begun] == ["/t/size", "/t/echo"]


async def test_a_small_request_that_is_refused_is_not_reset_too() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/asks", b"no")
        assert (await peer.reply(1)).status[0] == Code.RESOURCE_EXHAUSTED
        await answers_still(peer, 3)
        assert not any(f.kind == frames.RST_STREAM for f in peer.seen)
