"""Calls that are refused like the first of their turn of the event loop, without being judged."""

from evenface_transport import Code, frames
from evenface_transport.frames import ErrorCode
from support.http2 import Peer, connected, prefixed
from support.transports import serving

FULL = Code.RESOURCE_EXHAUSTED, "full"


def call(peer: Peer, stream: int, message: bytes, *more: tuple[str, str]) -> bytes:
    """Frames of a whole call, for several to be sent, and read, at once."""
    block = peer.block("/t/asks", *more)
    return frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block) + frames.frame(
        frames.DATA, frames.END_STREAM, stream, prefixed(message)
    )


async def warmed_up(peer: Peer) -> None:
    """Let both sides remember the header block."""
    for stream in (1, 3):
        peer.send(call(peer, stream, b"no"))
        await peer.reply(stream)


async def test_calls_that_begin_alike_are_refused_in_the_same_words_and_counted() -> None:
    async with serving() as served, connected(served.port) as peer:
        await warmed_up(peer)
        messages = [b"nobody", b"nobody else", b"nobody" + b"x" * 20_000, b"nobody" * 9]
        peer.send(*(call(peer, 5 + 2 * n, message) for n, message in enumerate(messages)))
        for n in range(4):
            assert (await peer.reply(5 + 2 * n)).status == FULL
        assert len(served.handlers.beginnings) == 3
        assert [alike.calls for alike in served.handlers.alike] == [4]
        await peer.settled()
        assert not any(frame.kind == frames.RST_STREAM for frame in peer.seen)
        peer.send(call(peer, 21, b"nobody"))
        assert (await peer.reply(21)).status == FULL
        assert len(served.handlers.alike) == 2  # in another turn it is judged anew


async def test_what_differs_from_a_refused_call_is_judged_by_itself() -> None:
    async with serving() as served, connected(served.port) as peer:
        await warmed_up(peer)
        peer.send(call(peer, 5, b"nobody", ("x-other", "1")))
        await peer.reply(5)
        peer.send(
            call(peer, 7, b"nobody"),
            call(peer, 9, b"yes"),
            call(peer, 11, b"nobo"),
            call(peer, 13, b"nobody", ("x-other", "1")),
            call(peer, 15, b"nobody"),
        )
        statuses = [(await peer.reply(stream)).status[0] for stream in (7, 9, 11, 13, 15)]
        full = Code.RESOURCE_EXHAUSTED
        assert statuses == [full, Code.OK, full, full, full]
        judged = [b"nobody", b"yes", b"nobo", b"nobody", b"nobody"]
        assert served.handlers.beginnings == [b"no", b"no", b"nobody", *judged]


async def test_of_a_refused_call_that_is_still_coming_the_rest_is_not_wanted() -> None:
    async with serving() as served, connected(served.port) as peer:
        await warmed_up(peer)
        half = call(peer, 7, b"nobody" + b"x" * 5000)
        peer.send(call(peer, 5, b"nobody"), half[:2000])
        assert (await peer.reply(7)).status == FULL
        assert (await peer.until(frames.RST_STREAM, 7)).code == ErrorCode.NO_ERROR
        peer.send(half[2000:], call(peer, 9, b"yes"))
        assert (await peer.reply(9)).messages == [b"yes"]
        assert [alike.calls for alike in served.handlers.alike] == [2]


async def test_a_refused_call_may_be_ended_later() -> None:
    async with serving() as served, connected(served.port) as peer:
        await warmed_up(peer)
        open_ended = frames.frame(
            frames.HEADERS, frames.END_HEADERS, 7, peer.block("/t/asks")
        ) + frames.frame(frames.DATA, 0, 7, prefixed(b"nobody"))
        peer.send(call(peer, 5, b"nobody"), open_ended)
        assert (await peer.reply(7)).status == FULL
        peer.data(7, b"", ends=True)
        peer.send(call(peer, 9, b"yes"))
        assert (await peer.reply(9)).messages == [b"yes"]
        assert not any(frame.kind == frames.RST_STREAM for frame in peer.seen)
        assert [alike.calls for alike in served.handlers.alike] == [2]
