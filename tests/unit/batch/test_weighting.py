"""The weights in the parts of a job against those of one array."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from evenface_batch.output import Folder, part_name
from evenface_batch.parts import Precision
from evenface_batch.weighting import Summary, Weighting, weigh
from evenface_batch.weighting_quantiles import smallest
from evenface_batch.weighting_store import JobStore, Reading, Unit
from evenface_core import resampling
from evenface_core.errors import InvalidInput, JobError
from evenface_core.resampling import LatentHistogram, Weights
from evenface_core.weights import WEIGHTING_MARK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.scored import Float64, Mortal, Scored, Together, job_of, weights_in

RULES = ["lab", "paper", "hard"]


def of_one_array(
    scored: Scored, weighting: Weighting, dtype: Precision
) -> tuple[NDArray[np.bool_], LatentHistogram, Weights]:
    """Which rows are weighted, and how by `evenface_core.resampling.weigh`."""
    chosen = ~scored.failed
    logits = scored.logits
    if weighting.min_face_probability:
        assert logits is not None
        with np.errstate(over="ignore"):
            probability = 1 / (1 + np.exp(-logits))
        chosen &= probability.astype(np.float64) >= weighting.min_face_probability
    read: Any = scored.means.astype(dtype)
    if weighting.rule == "hard":
        assert logits is not None
        read = logits[:, None]
    histogram, weights = resampling.weigh(
        read[chosen],
        weighting.histogram,
        bins=weighting.bins,
        rule=weighting.rule,
        smoothing=weighting.smoothing,
        min_effective_sample_size=weighting.min_effective_sample_size,
    )
    return chosen, histogram, weights


def require_equal(
    summary: Summary, found: Float64, expected: tuple[NDArray[np.bool_], LatentHistogram, Weights]
) -> None:
    chosen, histogram, weights = expected
    assert np.array_equal(~np.isnan(found), chosen)
    assert np.array_equal(found[chosen], weights.values)
    assert np.array_equal(summary.histogram.edges, histogram.edges)
    assert np.array_equal(summary.histogram.counts, histogram.counts)
    assert (summary.temper, summary.log_total) == (weights.temper, weights.log_total)
    assert summary.effective_sample_size == weights.effective_sample_size


drawn = st.builds(Scored.drawn, st.integers(3, 60), st.integers(1, 9), st.integers(0, 2**32))
weightings = st.builds(
    Weighting,
    st.sampled_from(RULES),
    bins=st.sampled_from([None, 2, 7]),
    min_effective_sample_size=st.sampled_from([0.0, 0.5, 0.95]),
    min_face_probability=st.sampled_from([0.0, 0.4]),
)


@settings(max_examples=15, deadline=None)
@given(
    drawn | drawn.map(Scored.rounded),
    weightings,
    st.sampled_from(["float16", "float32"]),
    st.lists(st.integers(0, 60), max_size=5),
    st.integers(1, 3),
)
def test_weights_of_parts_are_those_of_one_array_to_the_last_bit_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    scored: Scored,
    weighting: Weighting,
    dtype: Precision,
    cuts: list[int],
    together: int,
) -> None:
    assert scored.logits is not None
    scored.failed[0], scored.logits[0] = False, 3.0  # one row at least is weighted
    cuts = [min(cut, len(scored.means)) for cut in cuts]
    job = job_of(tmp_path_factory.mktemp("job"), scored, cuts, dtype)
    summary = weigh(Together(job, together), weighting)
    require_equal(summary, weights_in(job), of_one_array(scored, weighting, dtype))


def test_several_processes_give_the_weights_of_one_array(tmp_path: Path) -> None:
    scored = Scored.drawn(9000, 2, 1)
    weighting = Weighting("hard", min_effective_sample_size=0.6)
    job = job_of(tmp_path, scored, [1, 1, 4000, 8999], "float32")
    summary = weigh(Together(job, 1), weighting, workers=2)
    require_equal(summary, weights_in(job), of_one_array(scored, weighting, "float32"))
    assert (summary.rows, summary.weighted) == (9000, int((~scored.failed).sum()))


def test_rows_with_an_error_and_likely_non_faces_have_no_weight_and_all_else_stays(
    tmp_path: Path,
) -> None:
    scored = Scored.drawn(300, 4, 2)
    job = job_of(tmp_path, scored, [100])
    others = ["id", "mean", "logit", "probability", "error"]
    before = [job.output.read(index, others) for index in (0, 1)]
    summary = weigh(JobStore(job), Weighting(min_face_probability=0.5))
    assert [job.output.read(index, others) for index in (0, 1)] == before
    assert scored.logits is not None
    non_faces = ~scored.failed & (scored.logits < 0)
    assert np.array_equal(np.isnan(weights_in(job)), scored.failed | non_faces)
    assert (summary.failed, summary.non_faces) == (scored.failed.sum(), non_faces.sum())
    assert np.nansum(weights_in(job)) == pytest.approx(1)
    file = pq.ParquetFile(tmp_path / part_name(0))
    assert file.schema_arrow.metadata[WEIGHTING_MARK].decode() == summary.mark
    assert file.schema_arrow.metadata[b"evenface.schema_version"] == b"1"


def test_without_a_least_probability_likely_non_faces_are_weighted_and_told_of(
    tmp_path: Path,
) -> None:
    scored = Scored.drawn(300, 4, 2)
    summary = weigh(JobStore(job_of(tmp_path, scored)), Weighting())
    assert scored.logits is not None
    assert summary.unsure == (~scored.failed & (scored.logits < 0)).sum() > 0
    assert summary.weighted == (~scored.failed).sum()


@pytest.mark.parametrize("rule", ["lab", "paper"])
def test_rarity_can_be_judged_by_the_histogram_of_a_larger_population(
    tmp_path: Path, rule: str
) -> None:
    scored, population = Scored.drawn(500, 6, 3), Scored.drawn(4000, 6, 4)
    weighting = Weighting(rule, histogram=LatentHistogram.from_latents(population.means))
    job = job_of(tmp_path, scored, [7, 300])
    summary = weigh(JobStore(job), weighting)
    require_equal(summary, weights_in(job), of_one_array(scored, weighting, "float16"))


def test_another_weighting_takes_the_place_of_the_first(tmp_path: Path) -> None:
    scored = Scored.drawn(400, 5, 5)
    job = job_of(tmp_path, scored, [200])
    first = weigh(JobStore(job), Weighting())
    weighting = Weighting("paper", min_effective_sample_size=0.3)
    second = weigh(JobStore(job), weighting)
    assert first.mark != second.mark
    require_equal(second, weights_in(job), of_one_array(scored, weighting, "float16"))
    assert not job.folder.exists("weighting")


def test_a_part_that_was_scored_anew_changes_the_weights_of_all(tmp_path: Path) -> None:
    scored = Scored.drawn(400, 5, 5)
    job = job_of(tmp_path, scored, [200])
    first = weigh(JobStore(job), Weighting())
    scored.failed[300:310] = ~scored.failed[300:310]
    kept = (tmp_path / part_name(0)).read_bytes()
    job_of(tmp_path, scored, [200])
    (tmp_path / part_name(0)).write_bytes(kept)
    second = weigh(JobStore(job), Weighting())
    assert second.mark != first.mark
    require_equal(second, weights_in(job), of_one_array(scored, Weighting(), "float16"))


@pytest.mark.parametrize(("lives", "writing"), [(2, False), (6, False), (11, False), (3, True)])
def test_a_weighting_that_was_killed_goes_on_to_the_same_weights(
    tmp_path: Path, lives: int, writing: bool
) -> None:
    scored = Scored.drawn(500, 5, 6)
    weighting = Weighting(min_effective_sample_size=0.7)
    job = job_of(tmp_path, scored, [100, 200, 300])
    store = Mortal(job, 1, lives, writing)
    child = os.fork()  # killed below, so that nothing of the tests runs on in it
    if not child:
        weigh(store, weighting)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    reads = (tmp_path / "reads").stat().st_size
    summary = weigh(store, weighting)
    require_equal(summary, weights_in(job), of_one_array(scored, weighting, "float16"))
    again = (tmp_path / "reads").stat().st_size - reads
    assert again == {2: 12, 6: 8, 11: 4, 3: 0}[lives]  # passes that were done are not repeated


@pytest.mark.parametrize("gone", ["scores", "scored.json", "histogram.npz"])
def test_a_weighting_that_was_killed_while_it_tidied_up_can_be_repeated(
    tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, Scored.drawn(40, 3, 1), [20])
    remove = Folder.remove

    def killed_halfway(folder: Folder, name: str) -> None:
        if name != "weighting" or not folder.exists("weighting/scored.json"):
            remove(folder, name)
            return
        remove(folder, f"{name}/{gone}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "remove", killed_halfway)
        with pytest.raises(KeyboardInterrupt):
            weigh(JobStore(job), Weighting())
    before = weights_in(job)
    weigh(JobStore(job), Weighting())
    assert np.array_equal(weights_in(job), before, equal_nan=True)
    assert not (tmp_path / "weighting").exists()


def test_what_was_found_for_other_options_or_rows_is_not_taken_up(tmp_path: Path) -> None:
    scored = Scored.drawn(300, 5, 7)
    job = job_of(tmp_path, scored, [100])
    store = Mortal(job, 1, 5, writing=False)  # the histogram is there, and one unit's scores
    child = os.fork()  # killed below, so that nothing of the tests runs on in it
    if not child:
        weigh(store, Weighting(bins=4))
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert job.folder.exists("weighting/histogram.npz")
    weighting = Weighting(bins=9)
    summary = weigh(JobStore(job), weighting)
    require_equal(summary, weights_in(job), of_one_array(scored, weighting, "float16"))


def test_parts_that_change_while_they_are_weighted_are_noticed(tmp_path: Path) -> None:
    job = job_of(tmp_path, Scored.drawn(300, 5, 8), [100])

    class Changed(JobStore):
        def write(self, unit: Unit, reading: Reading, weights: Float64, mark: str) -> None:
            job_of(tmp_path, Scored.drawn(290, 5, 9), [95])
            super().write(unit, reading, weights, mark)

    with pytest.raises(JobError, match="have changed"):
        weigh(Changed(job), Weighting())


def test_a_job_without_a_row_to_weight_is_refused_in_words(tmp_path: Path) -> None:
    scored = Scored.drawn(20, 3, 1, failing=1.1)
    for rule, name in (("lab", "mean"), ("hard", "logit")):
        with pytest.raises(JobError, match=f"no row has a {name}"):
            weigh(JobStore(job_of(tmp_path, scored)), Weighting(rule))
    likely = Scored.drawn(20, 3, 1)
    with pytest.raises(JobError, match=r"face probability of at least 1"):
        weigh(JobStore(job_of(tmp_path, likely)), Weighting(min_face_probability=1))


def test_a_histogram_of_other_latents_is_refused(tmp_path: Path) -> None:
    histogram = LatentHistogram.from_latents(Scored.drawn(20, 4, 1).means)
    with pytest.raises(InvalidInput, match="3 dimensions, but the histogram has 4"):
        weigh(JobStore(job_of(tmp_path, Scored.drawn(20, 3, 1))), Weighting(histogram=histogram))


def test_options_are_checked_before_anything_is_read() -> None:
    with pytest.raises(InvalidInput, match=r"min_face_probability: 1\.5 is outside 0 to 1"):
        Weighting(min_face_probability=1.5)
    with pytest.raises(InvalidInput, match="rule"):
        Weighting("none")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=80),
    st.lists(st.integers(0, 80), max_size=4),
)
def test_the_nth_smallest_is_found_by_counting_bits(values: list[float], cuts: list[int]) -> None:
    numbers = np.array(values, np.float32)
    parts = np.split(numbers, sorted(cuts))
    ranks = np.arange(len(numbers))
    found = smallest(lambda digits: sum((digits.count(one) for one in parts), digits.none()), ranks)
    assert np.array_equal(found, np.sort(numbers))
