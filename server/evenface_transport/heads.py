"""What the header block of a request says of the call.

A client's blocks mostly begin with the same references to its table. What a run of references
says holds until that table changes, and is worked out only once. Some clients, proxies that build
on nghttp2 among them, write paths out each time: their last block is remembered as it is.
"""

import base64
import binascii
import re
from typing import Final, NamedTuple

from evenface_transport.fields import FIELD_OVERHEAD, FieldDecoder
from evenface_transport.status import Code, StatusError

_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_NAME: Final = re.compile(rb"[0-9a-z!#$%&'*+.^_`|~-]+")
_ILLEGAL: Final = re.compile(rb"[\0\r\n]")
_REFERENCES: Final = re.compile(rb"[\x81-\xfe]*")  # to entries that one byte can name
_MAX_REMEMBERED_BYTES: Final = 65_536
_MAX_LAST_BYTES: Final = 1024
_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_OF_HTTP: Final = frozenset((b"content-type", b"te", b"grpc-timeout", b"grpc-encoding"))
_FORBIDDEN: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_CONTENT_TYPE: Final = b"application/grpc"
# A block somewhat over the limit is read and its call refused; one far over ends the connection.
_READ: Final = 4


class RequestHead(NamedTuple):
    """What the header block of a request says.

    Attributes:
        path: "/package.Service/Method".
        metadata: What the caller sent of its own, in order; bytes for keys that end in "-bin".
        timeout: Seconds that the caller gives the call; None for as long as it takes.
        encoding: How the messages may be compressed.
        is_grpc: Whether this is a call of gRPC at all.
        size: Bytes of it, as RFC 9113 counts them.
        problem: Why the call cannot be answered; None where it can.
    """

    path: str
    metadata: tuple[tuple[str, str | bytes], ...]
    timeout: float | None
    encoding: str
    is_grpc: bool
    size: int
    problem: StatusError | None


class MalformedRequest(Exception):
    """A header block that is no request: its stream is reset, the connection goes on."""


