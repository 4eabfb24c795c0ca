"""Inputs past the server's limits: results as if there had been one request."""

from pathlib import Path

import numpy as np
import pytest
from evenface_client import Client, InvalidRequest
from evenface_core.latents import standard_normal
from numpy.typing import NDArray
from support.bundles import LATENT, Tiny, images, write_tiny_bundle
from support.clients import Caller
from support.servers import server_process

UInt8 = NDArray[np.uint8]
ITEMS = 12  # of the small server; ten images fill a message


def test_the_small_server_refuses_what_is_not_cut(client: Client, small: Caller) -> None:
    limits = small.call("limits")
    assert (limits.max_items_per_request, limits.max_message_bytes) == (ITEMS, 8192)
    assert client.limits().max_items_per_request > 23


def test_encode_in_chunks_is_encode_at_once(small: Caller, client: Client, pixels: UInt8) -> None:
    whole = client.encode(pixels, sample_seed=3, first_item=9)
    parts = small.call("encode", pixels, sample_seed=3, first_item=9)
    np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-5)
    np.testing.assert_allclose(parts.log_variance, whole.log_variance, atol=1e-5)
    assert whole.sample is not None
    np.testing.assert_allclose(parts.sample, whole.sample, atol=1e-5)


def test_classify_in_chunks_is_classify_at_once(
    small: Caller, client: Client, pixels: UInt8
) -> None:
    whole, parts = client.classify(pixels), small.call("classify", pixels)
    np.testing.assert_allclose(parts.logits, whole.logits, atol=1e-5)
    assert parts.is_face.tolist() == whole.is_face.tolist()


def test_decode_in_chunks_is_decode_at_once(small: Caller, client: Client) -> None:
    latents = standard_normal(2, range(23), LATENT)
    each = [{"smiling": float(number)} for number in range(23)]
    for attributes in (None, {"smiling": 1.0}, each):
        whole = client.decode(latents, attributes=attributes)
        parts = small.call("decode", latents, attributes=attributes)
        np.testing.assert_allclose(parts.images, whole.images, atol=1)


def test_sample_in_chunks_is_sample_at_once(small: Caller, client: Client) -> None:
    whole, parts = client.sample(23, seed=8), small.call("sample", 23, seed=8)
    np.testing.assert_array_equal(parts.latents, whole.latents)
    np.testing.assert_allclose(parts.images, whole.images, atol=1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rule": "paper", "min_effective_sample_size": 0.9},
        {"bins": 4, "smoothing": 0.5},
    ],
)
def test_weights_of_many_latents_are_those_of_one_request_to_the_last_bit(
    small: Caller, client: Client, pixels: UInt8, options: dict[str, object]
) -> None:
    latents = client.encode(pixels).mean
    whole = client.resample_weights(latents=latents, **options)  # type: ignore[arg-type]
    parts = small.call("resample_weights", latents=latents, **options)
    np.testing.assert_array_equal(parts.weights, whole.weights)
    np.testing.assert_array_equal(parts.histogram.edges, whole.histogram.edges)
    np.testing.assert_array_equal(parts.histogram.counts, whole.histogram.counts)
    assert (parts.temper, parts.log_total) == (whole.temper, whole.log_total)
    assert parts.effective_sample_size == whole.effective_sample_size
    assert parts.model == whole.model


def test_weights_against_a_population_are_those_of_one_request(
    small: Caller, client: Client, pixels: UInt8
) -> None:
    latents = client.encode(pixels).mean
    population = client.model().training_histogram
    assert population is not None
    for options in ({"histogram": population}, {"edges": population.edges}):
        whole = client.resample_weights(latents=latents, **options)
        parts = small.call("resample_weights", latents=latents, **options)
        np.testing.assert_array_equal(parts.weights, whole.weights)
        np.testing.assert_array_equal(parts.histogram.counts, whole.histogram.counts)


def test_weights_of_many_images_are_those_of_their_latents(small: Caller, pixels: UInt8) -> None:
    latents = small.call("encode", pixels).mean
    whole = small.call("resample_weights", pixels, min_effective_sample_size=0.9)
    parts = small.call("resample_weights", latents=latents, min_effective_sample_size=0.9)
    assert whole.weights.shape == (len(pixels),)
    np.testing.assert_allclose(whole.weights, parts.weights, rtol=1e-3)


