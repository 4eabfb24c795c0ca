"""Each RPC gives what the model's maths says, over a real socket."""

import asyncio
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evenface.v1 import common_pb2, face_service_pb2
from evenface.v1.face_service_pb2 import (
    ClassifyFaceRequest,
    ClassifyFaceStreamRequest,
    DecodeRequest,
    EncodeRequest,
    EncodeStreamRequest,
    ResampleWeightsRequest,
    SampleRequest,
)
from evenface.v1.model_service_pb2 import (
    AttributeQuality,
    GetModelRequest,
    ListModelsRequest,
)
from evenface_core.latents import posterior_sample, standard_normal
from evenface_core.resampling import LatentHistogram, weigh
from PIL import Image
from support.bundles import (
    CARD,
    LATENT,
    SIZE,
    WORTH,
    Tiny,
    expected_images,
    expected_log_variance,
    expected_logits,
    expected_mean,
    images,
    tiny_manifest,
    write_tiny_bundle,
)
from support.image_files import png
from support.messages import array, classify, encode, pixels, raw, tensor
from support.servers import Running, running

CLOSE = 1e-5


async def test_encode_gives_mean_and_log_variance(server: Running) -> None:
    pictures = images(5)
    reply = await server.face.Encode(encode(pictures))
    assert (reply.model, reply.version) == ("faces", "1")
    np.testing.assert_allclose(array(reply.mean), expected_mean(pictures), atol=CLOSE)
    np.testing.assert_allclose(
        array(reply.log_variance), expected_log_variance(pictures), atol=CLOSE
    )
    assert not reply.HasField("sample")


@pytest.mark.parametrize("joint", [True, False])
async def test_encode_tells_faces_too_where_it_is_asked_to(tmp_path: Path, *, joint: bool) -> None:
    write_tiny_bundle(tmp_path, Tiny(joint=joint))
    pictures = images(3)
    files = EncodeRequest(with_probabilities=True)
    files.images.encoded.data.extend(png(image) for image in images(3, size=200))
    async with running(tmp_path) as server:
        plain = await server.face.Encode(encode(pictures))
        reply = await server.face.Encode(encode(pictures, with_probabilities=True))
        judged = await server.face.ClassifyFace(classify(pictures))
        read = await server.face.Encode(files)
        seen = await server.face.ClassifyFace(ClassifyFaceRequest(images=files.images))
        lanes = server.app.engine.registry.resolve("", "").lanes
        assert {name: lane.rows for name, lane in lanes.items() if lane.rows} == {}
    assert not plain.HasField("logits")
    assert not plain.HasField("probabilities")
    np.testing.assert_array_equal(array(reply.mean), array(plain.mean))
    np.testing.assert_allclose(array(reply.logits), expected_logits(pictures), atol=CLOSE)
    for one, other in ((reply, judged), (read, seen)):
        np.testing.assert_array_equal(array(one.logits), array(other.logits))
        np.testing.assert_array_equal(array(one.probabilities), array(other.probabilities))


async def test_encode_samples_the_posterior_by_seed_and_item(server: Running) -> None:
    reply = await server.face.Encode(encode(images(3), sample_seed=9, first_item=40))
    noise = standard_normal(9, range(40, 43), LATENT)
    expected = posterior_sample(array(reply.mean), array(reply.log_variance), noise)
    np.testing.assert_array_equal(array(reply.sample), expected)


async def test_decode_gives_images(server: Running) -> None:
    latents = standard_normal(1, range(6), LATENT)
    reply = await server.face.Decode(DecodeRequest(latents=tensor(latents)))
    difference = pixels(reply.images).astype(int) - expected_images(latents)
    assert abs(difference).max() <= 1
    assert pixels(reply.images).shape == (6, SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (common_pb2.IMAGE_FORMAT_PNG, "PNG"),
        (common_pb2.IMAGE_FORMAT_JPEG, "JPEG"),
        (common_pb2.IMAGE_FORMAT_WEBP, "WEBP"),
    ],
)
async def test_images_come_back_as_files_when_asked(
    server: Running, asked: common_pb2.ImageFormat.ValueType, found: str
) -> None:
    latents = tensor(standard_normal(1, range(2), LATENT))
    plain = await server.face.Decode(DecodeRequest(latents=latents))
    reply = await server.face.Decode(DecodeRequest(latents=latents, format=asked))
    for data, expected in zip(reply.images.encoded.data, pixels(plain.images), strict=True):
        picture = Image.open(io.BytesIO(data))
        assert picture.format == found
        assert abs(np.asarray(picture).astype(int) - expected).max() <= (0 if found == "PNG" else 4)


async def test_an_attribute_vector_moves_the_latent(server: Running) -> None:
    latents = np.zeros((2, LATENT), np.float32)
    reply = await server.face.Decode(
        DecodeRequest(
            latents=tensor(latents),
            attributes=[
                common_pb2.Attributes(),
                common_pb2.Attributes(values={"smiling": 0.5}),
            ],
        )
    )
    moved = latents + np.array([[0, 0, 0, 0], [0.5, 0, 0, 1]], np.float32)
    assert abs(pixels(reply.images).astype(int) - expected_images(moved)).max() <= 1


