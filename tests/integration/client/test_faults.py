"""Retries, restarts, deadlines and servers that are not there."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pytest
from evenface.v1 import model_service_pb2, model_service_pb2_grpc
from evenface_client import (
    AsyncClient,
    Cancelled,
    Client,
    DeadlineExceeded,
    InternalServerError,
    InvalidRequest,
    Overloaded,
    TryAgain,
    Unavailable,
    Unsupported,
)
from numpy.typing import NDArray
from support.bundles import Tiny, images, write_tiny_bundle
from support.clients import callers
from support.patience import PATIENCE
from support.ports import free_port
from support.servers import grpc_server, server_process

KINDS = ["sync", "async"]


@pytest.fixture
def free_address() -> str:
    return f"127.0.0.1:{free_port()}"


@dataclass
class Flaky(model_service_pb2_grpc.ModelServiceServicer):
    """A real gRPC server that fails a number of calls before it answers."""

    failures: int
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    pushback: str | None = None
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    seconds_left: list[float] = field(default_factory=list)

    def ListModels(  # noqa: N802 - gRPC's name
        self,
        request: model_service_pb2.ListModelsRequest,
        context: grpc.ServicerContext,
    ) -> model_service_pb2.ListModelsResponse:
        del request
        self.metadata.append(dict(context.invocation_metadata()))
        self.seconds_left.append(context.time_remaining())
        if len(self.metadata) <= self.failures:
            if self.pushback is not None:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", self.pushback),))
            context.abort(self.code, "not now")
        return model_service_pb2.ListModelsResponse()

    def GetModel(  # noqa: N802
        self, request: model_service_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.GetModelResponse:
        raise NotImplementedError


@contextmanager
def serving(flaky: Flaky) -> Iterator[str]:
    with grpc_server() as (server, address):
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(flaky, server)
        server.start()
        yield address


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,  # what gRPC answers where a call meets a closing server
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_tried_again_until_it_is_answered(kind: str, code: grpc.StatusCode) -> None:
    flaky = Flaky(failures=2, code=code, pushback="1")
    with serving(flaky) as address:
        for caller in callers(address, kind):
            caller.call("models")
    assert len(flaky.metadata) == 3


def test_a_call_is_not_tried_more_often_than_was_set() -> None:
    flaky = Flaky(failures=100, pushback="1")
    with serving(flaky) as address:
        for retries, attempts in ((0, 1), (2, 3)):
            flaky.metadata.clear()
            with Client(address, retries=retries) as client, pytest.raises(Unavailable):
                client.models()
            assert len(flaky.metadata) == attempts


def test_a_server_that_pushes_back_for_good_is_not_asked_again() -> None:
    flaky = Flaky(failures=100, code=grpc.StatusCode.RESOURCE_EXHAUSTED, pushback="-1")
    with serving(flaky) as address, Client(address) as client:
        with pytest.raises(Overloaded) as caught:
            client.models()
        assert isinstance(caught.value, TryAgain)
    assert len(flaky.metadata) == 1


def test_other_failures_are_not_tried_again() -> None:
    flaky = Flaky(failures=100, code=grpc.StatusCode.FAILED_PRECONDITION)
    with serving(flaky) as address, Client(address) as client, pytest.raises(Unsupported):
        client.models()
    assert len(flaky.metadata) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_request_carries_a_deadline_and_an_id(kind: str) -> None:
    flaky = Flaky(failures=0)
    with serving(flaky) as address:
        for caller in callers(address, kind):
            caller.call("models", timeout=7.0)
            caller.call("models")
    # gRPC rounds up what travels.
    assert 0 < flaky.seconds_left[0] < 8 < flaky.seconds_left[1] < 31
    first, second = (metadata["x-request-id"] for metadata in flaky.metadata)
    assert len(first) == 32
    assert first != second


def test_ids_may_be_the_caller_s_and_stand_in_errors() -> None:
    flaky = Flaky(failures=9, code=grpc.StatusCode.INTERNAL)
    with (
        serving(flaky) as address,
        Client(address, request_id=lambda: "job-7") as client,
        pytest.raises(InternalServerError, match="not now") as caught,
    ):
        client.models()
    assert flaky.metadata[0]["x-request-id"] == "job-7"
    assert caught.value.request_id == "job-7"


def test_a_channel_can_be_given_and_stays_open() -> None:
    with serving(Flaky(failures=0)) as address, grpc.insecure_channel(address) as channel:
        with Client(channel=channel) as client:
            client.models()
        with Client(channel=channel) as client:
            client.models()


async def test_an_async_channel_can_be_given_and_stays_open() -> None:
    with serving(Flaky(failures=0)) as address:
        async with grpc.aio.insecure_channel(address) as channel:
            for _ in range(2):
                async with AsyncClient(channel=channel) as client:
                    await client.models()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_down_is_unavailable(kind: str, free_address: str) -> None:
    for caller in callers(free_address, kind):
        with pytest.raises(Unavailable) as caught:
            caller.call("encode", images(1))
        assert caught.value.retry_after is None
        with pytest.raises(Unavailable, match=f"{free_address} is not ready after 0.2 s"):
            caller.call("wait_ready", 0.2)
        with pytest.raises(Unavailable):
            caller.stream("encode_stream", images(1))


@pytest.mark.parametrize("kind", KINDS)
def test_wait_ready_waits_for_a_server_to_come_up(
    kind: str, free_address: str, client_models: Path
) -> None:
    port = free_address.split(":")[1]
    for caller in callers(free_address, kind):
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(caller.call, "wait_ready", PATIENCE)
            with server_process(client_models, "--port", port):
                waiting.result()
                assert len(caller.call("models")) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_calls_and_streams_live_through_a_restart(kind: str, client_models: Path) -> None:
    picture = images(1)[0]
    with ExitStack() as stack:
        first = stack.enter_context(server_process(client_models))
        address = first.address

        def restart() -> None:
            first.stop()
            port = address.split(":")[1]
            stack.enter_context(server_process(client_models, "--port", port)).wait_for("serving")

        def pictures() -> Iterator[NDArray[np.uint8]]:
            for number in range(2000):
                if number == 1000:
                    restart()
                yield picture

        for caller in callers(address, kind):
            caller.call("encode", picture)
            found = caller.stream("encode_stream", pictures())
            caller.call("encode", picture)
    assert [outcome.index for outcome in found] == list(range(2000))
    assert all(outcome.error is None for outcome in found)


@pytest.fixture(scope="module")
def slow_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Takes a second to encode."""
    root = tmp_path_factory.mktemp("slow")
    write_tiny_bundle(root, Tiny(encode_seconds=1.0))
    with server_process(root, "--workers", "1", "--drain-grace", "0") as server:
        yield server.address


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_answer_ends_at_the_deadline(kind: str, slow_address: str) -> None:
    for caller in callers(slow_address, kind):
        caller.call("limits")
        with pytest.raises(DeadlineExceeded):
            caller.call("encode", images(1), timeout=0.1)
        with pytest.raises(DeadlineExceeded, match=r"no reply on the stream for 0.1 s"):
            caller.stream("encode_stream", images(1), timeout=0.1)


