"""As much of HTTP/2 (RFC 9113) as a client needs that sends one prepared gRPC call many times.

Headers are written without compression and never read: an answer is right when a message of the
right length came before the end of its stream, and a refusal is an end without a message.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
CANCEL = 8
MAX_FRAME = 16384  # what every server must accept
DEFAULT_WINDOW = 65535

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = struct.Struct(">BHBBI")
_NUMBER = struct.Struct(">I")
_SETTING = struct.Struct(">HI")
_MAX_CONCURRENT_STREAMS, _INITIAL_WINDOW_SIZE = 3, 4
_LARGE = 2**31 - 1


class Frame(NamedTuple):
    """A frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Settings(NamedTuple):
    """What a server's SETTINGS say; None where they say nothing."""

    max_streams: int | None
    window: int | None


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame with its head."""
    size = len(payload)
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def opening() -> bytes:
    """What a client says first; its windows are as large as can be."""
    settings = _SETTING.pack(_INITIAL_WINDOW_SIZE, _LARGE)
    return _PREFACE + frame(SETTINGS, 0, 0, settings) + window_update(_LARGE - DEFAULT_WINDOW)


def window_update(size: int) -> bytes:
    """Let the server send that many bytes more on the connection."""
    return frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", size))


def cancel(stream: int) -> bytes:
    """Tell the server that nobody waits for a stream any more."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))


def header_block(path: str, authority: str, timeout_ms: int) -> bytes:
    """The headers of a gRPC call with a deadline, in HPACK (RFC 7541) without any table."""
    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + _text(path),
            b"\x01" + _text(authority),
            b"\x0f\x10" + _text("application/grpc"),  # content-type
            b"\x00" + _text("te") + _text("trailers"),
            b"\x00" + _text("grpc-timeout") + _text(f"{timeout_ms}m"),
        )
    )


class PreparedCall:
    """The frames of one call, made once: only the number of the stream is filled in each time.

    Args:
        block: Its headers.
        body: Its request; not empty.
    """

    def __init__(self, block: bytes, body: bytes) -> None:
        view = memoryview(body)
        pieces = [view[at : at + MAX_FRAME] for at in range(0, len(body), MAX_FRAME)]
        flags = [0] * (len(pieces) - 1) + [END_STREAM]
        heads = [_head(DATA, flag, len(piece)) for flag, piece in zip(flags, pieces, strict=True)]
        self._opening = _head(HEADERS, END_HEADERS, len(block))
        self._middle = block + heads[0]
        self._first = pieces[0]
        self._more = list(zip(heads[1:], pieces[1:], strict=True))

    def frames(self, stream: int) -> list[bytes | memoryview]:
        """What goes out for the call on a stream; the body is not copied."""
        number = _NUMBER.pack(stream)
        opening = b"".join((self._opening, number, self._middle, number))
        found: list[bytes | memoryview] = [opening, self._first]
        for head, piece in self._more:
            found += (head + number, piece)
        return found


def _head(kind: int, flags: int, size: int) -> bytes:
    """A frame's head without its last four bytes, the number of the stream."""
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, 0)[: -_NUMBER.size]


def split(buffer: bytearray) -> Iterator[Frame]:
    """Take all whole frames out of a buffer."""
    at, end = 0, len(buffer)
    while end - at >= _HEAD.size:
        high, low, kind, flags, stream = _HEAD.unpack_from(buffer, at)
        start = at + _HEAD.size
        after = start + (high << 16 | low)
        if after > end:
            break
        yield Frame(kind, flags, stream & _LARGE, bytes(buffer[start:after]))
        at = after
    del buffer[:at]


def read_settings(payload: bytes) -> Settings:
    """Read what concerns a client that sends."""
    found = dict(_SETTING.iter_unpack(payload))
    return Settings(found.get(_MAX_CONCURRENT_STREAMS), found.get(_INITIAL_WINDOW_SIZE))


def read_window(payload: bytes) -> int:
    """The increment of a WINDOW_UPDATE."""
    return int(struct.unpack(">I", payload)[0]) & _LARGE


def _text(value: str) -> bytes:
    data = value.encode()
    if len(data) > 126:
        raise ValueError(f"'{value[:40]}…' is longer than 126 bytes")
    return bytes([len(data)]) + data
