"""What payloads may be, and what is in them."""

import struct

import pytest
from evenface_transport import frames, payloads
from evenface_transport.frames import ErrorCode, ProtocolError

PADDED, PRIORITISED = frames.PADDED, frames.PRIORITISED


def test_a_preface_is_waited_for_and_known_by_its_first_wrong_byte() -> None:
    assert payloads.is_preface(frames.PREFACE + b"more")
    assert not payloads.is_preface(frames.PREFACE[:-1])
    assert not payloads.is_preface(b"")
    with pytest.raises(ProtocolError, match="HTTP/2"):
        payloads.is_preface(b"PRI * HTTP/1")


@pytest.mark.parametrize(
    ("flags", "payload", "block"),
    [
        (0, b"block", b"block"),
        (0, b"", b""),
        (PADDED, b"\x02blockxx", b"block"),
        (PADDED, b"\x00block", b"block"),
        (PRIORITISED, b"12345block", b"block"),
        (PADDED | PRIORITISED, b"\x0112345block.", b"block"),
        (PADDED | PRIORITISED, b"\x0112345.", b""),
    ],
)
def test_padding_and_priority_are_taken_off_headers(
    flags: int, payload: bytes, block: bytes
) -> None:
    assert payloads.header_block(flags, payload) == block


@pytest.mark.parametrize(
    ("flags", "payload", "code"),
    [
        (PADDED, b"", ErrorCode.PROTOCOL_ERROR),
        (PADDED, b"\x01", ErrorCode.PROTOCOL_ERROR),
        (PRIORITISED, b"1234", ErrorCode.FRAME_SIZE_ERROR),
        (PADDED | PRIORITISED, b"\x0212345.", ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_headers_shorter_than_they_say_are_refused(
    flags: int, payload: bytes, code: ErrorCode
) -> None:
    with pytest.raises(ProtocolError) as caught:
        payloads.header_block(flags, payload)
    assert caught.value.code is code


def test_of_several_values_for_a_setting_the_last_holds() -> None:
    many = b"".join(struct.pack(">HL", *item) for item in ((4, 1), (5, 16_384), (4, 2), (9, 9)))
    assert payloads.settings(many) == {4: 2, 5: 16_384, 9: 9}


def test_an_increment_ignores_the_reserved_bit() -> None:
    assert payloads.increment(b"\x80\0\0\x05") == 5
    with pytest.raises(ProtocolError):
        payloads.increment(b"\x80\0\0\0")
