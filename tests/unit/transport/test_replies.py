"""Header blocks of replies: any decoder can read them, and nothing is smuggled in."""

from urllib.parse import unquote

import hpack
import pytest
from evenface_transport import Code, replies
from evenface_transport.replies import MAX_BLOCK_BYTES, metadata_fields, status_fields
from hypothesis import given
from hypothesis import strategies as st


def fields(block: bytes) -> dict[str, str]:
    return {str(name): str(value) for name, value in hpack.Decoder().decode(block)}


@given(st.text(max_size=400))
def test_any_text_of_a_status_comes_back_as_it_was(text: str) -> None:
    found = fields(status_fields(Code.NOT_FOUND, text))
    assert found["grpc-status"] == "5"
    assert unquote(found.get("grpc-message", "")) == text.encode("utf-8", "replace").decode()
    assert found.get("grpc-message", "").isprintable()


@pytest.mark.parametrize("text", ["a" * 10**6, "%" * 10**6, "😀" * 10**6, "\ud800" * 5000])
def test_a_text_without_end_is_cut_between_characters(text: str) -> None:
    block = status_fields(Code.INTERNAL, text)
    assert len(block) < MAX_BLOCK_BYTES
    shown = unquote(fields(block)["grpc-message"], errors="strict")
    assert len(shown) >= 200
    assert shown in (text[: len(shown)], "?" * len(shown))


def test_metadata_of_both_kinds_is_encoded() -> None:
    block = metadata_fields([("x-text", "a b"), ("x-raw-bin", b"\0\xff"), ("x-long", "y" * 300)])
    assert fields(block) == {"x-text": "a b", "x-raw-bin": "AP8", "x-long": "y" * 300}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("x-a", "line\r\nbreak"),
        ("x-a", "naïve"),
        ("x-a", b"bytes"),
        ("x-a-bin", "text"),
        ("X-Upper", "a"),
        ("x a", "a"),
        (":path", "a"),
        ("", "a"),
        ("grpc-status", "0"),
    ],
)
def test_what_cannot_be_metadata_is_refused_by_its_key(key: str, value: str | bytes) -> None:
    with pytest.raises(ValueError, match=f"'{key}"):
        metadata_fields([(key, value)])


def test_what_is_long_is_not_remembered() -> None:
    before = replies._in_base64.cache_info()  # noqa: SLF001 - nothing else shows it
    for number in range(10):
        metadata_fields([("x-long-bin", bytes([number]) * 5000)])
    assert replies._in_base64.cache_info() == before  # noqa: SLF001
    text = status_fields(Code.INTERNAL, "a" * 10**6)
    assert status_fields(Code.INTERNAL, "a" * 10**6 + "b") is text