def test_a_stream_that_is_left_early_leaves_no_thread(address: str) -> None:
    with Client(address) as client:
        before = threading.active_count()
        for _ in range(5):
            outcomes = client.encode_stream(images(200))
            next(outcomes)
            del outcomes
        end = time.monotonic() + PATIENCE
        while threading.active_count() > before and time.monotonic() < end:
            time.sleep(0.01)
        assert threading.active_count() <= before


@pytest.mark.parametrize("timeout", [1e10, float("inf")])
@pytest.mark.parametrize("kind", KINDS)
def test_there_may_be_no_deadline_to_speak_of(kind: str, timeout: float, address: str) -> None:
    for caller in callers(address, kind):
        assert len(caller.call("encode", images(2), timeout=timeout).mean) == 2
        assert len(caller.stream("encode_stream", images(2), timeout=timeout)) == 2


@pytest.fixture(scope="module")
def stuck_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Takes seconds to encode."""
    root = tmp_path_factory.mktemp("stuck")
    write_tiny_bundle(root, Tiny(encode_seconds=8.0))
    with server_process(root, "--workers", "1", "--drain-grace", "0") as server:
        yield server.address


async def test_closing_a_client_cancels_its_calls_and_not_the_tasks_that_wait(
    stuck_address: str,
) -> None:
    client = AsyncClient(stuck_address)
    await client.limits()

    async def drain() -> None:
        async for _ in client.encode_stream(images(40)):
            pass

    waiting = [asyncio.create_task(work) for work in (client.encode(images(40)), drain())]
    await asyncio.sleep(0.2)
    await client.close()
    for found in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(found, Cancelled)


async def test_a_task_that_waits_for_a_call_can_be_cancelled(stuck_address: str) -> None:
    async with AsyncClient(stuck_address) as client:
        await client.limits()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.encode(images(40)), 0.2)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"server": ""}, "server: empty address"),
        ({"retries": 5}, "retries: 5 is outside 0 to 4"),
    ],
)
def test_settings_are_checked(options: dict[str, object], problem: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidRequest, match=problem):
            kind(**options)  # type: ignore[arg-type]
