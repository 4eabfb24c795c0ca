"""Calls that are refused alike: past what a server can do, most are, and each costs time.

Of those that come in the same moment, the first is judged; others that are the same in all that
its refusal rests on are refused in the same words, without ever becoming streams.
"""

import struct
from typing import NamedTuple

from evenface_transport import frames
from evenface_transport.heads import RequestHead
from evenface_transport.messages import PREFIX_BYTES
from evenface_transport.reader import DATA_FRAME_BYTES
from evenface_transport.status import Alike


class Request(NamedTuple):
    """The first frame of data of a request that is refused.

    Attributes:
        length: Of its payload.
        end: Where it ends; that may be yet to come.
        is_whole: Whether it holds all of the request.
        is_ended: Whether the peer has said that nothing more follows, and it is all here.
    """

    length: int
    end: int
    is_whole: bool
    is_ended: bool


class Refused:
    """How a call was refused.

    Args:
        alike: What others have to have in common with it, and how many there were.
        head: Of its request.
        beginning: Of its request.
        trailers: That it ended with.
        max_bytes: Of a request, beyond which it would have been refused for that.
    """

    __slots__ = ("_beginning", "_max_bytes", "_opening", "alike", "head", "trailers")

    def __init__(
        self, alike: Alike, head: RequestHead, beginning: bytes, trailers: bytes, max_bytes: int
    ) -> None:
        self.alike = alike
        self.head = head
        self.trailers = trailers
        self._beginning = beginning
        self._max_bytes = max_bytes
        # The head of a frame, and of the message that it begins with, and how that begins.
        self._opening = struct.Struct(f">HBBBLBL{len(beginning)}s")

    def match(self, number: int, data: memoryview, at: int, size: int) -> Request | None:
        """Return the request of a call with the same head; None where it has to be looked at.

        Args:
            number: Of the stream.
            data: What has come in.
            at: Where in it the frame after the head begins.
            size: Bytes that have come in.
        """
        if size - at < self._opening.size:
            return None
        high, low, kind, flags, stream, compressed, message, beginning = self._opening.unpack_from(
            data, at
        )
        is_plain = kind == frames.DATA and not flags & ~frames.END_STREAM and not compressed
        if beginning != self._beginning or stream != number or not is_plain:
            return None
        length = high << 8 | low
        excess = length - PREFIX_BYTES - message
        if excess > 0 or length > DATA_FRAME_BYTES or message > self._max_bytes:
            return None
        end = at + frames.HEADER_BYTES + length
        if end < at + self._opening.size or message < len(beginning):
            return None
        if flags and excess:
            return None  # it ends too early
        return Request(length, end, not excess and end <= size, bool(flags) and end <= size)
