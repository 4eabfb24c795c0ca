"""Latent drift: counts of served latents, added up over processes, against the training set's."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from evenface_core.manifest import Manifest
from evenface_core.resampling import LatentHistogram
from evenface_server.drift import Drift, ServedLatents, stability
from numpy.typing import NDArray
from support.bundles import LATENT, Tiny, expected_mean, images, tiny_manifest

Float32 = NDArray[np.float32]

TRAINING = expected_mean(images(5000, seed=2))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def manifest(version: str = "1", training: Float32 = TRAINING) -> Manifest:
    histogram = LatentHistogram.from_latents(training)
    found = tiny_manifest(Tiny(version=version))
    kind = type(found.training_histogram)
    assert kind is not type(None)
    return found.model_copy(
        update={"training_histogram": kind.from_histogram(histogram)}  # type: ignore[union-attr]
    )


def serve(drift: Drift, means: Float32, about: Manifest, workers: int = 1) -> None:
    """Serve latents, in turns by several workers, which report after every 200."""
    staff = [ServedLatents() for _ in range(workers)]
    for number, start in enumerate(range(0, len(means), 200)):
        worker = staff[number % workers]
        worker.note(about, means[start : start + 200])
        drift.add(json.loads(json.dumps(worker.take())))


def shown(drift: Drift) -> dict[str, float]:
    return {
        "/".join((sample.name.removeprefix("evenface_latent_"), *sample.labels.values())): (
            sample.value
        )
        for family in drift.collect()
        for sample in family.samples
    }


def plain_stability(
    training: Sequence[Sequence[int]], served: Sequence[Sequence[int]]
) -> list[float]:
    found = []
    for old, new in zip(training, served, strict=True):
        total = 0.0
        for before, after in zip(old, new, strict=True):
            q = (before + 0.5) / (sum(old) + 0.5 * len(old))
            p = (after + 0.5) / (sum(new) + 0.5 * len(new))
            total += (p - q) * math.log(p / q)
        found.append(total - (len(old) - 1) / sum(new) - (len(old) - 1) / sum(old))
    return found


def test_the_index_is_what_a_plain_loop_finds() -> None:
    rng = np.random.default_rng(3)
    training = rng.multinomial(4000, rng.dirichlet(np.ones(10)), size=7)
    served = rng.multinomial(700, rng.dirichlet(np.full(10, 0.3)), size=7)
    found = stability(training, served)
    assert found.shape == (7,)
    np.testing.assert_allclose(
        found, plain_stability(training.tolist(), served.tolist()), rtol=1e-12
    )


def test_chance_alone_is_taken_off() -> None:
    rng = np.random.default_rng(4)
    shares = rng.dirichlet(np.full(10, 3.0))
    training = rng.multinomial(4000, shares, size=2000)
    served = rng.multinomial(500, shares, size=2000)
    found = stability(training, served)
    assert abs(found.mean()) < 0.001
    assert found.max() < 0.1


def test_latents_like_the_training_set_s_show_no_drift() -> None:
    drift = Drift()
    serve(drift, expected_mean(images(2000, seed=9)), manifest())
    found = shown(drift)
    assert found["drift_rows/faces/1"] == 2000
    assert found["drift/faces/1/mean"] < 0.02
    assert found["drift/faces/1/max"] < 0.05


def test_shifted_latents_show_drift_that_grows_with_the_shift() -> None:
    spread = TRAINING.std(axis=0)
    found = []
    for shift in (0.0, 0.25, 0.5, 1.0, 2.0):
        drift = Drift()
        serve(drift, TRAINING[:2000] + shift * spread, manifest())
        found.append(shown(drift)["drift/faces/1/mean"])
    assert found == sorted(found)
    assert found[0] < 0.02
    assert found[3] > 0.5


def test_one_dimension_that_drifts_is_seen_in_the_maximum() -> None:
    moved = TRAINING[:2000].copy()
    moved[:, 2] += 2 * TRAINING[:, 2].std()
    drift = Drift()
    serve(drift, moved, manifest())
    found = shown(drift)
    assert found["drift/faces/1/max"] > 1
    assert found["drift/faces/1/mean"] == pytest.approx(
        found["drift/faces/1/max"] / LATENT, rel=0.1
    )


def test_workers_count_together() -> None:
    means = expected_mean(images(2000, seed=5))
    one, several = Drift(), Drift()
    serve(one, means, manifest())
    serve(several, means, manifest(), workers=3)
    assert shown(one) == shown(several)


def test_what_each_worker_sees_may_drift_where_the_whole_does_not() -> None:
    order = TRAINING[:, 0].argsort(kind="stable")
    low, high = TRAINING[order[:2500]], TRAINING[order[2500:]]
    drift, alone = Drift(), Drift()
    for part in (low, high):
        serve(drift, part, manifest())
    serve(alone, low, manifest())
    assert shown(alone)["drift/faces/1/max"] > 1
    assert shown(drift)["drift/faces/1/max"] < 0.01


def test_few_latents_say_nothing_yet() -> None:
    drift = Drift()
    serve(drift, TRAINING[:499], manifest())
    assert shown(drift) == {"drift_rows/faces/1": 499}
    serve(drift, TRAINING[:1], manifest())
    assert "drift/faces/1/mean" in shown(drift)


def test_old_latents_are_forgotten_after_two_windows() -> None:
    clock = Clock()
    drift = Drift(clock)
    serve(drift, TRAINING[:1000] + 100, manifest())
    drifted = shown(drift)["drift/faces/1/mean"]
    for _ in range(2):
        clock.now += 901
        serve(drift, TRAINING[:1000], manifest())
    assert drifted > 5
    found = shown(drift)
    assert found["drift/faces/1/mean"] < 0.02
    assert found["drift_rows/faces/1"] == 2000


def test_with_little_traffic_a_window_lasts_until_it_has_enough() -> None:
    clock = Clock()
    drift = Drift(clock)
    for _ in range(10):
        serve(drift, TRAINING[:100], manifest())
        clock.now += 1800
    assert shown(drift)["drift_rows/faces/1"] == 1000


def test_a_model_that_serves_nothing_for_an_hour_is_shown_no_more() -> None:
    clock = Clock()
    drift = Drift(clock)
    serve(drift, TRAINING[:600], manifest())
    clock.now += 3599
    serve(drift, TRAINING[:600], manifest("2"))
    assert {"drift_rows/faces/1", "drift_rows/faces/2"} < set(shown(drift))
    clock.now += 2
    assert not any("/faces/1" in name for name in shown(drift))
    assert "drift/faces/2/mean" in shown(drift)


def test_another_bundle_of_the_same_version_begins_anew() -> None:
    drift = Drift()
    serve(drift, TRAINING[:600], manifest())
    serve(drift, TRAINING[:700] + 5, manifest(training=TRAINING + 5))
    found = shown(drift)
    assert found["drift_rows/faces/1"] == 700
    assert found["drift/faces/1/mean"] < 0.05


def test_a_worker_counts_so_many_from_one_report_to_the_next_and_no_more() -> None:
    served = ServedLatents()
    about = manifest()
    for _ in range(10):
        served.note(about, TRAINING[:100])
    (counts,) = served.take()
    assert np.array(counts.served).sum(axis=1).tolist() == [256] * LATENT
    expected = LatentHistogram.with_edges(
        np.concatenate([TRAINING[:100], TRAINING[:100], TRAINING[:56]]),
        LatentHistogram.from_latents(TRAINING).edges,
    )
    assert np.array_equal(counts.served, expected.counts)
    assert served.take() == []


def test_what_is_counted_later_is_what_was_served_then() -> None:
    # A session may use its output's memory again.
    served, means = ServedLatents(), TRAINING[:50].copy()
    served.note(manifest(), means)
    means[:] = 1000
    (counts,) = served.take()
    assert np.array(counts.served)[:, -1].sum() < 50


def test_latents_that_are_no_numbers_are_left_out() -> None:
    served, means = ServedLatents(), TRAINING[:10].copy()
    means[3, 1] = np.nan
    means[5, 0] = np.inf
    served.note(manifest(), means)
    (counts,) = served.take()
    assert np.array(counts.served).sum(axis=1).tolist() == [8] * LATENT


@pytest.mark.parametrize("empty", [False, True])
def test_a_model_without_a_training_histogram_is_let_be(*, empty: bool) -> None:
    served, about = ServedLatents(), manifest()
    histogram = about.training_histogram
    assert histogram is not None
    none = [[0] * len(row) for row in histogram.counts]
    emptied = histogram.model_copy(update={"counts": none}) if empty else None
    served.note(about.model_copy(update={"training_histogram": emptied}), TRAINING[:10])
    assert served.take() == []


def test_a_model_that_is_no_longer_served_is_let_go_of() -> None:
    served = ServedLatents()
    served.note(manifest(), TRAINING[:10])
    for _ in range(62):
        served.take()
    assert served._models == {}  # noqa: SLF001 - it would hold on to the model's manifest
    served.note(manifest(), TRAINING[:10])
    assert len(served.take()) == 1


def test_of_very_many_dimensions_the_first_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenface_server.drift._MAX_DIMENSIONS", 3)
    drift = Drift()
    serve(drift, TRAINING[:600], manifest())
    served = ServedLatents()
    served.note(manifest(), TRAINING[:10])
    (counts,) = served.take()
    assert np.shape(counts.served) == np.shape(counts.training) == (3, 10)
    assert shown(drift)["drift/faces/1/max"] < 0.05
