"""Every method of both clients against a real server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evenface_client import (
    AsyncClient,
    AttributeQuality,
    Client,
    EncodedImage,
    InvalidRequest,
    NotFound,
    Unsupported,
)
from evenface_client._bulk import Bulk
from evenface_core.latents import posterior_sample, standard_normal
from evenface_core.resampling import LatentHistogram, weigh
from numpy.typing import NDArray
from PIL import Image
from support.bundles import (
    CARD,
    LATENT,
    SIZE,
    WORTH,
    expected_images,
    expected_log_variance,
    expected_logits,
    expected_mean,
    images,
    tiny_manifest,
)
from support.bundles import Tiny as TinyBundle
from support.clients import Caller, callers
from support.servers import server_process

UInt8 = NDArray[np.uint8]
NEWEST = "2"
SHIFT = 0.5  # of version 2


def test_encode_gives_mean_and_log_variance(either: Caller, pixels: UInt8) -> None:
    encoding = either.call("encode", pixels)
    np.testing.assert_allclose(encoding.mean, expected_mean(pixels, SHIFT), atol=1e-5)
    np.testing.assert_allclose(encoding.log_variance, expected_log_variance(pixels), atol=1e-5)
    assert encoding.sample is None
    assert (encoding.model.name, encoding.model.version) == ("faces", NEWEST)
    assert encoding.mean.dtype == np.float32
    assert encoding.mean.flags.writeable


def test_encode_draws_a_seeded_sample(either: Caller, pixels: UInt8) -> None:
    encoding = either.call("encode", pixels, sample_seed=5, first_item=100)
    noise = standard_normal(5, range(100, 100 + len(pixels)), LATENT)
    expected = posterior_sample(encoding.mean, encoding.log_variance, noise)
    np.testing.assert_allclose(encoding.sample, expected, atol=1e-6)


def test_encode_tells_faces_too_where_it_is_asked_to(either: Caller, pixels: UInt8) -> None:
    verdict = either.call("classify", pixels)
    encoding = either.call("encode", pixels, with_probabilities=True)
    np.testing.assert_array_equal(encoding.logits, verdict.logits)
    np.testing.assert_array_equal(encoding.probabilities, verdict.probabilities)
    streamed = [o.unwrap() for o in either.stream("encode_stream", pixels, with_probabilities=True)]
    assert [(one.logit, one.probability) for one in streamed] == list(
        zip(verdict.logits.tolist(), verdict.probabilities.tolist(), strict=True)
    )
    assert either.call("encode", pixels).logits is None


def test_a_version_can_be_named(either: Caller, pixels: UInt8) -> None:
    encoding = either.call("encode", pixels, model="faces", version="1")
    np.testing.assert_allclose(encoding.mean, expected_mean(pixels), atol=1e-5)
    assert encoding.model.version == "1"


def test_decode_gives_images(either: Caller) -> None:
    latents = standard_normal(1, range(6), LATENT)
    decoded = either.call("decode", latents)
    np.testing.assert_allclose(decoded.images, expected_images(latents), atol=1)
    assert decoded.images.shape == (6, SIZE, SIZE, 3)
    one = either.call("decode", latents[0].astype(np.float64))
    np.testing.assert_array_equal(one.images, decoded.images[:1])


def test_attributes_move_latents_and_set_conditions(either: Caller) -> None:
    latents = standard_normal(1, range(3), LATENT)
    moved = either.call("decode", latents, attributes={"smiling": 2.0}).images
    direction = np.array([1, 0, 0, 2], np.float32)
    np.testing.assert_allclose(moved, expected_images(latents + 2 * direction), atol=1)
    each = [{"beard": value} for value in (0.0, 1.0, -1.0)]
    tinted = either.call("decode", latents, attributes=each, model="bearded").images
    conditions = np.array([[0], [1], [-1]], np.float32)
    np.testing.assert_allclose(tinted, expected_images(latents, conditions), atol=1)


def test_edit_shows_faces_before_and_after(either: Caller, pixels: UInt8) -> None:
    edited = either.call("edit", pixels, attributes={"smiling": -2.0}, steps=2, version="1")
    means = expected_mean(pixels)
    np.testing.assert_allclose(edited.latents, means, atol=1e-5)
    np.testing.assert_allclose(edited.originals, expected_images(means), atol=1)
    direction = np.array([1, 0, 0, 2], np.float32)
    for step, strength in enumerate((-1, -2)):
        moved = expected_images(means + np.float32(strength) * direction)
        np.testing.assert_allclose(edited.images[:, step], moved, atol=1)
    assert edited.model.version == "1"


def test_edit_moves_several_attributes_and_sets_conditions(either: Caller) -> None:
    latents = standard_normal(1, range(3), LATENT)
    changes = {"beard": 0.5, "smiling": 1.0}
    edited = either.call("edit", latents=latents, attributes=changes, model="bearded")
    moved = latents + np.array([1, 0, 0, 2], np.float32)
    beard = np.full((3, 1), 0.5, np.float32)
    np.testing.assert_allclose(edited.images[:, 0], expected_images(moved, beard), atol=1)
    np.testing.assert_allclose(edited.originals, expected_images(latents, 0 * beard), atol=1)


def test_edit_names_what_it_cannot_do(either: Caller) -> None:
    latents = standard_normal(1, range(3), LATENT)
    for options, problem in (
        ({"latents": latents, "attributes": {"bald": 1}}, "'bald' is unknown; known: smiling"),
        ({"latents": latents, "attributes": {}}, "attributes: none were passed"),
        ({"latents": latents, "attributes": {"smiling": 1}, "steps": 0}, "steps: 0 is below 1"),
        ({"latents": latents, "attributes": {"smiling": "very"}}, "not names with numbers"),
        ({"attributes": {"smiling": 1}}, "pass either images or latents"),
    ):
        with pytest.raises(InvalidRequest, match=problem):
            either.call("edit", **options)


def test_sample_draws_faces_that_depend_on_seed_and_number_alone(either: Caller) -> None:
    drawn = either.call("sample", 5, seed=3, prior="normal", temperature=0.5)
    np.testing.assert_allclose(drawn.latents, 0.5 * standard_normal(3, range(5), LATENT), atol=1e-6)
    np.testing.assert_allclose(drawn.images, expected_images(drawn.latents), atol=1)
    later = either.call("sample", 2, seed=3, prior="normal", temperature=0.5, first_item=3)
    np.testing.assert_array_equal(later.latents, drawn.latents[3:])


def test_sample_draws_around_the_training_set(either: Caller) -> None:
    drawn = either.call("sample", 4, seed=1, prior="aggregate", attributes={"smiling": 1.0})
    posterior = tiny_manifest(TinyBundle(version=NEWEST, shift=SHIFT)).aggregate_posterior
    assert posterior is not None
    expected = posterior.draw(standard_normal(1, range(4), LATENT))
    np.testing.assert_allclose(drawn.latents, expected, atol=1e-5)
    told = either.call("model").aggregate_posterior
    np.testing.assert_array_equal(told, [posterior.mean, posterior.std])


def test_classify_gives_logits_probabilities_and_decisions(either: Caller, pixels: UInt8) -> None:
    found = either.call("classify", pixels)
    np.testing.assert_allclose(found.logits, expected_logits(pixels), atol=1e-5)
    np.testing.assert_allclose(found.probabilities, 1 / (1 + np.exp(-found.logits)), atol=1e-6)
    assert found.is_face.tolist() == (found.probabilities >= 0.5).tolist()
    strict = either.call("classify", pixels, threshold=1.0)
    assert strict.threshold == 1.0
    assert not strict.is_face.any()


def test_weights_are_those_of_core(either: Caller, pixels: UInt8) -> None:
    latents = either.call("encode", pixels).mean
    histogram = LatentHistogram.from_latents(latents, 6)
    expected = histogram.weights(latents, "paper", smoothing=0.1, min_effective_sample_size=0.8)
    options = {"rule": "paper", "bins": 6, "smoothing": 0.1, "min_effective_sample_size": 0.8}
    for found in (
        either.call("resample_weights", pixels, **options),
        either.call("resample_weights", latents=latents, **options),
    ):
        np.testing.assert_array_equal(found.weights, expected.values)
        np.testing.assert_array_equal(found.histogram.counts, histogram.counts)
        assert found.temper == expected.temper < 1
        assert found.log_total == expected.log_total
        assert found.effective_sample_size == expected.effective_sample_size


def test_hard_weights_are_those_of_core(either: Caller, pixels: UInt8) -> None:
    logits = either.call("classify", pixels).logits
    histogram, expected = weigh(logits[:, None], rule="hard", min_effective_sample_size=0.8)
    options = {"rule": "hard", "min_effective_sample_size": 0.8}
    for found in (
        either.call("resample_weights", pixels, **options),
        either.call("resample_weights", logits=logits, **options),
    ):
        np.testing.assert_array_equal(found.weights, expected.values)
        np.testing.assert_array_equal(found.histogram.counts, histogram.counts)


def test_weights_against_a_larger_population(either: Caller, pixels: UInt8) -> None:
    population = either.call("model").training_histogram
    found = either.call("resample_weights", pixels, histogram=population)
    assert found.histogram.total == population.total == 200
    counted = either.call("resample_weights", pixels, edges=population.edges)
    assert counted.histogram.total == len(pixels)
    assert counted.histogram.merge(population).total == 200 + len(pixels)


def test_models_are_listed_and_described(either: Caller) -> None:
    models = {(m.name, m.version): m for m in either.call("models")}
    assert set(models) == {("faces", "1"), ("faces", "2"), ("bearded", "1"), ("judge", "1")}
    newest = models["faces", NEWEST]
    assert (newest.image_size, newest.channels, newest.latent_size) == (SIZE, 3, LATENT)
    assert newest.functions == ("encode", "decode", "classify")
    assert newest.attributes == ("smiling",)
    assert [name for name, model in models.items() if model.is_default] == [("faces", NEWEST)]
    details = either.call("model", "faces", "1")
    manifest = tiny_manifest(TinyBundle())
    assert details.card == CARD
    assert details.groups[0].count == 3
    assert details.groups[0].true_positive_rate is None
    assert details.attributes == (AttributeQuality(name="smiling", **WORTH.model_dump()),)
    assert manifest.training_histogram is not None
    expected = manifest.training_histogram.to_histogram()
    np.testing.assert_array_equal(details.training_histogram.counts, expected.counts)
    assert details.info == models["faces", "1"]


def test_a_model_without_latents_has_no_posterior(either: Caller) -> None:
    assert either.call("model", "judge").info.functions == ("classify",)


def test_limits_are_the_server_s(either: Caller) -> None:
    limits = either.call("limits")
    assert (limits.max_items_per_request, limits.max_message_bytes) == (1024, 64 * 2**20)


def test_images_of_every_kind_and_size_mix(either: Caller, folder: Path, pixels: UInt8) -> None:
    path = folder / "0.png"
    large = images(1, size=40)[0]
    grey = pixels[4][..., :1]
    mixed = [pixels[0], path, str(path), path.read_bytes(), Image.open(path), pixels[1:3], large]
    encoding = either.call("encode", [*mixed, grey])
    np.testing.assert_allclose(
        encoding.mean[:5], np.repeat(encoding.mean[:1], 5, axis=0), atol=1e-5
    )
    np.testing.assert_allclose(encoding.mean[5:7], expected_mean(pixels[1:3], SHIFT), atol=1e-5)
    assert len(encoding.mean) == 9


def test_a_model_without_a_colorizer_says_so(either: Caller) -> None:
    latents = standard_normal(1, range(2), LATENT)
    for method, arguments, options in (
        ("decode", (latents,), {}),
        ("sample", (2,), {}),
        ("edit", (), {"latents": latents, "attributes": {"smiling": 1}}),
    ):
        with pytest.raises(Unsupported, match="cannot colorize"):
            either.call(method, *arguments, color=True, **options)


def test_one_image_alone_is_a_batch_of_one(either: Caller, folder: Path, pixels: UInt8) -> None:
    for one in (pixels[0], folder / "0.png", str(folder / "0.png")):
        assert either.call("classify", one).logits.shape == (1,)


@pytest.mark.parametrize("method", ["encode", "classify", "resample_weights"])
def test_no_images_are_an_error(either: Caller, method: str) -> None:
    with pytest.raises(InvalidRequest, match=r"images: none were passed"):
        either.call(method, [])


def test_a_bad_file_is_named_by_the_server_s_verdict(
    either: Caller, folder: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nonsense")
    with pytest.raises(InvalidRequest) as caught:
        either.call("encode", [folder / "0.png", folder / "1.png", bad])
    assert str(caught.value) == f"images[2] ({bad}): not a JPEG, PNG or WebP image"
    assert caught.value.reason == "INVALID_INPUT"
    assert len(caught.value.request_id) == 32


def test_unknown_models_and_missing_functions_are_told_apart(either: Caller, pixels: UInt8) -> None:
    with pytest.raises(NotFound) as unknown:
        either.call("encode", pixels, model="nobody")
    assert unknown.value.reason == "MODEL_NOT_FOUND"
    with pytest.raises(Unsupported) as lacking:
        either.call("encode", pixels, model="judge")
    assert lacking.value.reason == "FUNCTION_UNSUPPORTED"


@pytest.mark.parametrize(
    ("method", "args", "options", "problem"),
    [
        ("sample", (0,), {}, "count: 0 is below 1"),
        ("sample", (1,), {"seed": -1}, "seed: -1 is outside"),
        ("sample", (1,), {"prior": "uniform"}, "prior: 'uniform' is unknown; known: normal"),
        ("sample", (1,), {"temperature": 11}, "temperature: 11.0 is outside 0 to 10"),
        ("sample", (3,), {"attributes": [{}, {}]}, "attributes: 2 for 3 items"),
        ("sample", (1,), {"attributes": {"smiling": "very"}}, "attributes: not names with num"),
        ("sample", (1,), {"attributes": {"bald": 1.0}}, "bald"),
        ("sample", (1,), {"timeout": 0}, "timeout: 0 s is not above 0"),
        ("decode", ([1, 2, 3, 4],), {}, "latents: dtype int64"),
        ("decode", (np.zeros((1, 1, 4)),), {}, "latents: shape"),
        ("decode", (np.zeros((0, 4)),), {}, "latents: shape"),
        ("decode", (np.array([[0, 0, 0, 0], [0, 0, np.nan, 0]]),), {}, r"latents\[1\]: holds NaN"),
        ("decode", (np.zeros((1, 3)),), {}, "latents: shape 1×3 is not N×4"),
        ("resample_weights", (), {}, "images: pass either images, latents or logits"),
        ("resample_weights", (), {"latents": np.zeros((2, 4)), "rule": "x"}, "rule: 'x'"),
        ("resample_weights", (), {"latents": np.zeros((2, 4)), "bins": 1}, "bins: 1 is outside"),
        ("classify", (np.zeros((2, 2, 3), np.uint8),), {"threshold": 2.0}, "threshold: 2.0 is out"),
        ("classify", (np.zeros((2, 2, 3)),), {}, r"images\[0\]: dtype float64; pass uint8"),
    ],
)
def test_bad_arguments_are_named(
    either: Caller, method: str, args: tuple[object, ...], options: dict[str, object], problem: str
) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        either.call(method, *args, **options)


def test_bulk_streams_give_one_outcome_an_image(
    either: Caller, folder: Path, tmp_path: Path, pixels: UInt8
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nonsense")
    sources = [pixels[0], bad, folder / "1.png", tmp_path / "gone.png", np.zeros(3), pixels[2:23]]
    outcomes = either.stream("encode_stream", sources, sample_seed=4)
    assert [outcome.index for outcome in outcomes] == list(range(26))
    assert [o.index for o in outcomes if o.error is not None] == [1, 3, 4]
    assert str(outcomes[1].error) == f"images[1] ({bad}): not a JPEG, PNG or WebP image"
    assert "No such file" in str(outcomes[3].error)
    assert outcomes[1].source == str(bad)
    good = np.stack([o.unwrap().mean for o in outcomes if o.error is None])
    np.testing.assert_allclose(good, expected_mean(pixels, SHIFT), atol=1e-5)
    last = outcomes[25].unwrap()
    assert isinstance(last, EncodedImage)
    assert last.sample is not None
    noise = standard_normal(4, [25], LATENT)
    expected = posterior_sample(last.mean[None], last.log_variance[None], noise)[0]
    np.testing.assert_allclose(last.sample, expected, atol=1e-6)
    with pytest.raises(InvalidRequest):
        outcomes[1].unwrap()


def test_classify_streams_agree_with_classify(either: Caller, pixels: UInt8) -> None:
    whole = either.call("classify", pixels, threshold=0.6)
    outcomes = either.stream("classify_stream", iter(pixels), threshold=0.6)
    values = [outcome.unwrap() for outcome in outcomes]
    np.testing.assert_allclose([v.logit for v in values], whole.logits, atol=1e-6)
    assert [v.is_face for v in values] == whole.is_face.tolist()
    assert {v.threshold for v in values} == {whole.threshold}


def test_a_stream_raises_what_concerns_every_image(either: Caller, pixels: UInt8) -> None:
    with pytest.raises(NotFound):
        either.stream("encode_stream", pixels, model="nobody")
    with pytest.raises(InvalidRequest, match="threshold"):
        either.stream("classify_stream", pixels, threshold=2.0)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stream_that_is_read_to_its_end_ends_well_on_the_server(
    kind: str, client_models: Path, pixels: UInt8
) -> None:
    with server_process(client_models) as server:
        for caller in callers(server.address, kind):
            caller.stream("classify_stream", pixels)
        server.stop()
        codes = {line["code"] for line in server.lines if line["event"] == "call"}
    assert codes == {"OK"}


def test_threads_may_share_a_client(client: Client, pixels: UInt8) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: client.encode(image).mean[0], pixels))
    np.testing.assert_allclose(found, expected_mean(pixels, SHIFT), atol=1e-5)


def test_an_empty_stream_ends_at_once(either: Caller) -> None:
    assert either.stream("encode_stream", []) == []


def test_a_stream_reads_a_bounded_number_of_images_ahead(client: Client) -> None:
    read = 0

    def endless() -> object:
        nonlocal read
        while True:
            read += 1
            yield images(1)[0]

    lead = 0
    for done, _ in enumerate(client.encode_stream(endless()), start=1):  # type: ignore[arg-type]
        lead = max(lead, read - done)
        if done == 1500:
            break
    assert 16 <= lead <= 600


def test_an_array_goes_onto_a_stream_bit_by_bit(
    either: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[int] = []
    receive = Bulk.receive

    def noting(bulk: Bulk[Any, Any], reply: Any) -> object:  # noqa: ANN401 - of either stream
        added.append(bulk.added)
        return receive(bulk, reply)

    monkeypatch.setattr(Bulk, "receive", noting)
    assert len(either.stream("classify_stream", images(1500))) == 1500
    assert added[0] <= 600  # when the first reply came


async def test_an_async_stream_reads_async_iterables_and_may_be_left_early(
    address: str, pixels: UInt8
) -> None:
    async def produce() -> object:
        for image in pixels:
            yield image

    async with AsyncClient(address) as client:
        found = [o async for o in client.encode_stream(produce())]  # type: ignore[arg-type]
        assert len(found) == len(pixels)
        async for outcome in client.encode_stream(pixels):
            assert outcome.index == 0
            break
