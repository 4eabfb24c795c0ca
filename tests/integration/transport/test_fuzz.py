"""Whatever a peer sends ends in a goodbye or in well-formed answers, and leaves nothing behind.

`tests/fuzz/transport.py` plays many more of the same.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator

import pytest
import uvloop
from evenface_transport import frames
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fuzzing import Watch, Writer, fuzzed_server, play
from support.judging import check_said, check_windows

SETTINGS = settings(max_examples=200, deadline=None)
Played = Callable[[list[bytes]], bytes]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def played(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Played]:
    """Plays inputs to a server, which is found clean after each."""
    caplog.set_level(logging.CRITICAL, "evenface_transport")  # handlers that crash are part of it

    async def begin() -> Watch:
        return Watch(fuzzed_server())

    with asyncio.Runner(loop_factory=request.param) as runner:
        watch = runner.run(begin())

        def play_and_check(pieces: list[bytes]) -> bytes:
            said = runner.run(play(watch.server, pieces))
            watch.check()
            return said

        yield play_and_check
        runner.run(watch.close())


def test_any_peer_is_answered_or_sent_away(played: Played) -> None:
    @SETTINGS
    @given(st.randoms(use_true_random=False))
    def any_peer(chance: random.Random) -> None:
        writer = Writer(chance)
        pieces = writer.pieces()
        said = played(pieces)
        check_said(said)
        if writer.is_honest:
            check_windows(b"".join(pieces), said)

    any_peer()


@pytest.mark.parametrize("greeting", [b"", frames.PREFACE + frames.settings({})])
def test_bytes_without_any_sense_are_sent_away(played: Played, greeting: bytes) -> None:
    @SETTINGS
    @given(st.binary(max_size=200))
    def any_bytes(data: bytes) -> None:
        check_said(played([greeting + data]))

    any_bytes()
