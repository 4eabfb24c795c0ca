"""Header blocks of replies: how they begin, and how they end.

They leave the peer's table alone, so that each can be put together without regard to the others.
"""

import base64
import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from evenface_transport.status import Code, Metadata

# What a peer must be able to take, and what gRPC's clients take if not told otherwise.
MAX_BLOCK_BYTES: Final = 8192
_MAX_TEXT_BYTES: Final = 3072
_REMEMBERED_BYTES: Final = 1024
_MOST_ESCAPED: Final = 12  # bytes for one character
_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_OURS: Final = frozenset(("content-type", "grpc-status", "grpc-message", "grpc-encoding"))
_UNESCAPED: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_CONTENT_TYPE: Final = b"application/grpc"
_SIZES: Final = tuple(bytes((size,)) for size in range(127))  # those of one byte


def _integer(value: int, prefix_bits: int, first: int = 0) -> bytes:
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes((first | value,))
    out = bytearray((first | most,))
    value -= most
    while value >= 0x80:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    if not _NAME.fullmatch(name) or name in _OURS:
        raise ValueError(f"'{name[:50]}' cannot name metadata")
    raw = name.encode("ascii")
    return b"\0" + _integer(len(raw), 7) + raw


def _field(name: str, value: bytes) -> bytes:
    """Encode a header without touching the peer's table (RFC 7541, section 6.2.2)."""
    raw = name.encode("ascii")
    return b"\0" + _integer(len(raw), 7) + raw + _integer(len(value), 7) + value


def metadata_fields(metadata: Metadata) -> bytes:
    """Encode metadata.

    Raises:
        ValueError: A key or a value that cannot be sent.
    """
    parts: list[bytes] = []
    for name, value in metadata:
        raw = _value(name, value)
        size = len(raw)
        parts += (_name(name), _SIZES[size] if size < len(_SIZES) else _integer(size, 7), raw)
    return b"".join(parts)


def error_fields(metadata: tuple[tuple[str, str | bytes], ...]) -> bytes:
    """Encode the metadata of an error, which many calls may end with.

    Raises:
        ValueError: As `metadata_fields`.
    """
    size = sum(len(value) for _, value in metadata)
    return (_error_fields if size <= _REMEMBERED_BYTES else metadata_fields)(metadata)


def _value(name: str, value: str | bytes) -> bytes:
    if isinstance(value, bytes) != name.endswith("-bin"):
        raise ValueError(f"'{name[:50]}': text belongs to plain keys, bytes to those in -bin")
    if isinstance(value, bytes):
        return (_in_base64 if len(value) <= _REMEMBERED_BYTES else _in_base64.__wrapped__)(value)
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"'{name[:50]}' has a value that is not printable ASCII")
    return value.encode("ascii")


@lru_cache(maxsize=256)
def _in_base64(value: bytes) -> bytes:
    return base64.b64encode(value).rstrip(b"=")


_error_fields = lru_cache(maxsize=256)(metadata_fields)


def status_fields(code: Code, text: str) -> bytes:
    """Encode how a call ended; the text is percent-encoded as gRPC asks for, and cut."""
    return _status_fields(code, text[:_MAX_TEXT_BYTES])


@lru_cache(maxsize=256)
def _status_fields(code: Code, text: str) -> bytes:
    fields = _field("grpc-status", b"%d" % code)
    if text:
        escaped = _escape(text)
        if len(escaped) > _MAX_TEXT_BYTES:
            escaped = _escape(text[: _MAX_TEXT_BYTES // _MOST_ESCAPED])
        fields += _field("grpc-message", escaped)
    return fields


def _escape(text: str) -> bytes:
    return quote(text, safe=_UNESCAPED, errors="replace").encode("ascii")


# ":status: 200" is entry 8 of the static table, "content-type" entry 31.
REPLY_HEAD: Final = (
    b"\x88\x0f\x10" + bytes((len(_CONTENT_TYPE),)) + _CONTENT_TYPE
    + _field("grpc-accept-encoding", b"identity,deflate,gzip")
)  # fmt: skip
STATUS_OK: Final = status_fields(Code.OK, "")
# Entry 8 of the static table with another value, for what is no gRPC: 415 Unsupported Media Type.
UNSUPPORTED: Final = b"\x08\x03415"
# Goes before the first block of a connection: our table is empty and stays so, whatever size the
# peer's settings allow it (RFC 7541, section 4.2).
EMPTY_TABLE: Final = b"\x20"
