"""Tracing, from callers' contexts by servers with workers to a collector."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from evenface.v1.face_service_pb2 import ResampleWeightsRequest
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from evenface_client import Client, InvalidRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer
from support.bundles import Tiny, images, write_tiny_bundle
from support.collector import Collector, Seen, collecting, collecting_grpc
from support.messages import tensor
from support.servers import ServerProcess, run_server, server_process

ENCODE = "evenface.v1.FaceService/Encode"
WEIGHTS = "evenface.v1.FaceService/ResampleWeights"
STREAM = "evenface.v1.FaceService/EncodeStream"
CALLER: Tracer = TracerProvider(shutdown_on_exit=False).get_tracer("caller")
SILENT: Tracer = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False).get_tracer("silent")
PICTURES = images(4)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Where the servers of a test send their spans."""
    with collecting() as collector:
        _lead_to(collector, monkeypatch)
        yield collector


def _lead_to(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in collector.environment.items():
        monkeypatch.setenv(name, value)


def client_of(server: ServerProcess) -> Client:
    """A client that has asked what the server has, and asks no more."""
    client = Client(server.address, retries=0)
    client.limits()
    return client


def test_a_callers_span_has_the_servers_below_and_these_those_of_all_that_the_call_went_through(
    tiny_models: Path, collector: Collector
) -> None:
    with server_process(tiny_models, "--tracing", "--workers", "2") as server:
        with client_of(server) as client, CALLER.start_as_current_span("mine") as mine:
            client.encode(PICTURES)
        (call,) = collector.wait_for_count(ENCODE, 1)
        (batch,) = collector.wait_for_count("batch", 1)
        workers = server.workers
    context = mine.get_span_context()
    assert (call.trace, call.parent) == (
        context.trace_id.to_bytes(16, "big"),
        context.span_id.to_bytes(8, "big"),
    )
    assert call.raw.kind == call.raw.SPAN_KIND_SERVER
    assert call.attributes["rpc.system.name"] == "grpc"
    assert call.attributes["rpc.method"] == ENCODE
    assert call.attributes["rpc.response.status_code"] == "OK"
    assert (call.attributes["evenface.model"], call.attributes["evenface.rows"]) == ("faces/1", 4)
    assert len(call.attributes["evenface.request_id"]) == 32
    assert (call.resource["service.name"], call.resource["process.pid"] in workers) == (
        "evenface",
        True,
    )
    below = [one for one in collector.spans() if one.parent == call.id]
    assert [one.name for one in below] == ["admission", "queue", "inference"]
    assert {one.trace for one in below} == {call.trace}
    _, queue, inference = below
    assert (queue.links, inference.links) == ({batch.id}, {batch.id})
    assert (batch.links, batch.parent) == ({call.id}, b"")
    assert batch.attributes == {
        "evenface.model": "faces/1",
        "evenface.function": "encode",
        "evenface.rows": 4,
        "evenface.batch.requests": 1,
    }
    (session,) = [one for one in collector.spans() if one.parent == batch.id]
    assert (session.name, session.trace) == ("inference", batch.trace)
    assert not any(one.failed for one in collector.spans())


def test_a_batch_links_to_all_its_calls_and_they_to_it(
    tmp_path: Path, collector: Collector
) -> None:
    write_tiny_bundle(tmp_path, Tiny(encode_seconds=0.01))
    with (
        server_process(tmp_path, "--tracing", "--workers", "1") as server,
        client_of(server) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        list(threads.map(lambda _: client.encode(PICTURES), range(24)))
        calls = {one.id: one for one in collector.wait_for_count(ENCODE, 24)}
        collector.wait_for(lambda all_: sum(_rows(o) for o in all_ if o.name == "batch") == 24 * 4)
    batches = collector.spans("batch")
    assert max(len(batch.links) for batch in batches) > 1
    for batch in batches:
        assert batch.attributes["evenface.batch.requests"] == len(batch.links)
    assert {call for batch in batches for call in batch.links} == calls.keys()
    begun = {batch.id: batch.links for batch in batches}
    queues = collector.spans("queue")
    assert {queue.parent for queue in queues} == calls.keys()
    for queue in queues:
        (first,) = queue.links  # a call's rows may go in two batches
        assert queue.parent in begun[first]


def _rows(batch: Seen) -> int:
    return int(batch.attributes["evenface.rows"])


def test_each_request_of_a_stream_has_a_span_and_tells_of_its_error(
    tiny_models: Path, collector: Collector
) -> None:
    with server_process(tiny_models, "--tracing", "--workers", "1") as server:
        with client_of(server) as client, CALLER.start_as_current_span("mine") as mine:
            found = list(client.encode_stream([*PICTURES[:2], b"no image"]))
        (call,) = collector.wait_for_count(STREAM, 1)
        collector.wait_for_count("request", 2)
    assert [outcome.error is None for outcome in found] == [True, True, False]
    assert call.trace == mine.get_span_context().trace_id.to_bytes(16, "big")
    requests = [one for one in collector.spans("request") if one.parent == call.id]
    assert requests == collector.spans("request")
    bad = [one for one in requests if "error.type" in one.attributes]
    assert {one.attributes["error.type"] for one in bad} == {"INVALID_INPUT"}
    good = next(one for one in requests if one not in bad)
    below = [one.name for one in collector.spans() if one.parent == good.id]
    assert below == ["admission", "queue", "inference"]


@pytest.mark.parametrize("above", [["admission", "queue", "inference"], []])
def test_a_weighting_has_a_span_beside_those_of_the_encoding_if_there_is_one(
    tiny_models: Path, collector: Collector, above: list[str]
) -> None:
    with server_process(tiny_models, "--tracing", "--workers", "1") as server:
        with client_of(server) as client:
            latents = client.encode(PICTURES).mean
            found = client.resample_weights(PICTURES) if above else None
            found = found or client.resample_weights(latents=latents, rule="paper")
        (call,) = collector.wait_for_count(WEIGHTS, 1)
    below = [one for one in collector.spans() if one.parent == call.id]
    assert [one.name for one in below] == [*above, "weighting"]
    rule = "lab" if above else "paper"
    assert below[-1].attributes == {"evenface.rows": 4, "evenface.rule": rule}
    assert below[-1].trace == call.trace
    assert len(found.weights) == 4


def test_a_weighting_that_cannot_be_says_why_in_its_span(
    tiny_models: Path, collector: Collector
) -> None:
    with server_process(tiny_models, "--tracing", "--workers", "1") as server:
        with client_of(server) as client, grpc.insecure_channel(server.address) as channel:
            latents = client.encode(PICTURES).mean
            falling = np.tile([3.0, 2.0, 1.0], (latents.shape[1], 1))
            request = ResampleWeightsRequest(latents=tensor(latents), edges=tensor(falling))
            with pytest.raises(grpc.RpcError):
                FaceServiceStub(channel).ResampleWeights(request)
        (span,) = collector.wait_for_count("weighting", 1)
    assert (span.attributes["error.type"], span.failed) == ("INVALID_INPUT", True)


def test_an_error_is_told_by_code_and_reason_and_a_callers_own_is_no_fault_of_the_server(
    tiny_models: Path, collector: Collector
) -> None:
    with server_process(tiny_models, "--tracing", "--workers", "1") as server:
        with client_of(server) as client, pytest.raises(InvalidRequest):
            client.classify(b"no image")
        (call,) = collector.wait_for_count("evenface.v1.FaceService/ClassifyFace", 1)
    assert call.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert (call.attributes["error.type"], call.failed) == ("INVALID_INPUT", False)


def test_what_a_caller_does_not_trace_is_not_traced_whatever_the_ratio(
    tiny_models: Path, collector: Collector
) -> None:
    with server_process(tiny_models, "--tracing", "--workers", "1") as server:
        with client_of(server) as client:
            with SILENT.start_as_current_span("mine"):
                client.encode(PICTURES)
            client.classify(PICTURES)
        collector.wait_for_count("evenface.v1.FaceService/ClassifyFace", 1)
        server.end()
    assert not collector.spans(ENCODE)
    assert len(collector.spans("queue")) == 1


def test_a_ratio_of_none_traces_those_calls_alone_whose_callers_do(
    tiny_models: Path, collector: Collector
) -> None:
    options = ("--tracing", "--tracing-ratio", "0", "--workers", "1")
    with server_process(tiny_models, *options) as server:
        with client_of(server) as client:
            client.encode(PICTURES)
            with CALLER.start_as_current_span("mine"):
                client.classify(PICTURES)
        server.end()
    assert {one.name for one in collector.spans()} == {
        "evenface.v1.FaceService/ClassifyFace",
        *("admission", "queue", "batch", "inference"),
    }


def test_what_has_gathered_is_sent_as_the_server_drains(
    tiny_models: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", str(3600 * 1000))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "faces")
    with server_process(tiny_models, "--tracing", "--workers", "2") as server:
        with client_of(server) as client:
            client.encode(PICTURES)
        assert not collector.spans()
        server.end()
    assert [one.resource["service.name"] for one in collector.spans(ENCODE)] == ["faces"]


def test_a_collector_that_is_gone_costs_spans_alone(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting() as gone:
        _lead_to(gone, monkeypatch)
    with server_process(tiny_models, "--tracing", "--workers", "1") as server:
        with client_of(server) as client:
            for _ in range(20):
                client.encode(PICTURES)
        server.end()


def test_a_collector_that_does_not_answer_holds_up_neither_calls_nor_the_drain(
    tiny_models: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    collector.held.set()
    with server_process(tiny_models, "--tracing", "--workers", "1") as server:
        with client_of(server) as client:
            for _ in range(20):  # more than the exporter's queue holds
                client.encode(PICTURES)
        server.wait_until(lambda: collector.requests > 0)
        server.end()


def test_spans_go_by_grpc_where_the_usual_variable_says_so(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting_grpc() as collector:
        _lead_to(collector, monkeypatch)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        with server_process(tiny_models, "--tracing", "--workers", "1") as server:
            with client_of(server) as client:
                client.encode(PICTURES)
            collector.wait_for_count(ENCODE, 1)


@pytest.mark.parametrize(
    ("environment", "options", "problem"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, (), "OTEL_EXPORTER_OTLP_PROTOCOL is 'http/"),
        ({"OTEL_PROPAGATORS": "fax"}, (), "tracing: OpenTelemetry's variables (OTEL_*): Propag"),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "Bearer secret"},
            (),
            "OTEL_EXPORTER_OTLP_HEADERS is no list of NAME=VALUE",
        ),
        ({}, ("--tracing-ratio", "1.5"), "--tracing-ratio is '1.5': Input should be less"),
        ({}, ("--no-tracing", "--tracing-ratio", "0.5"), "tracing_ratio needs tracing"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    tiny_models: Path, environment: dict[str, str], options: tuple[str, ...], problem: str
) -> None:
    arguments = ("--models", str(tiny_models), "--port", "0", "--no-metrics", "--workers", "1")
    done = run_server(*arguments, "--tracing", *options, environment=environment)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {problem}")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stdout + done.stderr


def test_callers_write_nothing_into_the_log_by_contexts_that_are_none(
    tiny_models: Path, collector: Collector
) -> None:
    with server_process(tiny_models, "--tracing", "--workers", "1") as server:
        with grpc.insecure_channel(server.address) as channel:
            ask: Any = channel.unary_unary("/evenface.v1.ModelService/ListModels")
            trace = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
            ask(b"", metadata=[("baggage", "mischief"), ("traceparent", trace + "-mischief" * 99)])
            states = ("mischief", "mischief=" + "1" * 9000, ",".join(f"m{n}=1" for n in range(99)))
            for state in states:
                ask(b"", metadata=[("traceparent", trace), ("tracestate", state)])
        found = collector.wait_for_count("evenface.v1.ModelService/ListModels", 4)
        server.end()
    assert len({one.trace for one in found}) == 2
    assert {line["event"] for line in server.lines if line["level"] == "warning"} == set()


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("ImportError", "tracing needs the extra 'tracing': pip install 'evenface[tracing]'"),
        ("RuntimeError", "RuntimeError: there is none"),
    ],
)
def test_an_extra_that_is_missing_or_broken_ends_the_start_with_a_word(
    tiny_models: Path, tmp_path: Path, fault: str, problem: str
) -> None:
    (tmp_path / "opentelemetry.py").write_text(f"raise {fault}('there is none')")
    arguments = ("--models", str(tiny_models), "--port", "0", "--no-metrics", "--workers", "1")
    done = run_server(*arguments, "--tracing", environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert f"error: {problem}" in done.stderr


@pytest.mark.parametrize("module", ["evenface_server.app", "evenface_client"])
def test_nothing_of_opentelemetry_is_loaded_where_nobody_traces(module: str) -> None:
    code = f"import sys, {module}\nprint([m for m in sys.modules if m.startswith('opentel')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
