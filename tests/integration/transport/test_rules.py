"""What breaks the rules of HTTP/2 ends the connection, with the code that RFC 9113 names."""

import asyncio
import struct

import hpack
import pytest
from evenface_transport import Code, frames
from evenface_transport.frames import ErrorCode, frame
from support.http2 import Peer, connected, prefixed
from support.transports import serving, until

HEADERS = frames.END_HEADERS


def setting(key: int, value: int) -> bytes:
    return frame(frames.SETTINGS, 0, 0, struct.pack(">HL", key, value))


def window(stream: int, increment: int) -> bytes:
    return frames.window_update(stream, increment)


def _pieces(data: bytes) -> list[bytes]:
    return [data[at : at + 16_384] for at in range(0, len(data), 16_384)]


BROKEN = {
    "data on the connection": (frame(frames.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data on an idle stream": (frame(frames.DATA, 0, 5, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data on a stream of ours": (frame(frames.DATA, 0, 2, b"x"), ErrorCode.PROTOCOL_ERROR),
    "headers on the connection": (frame(frames.HEADERS, HEADERS, 0), ErrorCode.PROTOCOL_ERROR),
    "headers on a stream of ours": (frame(frames.HEADERS, HEADERS, 2), ErrorCode.PROTOCOL_ERROR),
    "headers that are no HPACK": (
        frame(frames.HEADERS, HEADERS, 3, b"\x80"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "headers of another entry": (
        frame(frames.HEADERS, HEADERS, 3, b"\xfe"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "padding without its length": (
        frame(frames.HEADERS, HEADERS | frames.PADDED, 3),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers that are all padding": (
        frame(frames.HEADERS, HEADERS | frames.PADDED, 3, b"\x05\x82"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers shorter than their priority": (
        frame(frames.HEADERS, HEADERS | frames.PRIORITISED, 3, b"\0\0"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "data that is all padding": (
        frame(frames.DATA, frames.PADDED, 1, b"\x02x"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "padded data of no length": (frame(frames.DATA, frames.PADDED, 1), ErrorCode.PROTOCOL_ERROR),
    "an unfinished header block": (
        frame(frames.HEADERS, 0, 3, b"\x82") + frame(frames.PING, 0, 0, b"12345678"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "another stream's continuation": (
        frame(frames.HEADERS, 0, 3, b"\x82") + frame(frames.CONTINUATION, HEADERS, 5, b"\x82"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (
        frame(frames.CONTINUATION, HEADERS, 1, b"\x82"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a second head": (frame(frames.HEADERS, HEADERS, 1, b"\x82"), ErrorCode.PROTOCOL_ERROR),
    "a promise": (frame(frames.PUSH_PROMISE, HEADERS, 1, b"\0\0\0\2"), ErrorCode.PROTOCOL_ERROR),
    "a short priority": (frame(frames.PRIORITY, 0, 1, b"1234"), ErrorCode.FRAME_SIZE_ERROR),
    "a priority of nothing": (frame(frames.PRIORITY, 0, 0, b"12345"), ErrorCode.PROTOCOL_ERROR),
    "a short reset": (frame(frames.RST_STREAM, 0, 1, b"123"), ErrorCode.FRAME_SIZE_ERROR),
    "a reset of an idle stream": (
        frame(frames.RST_STREAM, 0, 5, b"1234"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a short ping": (frame(frames.PING, 0, 0, b"1234567"), ErrorCode.FRAME_SIZE_ERROR),
    "a ping of a stream": (frame(frames.PING, 0, 1, b"12345678"), ErrorCode.PROTOCOL_ERROR),
    "settings of a stream": (frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "settings cut short": (frame(frames.SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
    "an answer with settings": (
        frame(frames.SETTINGS, frames.ACK, 0, b"123456"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a push setting of 2": (setting(frames.SETTINGS_ENABLE_PUSH, 2), ErrorCode.PROTOCOL_ERROR),
    "an initial window too large": (
        setting(frames.SETTINGS_INITIAL_WINDOW_SIZE, 2**31),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "an initial window that overflows a stream's": (
        window(1, 2**31 - 1 - 65_535) + setting(frames.SETTINGS_INITIAL_WINDOW_SIZE, 70_000),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "a frame size too small": (
        setting(frames.SETTINGS_MAX_FRAME_SIZE, 16_383),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a frame size too large": (
        setting(frames.SETTINGS_MAX_FRAME_SIZE, 2**24),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a window of nothing": (window(0, 0), ErrorCode.PROTOCOL_ERROR),
    "a stream's window of nothing": (window(1, 0), ErrorCode.PROTOCOL_ERROR),
    "a short window": (frame(frames.WINDOW_UPDATE, 0, 0, b"1"), ErrorCode.FRAME_SIZE_ERROR),
    "a window of an idle stream": (window(5, 1), ErrorCode.PROTOCOL_ERROR),
    "a window too large": (window(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
    "a stream's window too large": (window(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
    "data of more than was asked for": (
        struct.pack(">HBBBL", 2**12 + 1, 0, frames.DATA, 0, 1),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "headers of more than anyone sends": (
        struct.pack(">HBBBL", 2**8 + 1, 0, frames.HEADERS, 0, 3),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "more data than the stream's window": (
        b"".join(
            [frame(frames.DATA, 0, 1, piece) for piece in _pieces(prefixed(bytes(600_000)))] * 4
        ),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_rule_of_the_connection_closes_it_and_cancels_its_calls(case: str) -> None:
    sent, code = BROKEN[case]
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/waits")
        peer.message(1, b"")
        await until(lambda: served.handlers.begun)
        peer.send(sent)
        last = await peer.goodbye()
        assert last.code == code, last.payload
        assert int.from_bytes(last.payload[:4], "big") == 1
        await until(lambda: served.handlers.ended == [Code.CANCELLED])


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n"])
async def test_who_speaks_no_http_2_is_told_so_and_cut_off(hello: bytes) -> None:
    async with serving() as served, connected(served.port, greets=False) as peer:
        peer.send(hello)
        last = await peer.goodbye()
    assert last.code == ErrorCode.PROTOCOL_ERROR
    assert b"HTTP/2" in last.payload


async def test_the_first_frame_of_a_peer_has_to_be_its_settings() -> None:
    async with serving() as served, connected(served.port, greets=False) as peer:
        peer.send(frames.PREFACE, frame(frames.PING, 0, 0, b"12345678"))
        last = await peer.goodbye()
    assert last.code == ErrorCode.PROTOCOL_ERROR


async def test_data_and_trailers_after_the_end_of_a_request_are_refused() -> None:
    for sent in (
        frame(frames.DATA, 0, 1, b"x"),
        frame(frames.HEADERS, HEADERS | frames.END_STREAM, 1, b""),
    ):
        async with serving() as served, connected(served.port) as peer:
            peer.call(1, "/t/wait")
            peer.send(sent)
            assert (await peer.goodbye()).code == ErrorCode.STREAM_CLOSED


async def test_frames_for_streams_that_have_ended_are_passed_over() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/echo", b"1")
        assert (await peer.reply(1)).messages == [b"1"]
        peer.send(
            window(1, 5),
            frame(frames.DATA, 0, 1, b"late"),
            frame(frames.HEADERS, HEADERS | frames.END_STREAM, 1, b"\x82"),
            frame(frames.RST_STREAM, 0, 1, b"\0\0\0\x08"),
            frame(frames.PRIORITY, 0, 1, b"12345"),
        )
        peer.call(3, "/t/echo", b"3")
        assert (await peer.reply(3)).messages == [b"3"]


async def test_what_nobody_knows_is_ignored() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.send(
            frame(0xBE, 0xFF, 7, b"?" * 20_000),
            setting(0x99, 7),
            frame(frames.GOAWAY, 0, 0, bytes(8)),
        )
        peer.call(1, "/t/echo", b"1")
        assert (await peer.reply(1)).messages == [b"1"]


async def test_settings_and_pings_are_answered_in_order() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.send(setting(frames.SETTINGS_MAX_FRAME_SIZE, 2**20))
        await peer.settled()
    answers = [(f.kind, f.flags) for f in peer.seen if f.flags & frames.ACK]
    assert answers == [(frames.SETTINGS, 1), (frames.SETTINGS, 1), (frames.PING, 1)]


async def test_any_cut_of_the_bytes_makes_the_same_calls() -> None:
    async with serving() as served, connected(served.port) as whole:
        for number, kind in enumerate(("/t/echo", "/t/echoes")):
            _write_call(whole, 1 + 2 * number, kind)
        assert [(await whole.reply(n)).messages for n in (1, 3)] == [[b"ab" * 600]] * 2
        recorder = _Recorder()
        recorder.greet()
        _write_call(recorder, 1, "/t/echo")
        for size in (1, 2, 9, 10, 33, 500):
            async with connected(served.port, greets=False) as peer:
                for at in range(0, len(recorder.sent), size):
                    peer.send(recorder.sent[at : at + size])
                    await peer.flush()
                    if size < 33 or at == 0:
                        await asyncio.sleep(0)
                assert (await peer.reply(1)).messages == [b"ab" * 600]


def _write_call(peer: Peer, stream: int, path: str) -> None:
    """A call in padded and split frames, with a priority and trailers."""
    block = peer.block(path)
    first = b"\x03" + bytes(5) + block[:10] + bytes(3)
    data = prefixed(b"ab" * 600)
    peer.send(
        frame(frames.HEADERS, frames.PADDED | frames.PRIORITISED, stream, first),
        frame(frames.CONTINUATION, 0, stream, block[10:11]),
        frame(frames.CONTINUATION, 0, stream, b""),
        frame(frames.CONTINUATION, frames.END_HEADERS, stream, block[11:]),
        frame(frames.DATA, frames.PADDED, stream, b"\x05" + data[:3] + bytes(5)),
        frame(frames.DATA, 0, stream, b""),
        frame(frames.DATA, frames.PADDED, stream, b"\0" + data[3:7]),
        frame(frames.DATA, frames.PADDED, stream, b"\xff" + data[7:] + bytes(255)),
        frame(
            frames.HEADERS,
            frames.END_HEADERS | frames.END_STREAM,
            stream,
            bytes(peer.encoder.encode([("x-trailer", "value")])),
        ),
    )


class _Recorder(Peer):
    """Keeps what it is told to send."""

    def __init__(self) -> None:
        self.encoder = hpack.Encoder()
        self.sent = b""

    def send(self, *parts: bytes) -> None:
        self.sent += b"".join(parts)
