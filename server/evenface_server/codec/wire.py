"""Counts the fields of a message before it is parsed.

Parsing turns two bytes into up to a hundred of memory, and holds up the event loop meanwhile: what
is far from any request is refused unparsed. The format: protobuf.dev/programming-guides/encoding.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

from evenface_core.errors import InvalidInput
from google.protobuf.descriptor import Descriptor, FieldDescriptor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LEAST_FIELD_BYTES = 2
# Of numbers one after another in one field, each of which may take eight bytes of memory for one.
_MAX_PACKED_BYTES = 2**20
# No number is longer; of one that never ends, each byte would cost more than the one before.
_MAX_SHIFT = 63
_VARINT_TYPES = frozenset({
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_SINT32,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
})  # fmt: skip


def check_fields(data: bytes, message: Descriptor, limit: int) -> None:
    """Refuse a message with too many fields, those of the messages within it included.

    Args:
        data: The message.
        message: What it is of.
        limit: Fields at most; an entry of a map counts as one.

    Raises:
        InvalidInput: It has more, ends within a field, or has a number, or packed numbers, that are
            too long.
    """
    if len(data) <= limit * _LEAST_FIELD_BYTES:
        return
    try:
        within_limit = _count(data, message, limit)
    except IndexError as error:
        raise InvalidInput(
            "request", "ends within a field, or has a number of more than 10 bytes"
        ) from error
    if not within_limit:
        raise InvalidInput("request", f"more than {limit} fields", limit=limit)


class Leading(NamedTuple):
    """What a request begins with.

    Attributes:
        model: Empty where none is named.
        version: Likewise.
        length: Of the beginning that says so, the first byte of what follows included.
    """

    model: str
    version: str
    length: int


def leading_names(data: bytes) -> Leading | None:
    """Read the model and the version that a request begins with, if it names them.

    They are fields 1 and 2 of every request that has them, and written first, as numbers ascend in
    what is written by all libraries that we know.

    Args:
        data: The beginning of a request.

    Returns:
        Both names; None where that cannot be said.
    """
    names, at = ["", ""], 0
    try:
        for number in (1, 2):
            if at < len(data) and data[at] == number << 3 | _BYTES:
                length, at = _varint(data, at + 1)
                at += length
                names[number - 1] = data[at - length : at].decode()
    except (IndexError, UnicodeDecodeError):
        return None
    return Leading(names[0], names[1], at + 1) if at < len(data) else None


def _count(data: bytes, message: Descriptor, limit: int) -> bool:
    count, packed, parts = 0, 0, [(0, len(data), message)]
    while parts:
        at, end, kind = parts.pop()
        inner, numbers = _messages_in(kind), _numbers_in(kind)
        while at < end:
            count += 1
            if count > limit:
                return False
            key, at = _varint(data, at)
            if key & 7 == _BYTES:
                length, at = _varint(data, at)
                nested = inner.get(key >> 3)
                if nested is not None:
                    parts.append((at, at + length, nested))
                elif key >> 3 in numbers:
                    packed += length
                    _check_packed(packed)
                at += length
            elif key & 7 == _VARINT:
                _, at = _varint(data, at)
            else:
                at += _SIZES.get(key & 7, 0)
        if at > end:
            raise IndexError
    return True


def _check_packed(length: int) -> None:
    if length > _MAX_PACKED_BYTES:
        raise InvalidInput(
            "request",
            f"more than {_MAX_PACKED_BYTES} bytes of numbers in repeated fields",
            limit=_MAX_PACKED_BYTES,
        )


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) & 0x80:
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if shift > _MAX_SHIFT:
            raise IndexError
    return value | byte << shift, at + 1


@functools.cache
def _messages_in(message: Descriptor) -> Mapping[int, Descriptor]:
    """By number, the fields of a message that are messages themselves, but for entries of maps."""
    return {
        field.number: field.message_type
        for field in message.fields
        if field.type == FieldDescriptor.TYPE_MESSAGE
        and field.message_type is not None
        and not field.message_type.GetOptions().map_entry
    }


@functools.cache
def _numbers_in(message: Descriptor) -> frozenset[int]:
    """By number, the fields of a message that hold many numbers of one byte or more each."""
    return frozenset(
        field.number
        for field in message.fields
        if field.type in _VARINT_TYPES and field.is_repeated
    )
