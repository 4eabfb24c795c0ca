"""The Open Inference Protocol on a real server, beside our own services."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
from evenface.oip import inference_pb2 as oip
from evenface.v1 import face_service_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.bundles import (
    LATENT,
    SIZE,
    Tiny,
    expected_images,
    expected_logits,
    expected_mean,
    images,
    write_tiny_bundle,
)
from support.image_files import png
from support.inference import Array, infer, inference, outputs, typed
from support.messages import array, classify, details, encode, files, pixels, tensor
from support.servers import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENCODE, DECODE, CLASSIFY = "faces.encode", "faces.decode", "faces.classify"
PICTURES = images(3)
LATENTS: Array = expected_mean(images(3, seed=2))
SHAPE = (3, SIZE, SIZE, 3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_tiny_bundle(root)
    write_tiny_bundle(root, Tiny(version="2", shift=0.5))
    write_tiny_bundle(root, Tiny(name="bearded", conditions=("beard", "hat")))
    write_tiny_bundle(root, Tiny(name="judge.v", functions=("classify",), attribute_vectors=()))
    return root


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(models: Path) -> AsyncIterator[Running]:
    async with running(models, open_inference=True, max_items_per_request=8) as found:
        yield found


async def test_each_function_of_each_version_is_a_model_with_fixed_inputs_and_outputs(
    server: Running,
) -> None:
    stub = inference(server)
    found = await stub.RepositoryIndex(oip.RepositoryIndexRequest())
    assert [(m.name, m.version, m.state) for m in found.models if m.name[0] in "fj"] == [
        *(("faces." + f, "1", "READY") for f in ("encode", "decode", "classify")),
        *(("faces." + f, "2", "READY") for f in ("encode", "decode", "classify")),
        ("judge.v.classify", "1", "READY"),
    ]
    for model in found.models:
        name = oip.ModelMetadataRequest(name=model.name, version=model.version)
        metadata = await stub.ModelMetadata(name)
        assert metadata.name == model.name
        assert model.version in metadata.versions
        assert {t.shape[0] for t in (*metadata.inputs, *metadata.outputs)} == {-1}
    elsewhere = oip.RepositoryIndexRequest(repository_name="other")
    assert not (await stub.RepositoryIndex(elsewhere)).models


async def test_metadata_and_configuration_say_the_same_of_a_model(server: Running) -> None:
    stub = inference(server)
    metadata = await stub.ModelMetadata(oip.ModelMetadataRequest(name="bearded.decode"))
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [
        ("latents", "FP32", [-1, LATENT]),
        ("conditions", "FP32", [-1, 2]),
    ]
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.outputs] == [
        ("images", "UINT8", [-1, SIZE, SIZE, 3])
    ]
    config = (await stub.ModelConfig(oip.ModelConfigRequest(name="bearded.decode"))).config
    assert [(t.name, t.optional, list(t.dims)) for t in config.input] == [
        ("latents", False, [LATENT]),
        ("conditions", True, [2]),
    ]
    assert [oip.DataType.Name(t.data_type) for t in config.output] == ["TYPE_UINT8"]
    assert config.max_batch_size == 8
    judged = await stub.ModelMetadata(oip.ModelMetadataRequest(name="judge.v.classify"))
    reply = await stub.ModelInfer(infer("judge.v.classify", {"images": PICTURES}))
    assert [(t.name, t.datatype) for t in judged.outputs] == [
        (t.name, t.datatype) for t in reply.outputs
    ]


async def test_what_is_encoded_is_what_our_own_service_answers(server: Running) -> None:
    own = await server.face.Encode(encode(PICTURES))
    reply = await inference(server).ModelInfer(infer(ENCODE, {"images": PICTURES}, id="a-7"))
    found = outputs(reply)
    assert list(found) == ["mean", "log_variance"]
    assert (found["mean"] == array(own.mean)).all()
    assert (found["log_variance"] == array(own.log_variance)).all()
    assert (reply.id, reply.model_name, reply.model_version) == ("a-7", ENCODE, "2")
    assert reply.parameters["manifest_digest"].string_param == own.manifest_digest != ""


async def test_what_is_classified_and_decoded_is_what_our_own_service_answers(
    server: Running,
) -> None:
    stub = inference(server)
    own = await server.face.ClassifyFace(classify(PICTURES))
    found = outputs(await stub.ModelInfer(infer(CLASSIFY, {"images": PICTURES})))
    assert np.allclose(found["logits"], expected_logits(PICTURES), atol=1e-4)
    assert (found["logits"] == array(own.logits)).all()
    assert (found["probabilities"] == array(own.probabilities)).all()
    assert found["is_face"].tolist() == list(own.is_face)
    drawn = await server.face.Decode(face_service_pb2.DecodeRequest(latents=tensor(LATENTS)))
    (decoded,) = outputs(await stub.ModelInfer(infer(DECODE, {"latents": LATENTS}))).values()
    assert (decoded == pixels(drawn.images)).all()


async def test_outputs_come_as_they_are_asked_for(server: Running) -> None:
    wanted = [{"name": "is_face"}, {"name": "logits"}]
    request = infer(CLASSIFY, {"images": PICTURES}, outputs=wanted)
    reply = await inference(server).ModelInfer(request)
    assert [t.name for t in reply.outputs] == ["is_face", "logits"]
    assert [len(raw) for raw in reply.raw_output_contents] == [3, 12]


async def test_a_version_can_be_named(server: Running) -> None:
    for version, shift in (("1", 0.0), ("2", 0.5)):
        request = infer(ENCODE, {"images": PICTURES}, model_version=version)
        reply = await inference(server).ModelInfer(request)
        assert reply.model_version == version
        assert np.allclose(outputs(reply)["mean"], expected_mean(PICTURES, shift), atol=1e-5)


async def test_typed_contents_are_read_as_raw_ones(server: Running) -> None:
    stub = inference(server)
    raw = infer(ENCODE, {"images": PICTURES})
    same = typed(ENCODE, "images", "UINT8", SHAPE, uint_contents=PICTURES.ravel().tolist())
    assert await stub.ModelInfer(same) == await stub.ModelInfer(raw)
    raw = infer(DECODE, {"latents": LATENTS})
    same = typed(DECODE, "latents", "FP32", LATENTS.shape, fp32_contents=LATENTS.ravel().tolist())
    assert await stub.ModelInfer(same) == await stub.ModelInfer(raw)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
async def test_image_files_may_come_as_bytes(server: Running, shape: tuple[int, ...]) -> None:
    data = [png(images(1, seed=n, size=20 + n)[0]) for n in range(2)]
    own = await server.face.Encode(encode_files(data))
    as_typed = typed(ENCODE, "images", "BYTES", shape, bytes_contents=data)
    as_raw = typed(ENCODE, "images", "BYTES", shape)
    as_raw.inputs[0].ClearField("contents")
    as_raw.raw_input_contents.append(b"".join(struct.pack("<I", len(d)) + d for d in data))
    for request in (as_typed, as_raw):
        found = outputs(await inference(server).ModelInfer(request))
        assert (found["mean"] == array(own.mean)).all()


def encode_files(data: list[bytes]) -> face_service_pb2.EncodeRequest:
    return face_service_pb2.EncodeRequest(images=files(*data))


async def test_raw_images_of_another_size_are_made_to_fit_as_ours_are(server: Running) -> None:
    large = images(2, size=40)
    own = await server.face.Encode(encode(large))
    found = outputs(await inference(server).ModelInfer(infer(ENCODE, {"images": large})))
    assert (found["mean"] == array(own.mean)).all()


async def test_conditions_go_to_the_decoder_in_their_order_and_are_0_when_left_out(
    server: Running,
) -> None:
    stub = inference(server)
    conditions = np.array([[0, 1], [1, 0], [0.5, -2]], np.float32)
    for given in (conditions, None):
        inputs = {"latents": LATENTS} | ({} if given is None else {"conditions": given})
        (found,) = outputs(await stub.ModelInfer(infer("bearded.decode", inputs))).values()
        expected = expected_images(LATENTS, np.zeros_like(conditions) if given is None else given)
        assert abs(found.astype(int) - expected).max() <= 1


def spoiled(request: oip.ModelInferRequest, **fields: Any) -> oip.ModelInferRequest:  # noqa: ANN401
    """The request with other fields in its first input."""
    for name, value in fields.items():
        if name == "shape":
            request.inputs[0].shape[:] = value
        else:
            setattr(request.inputs[0], name, value)
    return request


def encoding(**fields: Any) -> oip.ModelInferRequest:  # noqa: ANN401
    return spoiled(infer(ENCODE, {"images": PICTURES}), **fields)


def decoding(**fields: Any) -> oip.ModelInferRequest:  # noqa: ANN401
    return spoiled(infer(DECODE, {"latents": LATENTS}), **fields)


def more(request: oip.ModelInferRequest, **fields: Any) -> oip.ModelInferRequest:  # noqa: ANN401
    request.MergeFrom(oip.ModelInferRequest(**fields))
    return request


SHARED = {"shared_memory_region": {"string_param": "x"}}
FILES = struct.pack("<I", 3) + b"abc"
MANY = [0] * (2**18 + 1)


def bytes_request(raw: bytes, shape: tuple[int, ...]) -> oip.ModelInferRequest:
    request = typed(ENCODE, "images", "BYTES", shape)
    request.inputs[0].ClearField("contents")
    request.raw_input_contents.append(raw)
    return request


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (encoding(name="image"), "inputs[0]: 'image' is unknown; known: images"),
        (oip.ModelInferRequest(model_name=ENCODE), "inputs: 'images' is missing"),
        (encoding(datatype="FP32"), "images.datatype: FP32, expected UINT8 or BYTES"),
        (encoding(datatype=""), "images.datatype: none, expected UINT8 or BYTES"),
        (decoding(datatype="FP16"), "latents.datatype: FP16, expected FP32"),
        (encoding(shape=[3, 768]), "images.shape: 3×768 is not N×H×W×C"),
        (encoding(shape=[2, 16, 16, 3]), "2304 bytes, but shape 2×16×16×3 of uint8 takes 1536"),
        (encoding(shape=[-3, 16, 16, -3]), "2304 bytes, but shape -3×16×16×-3 of uint8"),
        (encoding(shape=[2**62] * 4), "images.raw_input_contents: 2304 bytes, but shape"),
        (encoding(shape=[2] * 9), "images.shape: 9 dimensions; limit 8"),
        (encoding(shape=[4, 8, 12, 6]), "images.raw.channels: 6 is neither 1 nor 3"),
        (infer(ENCODE, {"images": images(9)}), "9 items; allowed: 1 to 8"),
        (infer(ENCODE, {"images": images(1)[:0]}), "0 items; allowed: 1 to 8"),
        (decoding(shape=[3, 2, 2]), "latents.shape: 3×2×2 is not two-dimensional"),
        (decoding(shape=[4, 3]), "latents: shape 4×3 is not N×4"),
        (infer(DECODE, {"latents": LATENTS * np.float32(np.nan)}), "latents[0]: "),
        (
            infer("bearded.decode", {"latents": LATENTS, "conditions": LATENTS}),
            "conditions.shape: 3×4 is not 3×2",
        ),
        (
            infer(DECODE, {"latents": LATENTS, "conditions": LATENTS[:, :1].copy()}),
            "inputs[1]: 'conditions' is unknown; known: latents",
        ),
        (
            more(encoding(), raw_input_contents=[b"x"]),
            "raw_input_contents: 2 given for 1 inputs",
        ),
        (more(encoding(), inputs=[{"name": "images"}]), "raw_input_contents: 1 given for 2 inputs"),
        (
            more(encoding(), inputs=[{"name": "images"}], raw_input_contents=[b""]),
            "inputs[1]: 'images' stands there twice",
        ),
        (
            more(typed(ENCODE, "images", "UINT8", (1,)), raw_input_contents=[b"x"]),
            "images.contents: set together with raw_input_contents",
        ),
        (
            typed(ENCODE, "images", "UINT8", (1, 1, 1, 3), uint_contents=[0, 256, 1]),
            "images.contents.uint_contents[1]: 256 is above 255",
        ),
        (
            typed(ENCODE, "images", "UINT8", (1, 1, 1, 3), fp32_contents=[0, 1, 1]),
            "images.contents.uint_contents: 0 bytes, but shape 1×1×1×3",
        ),
        (
            typed(DECODE, "latents", "FP32", (1, 4), fp32_contents=MANY),
            "latents.contents: 262145 elements; limit 262144",
        ),
        (more(encoding(), outputs=[{"name": "sample"}]), "known: mean, log_variance"),
        (
            more(encoding(), outputs=[{"name": "mean"}, {"name": "mean"}]),
            "outputs[1]: 'mean' stands there twice",
        ),
        (
            more(encoding(), outputs=[{"name": "mean", "parameters": SHARED}]),
            "outputs[0].parameters: 'shared_memory_region' is not supported",
        ),
        (
            more(
                oip.ModelInferRequest(model_name=ENCODE),
                inputs=[{"name": "images", "parameters": SHARED}],
            ),
            "inputs[0].parameters: 'shared_memory_region' is not supported",
        ),
        (
            more(encoding(), parameters={"sequence_id": {"int64_param": 1}}),
            "parameters: 'sequence_id' is not supported",
        ),
        (bytes_request(FILES, (1,)), "images.encoded.data[0]: "),
        (bytes_request(FILES, (2,)), "images: 1 elements, but the shape has 2"),
        (bytes_request(FILES + FILES, (1,)), "images: 2 elements, but the shape has 1"),
        (bytes_request(FILES[:-1], (1,)), "[0]: 6 bytes end within an element"),
        (bytes_request(FILES[:2], (1,)), "[0]: 2 bytes end within an element"),
        (bytes_request(FILES, (1, 2)), "images.shape: 1×2 is neither N nor N×1"),
        (bytes_request(FILES, ()), "images.shape: scalar is neither N nor N×1"),
        (bytes_request(FILES, (2**40,)), "images.shape: 1099511627776 items; allowed: 1 to 8"),
    ],
)  # fmt: skip
async def test_what_cannot_be_used_is_refused_by_name_with_value_and_limit(
    server: Running, request_: oip.ModelInferRequest, problem: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await inference(server).ModelInfer(request_)
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    found = details(caught.value)
    assert problem in found.message
    assert found.info.reason == "INVALID_INPUT"
    assert found.bad_requests[0].field_violations[0].field


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("faces", ""),
        ("", ""),
        (".encode", ""),
        ("faces.sample", ""),
        ("faces.colorize", ""),
        ("judge.v.encode", ""),
        ("strangers.encode", ""),
        ("faces.encode", "9"),
    ],
)
async def test_a_model_that_is_not_there_is_not_found_nor_ready(
    server: Running, name: str, version: str
) -> None:
    stub = inference(server)
    calls: list[Any] = [
        stub.ModelInfer(infer(name, {"images": PICTURES}, model_version=version)),
        stub.ModelMetadata(oip.ModelMetadataRequest(name=name, version=version)),
        stub.ModelConfig(oip.ModelConfigRequest(name=name, version=version)),
    ]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError, match="there are: ") as caught:
            await call
        assert caught.value.code() is StatusCode.NOT_FOUND
    ready = await stub.ModelReady(oip.ModelReadyRequest(name=name, version=version))
    assert ready.ready is False


async def test_a_stream_goes_on_after_a_bad_request_and_answers_in_order(server: Running) -> None:
    requests = [
        infer(ENCODE, {"images": images(8)}, id="first"),
        infer(ENCODE, {"pictures": PICTURES}, id="bad"),
        infer(DECODE, {"latents": LATENTS}, id="last"),
    ]
    stream: Any = inference(server).ModelStreamInfer(iter(requests))
    first, bad, last = [reply async for reply in stream]
    assert [r.infer_response.id for r in (first, bad, last)] == ["first", "bad", "last"]
    assert outputs(first.infer_response)["mean"].shape == (8, LATENT)
    assert "'pictures' is unknown" in bad.error_message
    assert not bad.infer_response.outputs
    assert (first.error_message, last.error_message) == ("", "")


async def test_the_server_is_ready_until_it_drains(models: Path) -> None:
    async with running(models, open_inference=True) as server:
        stub = inference(server)
        health = health_pb2_grpc.HealthStub(server.channel)
        name = health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService")
        ready = oip.ModelReadyRequest(name=ENCODE)
        assert (await stub.ServerReady(oip.ServerReadyRequest())).ready
        assert (await stub.ModelReady(ready)).ready
        assert (await health.Check(name)).status == health_pb2.HealthCheckResponse.SERVING
        drain = asyncio.create_task(server.drain(delay=0.5, grace=5.0))
        await asyncio.sleep(0)
        assert not (await stub.ServerReady(oip.ServerReadyRequest())).ready
        assert not (await stub.ModelReady(ready)).ready
        assert (await stub.ServerLive(oip.ServerLiveRequest())).live
        assert (await stub.ModelInfer(infer(ENCODE, {"images": PICTURES}))).outputs
        assert await drain


async def test_it_is_off_unless_switched_on(tiny_models: Path) -> None:
    async with running(tiny_models) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await inference(server).ServerLive(oip.ServerLiveRequest())
    assert caught.value.code() is StatusCode.UNIMPLEMENTED


async def test_a_full_queue_refuses_before_the_request_has_come_in(models: Path) -> None:
    limits = {"max_queue_rows": 8, "max_items_per_request": 8, "open_inference": True}
    async with running(models, **limits) as server:
        lane = server.app.engine.registry.resolve("faces", "").lanes["encode"]
        with lane.admit(8):
            call = inference(server).ModelInfer(infer(ENCODE, {"images": PICTURES}))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            other = infer(CLASSIFY, {"images": PICTURES})
            assert (await inference(server).ModelInfer(other)).outputs
        samples = server.samples()
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-retry-pushback-ms" in dict(await call.trailing_metadata())
    labels = 'grpc_method="ModelInfer",grpc_service="inference.GRPCInferenceService"'
    received = samples[f'grpc_server_msg_received_total{{{labels},grpc_type="unary"}}']
    started = samples[f'grpc_server_started_total{{{labels},grpc_type="unary"}}']
    assert (started, received) == (2, 1)


async def test_a_call_that_has_no_time_left_ends_at_its_deadline(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, Tiny(encode_seconds=0.5))
    async with running(tmp_path, open_inference=True) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await inference(server).ModelInfer(infer(ENCODE, {"images": PICTURES}), timeout=0.1)
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED


async def test_a_token_may_be_for_inference_alone(tmp_path: Path, models: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    entry = f"{{name: triton, sha256: {digest}, rpcs: [GRPCInferenceService/ModelInfer]}}"
    tokens.write_text(f"tokens: [{entry}]")
    metadata = (("authorization", "Bearer secret"),)
    async with running(models, open_inference=True, tokens_file=tokens) as server:
        stub = inference(server)
        request = infer(ENCODE, {"images": PICTURES})
        assert (await stub.ModelInfer(request, metadata=metadata)).outputs
        index = stub.RepositoryIndex(oip.RepositoryIndexRequest(), metadata=metadata)
        refused: dict[Any, StatusCode] = {
            stub.ModelInfer(request): StatusCode.UNAUTHENTICATED,
            index: StatusCode.PERMISSION_DENIED,
            server.face.Encode(encode(PICTURES), metadata=metadata): StatusCode.PERMISSION_DENIED,
        }
        for call, code in refused.items():
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is code


async def test_statistics_count_what_was_run(server: Running) -> None:
    stub = inference(server)
    name = oip.ModelStatisticsRequest(name="bearded.encode")
    assert (await stub.ModelStatistics(name)).model_stats[0].inference_count == 0
    for _ in range(2):
        await stub.ModelInfer(infer("bearded.encode", {"images": PICTURES}))
    await server.face.Encode(encode(PICTURES, model="bearded"))
    (found,) = (await stub.ModelStatistics(name)).model_stats
    assert (found.inference_count, found.execution_count) == (9, 3)
    times = found.inference_stats
    assert times.success.count == times.queue.count == times.compute_infer.count == 3
    assert times.success.ns >= times.compute_infer.ns > 0
    every = await stub.ModelStatistics(oip.ModelStatisticsRequest())
    index = await stub.RepositoryIndex(oip.RepositoryIndexRequest())
    assert [(s.name, s.version) for s in every.model_stats] == [
        (m.name, m.version) for m in index.models
    ]
