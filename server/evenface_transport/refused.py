"""Calls that are refused alike: past what a server can do, most are, and each costs time.

Of those that come in one turn of the event loop, the first is judged; others that are the same in
all that its refusal rests on are refused in the same words, without ever becoming streams.
"""

import struct
from typing import Final, NamedTuple

from evenface_transport import frames
from evenface_transport.heads import RequestHead
from evenface_transport.messages import PREFIX_BYTES
from evenface_transport.reader import DATA_FRAME_BYTES
from evenface_transport.status import Alike

# The head of a frame, and of the message that it begins with.
_OPENING: Final = struct.Struct(">HBBBLBL")


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


class Refused(NamedTuple):
    """How a call was refused.

    Attributes:
        alike: What others have to have in common with it, and how many there were.
        head: Of its request.
        beginning: Of its request.
        trailers: That it ended with.
        max_bytes: Of a request, beyond which it would have been refused for that.
    """

    alike: Alike
    head: RequestHead
    beginning: bytes
    trailers: bytes
    max_bytes: int

    def match(self, number: int, data: memoryview, at: int, size: int) -> Request | None:
        """Return the request of a call with the same head; None where it has to be looked at.

        Args:
            number: Of the stream.
            data: What has come in.
            at: Where in it the frame after the head begins.
            size: Bytes that have come in.
        """
        start = at + _OPENING.size
        stop = start + len(self.beginning)
        if size < stop:
            return None
        high, low, kind, flags, stream, compressed, message = _OPENING.unpack_from(data, at)
        length = high << 8 | low
        is_plain = kind == frames.DATA and flags & ~frames.END_STREAM == 0 and not compressed
        if not is_plain or stream != number or bytes(data[start:stop]) != self.beginning:
            return None
        excess = length - PREFIX_BYTES - message
        if excess > 0 or length > DATA_FRAME_BYTES or message > self.max_bytes:
            return None
        end = at + frames.HEADER_BYTES + length
        if end < stop or message < len(self.beginning):
            return None
        is_last = bool(flags & frames.END_STREAM)
        if is_last and excess:
            return None  # it ends too early
        return Request(length, end, not excess and end <= size, is_last and end <= size)
