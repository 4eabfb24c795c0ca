"""Header blocks are decoded as RFC 7541 says, and as the library `hpack` decodes them."""

import hpack
import pytest
from evenface_transport.fields import FieldDecoder
from evenface_transport.frames import ErrorCode, ProtocolError
from hypothesis import given
from hypothesis import strategies as st

LIMIT = 65_536


def decode(decoder: FieldDecoder, text: str) -> list[tuple[str, str]]:
    return [(a.decode(), b.decode()) for a, b in decoder.decode(bytes.fromhex(text))]


def test_the_requests_of_rfc_7541_appendix_c_3_are_read() -> None:
    decoder = FieldDecoder(LIMIT)
    first = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ]
    assert decode(decoder, "828684410f7777772e6578616d706c652e636f6d") == first
    assert decode(decoder, "828684be58086e6f2d6361636865") == [
        *first,
        ("cache-control", "no-cache"),
    ]
    third = decode(decoder, "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565")
    assert third[-1] == ("custom-key", "custom-value")
    assert third[3] == first[3]


def test_the_requests_of_rfc_7541_appendix_c_4_with_huffman_codes_are_read() -> None:
    decoder = FieldDecoder(LIMIT)
    assert decode(decoder, "828684418cf1e3c2e5f23a6ba0ab90f4ff")[3][1] == "www.example.com"
    assert decode(decoder, "828684be5886a8eb10649cbf")[4] == ("cache-control", "no-cache")


NAMES = st.sampled_from([b":path", b"te", b"x-a", b"x-b", b"", b"user-agent", b"n" * 200])
VALUES = st.one_of(st.sampled_from([b"", b"a", b"v" * 130]), st.binary(max_size=20))
FIELDS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=12)
SIZES = st.sampled_from([None, 0, 64, 500, 4096])
BLOCKS = st.lists(st.tuples(FIELDS, st.booleans(), SIZES), max_size=8)


@given(BLOCKS)
def test_what_any_encoder_makes_of_any_fields_is_read_back(
    blocks: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]],
) -> None:
    encoder, decoder = hpack.Encoder(), FieldDecoder(10**6)
    for fields, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = bytes(encoder.encode(fields, huffman=huffman))
        assert decoder.decode(block) == [(name, value) for name, value, _ in fields]


PIECES = st.sampled_from(
    [b"\x82", b"\xbe", b"\xbf", b"\xc0", b"\x80", b"\xff\x00", b"\xff\x80\x80\x80\x80\x80\x01",
     b"\x00\x01a\x01b", b"\x40\x01a\x01b", b"\x41\x02xy", b"\x7e\x01z", b"\x0f\x2f\x01v",
     b"\x10\x01n\x01s", b"\x40\x81\x1f\x81\x1f", b"\x20", b"\x3f\x45", b"\x3f\xe1\x1f",
     b"\x3f\xe2\x1f", b"\x00\x7f\x01" + b"l" * 128 + b"\x00", b"\x00\x05abc"]
)  # fmt: skip


@given(st.lists(st.lists(st.one_of(PIECES, st.binary(max_size=6)), max_size=8), max_size=6))
def test_any_bytes_are_read_or_refused_as_the_library_does(blocks: list[list[bytes]]) -> None:
    ours, theirs = FieldDecoder(LIMIT), hpack.Decoder(max_header_list_size=LIMIT)
    for parts in blocks:
        block = b"".join(parts)
        try:
            expected = [(bytes(a), bytes(b)) for a, b in theirs.decode(block, raw=True)]
        except hpack.HPACKError:
            with pytest.raises(ProtocolError) as caught:
                ours.decode(block)
            assert caught.value.code is ErrorCode.COMPRESSION_ERROR
            return
        assert ours.decode(block) == expected


@pytest.mark.parametrize("size", [126, 127, 128, 254, 255, 256, 383, 16_510, 16_511, 16_512])
def test_texts_are_as_long_as_their_numbers_say(size: int) -> None:
    fields = [(b"n" * size, b"v"), (b"n", b"v" * size)]
    block = bytes(hpack.Encoder().encode(fields, huffman=False))
    assert FieldDecoder(LIMIT).decode(block) == fields


def test_more_than_the_limit_is_refused_before_it_is_all_decoded() -> None:
    decoder = FieldDecoder(1000)
    decoder.decode(b"\x40\x01a\x7f\x81\x02" + b"b" * 384)
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        decoder.decode(b"\xbe" * 10_000 + b"\x80")
    assert len(decoder.decode(b"\xbe" * 2)) == 2


def test_changes_of_the_table_are_counted() -> None:
    decoder = FieldDecoder(LIMIT)
    for block, changes in ((b"\x82", 0), (b"\x40\x01a\x01b", 1), (b"\xbe\x00\x01a\x01b", 1)):
        decoder.decode(block)
        assert decoder.changes == changes
    decoder.decode(b"\x20")
    assert decoder.changes == 2
    with pytest.raises(ProtocolError):
        decoder.decode(b"\xbe")
