"""WebDataset shards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import DataError
from evenface_core.images import load_image
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.sources.webdataset import WebdatasetSource
from support.datasets import jpeg, samples, write_shard
from support.training_data import both_rows

BothMaker = Callable[..., TrainingConfig]
VaeMaker = Callable[..., TrainingConfig]


def test_shards_give_faces_by_class_and_labels_by_json(both_of: BothMaker, tmp_path: Path) -> None:
    write_shard(tmp_path / "shards" / "b" / "1.tar", samples(20, 20))
    write_shard(tmp_path / "shards" / "0.tar", samples(20))
    config = both_of(
        {"kind": "webdataset", "path": tmp_path / "shards"},
        face_label={"column": "cls"},
        group_columns=["tone"],
    )
    data = load_data(config)
    files = data.faces.source.files
    assert files[:2] == ("0.tar/000000", "0.tar/000001")
    assert files[20] == "b/1.tar/000000"
    np.testing.assert_array_equal(data.faces.images[21], load_image(jpeg(21), config.preprocessing))
    assert set(data.labels) == {"tone", "age", "cls"}
    assert data.labels["age"][3] == "33"
    _, others = both_rows(data)
    assert others == {*range(0, 20, 3), *range(20, 40, 3)}
    assert int(data.groups(np.arange(40))["tone=dark"].sum()) == 20


def test_samples_without_an_image_or_with_a_broken_one_are_listed(
    vae_of: VaeMaker, tmp_path: Path
) -> None:
    good = samples(30)
    good[3] = {"json": b"{}"}
    good[4]["jpg"] = good[4]["jpg"][:200]
    good[5]["json"] = b"{"
    good[6]["json"] = b"[1]"
    path = write_shard(tmp_path / "a.tar", good)
    data = load_data(vae_of({"kind": "webdataset", "path": path}, max_broken_fraction=0.2))
    problems = {item.file: item.problem for item in data.faces.source.broken}
    assert list(problems) == [f"00000{number}" for number in (3, 4, 5, 6)]
    assert "no jpg, jpeg, png or webp" in problems["000003"]
    assert problems["000005"].startswith("json: ")
    assert "no mapping" in problems["000006"]


def test_a_shard_is_read_sample_by_sample(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.tar", samples(50))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    items = WebdatasetSource(path).items()
    for number in range(10):  # the cut, far behind, is not known yet
        assert next(items).name == f"{number:06}"
    with pytest.raises(DataError, match=r"a\.tar: cut, damaged or no tar file"):
        list(items)


def tar_offsets(data: bytes) -> list[int]:
    """Where the headers of a shard's members lie."""
    return [
        place for place in range(0, len(data), 512) if data[place + 257 : place + 262] == b"ustar"
    ]


@pytest.mark.parametrize("damage", ["within a file", "between files", "header", "no tar", "empty"])
def test_a_cut_or_damaged_shard_is_an_error_wherever_it_is_cut(
    vae_of: VaeMaker, tmp_path: Path, damage: str
) -> None:
    path = write_shard(tmp_path / "a.tar", samples(10))
    data = bytearray(path.read_bytes())
    third = tar_offsets(bytes(data))[6]
    if damage == "within a file":
        data = data[: third + 700]
    if damage == "between files":
        data = data[:third]
    if damage == "header":
        data[third : third + 512] = b"x" * 512
    if damage == "no tar":
        data = bytearray(b"hello" * 300)
    if damage == "empty":
        data = bytearray()
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tar: cut, damaged or no tar file"):
        load_data(vae_of({"kind": "webdataset", "path": path}))


def test_an_image_without_a_class_is_an_error_in_a_source_of_both(
    both_of: BothMaker, tmp_path: Path
) -> None:
    mixed = samples(20)
    del mixed[7]["cls"]
    path = write_shard(tmp_path / "a.tar", mixed)
    source, by_class = {"kind": "webdataset", "path": path}, {"column": "cls"}
    with pytest.raises(DataError, match=r"1 images have no 'cls' .*, as 000007"):
        load_data(both_of(source, face_label=by_class))
    with pytest.raises(DataError, match=r"no column 'label' \(data\.face_label\.column\); it has"):
        load_data(both_of(source))
    del mixed[7]
    write_shard(path, mixed)
    with pytest.raises(DataError, match=r"no image has 'cls' = 'yes' .*values are 0, 1"):
        load_data(both_of(source, face_label={"column": "cls", "value": "yes"}))


def test_a_missing_file_is_named(both_of: BothMaker, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file"):
        load_data(both_of({"kind": "webdataset", "path": tmp_path / "nowhere"}))
