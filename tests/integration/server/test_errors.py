"""Every row of the table of errors, as a caller sees it over the wire."""

import asyncio
import gc
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from evenface.v1 import common_pb2
from evenface.v1.face_service_pb2 import (
    ClassifyFaceRequest,
    DecodeRequest,
    EncodeRequest,
    EncodeStreamRequest,
    ResampleWeightsRequest,
    SampleRequest,
)
from evenface.v1.model_service_pb2 import GetModelRequest
from evenface_server.logs import CallRecord
from evenface_transport.stream import Stream
from grpc import StatusCode
from numpy.typing import NDArray
from support.bundles import LATENT, Tiny, images, write_tiny_bundle
from support.image_files import png
from support.lanes import held
from support.messages import Details, array, details, encode, files, raw, status_details, tensor
from support.servers import Running, admitted, running, until

LATENTS = np.zeros((2, LATENT), np.float32)
EDGES = np.tile(np.arange(200.0), (LATENT, 1))
SLOW = Tiny(encode_seconds=0.3)


async def refused(call: Awaitable[object], code: StatusCode) -> Details:
    """What a call that fails with a code says; exactly one ErrorInfo of our domain."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code, caught.value.details()
    found = details(caught.value)
    assert found.info.domain == "evenface"
    return found


def _latents(message: common_pb2.Tensor) -> DecodeRequest:
    return DecodeRequest(latents=message)


def _weights(**fields: Any) -> ResampleWeightsRequest:  # noqa: ANN401
    return ResampleWeightsRequest(latents=tensor(LATENTS), **fields)


def _logits(logits: NDArray[np.float32], **fields: Any) -> ResampleWeightsRequest:  # noqa: ANN401
    return ResampleWeightsRequest(logits=tensor(logits), **fields)


INVALID: list[tuple[str, object, str]] = [
    ("Encode", EncodeRequest(), "images"),
    ("Encode", EncodeRequest(images=raw(images(0))), "images.raw.data"),
    ("Encode", EncodeRequest(images=raw(images(33))), "images.raw.data"),
    ("Encode", EncodeRequest(images=files()), "images.encoded.data"),
    ("Encode", EncodeRequest(images=files(b"", b"")), "images.encoded.data[0]"),
    (
        "Encode",
        EncodeRequest(
            images=common_pb2.Images(
                raw=common_pb2.RawImages(data=b"123", height=2, width=2, channels=3)
            )
        ),
        "images.raw.data",
    ),
    (
        "Encode",
        EncodeRequest(
            images=common_pb2.Images(
                raw=common_pb2.RawImages(data=b"1234", height=2, width=2, channels=2)
            )
        ),
        "images.raw.channels",
    ),
    ("Encode", encode(images(2), sample_seed=1, first_item=2**64 - 1), "first_item"),
    ("ClassifyFace", ClassifyFaceRequest(images=raw(images(1)), threshold=1.5), "threshold"),
    ("ClassifyFace", ClassifyFaceRequest(images=raw(images(1)), threshold=np.nan), "threshold"),
    ("Decode", _latents(tensor(LATENTS.astype(np.float64))), "latents.data_type"),
    ("Decode", _latents(common_pb2.Tensor()), "latents.data_type"),
    ("Decode", _latents(tensor(LATENTS[0])), "latents.shape"),
    ("Decode", _latents(tensor(LATENTS[:, :2].copy())), "latents"),
    ("Decode", _latents(tensor(LATENTS[:0])), "latents"),
    ("Decode", _latents(tensor(np.zeros((33, LATENT), np.float32))), "latents"),
    ("Decode", _latents(tensor(np.array([[0] * 4, [0, 0, 0, np.inf]], np.float32))), "latents[1]"),
    (
        "Decode",
        _latents(
            common_pb2.Tensor(data=b"12", shape=[1, 4], data_type=common_pb2.DATA_TYPE_FLOAT32)
        ),
        "latents.data",
    ),
    ("Decode", DecodeRequest(attributes=[common_pb2.Attributes()] * 5000), "request"),
    ("Decode", DecodeRequest(latents=tensor(LATENTS), format=99), "format"),  # type: ignore[arg-type]
    (
        "Decode",
        DecodeRequest(latents=tensor(LATENTS), attributes=[common_pb2.Attributes()] * 3),
        "attributes",
    ),
    (
        "Decode",
        DecodeRequest(
            latents=tensor(LATENTS), attributes=[common_pb2.Attributes(values={"smilng": 1})]
        ),
        "attributes[0]",
    ),
    (
        "Sample",
        SampleRequest(count=1, attributes=[common_pb2.Attributes(values={"smiling": np.nan})]),
        "attributes[0]",
    ),
    ("Sample", SampleRequest(), "count"),
    ("Sample", SampleRequest(count=2**32 - 1), "count"),
    ("Sample", SampleRequest(count=2, first_item=2**64 - 1), "first_item"),
    ("Sample", SampleRequest(count=1, temperature=-1), "temperature"),
    ("Sample", SampleRequest(count=1, temperature=np.nan), "temperature"),
    ("Sample", SampleRequest(count=1, prior=7), "prior"),  # type: ignore[arg-type]
    ("ResampleWeights", ResampleWeightsRequest(), "source"),
    ("ResampleWeights", _weights(rule="lob"), "rule"),
    ("ResampleWeights", _weights(rule="hard"), "latents"),
    ("ResampleWeights", _logits(LATENTS[0]), "logits"),
    ("ResampleWeights", _logits(LATENTS, rule="hard"), "logits.shape"),
    ("ResampleWeights", _logits(LATENTS[0] + np.float32(np.nan), rule="hard"), "logits[0]"),
    ("ResampleWeights", _weights(bins=1), "bins"),
    ("ResampleWeights", _weights(bins=2**32 - 1), "bins"),
    ("ResampleWeights", _weights(smoothing=0.0), "smoothing"),
    ("ResampleWeights", _weights(min_effective_sample_size=2), "min_effective_sample_size"),
    ("ResampleWeights", _weights(edges=tensor(LATENTS)), "edges.data_type"),
    (
        "ResampleWeights",
        _weights(histogram=common_pb2.LatentHistogram()),
        "histogram.edges.data_type",
    ),
]


@pytest.mark.parametrize(("method", "request_", "field"), INVALID)
async def test_bad_input_is_invalid_argument_and_names_its_field(
    tiny_models: Path, method: str, request_: object, field: str
) -> None:
    async with running(tiny_models, max_items_per_request=32) as server:
        found = await refused(getattr(server.face, method)(request_), StatusCode.INVALID_ARGUMENT)
    assert found.info.reason == "INVALID_INPUT"
    assert found.info.metadata["field"] == field
    (bad,) = found.bad_requests
    assert [violation.field for violation in bad.field_violations] == [field]
    assert not found.retries


async def test_a_breach_of_a_limit_names_value_and_limit(tiny_models: Path) -> None:
    async with running(tiny_models, max_items_per_request=32) as server:
        found = await refused(server.face.Encode(encode(images(33))), StatusCode.INVALID_ARGUMENT)
    assert dict(found.info.metadata) == {
        "field": "images.raw.data",
        "value": "33",
        "limit": "32",
    }


async def test_an_unknown_attribute_lists_the_known_ones(server: Running) -> None:
    request = SampleRequest(count=1, attributes=[common_pb2.Attributes(values={"smilng": 1})])
    found = await refused(server.face.Sample(request), StatusCode.INVALID_ARGUMENT)
    assert "known: smiling" in found.message


async def test_bytes_that_are_no_message_are_invalid_argument(server: Running) -> None:
    channel: Any = server.channel
    call = channel.unary_unary("/evenface.v1.FaceService/Encode")
    found = await refused(call(b"\xff\xff\xff"), StatusCode.INVALID_ARGUMENT)
    assert found.info.metadata["field"] == "request"
    stream = channel.stream_stream("/evenface.v1.FaceService/EncodeStream")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [reply async for reply in stream(iter([b"\xff\xff\xff"]))]
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT


async def test_an_unknown_model_or_version_is_not_found_and_says_what_there_is(
    server: Running,
) -> None:
    for request in (GetModelRequest(model="fases"), GetModelRequest(version="7")):
        found = await refused(server.model.GetModel(request), StatusCode.NOT_FOUND)
        assert found.info.reason == "MODEL_NOT_FOUND"
        assert "there are: " in found.message
    found = await refused(server.face.Encode(encode(images(1), model="x")), StatusCode.NOT_FOUND)
    assert "there are: faces" in found.message


async def test_a_missing_function_is_failed_precondition(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, Tiny(functions=("classify",), attribute_vectors=()))
    async with running(tmp_path) as server:
        for call in (
            server.face.Encode(encode(images(1))),
            server.face.Sample(SampleRequest(count=1)),
            server.face.ResampleWeights(ResampleWeightsRequest(images=raw(images(2)))),
        ):
            found = await refused(call, StatusCode.FAILED_PRECONDITION)
            assert found.info.reason == "FUNCTION_UNSUPPORTED"
            assert "it can classify" in found.message


async def test_probabilities_of_a_model_that_does_not_classify_are_failed_precondition(
    tmp_path: Path,
) -> None:
    write_tiny_bundle(tmp_path, Tiny(functions=("encode", "decode")))
    async with running(tmp_path) as server:
        call = server.face.Encode(encode(images(1), with_probabilities=True))
        found = await refused(call, StatusCode.FAILED_PRECONDITION)
    assert "cannot classify; it can decode, encode" in found.message


async def test_colours_of_a_model_without_a_colorizer_are_failed_precondition(
    tmp_path: Path,
) -> None:
    write_tiny_bundle(tmp_path, Tiny())
    async with running(tmp_path) as server:
        for call in (
            server.face.Sample(SampleRequest(count=1, color=True)),
            server.face.Decode(DecodeRequest(latents=tensor(LATENTS[:2]), color=True)),
        ):
            found = await refused(call, StatusCode.FAILED_PRECONDITION)
            assert found.info.reason == "FUNCTION_UNSUPPORTED"
            assert "cannot colorize; it can classify, decode, encode" in found.message


async def test_a_full_queue_is_resource_exhausted_with_retry_and_pushback(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, SLOW)
    limits = {"max_queue_rows": 4, "max_items_per_request": 4, "max_batch_rows": 1}
    async with running(tmp_path, **limits) as server:
        await server.face.Encode(encode(images(1)))  # so that the time of a batch is known
        first = asyncio.ensure_future(server.face.Encode(encode(images(4))))
        await admitted(server.app, 4)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.face.Encode(encode(images(1)))
        assert array((await first).mean).shape == (4, LATENT)
    found = details(caught.value)
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert found.info.reason == "QUEUE_FULL"
    (retry,) = found.retries
    seconds = retry.retry_delay.ToTimedelta().total_seconds()
    assert seconds > 0.01
    metadata: Any = caught.value.trailing_metadata()
    assert int(dict(metadata)["grpc-retry-pushback-ms"]) == pytest.approx(seconds * 1000, abs=1)


async def test_a_request_that_expires_in_the_queue_never_reaches_the_session(
    tmp_path: Path,
) -> None:
    write_tiny_bundle(tmp_path)
    settings = {"max_batch_rows": 1, "metrics": True, "metrics_port": 0}
    async with running(tmp_path, **settings) as server:
        with held(server.app.engine.registry.resolve("", "").lanes["encode"]):
            blocker = asyncio.ensure_future(server.face.Encode(encode(images(1))))
            await admitted(server.app, 1)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await server.face.Encode(encode(images(1)), timeout=0.05)
            assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
            await admitted(server.app, 1)  # the caller's clock may be a little ahead
        await blocker
        lane = 'function="encode",model="faces",version="1"'
        await until(lambda: server.samples()[f"evenface_queue_rows{{{lane}}}"] == 0)
        samples = server.samples()
    assert samples[f"evenface_images_total{{{lane}}}"] == 1


async def test_a_cancelled_request_never_reaches_the_session(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    settings = {"max_batch_rows": 1, "metrics": True, "metrics_port": 0}
    async with running(tmp_path, **settings) as server:
        with held(server.app.engine.registry.resolve("", "").lanes["encode"]):
            blocker = asyncio.ensure_future(server.face.Encode(encode(images(1))))
            await admitted(server.app, 1)
            victim = server.face.Encode(encode(images(5)))
            await admitted(server.app, 6)
            victim.cancel()
            await admitted(server.app, 1)
        await blocker
        await server.face.Encode(encode(images(1)))
        samples = server.samples()
    lane = 'function="encode",model="faces",version="1"'
    assert samples[f"evenface_images_total{{{lane}}}"] == 2


async def test_an_unforeseen_error_is_internal_and_stays_in_the_log(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    served = server.app.engine.registry.resolve("", "")

    def fail(_: object) -> None:
        raise RuntimeError("a secret")

    served.lanes["encode"]._run = fail  # type: ignore[assignment] # noqa: SLF001
    found = await refused(server.face.Encode(encode(images(1))), StatusCode.INTERNAL)
    assert found.info.reason == "INTERNAL"
    assert "secret" not in str(found)
    assert "a secret" in caplog.text


async def test_an_error_on_a_stream_is_in_its_reply_and_the_stream_goes_on(
    server: Running,
) -> None:
    requests = [encode(images(1)), EncodeRequest(), encode(images(2), model="x"), encode(images(1))]
    stream = server.face.EncodeStream(
        EncodeStreamRequest(id=number, request=request) for number, request in enumerate(requests)
    )
    replies = [reply async for reply in stream]
    assert [reply.WhichOneof("result") for reply in replies] == [
        "response",
        "error",
        "error",
        "response",
    ]
    reasons = [status_details(reply.error).info.reason for reply in replies[1:3]]
    assert reasons == ["INVALID_INPUT", "MODEL_NOT_FOUND"]


async def test_a_reply_that_would_be_too_large_is_refused_before_it_is_made(
    tiny_models: Path,
) -> None:
    async with running(tiny_models, max_message_bytes=8192) as server:
        fits = await server.face.Sample(SampleRequest(count=9))
        found = await refused(
            server.face.Sample(SampleRequest(count=10)), StatusCode.INVALID_ARGUMENT
        )
        most = await server.face.ResampleWeights(_weights(bins=119))
        for wrong in (_weights(bins=1000), _weights(edges=tensor(EDGES))):
            await refused(server.face.ResampleWeights(wrong), StatusCode.INVALID_ARGUMENT)
        histogram = await refused(
            server.face.ResampleWeights(_weights(bins=120)), StatusCode.INVALID_ARGUMENT
        )
    assert fits.ByteSize() <= 8192
    assert most.ByteSize() <= 8192
    assert dict(found.info.metadata) == {"field": "count", "value": "10", "limit": "9"}
    assert dict(histogram.info.metadata) == {"field": "bins", "value": "120", "limit": "119"}


async def test_what_a_small_request_for_many_bins_grows_to_is_held_against_a_limit(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenface_server.engine._ROOM_BYTES", 10_000)
    async with running(tiny_models) as server:
        await server.face.ResampleWeights(_weights(bins=10))
        call = server.face.ResampleWeights(_weights(bins=1000))
        found = await refused(call, StatusCode.INVALID_ARGUMENT)
    assert found.info.metadata["field"] == "bins"
    assert found.info.metadata["limit"] == "10000"


async def test_a_reply_of_files_or_latents_that_would_be_too_large_is_refused(
    tiny_models: Path,
) -> None:
    tiny = png(np.zeros((1, 1, 3), np.uint8))
    async with running(tiny_models, max_message_bytes=1024) as server:
        for call, field in (
            (server.face.Encode(EncodeRequest(images=files(*[tiny] * 10))), "images"),
            (
                server.face.Sample(SampleRequest(count=10, format=common_pb2.IMAGE_FORMAT_PNG)),
                "format",
            ),
        ):
            found = await refused(call, StatusCode.INVALID_ARGUMENT)
            assert found.info.metadata["field"] == field


async def test_a_message_beyond_the_limit_is_bad_input(tiny_models: Path) -> None:
    async with running(tiny_models, max_message_bytes=8192) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.face.Encode(encode(images(20)))
        assert caught.value.code() is StatusCode.INVALID_ARGUMENT
        assert "8192" in (caught.value.details() or "")
        assert details(caught.value).bad_requests[0].field_violations[0].field == "request"
        assert "8192" in str(caught.value.details())
        await server.face.Encode(encode(images(2)))


async def test_a_call_that_fails_keeps_nothing_until_garbage_is_collected(
    tiny_models: Path,
) -> None:
    async with running(tiny_models, max_queue_rows=4, max_items_per_request=4) as server:
        lane = server.app.engine.registry.resolve("", "").lanes["encode"]
        gc.collect()
        gc.disable()
        before = len(kept())  # by other tests
        try:
            await refused(server.face.Encode(EncodeRequest()), StatusCode.INVALID_ARGUMENT)
            with lane.admit(3):
                await refused(server.face.Encode(encode(images(2))), StatusCode.RESOURCE_EXHAUSTED)
            with lane.admit(4):
                await refused(server.face.Encode(encode(images(1))), StatusCode.RESOURCE_EXHAUSTED)
            await until(lambda: not server.app.held_bytes)
            # A refusal is that of others like it, too, for a moment.
            await until(lambda: len(kept()) == before)
        finally:
            gc.enable()


def kept() -> list[object]:
    """What should be gone with its call."""
    return [each for each in gc.get_objects() if type(each) in (CallRecord, Stream)]
