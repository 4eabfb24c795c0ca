"""Weights that the studio writes are read by the client, to the last bit."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from evenface_client.weights import align_weights, read_weights
from evenface_core.errors import DataError
from evenface_studio.dataset.export import Form, export
from evenface_studio.dataset.listed import ListedRows
from evenface_studio.dataset.parquet import open_rows
from evenface_studio.dataset.table import Bools, Float64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.scored_files import Lines, write_parts

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def write(
    path: Path, ids: list[str], weights: Float64, mask: Bools, form: Form, mark: bytes = b"m"
) -> Path:
    pieces = export(ListedRows(ids, {}), weights, mask, mark, form)
    path.write_bytes(b"".join(pieces))
    return path


@pytest.mark.parametrize("form", ["parquet", "csv"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.tuples(TEXT, st.floats(0, 1), st.booleans()), unique_by=lambda row: row[0]))
def test_chosen_weights_come_back_whatever_the_ids_hold(
    tmp_path: Path, form: Form, rows: list[tuple[str, float, bool]]
) -> None:
    ids = [name for name, *_ in rows]
    weights = np.array([weight for _, weight, _ in rows])
    mask = np.array([chosen for *_, chosen in rows], np.bool_)
    found = read_weights(write(tmp_path / f"weights.{form}", ids, weights, mask, form))
    assert found.ids.to_pylist() == [name for name, _, chosen in rows if chosen]
    assert found.values.tolist() == weights[mask].tolist()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_ids_that_look_like_nothing_or_a_formula_stay_text(tmp_path: Path, form: Form) -> None:
    ids = ["NA", "null", "", " x ", '=HYPERLINK("http://a")', '"', "a,b", "a\nb", "<b>", "1.50"]
    weights = np.arange(1.0, len(ids) + 1)
    path = write(tmp_path / f"weights.{form}", ids, weights, np.ones(len(ids), np.bool_), form)
    assert align_weights(path, ids[::-1]).tolist() == weights[::-1].tolist()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_rows_without_a_weight_are_never_drawn(tmp_path: Path, form: Form) -> None:
    weights = np.array([0.5, np.nan, 0.5])
    path = write(tmp_path / f"w.{form}", ["a", "b", "c"], weights, np.ones(3, np.bool_), form)
    assert align_weights(path, ["b", "c", "a"]).tolist() == [0, 0.5, 0.5]


def test_weights_of_a_job_are_exported_in_row_groups_with_its_mark(tmp_path: Path) -> None:
    lines = Lines.drawn(60)
    rows, table = open_rows(write_parts(tmp_path / "job", lines, [20]))
    mask = ~table.failed
    path = tmp_path / "weights.parquet"
    path.write_bytes(b"".join(export(rows, table.weights, mask, rows.mark, "parquet")))
    assert pq.read_schema(path).metadata[b"evenface.weighting"] == b"run 1"
    good = [at for at in range(60) if lines.errors[at] is None]
    assert read_weights(path).ids.to_pylist() == [lines.ids[at] for at in good]
    assert read_weights(path).values.tolist() == [lines.weights[at] for at in good]


def test_a_csv_of_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("name,weight\na,1\n")
    with pytest.raises(DataError, match=r"other\.csv"):
        read_weights(path)
    path.write_text("id,weight\na,much\n")
    with pytest.raises(DataError, match=r"other\.csv"):
        read_weights(path)
