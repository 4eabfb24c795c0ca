"""What a header block says of a call, however it was encoded and whatever was seen before."""

import hpack
import pytest
from evenface_transport import Code
from evenface_transport.heads import HeadDecoder, MalformedRequest, RequestHead
from hypothesis import given
from hypothesis import strategies as st

CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/t/echo"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


def head_of(*more: tuple[str, str], limit: int = 8192) -> RequestHead:
    return HeadDecoder(limit).decode(bytes(hpack.Encoder().encode([*CALL, *more])))


def test_a_head_has_path_metadata_and_how_messages_come() -> None:
    head = head_of(("grpc-encoding", "gzip"), ("x-a", "1"), ("grpc-timeout", "2S"), ("x-a", "2"))
    assert head.path == "/t/echo"
    assert head.metadata == (("x-a", "1"), ("x-a", "2"))
    assert (head.encoding, head.timeout, head.is_grpc, head.problem) == ("gzip", 2.0, True, None)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("AAEC", [b"\0\1\2"]),
        ("AAE=", [b"\0\1"]),
        ("AAE", [b"\0\1"]),
        ("AAE,AAEC", [b"\0\1", b"\0\1\2"]),
        ("", [b""]),
        (" AAE= ", [b"\0\1"]),
    ],
)
def test_binary_metadata_is_base64_with_padding_or_without(text: str, values: list[bytes]) -> None:
    assert head_of(("x-bin", text)).metadata == tuple(("x-bin", value) for value in values)


def test_what_grpc_keeps_to_itself_is_no_metadata() -> None:
    head = head_of(("grpc-accept-encoding", "gzip"), ("grpc-trace-bin", "AAE"), ("host", "h"))
    assert head.metadata == (("host", "h"),)


EXTRAS = st.lists(
    st.sampled_from(
        [
            ("x-request-id", "1"), ("x-request-id", "2"), ("x-raw-bin", "AAE"), ("x-bad-bin", "*"),
            ("grpc-timeout", "1S"), ("grpc-timeout", "2S"), ("grpc-timeout", "?"), ("te", "gzip"),
            ("user-agent", "a"), ("x-long", "y" * 300), ("connection", "x"), (":path", "/again"),
        ]
    ),
    max_size=4,
)  # fmt: skip
STEPS = st.lists(st.tuples(EXTRAS, st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(STEPS)
def test_what_was_seen_before_never_changes_what_a_block_means(
    steps: list[tuple[list[tuple[str, str]], bool, bool]],
) -> None:
    """The decoder remembers what runs of references mean; a fresh one has nothing to remember."""
    encoder, decoder = hpack.Encoder(), HeadDecoder(600)
    for extras, is_sensitive, resizes in steps:
        if resizes:
            encoder.header_table_size = 200 if encoder.header_table_size > 200 else 4096
        fields = [(name, value, False) for name, value in CALL]
        fields += [(name, value, is_sensitive) for name, value in extras]
        block = bytes(encoder.encode(fields))
        plain = bytes(hpack.Encoder().encode([(name, value) for name, value, _ in fields]))
        assert _outcome(decoder, block) == _outcome(HeadDecoder(600), plain)


def _outcome(decoder: HeadDecoder, block: bytes) -> object:
    try:
        head = decoder.decode(block)
    except MalformedRequest:
        return "malformed"
    problem = head.problem
    return head._replace(problem=None), problem and (problem.code, problem.text)


def test_a_block_that_is_written_out_means_something_else_once_the_table_has_changed() -> None:
    encoder, decoder = hpack.Encoder(), HeadDecoder(600)
    decoder.decode(bytes(encoder.encode([*CALL, ("x-name", "first")])))
    newest_entry, path_written_out = b"\xbe", b"\x04\x02/b"
    block = b"\x83\x86" + path_written_out + newest_entry
    before = [decoder.decode(block) for _ in range(3)]
    decoder.decode(bytes(encoder.encode([*CALL, ("x-name", "second")])))
    after = decoder.decode(block)
    assert [head.metadata for head in before] == [(("x-name", "first"),)] * 3
    assert (after.metadata, after.path) == ((("x-name", "second"),), "/b")


def test_metadata_over_the_limit_is_a_problem_of_its_call() -> None:
    assert head_of(("x-long", "y" * 500), limit=1000).problem is None
    problem = head_of(("x-long", "y" * 1000), limit=1000).problem
    assert problem is not None
    assert (problem.code, "limit 1000" in problem.text) == (Code.RESOURCE_EXHAUSTED, True)


def test_little_is_remembered_of_heads_however_many_come() -> None:
    decoder = HeadDecoder(8192)
    encoder = hpack.Encoder()
    for number in range(2000):
        decoder.decode(bytes(encoder.encode([*CALL, (f"x-{number % 50}", "v" * 70)])))
        held = sum(head.size for head in decoder._heads.values())  # noqa: SLF001 - nothing shows it
        assert held <= 70_000
