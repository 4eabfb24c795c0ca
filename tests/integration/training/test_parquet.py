"""Parquet files as Hugging Face's `datasets` writes them."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evenface_core.errors import DataError
from evenface_core.images import load_image
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.sources.parquet import ParquetSource
from support.datasets import jpeg
from support.training_data import both_rows

BothMaker = Callable[..., TrainingConfig]
VaeMaker = Callable[..., TrainingConfig]


def write_parquet(path: Path, numbers: Sequence[int], *, named: bool = True) -> Path:
    """A file as Hugging Face's `datasets` writes it, in row groups of 8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "image": [{"bytes": jpeg(n), "path": f"person{n // 4}_{n}.jpg"} for n in numbers],
            "label": pa.array([n % 3 for n in numbers], pa.int64()),
            "weight": [n / 2 for n in numbers],
            "glasses": [n % 2 == 0 for n in numbers],
            "note": [None if n % 2 else "seen" for n in numbers],
            "boxes": [[1, 2] for _ in numbers],
        }
    )
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["clock", "face", "mask"], "_type": "ClassLabel"},
    }
    if named:
        known = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": known})
    pq.write_table(table, path, row_group_size=8)
    return path


def test_parquet_rows_give_images_and_labels_by_column(both_of: BothMaker, tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", range(20, 40))
    write_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", range(20))
    config = both_of(
        {"kind": "parquet", "path": tmp_path / "data"},
        face_label={"value": "face"},
        group_columns=["glasses"],
    )
    data = load_data(config)
    assert data.faces.source.files[21] == ("train-00001-of-00002.parquet/00000001/person5_21.jpg")
    np.testing.assert_array_equal(data.faces.images[21], load_image(jpeg(21), config.preprocessing))
    faces, _ = both_rows(data)
    assert faces == set(range(1, 40, 3))
    assert set(data.labels) == {"label", "weight", "glasses", "note"}
    assert data.labels["label"].texts()[:3].tolist() == ["clock", "face", "mask"]
    assert data.labels["weight"].texts()[:3].tolist() == ["0", "0.5", "1"]
    assert data.labels["note"].texts()[:3].tolist() == ["seen", "", "seen"]
    assert int(data.groups(np.arange(40))["glasses=true"].sum()) == 20


def test_numbers_without_names_of_classes_stay_numbers(both_of: BothMaker, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(40), named=False)
    faces, _ = both_rows(load_data(both_of({"kind": "parquet", "path": path})))
    assert faces == set(range(1, 40, 3))


def test_a_column_of_bytes_is_an_image_column_too(vae_of: VaeMaker, tmp_path: Path) -> None:
    images = [*(jpeg(number) for number in range(30)), None]
    pq.write_table(pa.table({"picture": pa.array(images, pa.binary())}), tmp_path / "a.parquet")
    source = {"kind": "parquet", "path": tmp_path / "a.parquet", "image_column": "picture"}
    data = load_data(vae_of(source, max_broken_fraction=0.1))
    assert len(data.faces.images) == 30
    (broken,) = data.faces.source.broken
    assert (broken.file, broken.problem) == ("00000030", "no bytes in this row")


def test_a_parquet_file_is_read_batch_by_batch(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(300))
    items = ParquetSource(path).items()
    before = pa.total_allocated_bytes()
    whole = sum(len(jpeg(number)) for number in range(300))
    most = 0
    for _ in items:
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < whole / 2


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("picture", r"a\.parquet: no column 'picture'; it has image, label, weight"),
        ("label", r"a\.parquet: column 'label' is int64; it must be a struct with `bytes`"),
    ],
)
def test_an_image_column_that_is_none_is_an_error(
    vae_of: VaeMaker, tmp_path: Path, column: str, message: str
) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(8))
    with pytest.raises(DataError, match=message):
        load_data(vae_of({"kind": "parquet", "path": path, "image_column": column}))


@pytest.mark.parametrize("left", [0, 100, 5000])
def test_a_cut_parquet_file_is_an_error(vae_of: VaeMaker, tmp_path: Path, left: int) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(20))
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DataError, match=r"a\.parquet: cut, damaged or no Parquet file"):
        load_data(vae_of({"kind": "parquet", "path": path}))


def test_a_parquet_file_damaged_in_the_middle_is_an_error(vae_of: VaeMaker, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(200), named=False)
    first = pq.ParquetFile(path).metadata.row_group(20).column(0)
    data = bytearray(path.read_bytes())
    start = first.data_page_offset
    data[start : start + 40] = b"\xff" * 40  # a page's header
    path.write_bytes(data)
    config = vae_of({"kind": "parquet", "path": path}, max_broken_fraction=1)
    with pytest.raises(DataError, match=r"a\.parquet: cut, damaged or no Parquet file"):
        load_data(config)


def test_persons_named_in_a_table_stay_together(vae_of: VaeMaker, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(120))
    pattern = r"(person\d+)_"
    source = {"kind": "parquet", "path": path}
    data = load_data(vae_of(source, group_key={"pattern": pattern}, validation_fraction=0.3))
    persons = [
        {data.faces.source.files[row].split("/")[-1].split("_")[0] for row in part}
        for part in (data.faces.train, data.faces.validation)
    ]
    assert not persons[0] & persons[1]
    assert all(persons)


def test_a_missing_file_is_named(both_of: BothMaker, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file"):
        load_data(both_of({"kind": "parquet", "path": tmp_path / "nowhere"}))


def test_a_library_that_is_not_installed_is_named_with_its_extra(
    both_of: BothMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs pyarrow: pip install 'evenface\[parquet\]'"):
        load_data(both_of({"kind": "parquet", "path": tmp_path / "file"}))
