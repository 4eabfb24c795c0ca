"""Thumbnails of images inside of WebDataset shards and Parquet files."""

import gzip
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evenface_batch.inputs import find_places
from evenface_batch.plan import InputFacts
from evenface_studio.dataset import inside, job
from evenface_studio.dataset.pictures import Pictures, missing, thumbnail
from evenface_studio.dataset.pieces import Cell
from evenface_studio.dataset.roots import Roots
from support.datasets import jpeg, samples, write_jpegs, write_shard

IMAGES = [jpeg(number) for number in range(7)]
NAMES = [f"face {number}" for number in range(7)]


def write_table(path: Path, cells: Sequence[object], kind: pa.DataType | None = None) -> Path:
    table = pa.table({"name": NAMES, "image": pa.array(cells, kind)})
    pq.write_table(table, path, row_group_size=3)
    return path


def scored(tmp_path: Path, *inputs: Path, chunk: int = 3, **facts: str | None) -> list[list[str]]:
    """Write the listing that a job has; return the ids of its parts."""
    unasked = {"kind": None, "column": None, "id_column": None}
    asked = InputFacts.model_validate({"urls": tuple(map(str, inputs)), **unasked, **facts})
    found = list(find_places(asked, [path.name for path in inputs], chunk))
    write_listing(tmp_path, [places.to_line() for places in found])
    return [list(places.ids()) for places in found]


