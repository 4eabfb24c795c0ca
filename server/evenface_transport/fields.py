"""HPACK (RFC 7541), the receiving half: header blocks to names and values.

Written out for speed: most fields of most blocks are references to the table or short plain
literals. Huffman codes are the library's work.
"""

from collections import deque
from typing import Final

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from evenface_transport.frames import ErrorCode, ProtocolError

Field = tuple[bytes, bytes]

FIELD_OVERHEAD: Final = 32  # of each field, where RFC 7541 counts bytes
_STATIC: Final[tuple[Field, ...]] = HeaderTable.STATIC_TABLE
_STATIC_ENTRIES: Final = len(_STATIC)
_TABLE_BYTES: Final = 4096  # what a peer may use of us, as we never offer another size

# The first bits of a field say what it is; those after them begin a number.
_INDEXED, _INSERTED, _RESIZED = 0x80, 0x40, 0x20
_INDEX_MASK, _INSERTED_MASK, _RESIZED_MASK, _PLAIN_MASK = 0x7F, 0x3F, 0x1F, 0x0F
_HUFFMAN, _LENGTH_MASK = 0x80, 0x7F
_MORE, _SEVEN_BITS, _MAX_SHIFT = 0x80, 7, 28


class FieldDecoder:
    """Decodes the header blocks of one connection, in the order they came.

    Args:
        max_bytes: Of a block's names and values, as RFC 9113 counts them (32 more for each).

    Attributes:
        changes: How often the peer's table has changed.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._table: deque[Field] = deque()
        self._size = 0
        self._max_size = _TABLE_BYTES
        self.changes = 0

    def decode(self, block: bytes, at: int = 0) -> list[Field]:
        """Return the fields of a block.

        Args:
            block: The block.
            at: Where in it to begin: only after references, which change nothing.

        Raises:
            ProtocolError: It is not HPACK, or too large; nothing after it could be read.
        """
        try:
            return self._decode(block, at)
        except (IndexError, HPACKError, _Broken) as error:
            problem = f"a header block cannot be decoded: {error}"[:200]
            raise ProtocolError(ErrorCode.COMPRESSION_ERROR, problem) from error

    def _decode(self, block: bytes, at: int) -> list[Field]:
        fields: list[Field] = []
        may_resize, end, room = at == 0, len(block), self._max_bytes
        while at < end:
            first = block[at]
            at += 1
            if first >= _INDEXED:
                index = first & _INDEX_MASK
                if index == _INDEX_MASK:
                    index, at = _number(block, at, index)
                field = self._entry(index)
            elif first >= _INSERTED:
                field, at = self._literal(block, at, first & _INSERTED_MASK, _INSERTED_MASK)
                self._insert(field)
            elif first >= _RESIZED:
                if fields or not may_resize:
                    raise _Broken("the table changes its size within a block")
                at = self._resize(block, at, first & _RESIZED_MASK)
                continue
            else:
                field, at = self._literal(block, at, first & _PLAIN_MASK, _PLAIN_MASK)
            fields.append(field)
            room -= len(field[0]) + len(field[1]) + FIELD_OVERHEAD
            if room < 0:
                raise _Broken(f"more than {self._max_bytes} bytes")
        if at != end:
            raise _Broken("it ends within a field")
        return fields

    def _literal(self, block: bytes, at: int, index: int, mask: int) -> tuple[Field, int]:
        """Read a field whose value, and maybe name, is written out (section 6.2)."""
        if index:
            if index == mask:
                index, at = _number(block, at, index)
            name = self._entry(index)[0]
        elif (size := block[at]) < _LENGTH_MASK:  # short and plain, as nearly all are
            at += 1 + size
            name = block[at - size : at]
        else:
            name, at = _string(block, at)
        if (size := block[at]) < _LENGTH_MASK:
            at += 1 + size
            value = block[at - size : at]
        else:
            value, at = _string(block, at)
        return (name, value), at

    def _entry(self, index: int) -> Field:
        if index > _STATIC_ENTRIES:
            return self._table[index - _STATIC_ENTRIES - 1]
        if index == 0:
            raise _Broken("there is no entry 0")
        return _STATIC[index - 1]

    def _insert(self, field: Field) -> None:
        self.changes += 1
        self._table.appendleft(field)
        self._size += _size(field)
        self._evict()

    def _resize(self, block: bytes, at: int, size: int) -> int:
        if size == _RESIZED_MASK:
            size, at = _number(block, at, size)
        if size > _TABLE_BYTES:
            raise _Broken(f"a table of {size} bytes; limit {_TABLE_BYTES}")
        self.changes += 1
        self._max_size = size
        self._evict()
        return at

    def _evict(self) -> None:
        while self._size > self._max_size:
            self._size -= _size(self._table.pop())


class _Broken(Exception):
    """What is wrong with a block."""


def _size(field: Field) -> int:
    return len(field[0]) + len(field[1]) + FIELD_OVERHEAD


def _number(block: bytes, at: int, value: int) -> tuple[int, int]:
    """Read what of a number did not fit its first byte (section 5.1)."""
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & ~_MORE) << shift
        if byte < _MORE:
            return value, at
        shift += _SEVEN_BITS
        if shift > _MAX_SHIFT:
            raise _Broken("a number is too long")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    first = block[at]
    size = first & _LENGTH_MASK
    at += 1
    if size == _LENGTH_MASK:
        size, at = _number(block, at, size)
    text = block[at : at + size]
    if len(text) != size:
        raise _Broken("it ends within a text")
    return (decode_huffman(text) if first & _HUFFMAN else text), at + size