async def test_a_conditional_model_takes_attributes_by_name(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, Tiny(conditions=("beard", "glasses"), attribute_vectors=()))
    latents = standard_normal(1, range(3), LATENT)
    async with running(tmp_path) as server:
        reply = await server.face.Decode(
            DecodeRequest(
                latents=tensor(latents),
                attributes=[common_pb2.Attributes(values={"glasses": 2.0})],
            )
        )
        without = await server.face.Decode(DecodeRequest(latents=tensor(latents)))
    conditions = np.array([[0, 2]] * 3, np.float32)
    expected = expected_images(latents, conditions)
    assert abs(pixels(reply.images).astype(int) - expected).max() <= 1
    assert (pixels(without.images) != pixels(reply.images)).any()


async def test_a_sample_depends_on_seed_and_item_not_on_its_batch(server: Running) -> None:
    whole = await server.face.Sample(SampleRequest(count=100, seed=5))
    parts = await asyncio.gather(
        *(server.face.Sample(SampleRequest(count=1, seed=5, first_item=i)) for i in range(100))
    )
    np.testing.assert_array_equal(
        array(whole.latents), np.concatenate([array(part.latents) for part in parts])
    )
    np.testing.assert_array_equal(
        pixels(whole.images), np.concatenate([pixels(part.images) for part in parts])
    )


