"""The page of a job: its figures, and faces that are read again from where they came from."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from evenface_batch.engines.local import LocalEngine
from evenface_batch.engines.model import LocalModel
from evenface_batch.job import Job, Wanted, begin
from evenface_batch.page import write_page
from evenface_batch.page.findings import find
from evenface_batch.plan import InputFacts
from evenface_batch.scoring import score_chunk
from evenface_core.images import Preprocessing, load_image
from PIL import Image
from support.datasets import jpeg, samples, write_jpegs, write_shard

ITEMS = 70


def scored(tmp_path: Path, models: Path, *inputs: Path) -> Job:
    """A job whose parts are written, in this process."""
    urls = tuple(str(one) for one in inputs)
    facts = InputFacts(urls=urls, kind=None, column=None, id_column=None)
    model = LocalModel(models / "faces" / "1")
    wanted = Wanted(facts, urls, "float32", chunk_size=30, resume=False)
    job = begin(str(tmp_path / "out"), wanted, LocalEngine(model))
    scorer = model.open()
    for chunk in job.chunks():
        score_chunk(chunk, scorer, job.output)
    return job


def weight(job: Job) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give every row without an error a weight of its own."""
    given = []
    rng = np.random.default_rng(3)
    for part in job.output.parts():
        table = job.output.read(part)
        failed = [error is not None for error in table.column("error").to_pylist()]
        weights = np.where(failed, np.nan, rng.uniform(0, 1, len(failed)))
        column = pa.array(weights, mask=np.array(failed))
        place = table.schema.get_field_index("weight")
        job.output.write(part, table.set_column(place, table.schema.field(place), column))
        given.append(weights[~np.array(failed)])
    return np.concatenate(given)


@pytest.fixture
def job(tmp_path: Path, tiny_models: Path) -> Job:
    """Faces of a folder and a shard, among them one that is <b>no image</b>."""
    folder = write_jpegs(tmp_path / "f", [f"{number:02}.jpg" for number in range(ITEMS - 10)])
    (folder / "<i>07.jpg").write_text("no image")
    (folder / "08.jpg").write_bytes(b"")
    write_shard(tmp_path / "s.tar", samples(10, first=100))
    return scored(tmp_path, tiny_models, folder, tmp_path / "s.tar")


def test_figures_are_those_of_the_rows(job: Job) -> None:
    weights = weight(job)
    found = find(job.output)
    assert (found.rows, found.failed) == (ITEMS + 1, 2)
    assert {kind.name: kind.count for kind in found.errors} == {
        "not a JPEG, PNG or WebP image": 1, "empty image": 1,
    }  # fmt: skip
    rows = [row for part in job.output.parts() for row in job.output.read(part).to_pylist()]
    means = np.array([row["mean"] for row in rows if row["mean"] is not None])
    assert found.latents is not None
    for dimension in found.latents.dimensions:
        column = means[:, dimension.number]
        assert dimension.mean == pytest.approx(column.mean())
        assert dimension.deviation == pytest.approx(column.std())
        edges = np.linspace(found.latents.low, found.latents.high, len(dimension.counts) + 1)
        np.testing.assert_array_equal(dimension.counts, np.histogram(column, edges)[0])
    assert found.weighted is not None
    assert found.weighted.effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    by_weight = sorted(
        (row for row in rows if row["weight"] is not None), key=lambda r: r["weight"]
    )
    ids = found.weighted.ids
    assert [ids[spot] for spot in found.weighted.commonest] == [r["id"] for r in by_weight[:24]]
    assert [ids[spot] for spot in found.weighted.rarest] == [r["id"] for r in by_weight[::-1][:24]]
    assert found.probabilities is not None
    assert sum(found.probabilities) == ITEMS - 1
    assert found.faces == sum((row["probability"] or 0) >= 0.5 for row in rows)


def test_latents_of_a_large_job_are_measured_from_some_of_its_parts(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "items, of part files evenly spread, the widest dimension first"
    assert said not in Path(write_page(job)).read_text()
    monkeypatch.setattr("evenface_batch.page.findings.MEASURED", ITEMS // 2)
    assert said in Path(write_page(job)).read_text()
    latents = find(job.output).latents
    assert latents is not None
    assert 0 < latents.rows < 0.8 * ITEMS


def test_faces_on_the_page_are_those_of_the_source(job: Job) -> None:
    weight(job)
    page = Path(write_page(job, {"rule": "lab"})).read_text()
    tiles = re.findall(r'src="data:image/jpeg;base64,([^"]+)".*?title="([^"]+)"', page)
    assert len(tiles) == 48
    spec = Preprocessing(size=112)
    for picture, name in tiles:
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))).astype(int)
        number = int(Path(name).stem) + (100 if ".tar/" in name else 0)
        assert np.abs(shown - load_image(jpeg(number), spec)).mean() < 8


def test_a_page_needs_no_other_file_and_quotes_what_names_contain(job: Job) -> None:
    page = Path(write_page(job)).read_text()
    assert "&lt;i&gt;07.jpg" in page
    assert "<i>07" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "Rarest" not in page
    assert "holds faces" not in page


def test_a_face_that_has_gone_since_says_so_in_its_place(job: Job, tmp_path: Path) -> None:
    weight(job)
    for path in (tmp_path / "f").iterdir():
        path.unlink()
    page = Path(write_page(job)).read_text()
    assert "missing: no such file" in page
    assert "data:image/jpeg" in page


def test_a_job_without_a_single_image_has_a_page_too(tmp_path: Path, tiny_models: Path) -> None:
    folder = write_jpegs(tmp_path / "f", ["a.jpg"])
    (folder / "a.jpg").write_bytes(b"")
    page = Path(write_page(scored(tmp_path, tiny_models, folder))).read_text()
    assert "empty image" in page
    assert "Latents" not in page
