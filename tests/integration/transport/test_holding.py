"""What is held for a call is let go of once, however the call ends."""

import gzip

import pytest
from evenface_transport import Limits, frames
from evenface_transport.frames import ErrorCode
from support.http2 import connected, prefixed
from support.transports import serving, until


async def test_a_message_that_is_inflated_after_its_call_has_ended_is_not_held() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/reads_on", ("grpc-encoding", "gzip"))
        peer.message(1, b"first")
        peer.data(1, prefixed(gzip.compress(bytes(2**19)), compressed=True))
        await until(lambda: served.handlers.begun)
        await peer.settled()
        peer.send(frames.reset(1, ErrorCode.CANCEL))
        await until(lambda: not served.server.tasks)
        assert served.held == 0


@pytest.mark.parametrize("sent", [b"", prefixed(b"whole"), prefixed(b"x")[:3]])
async def test_a_unary_request_that_never_ends_is_given_up(sent: bytes) -> None:
    async with serving(Limits(message_seconds=0.2)) as served, connected(served.port) as peer:
        peer.open(1, "/t/echo")
        if sent:
            peer.data(1, sent)
        assert (await peer.reply(1)).reset == ErrorCode.CANCEL
        assert served.held == 0
