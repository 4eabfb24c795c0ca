"""Parquet as input: images as bytes, as structs and as paths, in row groups of any size."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evenface_batch.inputs import find_places
from evenface_batch.items import Item, Places
from evenface_batch.plan import InputFacts
from evenface_core.errors import JobError
from support.datasets import jpeg, write_jpegs


def write(path: Path, columns: dict[str, Any], group: int = 100) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


def chunks(
    path: Path, size: int = 10, column: str | None = None, id_column: str | None = None
) -> list[Places]:
    facts = InputFacts(urls=(str(path),), kind=None, column=column, id_column=id_column)
    return list(find_places(facts, [str(path)], size))


def read(places: list[Places]) -> list[Item]:
    return [item for one in places for item in one.items()]


@pytest.mark.parametrize(("group", "size", "counts"), [
    (3, 6, [6, 6, 5]), (3, 1, [3, 3, 3, 3, 3, 2]), (100, 5, [17]), (2, 5, [4, 4, 4, 5]),
])  # fmt: skip
def test_rows_of_bytes_are_chunks_of_whole_row_groups(
    tmp_path: Path, group: int, size: int, counts: list[int]
) -> None:
    images = [jpeg(number) for number in range(17)]
    places = chunks(write(tmp_path / "t.parquet", {"image": images}, group), size)
    assert [one.count for one in places] == counts
    items = read(places)
    assert [item.data for item in items] == images
    assert [item.id for item in items] == [f"{row:08}" for row in range(17)]
    assert [name for one in places for name in one.ids()] == [item.id for item in items]


def test_structs_give_their_bytes_or_what_lies_at_their_path(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["beside.jpg"], first=5)
    cells = [
        {"bytes": jpeg(0), "path": "zero.jpg"},
        {"bytes": None, "path": "beside.jpg"},
        {"bytes": None, "path": None},
        None,
        {"bytes": jpeg(1), "path": None},
    ]
    items = read(chunks(write(tmp_path / "t.parquet", {"image": cells})))
    assert [item.data for item in items] == [jpeg(0), jpeg(5), None, None, jpeg(1)]
    assert [item.error for item in items] == [None, None, "no image: null", "no image: null", None]


@pytest.mark.parametrize("size", [2, 3, 100])
def test_paths_are_read_and_their_row_groups_parted(tmp_path: Path, size: int) -> None:
    names = [f"{number}.jpg" for number in range(7)]
    write_jpegs(tmp_path, names)
    path = write(tmp_path / "t.parquet", {"file": names, "name": [n.upper() for n in names]}, 5)
    places = chunks(path, size, "file", "name")
    items = read(places)
    assert [item.data for item in items] == [jpeg(number) for number in range(7)]
    assert [item.id for item in items] == [name.upper() for name in names]
    assert [name for one in places for name in one.ids()] == [name.upper() for name in names]
    assert max(one.count or 0 for one in places) <= max(size, 2)


def test_ids_that_are_numbers_or_twice_there_are_kept_and_null_is_the_row(tmp_path: Path) -> None:
    columns = {"image": [jpeg(0)] * 4, "key": [7, 7, None, 8]}
    items = read(chunks(write(tmp_path / "t.parquet", columns), id_column="key"))
    assert [item.id for item in items] == ["7", "7", "00000002", "8"]


def test_a_missing_column_and_one_without_images_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", {"label": [1], "picture": [b"x"]})
    with pytest.raises(JobError, match=r"no column 'image'; it has label, picture"):
        chunks(path)
    with pytest.raises(JobError, match=r"no column 'key'; it has label, picture"):
        chunks(path, column="picture", id_column="key")
    with pytest.raises(JobError, match=r"column 'label' is int64; it must be binary, text"):
        chunks(path, column="label")


def test_of_a_damaged_file_what_can_be_read_is_and_one_row_says_so(tmp_path: Path) -> None:
    images = [jpeg(number) for number in range(6)]
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"image": images}),
        path,
        row_group_size=2,
        compression="gzip",
        use_dictionary=False,
    )
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[place : place + 200] = bytes(200)
    path.write_bytes(data)
    items = read(chunks(path, 100))
    assert [item.data for item in items] == [*images[:2], None, *images[4:]]
    assert [item.id for item in items][1:4] == ["00000001", "00000002", "00000004"]
    assert (items[2].error or "").startswith("broken file: 2 rows from this one on are lost (")


def test_a_file_that_is_no_parquet_is_one_row_with_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": [jpeg(0)]})
    (tmp_path / "b.parquet").write_bytes(b"no parquet at all")
    items = read(chunks(tmp_path))
    assert [item.id for item in items] == ["a.parquet/00000000", "b.parquet/00000000"]
    assert (items[1].error or "").startswith("broken file: ")


@pytest.mark.parametrize("id_column", [None, "key"])
def test_of_a_file_that_has_grown_shorter_since_it_was_listed_one_row_a_chunk_says_so(
    tmp_path: Path, id_column: str | None
) -> None:
    images, keys = [jpeg(number) for number in range(6)], list("abcdef")
    path = write(tmp_path / "t.parquet", {"image": images, "key": keys}, 2)
    places = chunks(path, 2, id_column=id_column)
    write(path, {"image": images[:3], "key": keys[:3]}, 2)
    items = read(places)
    assert [item.data for item in items] == [*images[:3], None, None]
    assert [item.id for item in items][3:] == ["00000003", "00000004"]
    assert (items[3].error or "").startswith("broken file: 1 rows from this one on are lost (")
    assert (items[4].error or "").startswith("broken file: 2 rows from this one on are lost (")
    assert all(list(one.ids()) for one in places)


@pytest.mark.parametrize("columns", [{"other": [1, 2]}, {"image": [1, 2], "key": [1, 2]}])
def test_a_file_whose_columns_have_changed_since_it_was_listed_is_one_row_with_an_error(
    tmp_path: Path, columns: dict[str, list[int]]
) -> None:
    path = tmp_path / "t.parquet"
    write(path, {"image": [jpeg(0), jpeg(1)], "key": ["a", "b"]})
    [places] = chunks(path, id_column="key")
    write(path, columns)
    [item] = places.items()
    assert (item.error or "").startswith("broken file: 2 rows from this one on are lost (")
    assert list(places.ids()) == [item.id]


def test_paths_and_ids_that_are_no_utf_8_are_taken_as_the_bytes_that_they_are(
    tmp_path: Path,
) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    write_jpegs(tmp_path, [name])
    text = pa.array([name.encode(errors="surrogateescape")], pa.binary()).view(pa.string())
    path = write(tmp_path / "t.parquet", {"file": text, "key": text})
    [item] = read(chunks(path, 10, "file", "key"))
    assert (item.id, item.data) == (name, jpeg(0))


def test_a_file_that_can_be_read_after_all_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"on its way")
    [places] = chunks(path, 2)
    write(path, {"image": [jpeg(0), jpeg(1), jpeg(2)]}, 2)
    assert [item.data for item in places.items()] == [jpeg(0), jpeg(1), jpeg(2)]
    assert list(places.ids()) == ["00000000", "00000001", "00000002"]
