"""Rows of Parquet: pages of a job against its lists, and files that are no job's."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evenface_studio.dataset.parquet import open_rows
from evenface_studio.dataset.table import Filter, chosen, ordered
from evenface_studio.problems import StudioError
from hypothesis import given
from hypothesis import strategies as st
from support.scored_files import Lines, write_file, write_parts

LINES = Lines.drawn(100)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("job"), LINES, [10, 11, 60])


def test_rows_of_a_job_are_those_of_its_parts(job: Path) -> None:
    rows, table = open_rows(job)
    assert [None if np.isnan(w) else w for w in table.weights] == LINES.weights
    assert [None if np.isnan(p) else p for p in table.probabilities.tolist()] == LINES.probabilities
    assert table.failed.tolist() == [error is not None for error in LINES.errors]
    tones = table.labels["tone"]
    named = [None if code < 0 else tones.values[code] for code in tones.codes]
    assert named == LINES.labels["tone"]
    assert (rows.mark, rows.mixed, rows.missing) == (b"run 1", False, 0)


@given(st.lists(st.integers(0, 99), max_size=30))
def test_any_rows_have_their_ids_and_errors_in_the_order_asked_for(
    job: Path, places: list[int]
) -> None:
    rows, _ = open_rows(job)
    cells = rows.cells(np.array(places, np.int64))
    assert [cell.id for cell in cells] == [LINES.ids[at] for at in places]
    assert [cell.error for cell in cells] == [LINES.errors[at] for at in places]
    ends = np.array([10, 11, 60])
    assert [cell.part for cell in cells] == np.searchsorted(ends, places, side="right").tolist()


@given(st.integers(1, 40))
def test_pages_hold_every_row_once(job: Path, size: int) -> None:
    rows, table = open_rows(job)
    order = ordered(table, chosen(table, Filter(errors="show")), "rarest")
    pages = [rows.cells(order[at : at + size]) for at in range(0, len(order), size)]
    assert sorted(cell.id for page in pages for cell in page) == sorted(LINES.ids)


@pytest.mark.parametrize("text", ["9.PNG", "folder/0001", ".*", "", "no such"])
def test_a_text_is_found_in_ids_whatever_its_case_and_never_as_a_pattern(
    job: Path, text: str
) -> None:
    rows, _ = open_rows(job)
    expected = [text.lower() in name.lower() for name in LINES.ids]
    assert rows.containing(text).tolist() == expected


def test_the_folder_of_the_parts_is_the_job_and_a_part_a_file(job: Path) -> None:
    assert len(open_rows(job / "parts")[1]) == 100
    part = job / "parts" / "part-000000002.parquet"
    rows, table = open_rows(part)
    assert len(table) == 49
    assert rows.cells(np.array([0]))[0].id == LINES.ids[11]


@pytest.mark.parametrize("change", ["rewritten", "gone", "more"])
def test_a_change_is_noticed_before_anything_is_read(tmp_path: Path, change: str) -> None:
    job = write_parts(tmp_path, LINES, [50])
    rows, _ = open_rows(job)
    first = job / "parts" / "part-000000000.parquet"
    if change == "rewritten":
        write_file(first, Lines.drawn(50, seed=9))
    elif change == "gone":
        first.unlink()
    else:
        write_file(job / "parts" / "part-000000002.parquet", LINES)
    for read in (rows.require_unchanged, lambda: rows.containing("a"), lambda: next(rows.names())):
        with pytest.raises(StudioError, match="has changed"):
            read()
    if change != "more":
        with pytest.raises(StudioError, match="has changed"):
            rows.cells(np.array([3]))


def test_parts_without_weights_or_of_another_run_are_told(tmp_path: Path) -> None:
    job = write_parts(tmp_path, LINES, [50])
    write_file(job / "parts" / "part-000000001.parquet", LINES.cut(50, 100), mark=None)
    assert open_rows(job)[0].mixed


def test_a_file_that_is_no_parquet_says_so(tmp_path: Path) -> None:
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1 no such thing PAR1")
    with pytest.raises(StudioError, match=r"bad\.parquet") as found:
        open_rows(bad)
    assert found.value.problem.kind == "damaged"


def test_a_file_that_breaks_off_within_a_column_says_so(tmp_path: Path) -> None:
    path = write_file(tmp_path / "cut.parquet", Lines.drawn(2000), group=2000)
    whole = bytearray(path.read_bytes())
    whole[40 : len(whole) // 2] = os.urandom(len(whole) // 2 - 40)
    path.write_bytes(whole)
    with pytest.raises(StudioError) as found:
        open_rows(path)
    assert found.value.problem.kind == "damaged"


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"weight": pa.array([1.0])}, "no column 'id'"),
        ({"id": pa.array([b"x"]), "weight": pa.array([1.0])}, "'id' is binary"),
        ({"id": pa.array(["x"])}, "no column 'weight'"),
        ({"id": pa.array(["x"]), "weight": pa.array(["much"])}, "'weight' is string"),
        ({"id": pa.array(["x"]), "weight": pa.array([1.0]), "error": pa.array([1])}, "'error' is"),
    ],
)
def test_a_file_of_other_columns_is_refused_by_name(
    tmp_path: Path, columns: dict[str, object], problem: str
) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(StudioError, match=problem):
        open_rows(path)


def test_weights_that_are_no_weights_count_as_none(tmp_path: Path) -> None:
    given = [0.5, -1.0, float("inf"), float("nan"), None]
    lines = Lines([*"abcde"], given, [0.5] * 5, [None] * 5)
    _, table = open_rows(write_file(tmp_path / "odd.parquet", lines))
    assert np.isnan(table.weights).tolist() == [False, True, True, True, True]


def test_a_job_without_parts_says_so(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="no parts yet"):
        open_rows(tmp_path)


def test_parts_that_are_links_are_not_followed(tmp_path: Path) -> None:
    secret = write_file(tmp_path / "elsewhere" / "secret.parquet", LINES)
    job = write_parts(tmp_path / "job", LINES.cut(0, 5), [])
    (job / "parts" / "part-000000001.parquet").symlink_to(secret)
    assert len(open_rows(job)[1]) == 5


def test_labels_may_be_numbers_truths_and_dictionaries(tmp_path: Path) -> None:
    path = tmp_path / "labelled.parquet"
    columns = {
        "id": pa.array(["a", "b", "c"], pa.large_string()),
        "weight": pa.array([1.0, 2.0, 3.0]),
        "age": pa.array([20, 3, None]),
        "smiles": pa.array([True, False, None]),
        "tone": pa.array(["dark", None, "light"]).dictionary_encode(),
        "score": pa.array([0.5, 0.6, 0.7]),
    }
    pq.write_table(pa.table(columns), path)
    rows, table = open_rows(path)
    assert {name: labels.values for name, labels in table.labels.items()} == {
        "age": ("3", "20"),
        "smiles": ("false", "true"),
        "tone": ("dark", "light"),
    }
    assert [cell.id for cell in rows.cells(np.array([2, 0]))] == ["c", "a"]


@pytest.mark.timeout(20)
def test_pipes_in_a_job_are_not_waited_for(tmp_path: Path) -> None:
    job = write_parts(tmp_path, LINES.cut(0, 5), [])
    for name in ("job.json", "listing.jsonl.gz", "parts/part-000000001.parquet"):
        os.mkfifo(job / name)
    assert len(open_rows(job)[1]) == 5


@pytest.mark.parametrize("column", ["id", "error"])
def test_texts_that_are_too_long_are_refused_before_they_are_decoded(
    tmp_path: Path, column: str
) -> None:
    texts: dict[str, Any] = {f"{column}s": ["x" * 4097] * 100}
    long = dataclasses.replace(LINES, **texts)
    with pytest.raises(StudioError, match=f"'{column}' has texts of more than 4,096 bytes"):
        open_rows(write_file(tmp_path / "long.parquet", long, group=100))


def test_few_long_texts_in_many_rows_are_no_labels_and_take_little_memory(tmp_path: Path) -> None:
    texts = pa.array(["a" * 10**6, "b" * 10**6])
    codes = pa.array(np.arange(30_000, dtype=np.int32) % 2)
    ids = [str(row) for row in range(30_000)]
    columns = {
        "id": ids,
        "weight": np.ones(30_000),
        "notes": pa.DictionaryArray.from_arrays(codes, texts),
        "tone": [("dark", "light")[row % 2] for row in range(30_000)],
    }
    pq.write_table(pa.table(columns), tmp_path / "notes.parquet")
    before = pa.default_memory_pool().max_memory()
    _, table = open_rows(tmp_path / "notes.parquet")
    assert list(table.labels) == ["tone"]
    assert table.labels["tone"].codes[:3].tolist() == [0, 1, 0]
    assert pa.default_memory_pool().max_memory() - before < 2**29  # of the 30 GB of all its texts


def test_rows_without_an_id_have_no_text(tmp_path: Path) -> None:
    columns = {"id": pa.array(["a", None]), "weight": [1.0, 2.0]}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    rows, _ = open_rows(tmp_path / "rows.parquet")
    found = rows.containing("A")
    assert found.dtype == np.bool_
    assert found.tolist() == [True, False]