async def test_samples_follow_prior_and_temperature(server: Running) -> None:
    noise = standard_normal(2, range(4), LATENT)
    posterior = tiny_manifest(Tiny()).aggregate_posterior
    assert posterior is not None
    plain = await server.face.Sample(
        SampleRequest(
            count=4,
            seed=2,
            prior=face_service_pb2.SAMPLE_PRIOR_STANDARD_NORMAL,
            temperature=0.5,
        )
    )
    best = await server.face.Sample(SampleRequest(count=4, seed=2))
    cold = await server.face.Sample(SampleRequest(count=4, seed=2, temperature=0.0))
    np.testing.assert_allclose(array(plain.latents), 0.5 * noise, rtol=1e-6)
    np.testing.assert_allclose(array(best.latents), posterior.draw(noise), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(array(cold.latents), np.tile(posterior.mean, (4, 1)), rtol=1e-5)
    assert abs(pixels(best.images).astype(int) - expected_images(array(best.latents))).max() <= 1


async def test_classify_gives_logit_probability_and_decision(server: Running) -> None:
    pictures = images(20)
    reply = await server.face.ClassifyFace(classify(pictures))
    logits = expected_logits(pictures)
    np.testing.assert_allclose(array(reply.logits), logits, atol=CLOSE)
    np.testing.assert_allclose(array(reply.probabilities), 1 / (1 + np.exp(-logits)), atol=CLOSE)
    assert list(reply.is_face) == (array(reply.probabilities) >= 0.5).tolist()
    assert {True, False} == set(reply.is_face)
    assert reply.threshold == 0.5


async def test_a_probability_equal_to_the_threshold_is_a_face(server: Running) -> None:
    first = await server.face.ClassifyFace(classify(images(1)))
    (probability,) = array(first.probabilities).tolist()
    again = await server.face.ClassifyFace(classify(images(1), threshold=probability))
    assert list(again.is_face) == [True]


async def test_a_threshold_given_replaces_the_models(server: Running) -> None:
    every = await server.face.ClassifyFace(classify(images(9), threshold=0.0))
    none = await server.face.ClassifyFace(classify(images(9), threshold=1.0))
    assert all(every.is_face)
    assert not any(none.is_face)


async def test_weights_of_images_are_those_of_their_means(server: Running) -> None:
    pictures = images(50)
    reply = await server.face.ResampleWeights(ResampleWeightsRequest(images=raw(pictures)))
    means = array((await server.face.Encode(encode(pictures))).mean)
    histogram = LatentHistogram.from_latents(means)
    expected = histogram.weights(means)
    np.testing.assert_allclose(array(reply.weights), expected.values, atol=1e-12)
    np.testing.assert_array_equal(array(reply.histogram.counts), histogram.counts)
    assert reply.effective_sample_size == pytest.approx(expected.effective_sample_size)
    assert reply.log_total == pytest.approx(expected.log_total)


async def test_hard_weights_of_images_are_those_of_their_logits(server: Running) -> None:
    pictures = images(50)
    reply = await server.face.ResampleWeights(
        ResampleWeightsRequest(images=raw(pictures), rule="hard")
    )
    logits = array((await server.face.ClassifyFace(classify(pictures))).logits)
    histogram, expected = weigh(logits[:, None], rule="hard")
    np.testing.assert_allclose(array(reply.weights), expected.values, atol=1e-12)
    np.testing.assert_array_equal(array(reply.histogram.counts), histogram.counts)
    given = await server.face.ResampleWeights(
        ResampleWeightsRequest(logits=tensor(logits), rule="hard", histogram=reply.histogram)
    )
    np.testing.assert_array_equal(array(given.weights), array(reply.weights))


async def test_weights_against_a_population_or_own_edges(server: Running) -> None:
    population = standard_normal(1, range(500), LATENT).astype(np.float64)
    batch = standard_normal(2, range(20), LATENT).astype(np.float64)
    histogram = LatentHistogram.from_latents(population, 8)
    message = common_pb2.LatentHistogram(
        edges=tensor(histogram.edges), counts=tensor(histogram.counts)
    )
    against = await server.face.ResampleWeights(
        ResampleWeightsRequest(
            latents=tensor(batch),
            histogram=message,
            rule="paper",
            smoothing=0.01,
            min_effective_sample_size=0.5,
        )
    )
    own = await server.face.ResampleWeights(
        ResampleWeightsRequest(latents=tensor(batch), edges=tensor(histogram.edges))
    )
    expected = histogram.weights(batch, "paper", smoothing=0.01, min_effective_sample_size=0.5)
    np.testing.assert_allclose(array(against.weights), expected.values, atol=1e-12)
    assert against.temper == pytest.approx(expected.temper)
    assert expected.temper < 1
    counted = LatentHistogram.with_edges(batch, histogram.edges)
    np.testing.assert_array_equal(array(own.histogram.counts), counted.counts)


async def test_a_stream_answers_in_order_with_ids(server: Running) -> None:
    pictures = [images(1 + number % 7, seed=number) for number in range(60)]
    stream = server.face.EncodeStream(
        EncodeStreamRequest(id=100 + number, request=encode(batch))
        for number, batch in enumerate(pictures)
    )
    replies = [reply async for reply in stream]
    assert [reply.id for reply in replies] == list(range(100, 160))
    for reply, batch in zip(replies, pictures, strict=True):
        np.testing.assert_allclose(array(reply.response.mean), expected_mean(batch), atol=CLOSE)


async def test_classify_streams_too(server: Running) -> None:
    pictures = [images(3, seed=number) for number in range(10)]
    stream = server.face.ClassifyFaceStream(
        ClassifyFaceStreamRequest(id=number, request=classify(batch))
        for number, batch in enumerate(pictures)
    )
    replies = [reply async for reply in stream]
    found = np.concatenate([array(reply.response.logits) for reply in replies])
    np.testing.assert_allclose(found, expected_logits(np.concatenate(pictures)), atol=CLOSE)


async def test_every_reply_says_by_its_digest_which_bundle_answered(
    server: Running, tiny_models: Path
) -> None:
    manifest = (tiny_models / "faces" / "1" / "manifest.json").read_bytes()
    pictures, latents = images(2), np.zeros((1, LATENT), np.float32)
    said: list[Any] = [
        (await server.model.ListModels(ListModelsRequest())).models[0],
        (await server.model.GetModel(GetModelRequest())).model,
        await server.face.Encode(encode(pictures)),
        await server.face.ClassifyFace(classify(pictures)),
        await server.face.Decode(DecodeRequest(latents=tensor(latents))),
        await server.face.Sample(SampleRequest(count=1)),
        await server.face.ResampleWeights(ResampleWeightsRequest(latents=tensor(latents))),
    ]
    assert {one.manifest_digest for one in said} == {hashlib.sha256(manifest).hexdigest()}


async def test_models_are_listed_with_limits(server: Running) -> None:
    reply = await server.model.ListModels(ListModelsRequest())
    (model,) = reply.models
    assert (model.name, model.version, model.is_default) == ("faces", "1", True)
    assert (model.image_size, model.channels, model.latent_size) == (SIZE, 3, LATENT)
    assert len(model.functions) == 3
    assert list(model.attributes) == ["smiling"]
    assert reply.limits.max_items_per_request == 1024
    assert reply.limits.max_message_bytes == 64 * 2**20
    assert reply.limits.max_pixels_per_image == 25_000_000


async def test_a_model_is_described_in_full(server: Running) -> None:
    reply = await server.model.GetModel(GetModelRequest())
    manifest = tiny_manifest(Tiny())
    assert manifest.aggregate_posterior is not None
    assert manifest.training_histogram is not None
    assert reply.model_card == CARD
    assert reply.groups[0].value == "gray"
    assert not reply.groups[0].HasField("true_positive_rate")
    (attribute,) = reply.attributes
    assert attribute == AttributeQuality(name="smiling", **WORTH.model_dump())
    np.testing.assert_array_equal(
        array(reply.aggregate_posterior),
        [manifest.aggregate_posterior.mean, manifest.aggregate_posterior.std],
    )
    np.testing.assert_array_equal(
        array(reply.training_histogram.counts), manifest.training_histogram.counts
    )
