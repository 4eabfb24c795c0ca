"""gRPC's messages within the data of a stream: a flag, a length, and so many bytes."""

import zlib
from typing import Final

from evenface_transport.status import Code, StatusError

PREFIX_BYTES: Final = 5
_GZIP, _DEFLATE = 31, 15  # zlib's names for the two wrappings
_WRAPPINGS: Final = {"gzip": _GZIP, "deflate": _DEFLATE}


def prefix(size: int) -> bytes:
    """Return what goes before an uncompressed message of a size."""
    return b"\0" + size.to_bytes(4, "big")


def encoding_error(name: str) -> StatusError | None:
    """Return what is wrong with a way of compressing messages; None where nothing is."""
    if name == "identity" or name in _WRAPPINGS:
        return None
    problem = f"grpc-encoding '{name[:50]}' is not supported; identity, gzip and deflate are"
    return StatusError(Code.UNIMPLEMENTED, problem)


class Assembler:
    """Puts the messages of one stream together from its data.

    Args:
        encoding: How compressed messages are compressed.
        max_bytes: Of one message, before and after decompression.

    Attributes:
        begun: The size of a message that has just begun; whoever has seen it sets it to None.
        missing: Bytes that the message at hand still lacks.
    """

    __slots__ = ("_encoding", "_flag", "_head", "_max_bytes", "_parts", "begun", "missing")

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._head = b""
        self._flag = 0
        self._parts: list[bytes] = []
        self.begun: int | None = None
        self.missing = 0

    @property
    def is_between(self) -> bool:
        """Whether no message has been begun and not ended."""
        return not self._head

    def feed(self, data: bytes, at: int, end: int) -> tuple[int, bytes | None]:
        """Take of data[at:end] what belongs to the message at hand.

        Returns:
            Where the next message begins, and the message, once it is whole.

        Raises:
            StatusError: The message is too large, or compressed in another way.
        """
        if len(self._head) < PREFIX_BYTES:
            at = self._read_prefix(data, at, end)
            if len(self._head) < PREFIX_BYTES:
                return at, None
        stop = min(end, at + self.missing)
        self._parts.append(data[at:stop])
        self.missing -= stop - at
        return stop, None if self.missing else self._finish()

    def _read_prefix(self, data: bytes, at: int, end: int) -> int:
        stop = min(end, at + PREFIX_BYTES - len(self._head))
        self._head += data[at:stop]
        if len(self._head) == PREFIX_BYTES:
            self._flag = self._head[0]
            size = int.from_bytes(self._head[1:], "big")
            _check_size(size, self._max_bytes)
            if self._flag and (self._flag > 1 or self._encoding == "identity"):
                raise StatusError(Code.INTERNAL, "a message is compressed without grpc-encoding")
            self.begun = self.missing = size
        return stop

    def _finish(self) -> bytes:
        parts, self._parts, self._head = self._parts, [], b""
        message = parts[0] if len(parts) == 1 else b"".join(parts)
        return _decompress(message, self._encoding, self._max_bytes) if self._flag else message


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise StatusError(
            Code.RESOURCE_EXHAUSTED, f"the request has {size} bytes or more; limit {limit}"
        )


def _decompress(data: bytes, encoding: str, limit: int) -> bytes:
    inflater = zlib.decompressobj(_WRAPPINGS[encoding])
    try:
        message = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise StatusError(Code.INTERNAL, f"a message is no {encoding} data") from error
    _check_size(len(message), limit)
    if not inflater.eof:
        raise StatusError(Code.INTERNAL, f"a message ends within its {encoding} data")
    return message
