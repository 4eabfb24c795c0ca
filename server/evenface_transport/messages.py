"""gRPC's messages within the data of a stream: a flag, a length, and so many bytes."""

import struct
from io import BytesIO
from typing import Final

from evenface_transport.status import Code, StatusError

PREFIX: Final = struct.Struct(">BL")  # whether the message is compressed, its size
PREFIX_BYTES: Final = PREFIX.size


class Compressed(bytes):
    """A message that has yet to be inflated."""

    __slots__ = ()


class Assembler:
    """Puts the messages of one stream together from its data.

    Args:
        max_bytes: Of one message, as it comes in.
        may_compress: Whether the caller has said how messages are compressed.

    Attributes:
        max_bytes: As above.
        size: Of the message at hand; negative between messages.
        missing: Bytes that it still lacks.
        is_compressed: Whether it is compressed.
    """

    __slots__ = (
        "_body",
        "_head",
        "_may_compress",
        "is_compressed",
        "max_bytes",
        "missing",
        "size",
    )

    def __init__(self, max_bytes: int, *, may_compress: bool) -> None:
        self.max_bytes = max_bytes
        self._may_compress = may_compress
        self._head = b""
        self._body: BytesIO | None = None
        self.is_compressed = False
        self.size = -1
        self.missing = 0

    @property
    def is_between(self) -> bool:
        """Whether no message has been begun and not ended."""
        return self.size < 0 and not self._head

    def clear(self) -> None:
        """Forget what there is of a message."""
        self._head, self._body = b"", None
        self.size, self.missing = -1, 0

    def begin(self, data: memoryview, at: int, end: int) -> int:
        """Read what goes before a message; with the whole of it, `size` is known.

        Returns:
            Where in data[at:end] the message itself begins.

        Raises:
            StatusError: The message is too large, or compressed without a word about how.
        """
        if self._head or end - at < PREFIX_BYTES:
            stop = min(end, at + PREFIX_BYTES - len(self._head))
            self._head += bytes(data[at:stop])
            if len(self._head) < PREFIX_BYTES:
                return stop
            flag, size = PREFIX.unpack(self._head)
            self._head = b""
        else:
            flag, size = PREFIX.unpack_from(data, at)
            stop = at + PREFIX_BYTES
        if size > self.max_bytes:
            raise StatusError(
                Code.RESOURCE_EXHAUSTED, f"a request of {size} bytes; limit {self.max_bytes}"
            )
        if flag and (flag > 1 or not self._may_compress):
            raise StatusError(Code.INTERNAL, "a message is compressed without grpc-encoding")
        self.is_compressed = bool(flag)
        self.size = self.missing = size
        return stop

    def extend(self, data: memoryview, at: int, end: int) -> bool:
        """Take data[at:end], if it is amid the message at hand; return whether it is."""
        if self._body is None or end - at >= self.missing:
            return False
        self._body.write(data[at:end])
        self.missing -= end - at
        return True

    def add(self, data: memoryview, at: int, end: int) -> tuple[int, bytes | None]:
        """Take of data[at:end] what belongs to the message at hand.

        Returns:
            Where the next message begins, and the message, once it is whole.
        """
        if self._body is None and end - at >= self.size:
            stop = at + self.size
            message = bytes(data[at:stop])
        else:
            if self._body is None:
                # Its room is made once, and handed on as it is when full.
                self._body = BytesIO(bytes(self.size))
            stop = min(end, at + self.missing)
            self._body.write(data[at:stop])
            self.missing -= stop - at
            if self.missing:
                return stop, None
            message, self._body = self._body.getvalue(), None
        self.size, self.missing = -1, 0
        return stop, Compressed(message) if self.is_compressed else message