def test_a_histogram_larger_than_a_message_is_counted_here(
    small: Caller, client: Client, pixels: UInt8
) -> None:
    latents = client.encode(pixels[:3]).mean
    whole = client.resample_weights(latents=latents, bins=900)
    parts = small.call("resample_weights", latents=latents, bins=900)
    np.testing.assert_array_equal(parts.weights, whole.weights)
    of_images = small.call("resample_weights", pixels[:3], bins=900)
    assert of_images.histogram.total == 3


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rule": "x"}, "rule: 'x' is unknown"),
        ({"smoothing": -1.0}, "smoothing"),
        ({"min_effective_sample_size": 2.0}, "min_effective_sample_size: 2.0 is outside"),
    ],
)
def test_weights_made_here_refuse_what_the_server_refuses(
    small: Caller, options: dict[str, object], problem: str
) -> None:
    for count in (2, 23):  # in one request, and past the limit
        latents = standard_normal(1, range(count), LATENT)
        with pytest.raises(InvalidRequest, match=problem):
            small.call("resample_weights", latents=latents, **options)


def test_latents_of_another_model_are_refused_past_the_limit_too(small: Caller) -> None:
    with pytest.raises(InvalidRequest, match="latents: 3 dimensions; faces has 4"):
        small.call("resample_weights", latents=np.zeros((23, 3), np.float32))


def test_requests_are_cut_to_the_bytes_of_a_message(small: Caller, client: Client) -> None:
    large = images(6, size=40)  # 4,800 bytes each: two of them do not fit
    parts, whole = small.call("encode", large), client.encode(large)
    np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-5)
    outcomes = small.stream("encode_stream", large)
    assert [outcome.error for outcome in outcomes] == [None] * 6


def test_an_image_larger_than_a_message_is_named_and_not_sent(small: Caller) -> None:
    sources = [images(1)[0], images(1, size=60)[0]]
    with pytest.raises(InvalidRequest, match=r"images\[1\]: 10800 bytes; limit") as caught:
        small.call("classify", sources)
    assert caught.value.code is None
    good, bad = small.stream("classify_stream", sources)
    assert good.error is None
    assert isinstance(bad.error, InvalidRequest)


def test_the_number_of_a_bad_item_counts_all_items(small: Caller, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nonsense")
    with pytest.raises(InvalidRequest, match=r"images\[17\] \(.*bad.png\): not a JPEG"):
        small.call("encode", [*images(17), bad, *images(3)])


def test_the_number_of_bad_attributes_counts_all_items(small: Caller) -> None:
    each = [{"smiling": 1.0}] * 23
    each[17] = {"bald": 1.0}
    with pytest.raises(InvalidRequest, match=r"attributes\[17\]: .*bald"):
        small.call("sample", 23, attributes=each)
    with pytest.raises(InvalidRequest, match=r"attributes\[17\]: .*bald"):
        small.call("decode", standard_normal(1, range(23), LATENT), attributes=each)


def test_replies_are_as_large_as_the_server_allows(client_models: Path) -> None:
    count = 6000  # 4.6 MB of images; gRPC's own limit is 4 MiB
    options = ("--max-items-per-request", str(count), "--max-queue-rows", str(count))
    with server_process(client_models, *options) as server, Client(server.address) as client:
        assert len(client.sample(count).images) == count
        server.end()
        asked = [line for line in server.lines if line.get("method") == "Sample"]
    assert len(asked) == 1


def test_our_own_chunks_do_not_overload_a_server(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, Tiny(encode_seconds=0.01))
    queue = ("--max-queue-rows", "4", "--max-items-per-request", "4", "--max-batch-rows", "1")
    with (
        server_process(tmp_path, *queue) as server,
        Client(server.address, retries=0) as client,
    ):
        assert len(client.encode(images(40)).mean) == 40
        server.end()
        refused = [line for line in server.lines if line.get("code") == "RESOURCE_EXHAUSTED"]
    assert refused  # else this test would show nothing
