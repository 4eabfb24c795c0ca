"""Header blocks: what a request says of itself, and how replies begin and end.

HPACK is `hpack`'s work. A block of nothing but references to the peer's table, as a client's calls
after the first usually are, means the same until that table changes, and is decoded only once.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import hpack

from evenface_transport.frames import ErrorCode, ProtocolError
from evenface_transport.status import Code, Metadata

_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_REFERENCES: Final = bytes(range(0x80, 0x100))
_MAX_REMEMBERED: Final = 256
_PSEUDO: Final = frozenset((":method", ":scheme", ":path", ":authority"))
_OF_HTTP: Final = frozenset(("content-type", "te", "grpc-timeout", "grpc-encoding"))
_FORBIDDEN: Final = frozenset(
    ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
)
_UNESCAPED: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_CONTENT_TYPE: Final = "application/grpc"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What the header block of a request says.

    Attributes:
        path: "/package.Service/Method".
        metadata: What the caller sent of its own, in order; bytes for keys that end in "-bin".
        timeout: Seconds that the caller gives the call; None for as long as it takes.
        encoding: How the messages may be compressed.
        is_grpc: Whether this is a call of gRPC at all.
    """

    path: str
    metadata: tuple[tuple[str, str | bytes], ...]
    timeout: float | None
    encoding: str
    is_grpc: bool


class MalformedRequest(Exception):
    """A header block that is no request: its stream is reset, the connection goes on."""


class HeadDecoder:
    """Decodes the header blocks of one connection, in the order they came.

    Args:
        max_bytes: Of a block's names and values, as RFC 9113 counts them (32 more for each).
    """

    def __init__(self, max_bytes: int) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=max_bytes)
        self._known: dict[bytes, RequestHead] = {}

    def decode(self, block: bytes) -> RequestHead:
        """Read the block that opens a stream.

        Raises:
            ProtocolError: It is not HPACK, or too large; nothing after it could be read.
            MalformedRequest: It is no request.
        """
        return self._known.get(block) or self._decode(block)

    def skip(self, block: bytes) -> None:
        """Read a block for what it does to the table alone.

        Raises:
            ProtocolError: As `decode`.
        """
        self._fields(block)

    def _decode(self, block: bytes) -> RequestHead:
        head = _head_of(self._fields(block))
        if not block.translate(None, _REFERENCES) and len(self._known) < _MAX_REMEMBERED:
            self._known[block] = head
        return head

    def _fields(self, block: bytes) -> list[tuple[str, str]]:
        entries = self._decoder.header_table.dynamic_entries
        count, newest = len(entries), entries[0] if entries else None
        try:
            fields = self._decoder.decode(block, raw=True)
            found = [(str(name, "ascii"), str(value, "latin-1")) for name, value in fields]
        except (hpack.HPACKError, UnicodeDecodeError) as error:
            raise ProtocolError(ErrorCode.COMPRESSION_ERROR, str(error)[:200]) from error
        if count != len(entries) or (entries and entries[0] is not newest):
            self._known.clear()
        return found


def _head_of(fields: list[tuple[str, str]]) -> RequestHead:
    pseudo: dict[str, str] = {}
    plain: dict[str, str] = {}
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name.startswith(":"):
            if name not in _PSEUDO or name in pseudo or plain or metadata:
                raise MalformedRequest(f"pseudo-header {name!r}")
            pseudo[name] = value
        elif name in _OF_HTTP:
            plain[name] = value
        elif not _NAME.fullmatch(name) or name in _FORBIDDEN:
            raise MalformedRequest(f"header {name!r}")
        elif not name.startswith("grpc-"):
            metadata.extend(_metadata(name, value))
    if not pseudo.get(":path") or not pseudo.get(":scheme") or ":method" not in pseudo:
        raise MalformedRequest("a pseudo-header is missing")
    kind = plain.get("content-type", "")
    return RequestHead(
        path=pseudo[":path"],
        metadata=tuple(metadata),
        timeout=_timeout(plain.get("grpc-timeout")),
        encoding=plain.get("grpc-encoding", "identity"),
        is_grpc=pseudo[":method"] == "POST"
        and (kind == _CONTENT_TYPE or kind.startswith((_CONTENT_TYPE + "+", _CONTENT_TYPE + ";"))),
    )


def _metadata(name: str, value: str) -> list[tuple[str, str | bytes]]:
    if not name.endswith("-bin"):
        return [(name, value)]
    try:
        return [(name, _from_base64(part)) for part in value.split(",")]
    except (binascii.Error, ValueError) as error:
        raise MalformedRequest(f"header {name!r} is not base64") from error


def _from_base64(text: str) -> bytes:
    bare = text.strip().rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _timeout(text: str | None) -> float | None:
    if text is None:
        return None
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise MalformedRequest(f"grpc-timeout {text[:20]!r}")
    return int(match[1]) * _UNITS[match[2]]


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


def field(name: str, value: bytes) -> bytes:
    """Encode a header without touching the peer's table (RFC 7541, section 6.2.2)."""
    raw = name.encode("ascii")
    return b"\0" + _integer(len(raw), 7) + raw + _integer(len(value), 7) + value


def metadata_fields(metadata: Metadata) -> bytes:
    """Encode metadata."""
    return b"".join(field(name, _value(value)) for name, value in metadata)


def _value(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return base64.b64encode(value).rstrip(b"=")
    return value.encode("latin-1")


def status_fields(code: Code, text: str) -> bytes:
    """Encode how a call ended; the text is percent-encoded as gRPC asks for."""
    fields = field("grpc-status", b"%d" % code)
    if text:
        fields += field("grpc-message", quote(text, safe=_UNESCAPED).encode("ascii"))
    return fields


# ":status: 200" is entry 8 of the static table, "content-type" entry 31.
REPLY_HEAD: Final = (
    b"\x88\x0f\x10" + bytes((len(_CONTENT_TYPE),)) + _CONTENT_TYPE.encode()
    + field("grpc-accept-encoding", b"identity,deflate,gzip")
)  # fmt: skip
STATUS_OK: Final = status_fields(Code.OK, "")
# Entry 8 of the static table with another value, for what is no gRPC: 415 Unsupported Media Type.
UNSUPPORTED: Final = b"\x08\x03415"
