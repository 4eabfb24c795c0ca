"""The weights of a job in a training loop."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from evenface_batch.weighting import Weighting, weigh
from evenface_batch.weighting_store import JobStore
from evenface_client.weights import Draws, align_weights, read_weights, weighted_sampler
from evenface_core.errors import DataError, InvalidInput
from support.scored import Scored, job_of, weights_in
from torch.utils.data import DataLoader, TensorDataset


@pytest.fixture(scope="module")
def scored() -> Scored:
    return Scored.drawn(500, 4, 1)


@pytest.fixture(scope="module")
def out(scored: Scored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    weigh(JobStore(job_of(folder, scored, [100, 350])), Weighting())
    return folder


def ids_of(rows: int) -> list[str]:
    return [f"{row}.png" for row in range(rows)]


def test_rows_are_read_in_order_and_those_without_a_weight_have_0(
    out: Path, scored: Scored
) -> None:
    rows = read_weights(out)
    assert rows.ids.to_pylist() == ids_of(500)
    assert np.array_equal(rows.values == 0, scored.failed)
    assert rows.values.sum() == pytest.approx(1)


def test_a_url_is_read_as_a_path_is(out: Path) -> None:
    assert np.array_equal(read_weights(f"file://{out}").values, read_weights(out).values)


def test_weights_come_in_the_order_of_the_dataset(out: Path) -> None:
    chosen = np.random.default_rng(0).permutation(500)[:300]
    ids = ids_of(500)
    aligned = align_weights(out, [ids[row] for row in chosen])
    assert np.array_equal(aligned, read_weights(out).values[chosen])
    assert np.array_equal(align_weights(out, np.array(ids)[chosen]), aligned)


def test_an_id_that_the_job_lacks_is_named(out: Path) -> None:
    with pytest.raises(InvalidInput, match=r"ids\[1\]: 'x' is not in .*, and neither are 1 others"):
        align_weights(out, ["3.png", "x", "4.png", "y"])


def test_an_id_that_the_dataset_has_twice_is_named(out: Path) -> None:
    with pytest.raises(InvalidInput, match=r"ids\[2\]: '3.png' is there twice"):
        align_weights(out, ["3.png", "4.png", "3.png"])


@pytest.mark.parametrize("cuts", [[100], []])
def test_an_id_that_the_job_has_twice_is_named(
    tmp_path: Path, scored: Scored, cuts: list[int]
) -> None:
    job = job_of(tmp_path, scored, cuts)
    table = job.output.read(0)
    column = table.column("id").to_pylist()
    last = job_of(tmp_path, scored, cuts).output.parts()[-1]
    names = job.output.read(last).column("id").to_pylist()
    names[-1] = column[7]
    renamed = job.output.read(last)
    renamed = renamed.set_column(0, renamed.schema.field(0), [names])
    job.output.write(last, renamed)
    weigh(JobStore(job), Weighting())
    with pytest.raises(DataError, match=r"id '7.png' is there twice"):
        align_weights(tmp_path, ids_of(50))


def test_a_dataset_without_items_is_refused(out: Path) -> None:
    with pytest.raises(InvalidInput, match="there are none"):
        align_weights(out, [])


def test_parts_without_weights_or_of_two_weightings_are_refused(
    tmp_path: Path, scored: Scored
) -> None:
    job = job_of(tmp_path, scored, [200])
    with pytest.raises(DataError, match="has no weights yet"):
        read_weights(tmp_path)
    weigh(JobStore(job), Weighting())
    first = (tmp_path / "parts/part-000000000.parquet").read_bytes()
    weigh(JobStore(job), Weighting("paper"))
    (tmp_path / "parts/part-000000000.parquet").write_bytes(first)
    with pytest.raises(DataError, match="of another run"):
        read_weights(tmp_path)


def test_folders_that_are_no_jobs_or_lack_parts_are_refused(tmp_path: Path, scored: Scored) -> None:
    with pytest.raises(DataError, match="no parts"):
        read_weights(tmp_path)
    weigh(JobStore(job_of(tmp_path, scored, [200])), Weighting())
    part = tmp_path / "parts/part-000000001.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"part-000000001.parquet: cannot be read"):
        read_weights(tmp_path)
    part.unlink()
    with pytest.raises(DataError, match="1 of 2 parts"):
        read_weights(tmp_path)
    (tmp_path / "job.json").unlink()
    with pytest.raises(DataError, match=r"job.json"):
        read_weights(tmp_path)
    with pytest.raises(DataError, match="nosuch"):
        read_weights("nosuch://bucket/out")


def test_draws_follow_the_weights_and_the_seed() -> None:
    weights = np.array([0.0, 1.0, 3.0, 0.0])
    draws = Draws(weights, 40_000, seed=3)
    first, second = list(draws), list(draws)
    counted = Counter(first)
    assert set(counted) == {1, 2}
    assert counted[2] / len(first) == pytest.approx(0.75, abs=0.01)
    assert first != second
    again = Draws(weights, 40_000, seed=3)
    again.epoch = 1
    assert list(again) == second


def test_both_samplers_serve_a_data_loader(out: Path) -> None:
    weights = read_weights(out).values
    data = TensorDataset(torch.arange(len(weights)))
    for sampler in (Draws(weights, seed=1), weighted_sampler(weights, seed=1)):
        seen = torch.cat([batch for (batch,) in DataLoader(data, 64, sampler=sampler)])
        assert len(seen) == len(weights)
        assert (weights[seen.numpy()] > 0).all()
    assert list(weighted_sampler(weights, 9, seed=1)) == list(weighted_sampler(weights, 9, seed=1))


@pytest.mark.parametrize(
    ("weights", "problem"),
    [([0.0, 0.0], "nothing can be drawn"), ([1.0, -1.0], "at least 0"), ([np.nan], "finite")],
)
def test_weights_that_nothing_can_be_drawn_by_are_refused(
    weights: list[float], problem: str
) -> None:
    for make in (Draws, weighted_sampler):
        with pytest.raises(InvalidInput, match=problem):
            make(np.array(weights))


def test_more_weights_than_torch_draws_by_are_refused_with_what_does() -> None:
    weights = np.ones(2**24 + 1)
    with pytest.raises(InvalidInput, match="use Draws"):
        weighted_sampler(weights)
    assert len(list(Draws(weights, 3))) == 3


def test_importing_it_takes_neither_torch_nor_pyarrow_nor_fsspec() -> None:
    code = (
        "import sys, evenface_client.weights\n"
        "print({'torch', 'pyarrow', 'fsspec'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_weights_read_are_those_in_the_parts(tmp_path: Path, scored: Scored) -> None:
    job = job_of(tmp_path, scored, [17])
    weigh(JobStore(job), Weighting("hard"))
    assert np.array_equal(read_weights(tmp_path).values, np.nan_to_num(weights_in(job)))
