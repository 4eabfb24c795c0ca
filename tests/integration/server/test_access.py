"""Who may call, on real servers: tokens, rates, client certificates, and files that change."""

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from evenface.v1.face_service_pb2 import DecodeRequest, EncodeStreamRequest
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from evenface_client import AccessDenied, Client, Overloaded
from evenface_core.errors import ConfigError
from evenface_server.access.tokens import digest_of
from evenface_transport import Code
from google.rpc import code_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from support.bundles import images
from support.certificates import make_certificate, make_certificates
from support.http2 import connected
from support.messages import Details, encode, status_details
from support.patience import PATIENCE
from support.servers import Running, running, server_process, until


def entry(name: str, more: str = "") -> str:
    """An entry for the token "NAME-secret"."""
    return f"  - {{name: {name}, sha256: {digest_of(f'{name}-secret').hex()}, {more}}}\n"


def bearing(name: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {name}-secret"),)


ALL = (
    "tokens:\n"
    + entry("free")
    + entry("narrow", "rpcs: ['FaceService/Encode*', 'ModelService/*']")
    + entry("slow", "requests_per_second: 0.001, burst: 3")
    + entry("small", "rows_per_second: 0.001")  # one at once
)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.yaml"
    path.write_text(ALL)
    return path


@pytest.fixture
async def server(tiny_models: Path, tokens: Path) -> AsyncIterator[Running]:
    async with running(tiny_models, tokens_file=tokens, reflection=True) as found:
        yield found


def rewrite(path: Path, text: str) -> None:
    """Change a file as a whole."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


async def until_ok(ask: Callable[[], Awaitable[StatusCode]]) -> None:
    """Ask again and again until the answer is OK."""
    async with asyncio.timeout(PATIENCE):
        while await ask() is not StatusCode.OK:  # noqa: ASYNC110 - of another process or thread
            await asyncio.sleep(0.02)


async def refused(call: Any) -> Details:  # noqa: ANN401 - a pending call
    """What a call ends with; raises nothing, as that would hold on to its connection."""
    status = await rpc_status.aio.from_call(call)
    assert status is not None
    return status_details(status)


async def test_a_call_needs_a_known_token(server: Running) -> None:
    await server.face.Encode(encode(images(1)), metadata=bearing("free"))
    for metadata in ((), bearing("nobody"), (("authorization", "Basic free-secret"),)):
        error = await refused(server.face.Encode(encode(images(1)), metadata=metadata))
        assert error.code == code_pb2.UNAUTHENTICATED
        assert error.info.reason == "UNAUTHENTICATED"
        assert "secret" not in error.message


async def test_a_stream_needs_a_known_token(server: Running) -> None:
    assert await server.face.EncodeStream(iter(())).code() is StatusCode.UNAUTHENTICATED


async def test_a_call_refused_for_its_rows_leaves_none_in_the_queue(server: Running) -> None:
    await server.face.Encode(encode(images(1)), metadata=bearing("small"))
    for _ in range(2):
        await refused(server.face.Encode(encode(images(1)), metadata=bearing("small")))
    lane = server.app.engine.registry.resolve("", "").lanes["encode"]
    assert lane.rows == 0


async def test_a_call_refused_as_it_begins_counts_for_its_caller_as_any_other(
    tiny_models: Path, tokens: Path
) -> None:
    limits = {"max_queue_rows": 4, "max_items_per_request": 4}
    async with running(tiny_models, tokens_file=tokens, **limits) as server:
        lane = server.app.engine.registry.resolve("", "").lanes["encode"]
        with lane.admit(4):
            found = [
                await refused(server.face.Encode(encode(images(1)), metadata=bearing("slow")))
                for _ in range(4)
            ]
        samples = server.samples()
    assert [each.info.reason for each in found] == ["QUEUE_FULL"] * 3 + ["RATE_LIMITED"]
    assert samples['evenface_caller_requests_total{caller="slow",outcome="allowed"}'] == 3


@pytest.mark.parametrize(
    "path",
    [
        "/evenface.v1.FaceService/Encode",
        "/evenface.v1.FaceService/EncodeStream",
        "/evenface.v1.ModelService/GetModel",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_strangers_are_turned_away_before_they_have_sent_anything(
    server: Running, path: str
) -> None:
    _, _, port = server.address.rpartition(":")
    async with connected(int(port)) as peer:
        peer.open(1, path, ("authorization", "Bearer nobody"))
        assert (await peer.reply(1)).status[0] == Code.UNAUTHENTICATED


async def test_a_call_that_is_let_in_is_counted_once_against_its_rate(server: Running) -> None:
    calls = [server.face.Encode(encode(images(1)), metadata=bearing("slow")) for _ in range(4)]
    codes = sorted([await call.code() for call in calls], key=str)
    assert codes == [StatusCode.OK] * 3 + [StatusCode.RESOURCE_EXHAUSTED]


async def test_probes_need_no_token_and_reflection_does(server: Running) -> None:
    health = health_pb2_grpc.HealthStub(server.channel)
    reply = await health.Check(health_pb2.HealthCheckRequest(service="evenface.v1.FaceService"))
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    assert await stub.ServerReflectionInfo(iter(())).code() is StatusCode.UNAUTHENTICATED
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    replies = stub.ServerReflectionInfo(iter([request]), metadata=bearing("free"))
    assert len([reply async for reply in replies]) == 1


async def test_a_token_may_be_for_some_rpcs_alone(server: Running) -> None:
    await server.face.Encode(encode(images(1)), metadata=bearing("narrow"))
    error = await refused(server.face.Decode(DecodeRequest(), metadata=bearing("narrow")))
    assert error.code == code_pb2.PERMISSION_DENIED
    assert error.info.reason == "PERMISSION_DENIED"
    assert error.message == "'narrow' may not call evenface.v1.FaceService/Decode"


async def test_over_its_rate_a_caller_is_told_when_to_come_back(server: Running) -> None:
    for _ in range(3):
        await server.face.Encode(encode(images(1)), metadata=bearing("slow"))
    call = server.face.Encode(encode(images(1)), metadata=bearing("slow"))
    error = await refused(call)
    assert error.code == code_pb2.RESOURCE_EXHAUSTED
    assert error.info.reason == "RATE_LIMITED"
    seconds = error.retries[0].retry_delay.ToTimedelta().total_seconds()
    trailers: Any = await call.trailing_metadata()
    assert 900 < seconds <= 1000
    assert int(dict(trailers)["grpc-retry-pushback-ms"]) == pytest.approx(seconds * 1000, abs=1)
    await server.face.Encode(encode(images(1)), metadata=bearing("free"))


async def test_rows_have_a_rate_of_their_own(server: Running) -> None:
    await server.face.Encode(encode(images(1)), metadata=bearing("small"))
    error = await refused(server.face.Encode(encode(images(1)), metadata=bearing("small")))
    assert error.info.reason == "RATE_LIMITED"
    assert "0.001 rows a second" in error.message


@pytest.mark.parametrize(
    "rates", ["requests_per_second: 50, burst: 4", "rows_per_second: 1000", "rows_per_second: 50"]
)
def test_a_bulk_stream_is_slowed_down_to_its_caller_s_rate_and_none_of_it_refused(
    tiny_models: Path, tokens: Path, rates: str
) -> None:
    tokens.write_text("tokens:\n" + entry("bulk", rates))
    options = ("--tokens-file", str(tokens), "--workers", "1")
    count = 150
    with (
        server_process(tiny_models, *options) as server,
        Client(server.address, token="bulk-secret", retries=0) as client,  # noqa: S106
    ):
        found = list(client.encode_stream(images(count)))
    assert [outcome.error for outcome in found] == [None] * count


def test_the_client_tells_who_may_not_call_from_who_must_wait(
    tiny_models: Path, tokens: Path
) -> None:
    with server_process(tiny_models, "--tokens-file", str(tokens)) as server:
        with Client(server.address) as client, pytest.raises(AccessDenied, match="needs a token"):
            client.models()
        with Client(server.address, token="narrow-secret") as client:  # noqa: S106
            client.encode(images(1))
            with pytest.raises(AccessDenied, match="may not call"):
                client.sample(1)
        with Client(server.address, token="slow-secret", retries=0) as client:  # noqa: S106
            for _ in range(3):
                client.models()
            with pytest.raises(Overloaded) as caught:
                client.models()
            assert caught.value.reason == "RATE_LIMITED"


def test_a_rate_holds_over_all_workers(tiny_models: Path, tokens: Path) -> None:
    tokens.write_text("tokens:\n" + entry("slow", "requests_per_second: 0.001, burst: 30"))
    options = ("--tokens-file", str(tokens), "--workers", "3")
    with server_process(tiny_models, *options) as server:
        allowed = asyncio.run(_ask_on_many_connections(server.address, each=15))
        workers = {line["worker"] for line in server.lines if line["event"] == "call"}
    assert sum(allowed) == 30
    assert len(workers) == 3


async def _ask_on_many_connections(address: str, each: int) -> list[int]:
    async def ask(number: int) -> int:
        options = (("grpc.use_local_subchannel_pool", 1), ("connection", number))
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            stub, allowed = FaceServiceStub(channel), 0
            for _ in range(each):
                code = await stub.Encode(encode(images(1)), metadata=bearing("slow")).code()
                assert code in (StatusCode.OK, StatusCode.RESOURCE_EXHAUSTED)
                allowed += code is StatusCode.OK
            return allowed

    return await asyncio.gather(*(ask(number) for number in range(6)))


async def test_a_changed_file_counts_on_connections_that_are_open(
    server: Running, tokens: Path
) -> None:
    async def asked_by(name: str) -> StatusCode:
        return await server.face.Encode(encode(images(1)), metadata=bearing(name)).code()

    assert await asked_by("free") is StatusCode.OK
    rewrite(tokens, "tokens:\n" + entry("new"))
    await until_ok(lambda: asked_by("new"))
    assert await asked_by("free") is StatusCode.UNAUTHENTICATED


async def test_a_stream_of_a_token_that_was_taken_away_ends(server: Running, tokens: Path) -> None:
    asked: asyncio.Queue[EncodeStreamRequest] = asyncio.Queue()

    async def requests() -> AsyncIterator[EncodeStreamRequest]:
        while True:
            yield await asked.get()

    call = server.face.EncodeStream(requests(), metadata=bearing("free"))
    rewrite(tokens, "tokens:\n" + entry("new"))
    answered = []

    async def ask_on() -> None:
        while True:
            asked.put_nowait(EncodeStreamRequest(id=1, request=encode(images(1))))
            answered.append((await anext(aiter(call))).WhichOneof("result"))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(ask_on(), PATIENCE)
    assert caught.value.code() is StatusCode.UNAUTHENTICATED
    assert set(answered) == {"response"}


async def test_names_of_callers_are_counted_and_logged_and_tokens_are_not(
    tiny_models: Path, tokens: Path
) -> None:
    lines: list[str] = []

    class Lines:
        def add(self, line: str) -> None:
            lines.append(line)

        def flush(self) -> bool:
            return False

    async with running(tiny_models, tokens_file=tokens, log=Lines()) as server:
        await server.face.Encode(encode(images(1)), metadata=bearing("free"))
        await refused(server.face.Decode(DecodeRequest(), metadata=bearing("narrow")))
        await refused(server.face.Encode(encode(images(1)), metadata=bearing("nobody")))
        samples = server.samples()
    assert samples['evenface_caller_requests_total{caller="free",outcome="allowed"}'] == 1
    assert samples['evenface_caller_requests_total{caller="narrow",outcome="denied"}'] == 1
    assert samples['evenface_rejections_total{reason="UNAUTHENTICATED"}'] == 1
    assert ['"caller": "free"' in line for line in lines] == [True, False, False]
    assert ['"caller": "narrow"' in line for line in lines] == [False, True, False]
    assert "secret" not in "".join(lines)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Certificates that a test may change: `server`, `client`, `other`, `renewed` of `ca`."""
    make_certificates(tmp_path, "localhost")
    make_certificate(tmp_path, "other", "URI:spiffe://example.com/other")
    make_certificate(tmp_path, "renewed", "DNS:localhost")
    return tmp_path


def tls(folder: Path, **more: object) -> dict[str, object]:
    return {"tls_cert": folder / "server.pem", "tls_key": folder / "server.key", **more}


def channel(address: str, folder: Path, own: str | None = None) -> grpc.aio.Channel:
    def read(name: str) -> bytes:
        return (folder / name).read_bytes()

    files = () if own is None else (read(f"{own}.key"), read(f"{own}.pem"))
    credentials = grpc.ssl_channel_credentials(read("ca.pem"), *files)
    own_connection = ("grpc.use_local_subchannel_pool", 1)
    options = (("grpc.ssl_target_name_override", "localhost"), own_connection)
    return grpc.aio.secure_channel(address, credentials, options=options)


async def test_only_certificates_on_the_list_may_call(
    tiny_models: Path, certificates: Path
) -> None:
    rewrite(certificates / "subjects", "client\n")
    names = {"tls_allowed_subjects": certificates / "subjects"}
    files = tls(certificates, tls_client_ca=certificates / "ca.pem", **names)
    async with running(tiny_models, **files) as server:
        async with channel(server.address, certificates, "client") as one:
            await FaceServiceStub(one).Encode(encode(images(1)))
        async with channel(server.address, certificates, "other") as one:
            error = await refused(FaceServiceStub(one).Encode(encode(images(1))))
            assert error.code == code_pb2.PERMISSION_DENIED
            assert error.info.reason == "PERMISSION_DENIED"
            assert "other, spiffe://example.com/other" in error.message
            rewrite(certificates / "subjects", "client\nspiffe://example.com/*\n")
            await until_ok(lambda: asked_on(one))
        await until(lambda: server.app.connections == 0)


async def asked_on(open_channel: grpc.aio.Channel) -> StatusCode:
    return await FaceServiceStub(open_channel).Encode(encode(images(1))).code()


def _shown_by(address: str, folder: Path) -> str:
    """Common name of the certificate that a server shows to new connections."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    host, port = address.split(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        certificate: Any = encrypted.getpeercert()
    return str(dict(pair for part in certificate["subject"] for pair in part)["commonName"])


async def _shows(address: str, folder: Path, name: str) -> StatusCode:
    found = await asyncio.to_thread(_shown_by, address, folder)
    return StatusCode.OK if found == name else StatusCode.UNKNOWN


async def test_a_renewed_certificate_is_shown_to_new_connections_while_old_ones_go_on(
    tiny_models: Path, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tiny_models, **tls(certificates)) as server:
        async with channel(server.address, certificates) as old:
            assert await asked_on(old) is StatusCode.OK
            shutil.copy(certificates / "renewed.pem", certificates / "server.pem")
            await until(lambda: "reload refused" in caplog.messages)
            assert await _shows(server.address, certificates, "server") is StatusCode.OK
            shutil.copy(certificates / "renewed.key", certificates / "server.key")
            await until_ok(lambda: _shows(server.address, certificates, "renewed"))
            await until(lambda: server.app.connections == 1)
            assert await asked_on(old) is StatusCode.OK
            assert server.app.connections == 1
        await until(lambda: server.app.connections == 0)


@pytest.mark.parametrize("text", ["tokens: [{name: a}]", ""])
async def test_a_tokens_file_that_cannot_be_used_at_the_start_is_an_error(
    tiny_models: Path, tokens: Path, text: str
) -> None:
    rewrite(tokens, text)
    with pytest.raises(ConfigError, match=r"--tokens-file: .*tokens.yaml: "):
        async with running(tiny_models, tokens_file=tokens):
            pass
