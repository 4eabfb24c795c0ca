"""Where the thumbnails of a data set come from, and why there are none."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from evenface_core.errors import InvalidInput
from evenface_core.images import decode_image
from evenface_studio.dataset.job import UNKNOWN, Unheld, read_origins, read_plan
from evenface_studio.dataset.opening import open_parquet
from evenface_studio.dataset.pictures import Pictures
from evenface_studio.dataset.pieces import Cell
from evenface_studio.dataset.roots import Roots
from support.datasets import jpeg
from support.scored_files import Lines, write_parts


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(jpeg(1))
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("secret")
    (tmp_path / "outside.jpg").write_bytes(jpeg(1))
    return folder


def listing(job: Path, *lines: Mapping[str, object]) -> Path:
    job.mkdir(exist_ok=True)
    with gzip.open(job / "listing.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return job


def files(base: object, prefix: str = "") -> dict[str, object]:
    return {"kind": "files", "base": f"{base}/", "prefix": prefix, "names": ["a.jpg"]}


def test_an_image_of_a_job_is_found_by_its_id_and_drawn(images: Path, tmp_path: Path) -> None:
    job = listing(tmp_path / "job", files("/elsewhere"), files(images, "photos/"))
    pictures = Pictures(Roots([images]), origins=read_origins(job))
    drawn = pictures.draw(Cell("photos/a.jpg", None, 1))
    assert decode_image(drawn).shape == (176, 176, 3)


@pytest.mark.parametrize(
    ("name", "part", "why"),
    [
        ("../outside.jpg", 0, "outside the folders"),
        ("/etc/passwd", 0, "outside the folders"),
        ("gone.jpg", 0, "no longer there"),
        ("notes.txt", 0, "no longer there"),
        ("a.jpg\0", 0, "no longer there"),
        ("https://example.org/a.jpg", 0, "not on this machine"),
        ("a.jpg", 1, "not on this machine"),
        ("a.jpg", 2, "outside the folders"),
        ("a.jpg", 3, "not on this machine"),
        ("a.jpg", 9, "does not say"),
    ],
)
def test_there_is_no_thumbnail_of_what_is_elsewhere(
    images: Path, tmp_path: Path, name: str, part: int, why: str
) -> None:
    other = {"kind": "files", "base": "s3://bucket/", "prefix": "", "names": []}
    shard = {"kind": "shard", "url": "s3://bucket/a.tar", "prefix": "", "offset": 0}
    table = {
        "url": "/etc/a.parquet",
        "prefix": "",
        "column": "image",
        "id_column": None,
        "first": 0,
    }
    job = listing(tmp_path / "job", files(images), shard, {"kind": "table", **table}, other)
    pictures = Pictures(Roots([images]), origins=read_origins(job))
    found = pictures.find(Cell(name, None, part))
    assert isinstance(found, str)
    assert why in found
    with pytest.raises(OSError):  # noqa: PT011 - of several kinds
        pictures.draw(Cell(name, None, part))


def test_a_file_that_is_no_image_has_no_thumbnail(images: Path) -> None:
    pictures = Pictures(Roots([images]), folders=(images,))
    with pytest.raises(InvalidInput, match="not a JPEG"):
        pictures.draw(Cell("broken.jpg", None, -1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"kind": "files"}',
        '{"kind": 1}',
        '{"kind": "shard", "url": 1, "offset": -1}',
        "[" * 100_000,
    ],
)
def test_a_listing_that_is_none_leaves_a_job_without_thumbnails(tmp_path: Path, text: str) -> None:
    with gzip.open(tmp_path / "listing.jsonl.gz", "wt") as file:
        file.write(text + "\n")
    assert read_origins(tmp_path).different in {(), (Unheld(UNKNOWN),)}
    (tmp_path / "listing.jsonl.gz").write_bytes(b"no gzip")
    assert read_origins(tmp_path).by_chunk == []


def test_a_plan_that_is_none_is_passed_over(tmp_path: Path) -> None:
    assert read_plan(tmp_path) is None
    (tmp_path / "job.json").write_text('{"model": 3}')
    assert read_plan(tmp_path) is None


def test_listings_and_plans_that_are_links_are_not_followed(tmp_path: Path, images: Path) -> None:
    real, job = listing(tmp_path / "real", files(images)), tmp_path / "job"
    job.mkdir()
    (job / "listing.jsonl.gz").symlink_to(real / "listing.jsonl.gz")
    assert read_origins(job).by_chunk == []


def test_labels_beside_the_images_of_a_job_are_joined(images: Path, tmp_path: Path) -> None:
    ids = ["a.jpg", "b.jpg", "c.jpg"]
    lines = Lines(ids, [0.2, 0.3, 0.5], [0.9] * 3, [None] * 3)
    job = write_parts(listing(tmp_path / "job", files(images)), lines, [])
    (job / "job.json").write_text("{}")
    (images / "labels.csv").write_text("file,tone\na.jpg,light\nc.jpg,dark\nd.jpg,other\n")
    found = open_parquet(Roots([images, job]), job)
    tone = found.table.labels["tone"]
    assert tone.values == ("dark", "light")
    assert tone.codes.tolist() == [1, -1, 0]