def write_listing(folder: Path, lines: Sequence[Mapping[str, object]]) -> None:
    with gzip.open(folder / "listing.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def pictures_of(tmp_path: Path) -> Pictures:
    return Pictures(Roots([tmp_path / "data"]), origins=job.read_origins(tmp_path))


def cells_of(parts: Sequence[Sequence[str]]) -> list[Cell]:
    return [
        Cell(name, None, part, row)
        for part, ids in enumerate(parts)
        for row, name in enumerate(ids)
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def check_all(tmp_path: Path, parts: Sequence[Sequence[str]]) -> None:
    pictures, cells = pictures_of(tmp_path), cells_of(parts)
    # Backwards, so that what is known of a chunk is less than what is asked for, and then more.
    drawn = [pictures.draw(cell) for cell in reversed(cells)]
    assert drawn[::-1] == [thumbnail(image) for image in IMAGES]


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_each_image_of_shards_is_found_by_its_row(data: Path, tmp_path: Path, chunk: int) -> None:
    write_shard(data / "a.tar", samples(4))
    write_shard(data / "b.tar", [*samples(2, first=4), {"json": b"{}", "png": IMAGES[6]}])
    check_all(tmp_path, scored(tmp_path, data, chunk=chunk))


def test_each_image_of_tables_is_found_by_its_row(data: Path, tmp_path: Path) -> None:
    table = write_table(data / "faces.parquet", IMAGES)
    check_all(tmp_path, scored(tmp_path, table))
    check_all(tmp_path, scored(tmp_path, table, id_column="name"))
    check_all(tmp_path, scored(tmp_path, table, chunk=100))


def test_cells_may_have_paths_in_place_of_images(data: Path, tmp_path: Path) -> None:
    write_jpegs(data / "photos", [f"{number}.jpg" for number in range(7)])
    paths = [f"photos/{number}.jpg" for number in range(7)]
    check_all(tmp_path, scored(tmp_path, write_table(data / "paths.parquet", paths)))
    both = [
        {"bytes": None if number % 2 else IMAGES[number], "path": path}
        for number, path in enumerate(paths)
    ]
    check_all(tmp_path, scored(tmp_path, write_table(data / "both.parquet", both)))


def test_paths_in_cells_lead_nowhere_outside(data: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(IMAGES[0])
    paths = ["../secret.jpg", str(tmp_path / "secret.jpg"), "s3://a/b.jpg", "gone.jpg", *"abc"]
    parts = scored(tmp_path, write_table(data / "paths.parquet", paths))
    for cell, why in zip(
        cells_of(parts), ("outside", "outside", "not on this", "no longer"), strict=False
    ):
        with pytest.raises(FileNotFoundError, match=why):
            pictures_of(tmp_path).draw(cell)


def test_another_image_is_never_shown_in_the_place_of_one_that_moved(
    data: Path, tmp_path: Path
) -> None:
    shard, table = data / "a.tar", data / "faces.parquet"
    write_shard(shard, samples(7))
    write_table(table, IMAGES)
    for source, kind in ((shard, "webdataset"), (table, "parquet")):
        parts = scored(tmp_path, source, kind=kind, id_column="name")
        pictures = pictures_of(tmp_path)
        moved = Cell(parts[0][1], None, 0, 0)
        with pytest.raises(FileNotFoundError, match="no longer there"):
            pictures.draw(moved)
        for beyond in (Cell(parts[0][0], None, 0, 99), Cell(parts[0][0], None, 0, -1)):
            with pytest.raises(OSError):  # noqa: PT011 - of several kinds
                pictures.draw(beyond)
        source.unlink()
        assert pictures.find(Cell(parts[0][0], None, 0, 0)) == "no longer there"
        source.symlink_to("/etc/passwd")
        assert "outside" in str(pictures.find(Cell(parts[0][0], None, 0, 0)))


def test_what_is_damaged_says_so(data: Path, tmp_path: Path) -> None:
    for source, kind in ((data / "a.tar", "webdataset"), (data / "b.parquet", "parquet")):
        if kind == "parquet":
            write_table(source, IMAGES)
        else:
            write_shard(source, samples(7))
        first = Cell(scored(tmp_path, source, kind=kind)[-1][-1], None, 2, 0)
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        with pytest.raises(OSError, match=r"damaged|no longer there"):
            pictures_of(tmp_path).draw(first)


def test_a_shard_that_lies_about_sizes_takes_no_memory(data: Path, tmp_path: Path) -> None:
    shard = data / "huge.tar"
    for kind, size in ((tarfile.XHDTYPE, 2**33), (tarfile.REGTYPE, 2**33)):
        member = tarfile.TarInfo("000000.jpg")
        member.type, member.size = kind, size
        with shard.open("wb") as file:
            file.write(member.tobuf(tarfile.GNU_FORMAT))
            file.truncate(2**34)  # with holes: it takes no disk
        line = {"kind": "shard", "url": str(shard), "prefix": "", "offset": 0, "samples": 1}
        write_listing(tmp_path, [line])
        with pytest.raises(OSError, match="more than 20,971,520 bytes"):
            pictures_of(tmp_path).draw(Cell("000000", None, 0, 0))


def test_headers_of_a_shard_that_are_no_files_count_too(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "_MOST_HEADERS", 20)
    shard = write_shard(data / "a.tar", samples(1))
    parts = scored(tmp_path, shard)
    for kind, name in ((tarfile.DIRTYPE, "folder"), (tarfile.REGTYPE, f"{parts[0][0]}.json")):
        member = tarfile.TarInfo(name)
        member.type = kind
        shard.write_bytes(member.tobuf() * 30 + shard.read_bytes())
        with pytest.raises(OSError, match="too far into its shard"):
            pictures_of(tmp_path).draw(cells_of(parts)[0])


@pytest.mark.parametrize(
    ("column", "text"), [("name", "x"), ("name", b"x"), ("image", "x")], ids=repr
)
def test_a_text_that_stands_in_a_file_once_takes_memory_once(
    data: Path, tmp_path: Path, column: str, text: str | bytes
) -> None:
    rows, size = 64, 2**22
    path = data / "faces.parquet"
    columns = {name: pa.array(["a.jpg"] * rows) for name in ("name", "image")}
    pq.write_table(pa.table(columns), path)
    (first, *_), *_ = scored(tmp_path, path, id_column="name", chunk=rows)
    places = pa.array([0] * rows, pa.int32())
    columns[column] = pa.DictionaryArray.from_arrays(places, pa.array([text * size]))
    pq.write_table(pa.table(columns), path, dictionary_pagesize_limit=2**30, store_schema=False)
    everyones = pa.default_memory_pool()
    own = pa.proxy_memory_pool(everyones)
    pa.set_memory_pool(own)
    try:
        with pytest.raises(FileNotFoundError, match="no longer there"):
            pictures_of(tmp_path).draw(Cell(first, None, 0, 0))
    finally:
        pa.set_memory_pool(everyones)
    assert size <= own.max_memory() < rows * size / 4


def test_a_cell_that_is_no_image_and_no_path_is_not_read(data: Path, tmp_path: Path) -> None:
    path = write_table(data / "faces.parquet", IMAGES)
    parts = scored(tmp_path, path, id_column="name")
    lists = pa.array([[image] * 3 for image in IMAGES])
    more = pa.array([{"more": [image], "path": ""} for image in IMAGES])
    for cells, why in ((lists, "no images in its column"), (more, "no image in its cell")):
        write_table(path, cells)
        with pytest.raises(OSError, match=why):
            pictures_of(tmp_path).draw(cells_of(parts)[0])
    pq.write_table(pa.table({"name": lists, "image": IMAGES}), path)
    with pytest.raises(OSError, match="no ids in its column"):
        pictures_of(tmp_path).draw(cells_of(parts)[0])


def test_a_column_whose_name_has_a_dot_is_found_and_has_the_same_limit(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = data / "faces.parquet"
    pq.write_table(pa.table({"an.image": IMAGES}), table)
    parts = scored(tmp_path, table, column="an.image")
    check_all(tmp_path, parts)
    monkeypatch.setattr(inside, "_MOST_GROUP", 2000)
    with pytest.raises(OSError, match="row group is too large"):
        pictures_of(tmp_path).draw(cells_of(parts)[0])


def test_texts_that_are_none_are_damage(data: Path, tmp_path: Path) -> None:
    table = write_table(data / "faces.parquet", ["a.jpg"] * 7)
    parts = scored(tmp_path, table)
    no_text = pa.array([b"\xff\xfe"] * 7).view(pa.string())
    write_table(table, no_text)
    with pytest.raises(OSError, match="damaged"):
        pictures_of(tmp_path).draw(cells_of(parts)[0])


def test_what_is_too_far_inside_is_not_looked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "_MOST_HEADERS", 4)
    parts = scored(tmp_path, write_shard(data / "a.tar", samples(7)), chunk=7)
    with pytest.raises(OSError, match="too far into its shard"):
        pictures_of(tmp_path).draw(Cell(parts[0][6], None, 0, 6))
    monkeypatch.setattr(inside, "_MOST_GROUP", 2000)
    parts = scored(tmp_path, write_table(data / "a.parquet", IMAGES))
    with pytest.raises(OSError, match="row group is too large"):
        pictures_of(tmp_path).draw(Cell(parts[0][0], None, 0, 0))


def test_places_of_more_pieces_than_are_held_are_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_MOST_PIECES", 2)
    parts = scored(tmp_path, write_shard(data / "a.tar", samples(7)), chunk=2)
    found = [pictures_of(tmp_path).find(cell) for cell in cells_of(parts)]
    assert [isinstance(one, str) for one in found] == [False] * 4 + [True] * 3
    assert "too many shards" in str(found[-1])


def test_a_picture_that_is_missing_says_why_in_text_that_is_no_markup() -> None:
    drawn = missing("<b>bold</b> & more").decode()
    assert "&lt;b&gt;bold&lt;/b&gt; &amp;<" in drawn
    assert "more" in drawn
