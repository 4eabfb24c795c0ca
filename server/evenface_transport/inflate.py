"""Compressed messages: inflated step by step, so that a small one cannot become a huge surprise."""

import asyncio
import zlib
from collections.abc import Iterator
from typing import Final

from evenface_transport.budget import Account
from evenface_transport.status import Code, StatusError

IDENTITY: Final = "identity"
_GZIP, _DEFLATE = 31, 15  # zlib's names for the two wrappings
_WRAPPINGS: Final = {"gzip": _GZIP, "deflate": _DEFLATE}
# So much is inflated on the event loop; what is larger goes on in a thread, so much at a time.
_AT_ONCE: Final = 2**16
_STEP: Final = 2**20


def encoding_error(name: str) -> StatusError | None:
    """Return what is wrong with a way of compressing messages; None where nothing is."""
    if name == IDENTITY or name in _WRAPPINGS:
        return None
    problem = f"grpc-encoding '{name[:50]}' is not supported; identity, gzip and deflate are"
    return StatusError(Code.UNIMPLEMENTED, problem)


async def inflate(
    data: bytes, encoding: str, max_bytes: int, account: Account
) -> tuple[bytes, int]:
    """Inflate a message.

    Args:
        data: The message as it came.
        encoding: How it is compressed.
        max_bytes: What it may become.
        account: Where room for that is reserved.

    Returns:
        The message, and the bytes that were reserved for it.

    Raises:
        StatusError: It is too large, there is no room, or these bytes are something else.
    """
    steps = _inflate(data, encoding)
    parts: list[bytes] = []
    size = reserved = 0
    try:
        part, is_whole = next(steps)
        while True:
            parts.append(part)
            size += len(part)
            _check(size, max_bytes)
            if is_whole:
                break
            account.reserve(_STEP)
            reserved += _STEP
            part, is_whole = await asyncio.to_thread(next, steps)
    except BaseException:
        account.release(reserved)
        raise
    return (parts[0] if len(parts) == 1 else b"".join(parts)), reserved


def _inflate(data: bytes, encoding: str) -> Iterator[tuple[bytes, bool]]:
    """Yield what becomes of a message piece by piece, and whether that is all."""
    work = zlib.decompressobj(_WRAPPINGS[encoding])
    source = memoryview(data)
    limit, part = _AT_ONCE, b""
    try:
        for at in range(0, len(source), _STEP):
            tail: bytes | memoryview = source[at : at + _STEP]
            while tail and not work.eof:
                part = work.decompress(tail, limit)
                tail, limit = work.unconsumed_tail, _STEP
                yield part, work.eof
        while not work.eof and part:
            part = work.decompress(b"", _STEP)
            yield part, work.eof
    except zlib.error as error:
        raise StatusError(Code.INTERNAL, f"a message is no {encoding} data") from error
    raise StatusError(Code.INTERNAL, f"a message ends within its {encoding} data")


def _check(size: int, limit: int) -> None:
    if size > limit:
        problem = f"a request of {size} bytes or more when inflated; limit {limit}"
        raise StatusError(Code.RESOURCE_EXHAUSTED, problem)
