import struct

import pytest

from benchmarks.serving import http2


def test_frames_come_whole_out_of_a_buffer_and_the_rest_stays() -> None:
    first = http2.frame(http2.DATA, 1, 5, b"abc")
    second = http2.frame(http2.PING, 0, 0, b"12345678")
    buffer = bytearray(first + second[:-1])
    assert list(http2.split(buffer)) == [http2.Frame(http2.DATA, 1, 5, b"abc")]
    buffer += second[-1:]
    assert list(http2.split(buffer)) == [http2.Frame(http2.PING, 0, 0, b"12345678")]
    assert not buffer


def test_a_long_body_is_cut_into_frames_and_the_last_one_ends_the_stream() -> None:
    body = bytes(range(256)) * 150  # 38,400 bytes
    call = http2.PreparedCall(b"headers", body)
    for stream in (7, 2**31 - 1):
        head, *frames = http2.split(bytearray(b"".join(call.frames(stream))))
        assert head == http2.Frame(http2.HEADERS, http2.END_HEADERS, stream, b"headers")
        assert [each.kind for each in frames] == [http2.DATA] * 3
        assert [each.flags for each in frames] == [0, 0, http2.END_STREAM]
        assert {each.stream for each in frames} == {stream}
        assert b"".join(each.payload for each in frames) == body


def test_a_short_body_is_one_frame() -> None:
    frames = http2.PreparedCall(b"h", b"body").frames(5)
    assert list(http2.split(bytearray(b"".join(frames)))) == [
        http2.Frame(http2.HEADERS, http2.END_HEADERS, 5, b"h"),
        http2.Frame(http2.DATA, http2.END_STREAM, 5, b"body"),
    ]


def test_settings_that_concern_a_sender_are_read() -> None:
    payload = struct.pack(">HIHIHI", 3, 100, 5, 16384, 4, 4_194_304)
    assert http2.read_settings(payload) == http2.Settings(100, 4_194_304)
    assert http2.read_settings(b"") == http2.Settings(None, None)


def test_the_reserved_bit_of_a_window_update_is_ignored() -> None:
    assert http2.read_window(b"\x80\0\1\0") == 256


def test_headers_are_literals_that_need_no_table() -> None:
    block = http2.header_block("/a/B", "h:1", 250)
    assert block.startswith(b"\x83\x86\x04\x04/a/B\x01\x03h:1")
    assert block.endswith(b"\x0cgrpc-timeout\x04250m")


def test_a_header_too_long_for_one_length_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 126"):
        http2.header_block("/" + "a" * 126, "h:1", 250)