class HeadDecoder:
    """Decodes the header blocks of one connection, in the order they came.

    Args:
        max_bytes: Of a block's names and values, as RFC 9113 counts them (32 more for each).
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._decoder = FieldDecoder(_READ * max_bytes)
        self._heads: dict[bytes, RequestHead] = {}
        self._drafts: dict[bytes, _Draft] = {}
        self._last: tuple[bytes, RequestHead] | None = None
        self._changes = 0
        self._remembered = 0
        self.max_block = _READ * max_bytes

    def decode(self, block: bytes) -> RequestHead:
        """Read the block that opens a stream.

        Raises:
            ProtocolError: It is not HPACK, or far too large; nothing after it could be read.
            MalformedRequest: It is no request.
        """
        return self.known(block) or self._decode(block)

    def known(self, block: bytes) -> RequestHead | None:
        """Return what a block says that has been read before, and still says the same."""
        if self._last is not None and self._last[0] == block:
            return self._last[1]
        return self._heads.get(block)

    def skip(self, block: bytes) -> None:
        """Read a block for what it does to the table alone.

        Raises:
            ProtocolError: As `decode`.
        """
        self._decoder.decode(block)
        self._forget()

    def _decode(self, block: bytes) -> RequestHead:
        run = _REFERENCES.match(block)
        size = run.end() if run else 0
        known = self._drafts.get(block[:size])
        # All of the block is decoded before any of it is judged, so that the table stays right.
        fields = self._decoder.decode(block, size if known else 0)
        draft = known.copy() if known else _Draft(self._max_bytes)
        is_same = self._changes == self._decoder.changes
        if not is_same or self._remembered > _MAX_REMEMBERED_BYTES:
            self._forget()
        for name, value in fields:
            draft.add(name, value)
        head = draft.head()
        if size == len(block) and head.problem is None:
            self._heads[block] = head
            self._remembered += head.size
            return head
        if is_same and size and not known:
            self._drafts[block[:size]] = self._draft(block[:size])
            self._remembered += head.size
        if is_same and head.problem is None and head.size <= _MAX_LAST_BYTES:
            self._last = block, head
        return head

    def _draft(self, run: bytes) -> "_Draft":
        draft = _Draft(self._max_bytes)
        for name, value in self._decoder.decode(run):
            draft.add(name, value)
        return draft

    def _forget(self) -> None:
        self._changes = self._decoder.changes
        self._remembered = 0
        self._last = None
        self._heads.clear()
        self._drafts.clear()


class _Draft:
    """What the fields that were read so far say."""

    __slots__ = ("_max_bytes", "_metadata", "_of_http", "_problem", "_pseudo", "_size")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pseudo: dict[bytes, bytes] = {}
        self._of_http: dict[bytes, bytes] = {}
        self._metadata: list[tuple[str, str | bytes]] = []
        self._size = 0
        self._problem: StatusError | None = None

    def copy(self) -> "_Draft":
        """Return another that can go on from here."""
        other = _Draft(self._max_bytes)
        other._pseudo, other._of_http = self._pseudo.copy(), self._of_http.copy()
        other._metadata = self._metadata.copy()
        other._size, other._problem = self._size, self._problem
        return other

    def add(self, name: bytes, value: bytes) -> None:
        """Take one field.

        Raises:
            MalformedRequest: It has no place in a request.
        """
        self._size += len(name) + len(value) + FIELD_OVERHEAD
        if _ILLEGAL.search(value):
            raise MalformedRequest(f"value of {name!r}")
        if name in _OF_HTTP:
            self._of_http[name] = value
        elif name in _PSEUDO:
            if name in self._pseudo or self._of_http or self._metadata:
                raise MalformedRequest(f"pseudo-header {name!r}")
            self._pseudo[name] = value
        elif not _NAME.fullmatch(name) or name in _FORBIDDEN:
            raise MalformedRequest(f"header {name!r}")
        elif name.endswith(b"-bin"):
            self._add_binary(name, value)
        elif not name.startswith(b"grpc-"):
            self._metadata.append((str(name, "ascii"), str(value, "latin-1")))

    def _add_binary(self, name: bytes, value: bytes) -> None:
        key = str(name, "ascii")
        try:
            values = [(key, _from_base64(part)) for part in value.split(b",")]
        except (binascii.Error, ValueError):
            self._problem = StatusError(Code.INTERNAL, f"metadata '{key[:50]}' is not base64")
        else:
            if not name.startswith(b"grpc-"):
                self._metadata.extend(values)

    def head(self) -> RequestHead:
        """Return what all fields say.

        Raises:
            MalformedRequest: One is missing.
        """
        pseudo, of_http = self._pseudo, self._of_http
        path, method = pseudo.get(b":path"), pseudo.get(b":method")
        if not path or method is None or not pseudo.get(b":scheme"):
            raise MalformedRequest("a pseudo-header is missing")
        if of_http.get(b"te", b"trailers") != b"trailers":
            raise MalformedRequest("header 'te'")
        kind = of_http.get(b"content-type", b"")
        timeout, problem = self._timeout()
        return RequestHead(
            path=str(path, "latin-1"),
            metadata=tuple(self._metadata),
            timeout=timeout,
            encoding=str(of_http.get(b"grpc-encoding", b"identity"), "latin-1"),
            is_grpc=method == b"POST" and _is_grpc(kind),
            size=self._size,
            problem=problem,
        )

    def _timeout(self) -> tuple[float | None, StatusError | None]:
        if self._size > self._max_bytes:
            problem = f"the metadata has {self._size} bytes; limit {self._max_bytes}"
            return None, StatusError(Code.RESOURCE_EXHAUSTED, problem)
        text = self._of_http.get(b"grpc-timeout")
        if text is None:
            return None, self._problem
        match = _TIMEOUT.fullmatch(text)
        if match is None:
            shown = str(text[:20], "latin-1")
            return None, StatusError(Code.INTERNAL, f"grpc-timeout '{shown}' is no time")
        return int(match[1]) * _UNITS[match[2]], self._problem


def _is_grpc(kind: bytes) -> bool:
    return kind == _CONTENT_TYPE or kind.startswith((_CONTENT_TYPE + b"+", _CONTENT_TYPE + b";"))


def _from_base64(text: bytes) -> bytes:
    bare = text.strip().rstrip(b"=")
    return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
