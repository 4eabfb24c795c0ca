"""Tokens on their way to a server."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from evenface_client import AccessDenied, AsyncClient, Client
from evenface_client.cli import main
from support.bundles import images

SECRET = "evenface_secret"  # noqa: S105 - of tests alone


class Guard(grpc.GenericRpcHandler):
    """Answers every RPC with the same refusal, and remembers who called what."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.shown: list[tuple[str, str | bytes | None]] = []
        self._code = code

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[object, object]":
        name = handler_call_details.method.rpartition("/")[2]
        metadata = dict(handler_call_details.invocation_metadata)
        self.shown.append((name, metadata.get("authorization")))
        if name.endswith("Stream"):
            return grpc.stream_stream_rpc_method_handler(self._refuse)
        return grpc.unary_unary_rpc_method_handler(self._refuse)

    def _refuse(self, _: object, context: grpc.ServicerContext) -> None:
        context.abort(self._code, "not you")


@pytest.fixture(params=[grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def guard(request: pytest.FixtureRequest) -> Guard:
    return Guard(request.param)


@pytest.fixture
def address(guard: Guard) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2), handlers=[guard])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_every_call_of_both_clients_shows_the_token(guard: Guard, address: str) -> None:
    with Client(address, token=SECRET) as client, pytest.raises(AccessDenied):
        client.models()

    async def twin() -> None:
        async with AsyncClient(address, token=SECRET) as other:
            with pytest.raises(AccessDenied):
                await other.models()

    asyncio.run(twin())
    assert guard.shown == [("ListModels", f"Bearer {SECRET}")] * 2


def test_without_a_token_none_is_shown(guard: Guard, address: str) -> None:
    with Client(address) as client, pytest.raises(AccessDenied, match="not you"):
        client.encode(images(1))
    assert {shown for _, shown in guard.shown} == {None}


def test_a_channel_of_one_s_own_carries_the_token_wherever_it_leads(
    guard: Guard, address: str
) -> None:
    with (
        grpc.insecure_channel(address) as channel,
        Client("mesh.example.com:1", token=SECRET, channel=channel) as client,
        pytest.raises(AccessDenied),
    ):
        client.models()
    assert guard.shown == [("ListModels", f"Bearer {SECRET}")]


@pytest.mark.parametrize(("option", "variable"), [(SECRET, ""), (SECRET, "other"), ("", SECRET)])
def test_the_command_takes_the_token_from_its_option_or_the_environment(
    guard: Guard,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    variable: str,
) -> None:
    monkeypatch.setenv("EVENFACE_TOKEN", variable)
    arguments = ["info", "--server", address, *(("--token", option) if option else ())]
    assert main(arguments) == 2
    assert guard.shown == [("ListModels", f"Bearer {SECRET}")]
    assert capsys.readouterr().err == "error: not you\n"


def test_the_help_does_not_show_the_token_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVENFACE_TOKEN", SECRET)
    with pytest.raises(SystemExit):
        main(["info", "--help"])
    assert SECRET not in capsys.readouterr().out


def test_a_call_to_this_machine_does_not_go_through_a_proxy(
    guard: Guard, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with Client(address, token=SECRET, retries=0) as client, pytest.raises(AccessDenied):
            client.models()
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert len(guard.shown) == 1
