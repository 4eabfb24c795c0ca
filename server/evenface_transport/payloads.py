"""What the payloads of HTTP/2's frames may be (RFC 9113, section 6), and what is in them."""

from typing import Final

from evenface_transport import frames
from evenface_transport.frames import ErrorCode, ProtocolError

PRIORITY_BYTES: Final = 5
PING_BYTES: Final = 8
LONG_BYTES: Final = 4
_SETTING_BYTES: Final = 6


def is_preface(data: bytes) -> bool:
    """Return whether all of what a client must say first is there.

    Raises:
        ProtocolError: The client says something else.
    """
    size = min(len(data), len(frames.PREFACE))
    if data[:size] != frames.PREFACE[:size]:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "this port speaks gRPC over HTTP/2")
    return size == len(frames.PREFACE)


def check_size(payload: bytes, size: int) -> None:
    """Insist on the size of a payload.

    Raises:
        ProtocolError: It has another.
    """
    if len(payload) != size:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"{len(payload)} bytes where {size} belong")


def check_stream(number: int) -> None:
    """Insist on a frame of a stream.

    Raises:
        ProtocolError: It is one of the connection.
    """
    if number == 0:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "this frame belongs to a stream")


def check_connection(number: int) -> None:
    """Insist on a frame of the connection.

    Raises:
        ProtocolError: It is one of a stream.
    """
    if number != 0:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "this frame belongs to the connection")


def padding(length: int, first: int) -> int:
    """Return how much of a payload with padding is padding.

    Args:
        length: Of the payload.
        first: Its first byte, which says so.

    Raises:
        ProtocolError: It is longer than the payload.
    """
    if first >= length:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
    return first


def header_block(flags: int, payload: bytes) -> bytes:
    """Return the part of a header block that a HEADERS frame holds.

    Raises:
        ProtocolError: The frame is too short for what its flags say.
    """
    at, end = 0, len(payload)
    if flags & frames.PADDED:
        at, end = 1, end - padding(end, payload[0] if payload else 0)
    if flags & frames.PRIORITISED:
        at += PRIORITY_BYTES
    if at > end:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS are too short")
    return payload[at:end]


def settings(payload: bytes) -> dict[int, int]:
    """Return what a SETTINGS frame sets; of several values for one setting, the last.

    Raises:
        ProtocolError: It ends within a setting, or a value cannot be.
    """
    if len(payload) % _SETTING_BYTES:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of an odd length")
    values = dict(frames.read_settings(payload))
    if values.get(frames.SETTINGS_ENABLE_PUSH, 0) > 1:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
    if values.get(frames.SETTINGS_INITIAL_WINDOW_SIZE, 0) > frames.MAX_WINDOW:
        raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the initial window is too large")
    size = values.get(frames.SETTINGS_MAX_FRAME_SIZE, frames.MIN_FRAME_BYTES)
    if not frames.MIN_FRAME_BYTES <= size <= frames.MAX_FRAME_BYTES:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE is {size}")
    return values


def increment(payload: bytes) -> int:
    """Return by how much a WINDOW_UPDATE frame opens a window.

    Raises:
        ProtocolError: Not at all.
    """
    check_size(payload, LONG_BYTES)
    size = frames.number(payload) & frames.STREAM_MASK
    if size == 0:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
    return size
