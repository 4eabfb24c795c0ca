"""Messages are put together from any pieces, and inflated no further than there is room."""

import gzip
import zlib
from itertools import pairwise

import pytest
from evenface_transport import Code, StatusError
from evenface_transport.budget import Account, Budget
from evenface_transport.inflate import inflate
from evenface_transport.messages import Assembler, Compressed
from hypothesis import given
from hypothesis import strategies as st
from support.http2 import prefixed

MIB = 2**20


def assemble(data: bytes, cuts: list[int]) -> list[bytes]:
    """Feed data in pieces; return the messages."""
    assembler, found = Assembler(10**6, may_compress=True), list[bytes]()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        view, at, stop = memoryview(data[start:end]), 0, end - start
        while at < stop:
            if assembler.size < 0:
                at = assembler.begin(view, at, stop)
                if assembler.size < 0:
                    break
            at, message = assembler.add(view, at, stop)
            if message is not None:
                found.append(message)
                assert (assembler.missing, assembler.size) == (0, -1)
    assert assembler.is_between
    return found


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=6),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_messages_come_out_as_they_went_in_whatever_the_pieces(
    messages: list[tuple[bytes, bool]], cuts: list[int]
) -> None:
    data = b"".join(prefixed(message, compressed=packed) for message, packed in messages)
    found = assemble(data, cuts)
    assert found == [message for message, _ in messages]
    assert [type(message) is Compressed for message in found] == [packed for _, packed in messages]
    assert all(isinstance(message, bytes) for message in found)


def test_a_message_in_pieces_shares_no_memory_with_what_comes_next() -> None:
    buffer = bytearray(prefixed(b"abcdef"))
    assembler = Assembler(100, may_compress=False)
    at = assembler.begin(memoryview(buffer), 0, 8)
    assembler.add(memoryview(buffer), at, 8)
    _, message = assembler.add(memoryview(buffer), 8, 11)
    buffer[:] = b"x" * 11
    assert message == b"abcdef"


async def inflated(data: bytes, encoding: str, limit: int, budget: Budget) -> bytes:
    account = Account(budget, budget.limit)
    message, reserved = await inflate(data, encoding, limit, account)
    assert budget.held == reserved >= len(message) - 65_536
    account.release(reserved)
    return message


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, MIB, 5 * MIB + 7])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_what_was_compressed_comes_back(size: int, encoding: str) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    assert await inflated(pack(message), encoding, 10 * MIB, Budget(20 * MIB)) == message


async def test_what_does_not_shrink_comes_back_too() -> None:
    noise = bytes(value * value * 31 % 251 for value in range(3 * MIB))
    stored = zlib.compressobj(0)
    data = stored.compress(noise) + stored.flush()
    assert await inflated(data, "deflate", 10 * MIB, Budget(20 * MIB)) == noise


async def test_a_bomb_is_given_up_at_the_limit_and_at_the_budget() -> None:
    bomb = gzip.compress(bytes(200 * MIB))
    for limit, budget in ((3 * MIB, 100 * MIB), (100 * MIB, 3 * MIB)):
        held = Budget(budget)
        with pytest.raises(StatusError) as caught:
            await inflate(bomb, "gzip", limit, Account(held, budget))
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        assert (caught.value.retry_after is None) == (limit < budget)
        assert held.held == 0


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x1f\x8b", b"no"),
        *(gzip.compress(data, mtime=0)[:-9] for data in (b"abc" * 99, bytes(MIB))),
    ],
)
async def test_what_is_no_whole_gzip_is_refused_and_leaves_nothing_held(data: bytes) -> None:
    held = Budget(10 * MIB)
    with pytest.raises(StatusError, match="gzip") as caught:
        await inflate(data, "gzip", 5 * MIB, Account(held, held.limit))
    assert (caught.value.code, held.held) == (Code.INTERNAL, 0)
