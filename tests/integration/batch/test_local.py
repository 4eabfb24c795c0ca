"""The local engine: real workers with a real model, and what becomes of a chunk that kills them."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from evenface_batch.engines.local import LocalEngine
from evenface_batch.engines.model import LocalModel
from evenface_batch.inputs.files import FilePlaces
from evenface_batch.items import Chunk
from evenface_batch.output import Output
from evenface_batch.parts import Form
from evenface_batch.scoring import Done
from evenface_core.bundle import open_bundle
from evenface_core.errors import JobError
from evenface_core.images import load_image
from evenface_runtime import open_model
from support.batch_places import Deadly, Stillborn
from support.bundles import LATENT, Tiny, write_tiny_bundle
from support.datasets import jpeg, write_jpegs


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(str(tmp_path / "out"), Form(LATENT, "float32"))


@pytest.fixture
def engine(tiny_models: Path) -> LocalEngine:
    return LocalEngine(LocalModel(tiny_models / "faces" / "1"), workers=2)


def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def files(folder: Path, *names: str) -> FilePlaces:
    return FilePlaces(f"{folder}/", "", names)


def test_parts_hold_what_the_model_says_of_each_image(
    tmp_path: Path, tiny_models: Path, engine: LocalEngine, output: Output
) -> None:
    names = [f"{number}.jpg" for number in range(9)]
    write_jpegs(tmp_path, names)
    (tmp_path / "4.jpg").write_text("no image")
    chunks = [Chunk(n, files(tmp_path, *names[3 * n : 3 * n + 3])) for n in range(3)]
    done = sorted(engine.run(chunks, output), key=lambda one: one.index)
    assert done == [Done(0, 3, 0), Done(1, 3, 1), Done(2, 3, 0)]
    rows = [row for index in range(3) for row in output.read(index).to_pylist()]
    assert [row["id"] for row in rows] == names
    assert rows.pop(4) == {
        "id": "4.jpg", "mean": None, "logit": None, "probability": None, "weight": None,
        "error": "not a JPEG, PNG or WebP image",
    }  # fmt: skip
    model = open_model(open_bundle(tiny_models / "faces" / "1"), "cpu", threads=1)
    spec = model.manifest.preprocessing
    pixels = np.stack([load_image(jpeg(n), spec) for n in range(9) if n != 4])
    np.testing.assert_array_equal([row["mean"] for row in rows], model.encode(pixels)[0])
    logits = model.classify(pixels)
    np.testing.assert_allclose([row["logit"] for row in rows], logits, rtol=1e-6)
    np.testing.assert_allclose(
        [row["probability"] for row in rows], 1 / (1 + np.exp(-logits)), rtol=1e-6
    )
    assert {row["weight"] for row in rows} == {row["error"] for row in rows} == {None}


def test_a_worker_that_dies_is_replaced_and_its_chunk_scored(
    tmp_path: Path, engine: LocalEngine, output: Output
) -> None:
    write_jpegs(tmp_path, ["a.jpg"])
    deadly = Deadly(marks(tmp_path), deaths=2, data=jpeg(1))
    chunks = [Chunk(0, deadly), *(Chunk(n, files(tmp_path, "a.jpg")) for n in range(1, 6))]
    done = sorted(engine.run(chunks, output), key=lambda one: one.index)
    assert done == [Done(0, 2, 0), *(Done(n, 1, 0) for n in range(1, 6))]
    assert output.read(0, ["error"]).to_pylist() == [{"error": None}] * 2
    assert len(list(deadly.marks.iterdir())) == 2


def test_a_worker_in_the_place_of_another_scores_with_no_other_bundle(
    tmp_path: Path, output: Output
) -> None:
    bundle = write_tiny_bundle(tmp_path / "models")
    engine = LocalEngine(LocalModel(bundle), workers=1)
    engine.model()
    write_tiny_bundle(tmp_path / "models", Tiny(shift=1.0))
    write_jpegs(tmp_path, ["a.jpg"])
    with pytest.raises(JobError, match=rf"^{bundle}: this bundle was replaced: "):
        list(engine.run([Chunk(0, files(tmp_path, "a.jpg"))], output))
    assert output.parts() == []


def test_a_chunk_that_always_kills_its_worker_becomes_rows_with_that_error(
    tmp_path: Path, engine: LocalEngine, output: Output
) -> None:
    write_jpegs(tmp_path, ["a.jpg"])
    deadly = Deadly(marks(tmp_path), deaths=99, data=jpeg(1))
    chunks = [Chunk(0, deadly), Chunk(1, files(tmp_path, "a.jpg"))]
    assert set(engine.run(chunks, output)) == {Done(0, 2, 2), Done(1, 1, 0)}
    error = "worker died: killed by SIGKILL, perhaps for lack of memory, 3 times"
    expected = [{"id": name, "mean": None, "error": error} for name in ("first", "second")]
    assert output.read(0, ["id", "mean", "error"]).to_pylist() == expected


def test_workers_that_die_at_every_chunk_end_the_job(
    tmp_path: Path, engine: LocalEngine, output: Output
) -> None:
    deadly = Deadly(marks(tmp_path), deaths=99, data=jpeg(1))
    chunks = [Chunk(number, deadly) for number in range(50)]
    with pytest.raises(JobError, match="3 chunks in a row could not be scored: worker died"):
        list(engine.run(chunks, output))
    assert len(output.parts()) < 3


def test_workers_that_cannot_start_end_the_job_and_leave_the_rows_to_be_scored(
    tmp_path: Path, tiny_models: Path, output: Output
) -> None:
    write_jpegs(tmp_path, ["a.jpg"])
    engine = LocalEngine(Stillborn(tiny_models / "faces" / "1"), workers=1)
    with pytest.raises(JobError, match="workers cannot start: worker died: killed by SIGKILL"):
        list(engine.run([Chunk(0, files(tmp_path, "a.jpg"))], output))
    assert output.parts() == []


def test_no_more_chunks_are_taken_than_there_are_workers_who_end_with_the_run(
    tmp_path: Path, engine: LocalEngine, output: Output
) -> None:
    write_jpegs(tmp_path, ["a.jpg"])
    taken: list[int] = []

    def chunks() -> Iterator[Chunk]:
        for number in range(1000):
            taken.append(number)
            yield Chunk(number, files(tmp_path, "a.jpg"))

    run = engine.run(chunks(), output)
    next(run)
    assert len(taken) <= 3
    run.close()
    assert multiprocessing.active_children() == []


def test_a_mean_that_float16_cannot_hold_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "models"
    write_tiny_bundle(root, Tiny(shift=1e6))
    write_jpegs(tmp_path, ["a.jpg"])
    engine = LocalEngine(LocalModel(root / "faces" / "1"), workers=1)
    output = Output(str(tmp_path / "out"), Form(LATENT, "float16"))
    assert list(engine.run([Chunk(0, files(tmp_path, "a.jpg"))], output)) == [Done(0, 1, 1)]
    [row] = output.read(0).to_pylist()
    assert (row["mean"], row["error"]) == (None, "mean not finite: as float16")
