"""TLS: real certificates, real clients; who the peer is, and who is turned away."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from evenface_transport import Limits, frames
from grpc import StatusCode
from support.certificates import make_certificates
from support.http2 import connected, prefixed
from support.transports import Served, serving, until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of a server and a client."""
    found = tmp_path_factory.mktemp("certificates")
    make_certificates(found, "localhost")
    return found


def server_side(folder: Path, *, mutual: bool = True) -> ssl.SSLContext:
    """How the server encrypts."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.set_alpn_protocols(["h2"])
    if mutual:
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_side(folder: Path, *, known: bool = True) -> ssl.SSLContext:
    """How a client of the standard library encrypts."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    if known:
        context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context


def credentials(folder: Path, *, known: bool = True) -> grpc.ChannelCredentials:
    """How grpcio encrypts."""
    key, chain = (folder / "client.key").read_bytes(), (folder / "client.pem").read_bytes()
    root = (folder / "ca.pem").read_bytes()
    if not known:
        return grpc.ssl_channel_credentials(root)
    return grpc.ssl_channel_credentials(root, key, chain)


@asynccontextmanager
async def channel(
    served: Served, proof: grpc.ChannelCredentials, *options: tuple[str, Any]
) -> AsyncIterator[Any]:
    """A channel of the asyncio client."""
    address = f"localhost:{served.port}"
    async with grpc.aio.secure_channel(address, proof, options=options) as found:
        yield found


async def test_a_client_with_a_certificate_is_known_by_it(folder: Path) -> None:
    options = (("grpc.max_receive_message_length", -1),)
    async with (
        serving(tls=server_side(folder)) as served,
        channel(served, credentials(folder), *options) as found,
    ):
        for size in (0, 100, 400_000, 5_000_000):
            message = bytes([size % 251]) * size
            assert await found.unary_unary("/t/echo")(message) == message
        replies = found.stream_stream("/t/echoes")(iter([b"x" * 300_000] * 20))
        assert [len(reply) async for reply in replies] == [300_000] * 20
        await asyncio.gather(*(found.unary_unary("/t/look")(b"") for _ in range(100)))
    peer = served.handlers.seen[0].peer
    assert peer.certificate is not None
    assert peer.certificate["subject"] == ((("commonName", "client"),),)


async def test_a_client_without_a_certificate_is_turned_away(folder: Path) -> None:
    async with serving(tls=server_side(folder)) as served:
        async with channel(served, credentials(folder, known=False)) as found:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await found.unary_unary("/t/echo")(b"", timeout=20)
        assert caught.value.code() is StatusCode.UNAVAILABLE
        assert served.handlers.begun == []
        async with channel(served, credentials(folder)) as found:
            assert await found.unary_unary("/t/echo")(b"x") == b"x"


async def test_without_client_certificates_nobody_has_one(folder: Path) -> None:
    async with (
        serving(tls=server_side(folder, mutual=False)) as served,
        channel(served, credentials(folder, known=False)) as found,
    ):
        await found.unary_unary("/t/look")(b"")
    assert served.handlers.seen[0].peer.certificate is None


async def test_handshakes_that_fail_leave_nothing_behind(folder: Path) -> None:
    limits = Limits(max_connections=3)
    async with serving(limits, tls=server_side(folder)) as served:
        for _ in range(5):
            async with connected(served.port, greets=False) as plain:
                plain.send(b"GET / HTTP/1.1\r\n\r\n" * 10)
                while await plain.next() is not None:
                    pass
            async with connected(served.port, greets=False) as silent:
                silent.hang_up()
            with suppress(ssl.SSLError, ConnectionError):
                tls = client_side(folder, known=False)
                async with connected(served.port, tls=tls) as stranger:
                    assert await stranger.next() is None
        async with connected(served.port, tls=client_side(folder)) as peer:
            peer.call(1, "/t/echo", b"x")
            assert (await peer.reply(1)).messages == [b"x"]


async def test_a_handshake_under_way_counts_as_a_connection(folder: Path) -> None:
    async with serving(Limits(max_connections=1), tls=server_side(folder)) as served:
        async with connected(served.port, greets=False):
            await until(lambda: served.server._beginning)  # noqa: SLF001 - nothing else shows it
            async with connected(served.port, greets=False) as second:
                assert await second.next() is None
        await until(lambda: not served.server._beginning)  # noqa: SLF001
        async with connected(served.port, tls=client_side(folder)) as peer:
            await peer.settled()


async def test_encrypted_connections_keep_the_rules_too(folder: Path) -> None:
    async with serving(tls=server_side(folder)) as served:
        async with connected(served.port, tls=client_side(folder)) as peer:
            peer.open(1, "/t/wait")
            peer.data(1, prefixed(bytes(300_000)), ends=True)
            await until(lambda: served.handlers.begun)
            peer.send(frames.frame(frames.PING, 0, 0, b"short"))
            assert b"5 bytes where 8 belong" in (await peer.goodbye()).payload
        async with connected(served.port, tls=client_side(folder)) as peer:
            peer.call(1, "/t/wait", b"x")
            await until(lambda: len(served.handlers.begun) == 2)
            stopping = asyncio.ensure_future(served.server.stop(20))
            ping = await peer.until(frames.PING)
            peer.send(frames.frame(frames.PING, frames.ACK, 0, ping.payload))
            served.handlers.may_end.set()
            assert (await peer.reply(1)).messages == [b"x"]
            await peer.goodbye()
            await peer.close()
            await stopping
