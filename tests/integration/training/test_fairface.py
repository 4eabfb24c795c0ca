"""FairFace and its CSV files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import DataError
from evenface_core.images import load_image
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from support.datasets import write_fairface
from support.training_data import group_sizes, names

VaeMaker = Callable[..., TrainingConfig]


def test_fairface_has_its_partition_and_its_labels(vae_of: VaeMaker, tmp_path: Path) -> None:
    folder = write_fairface(tmp_path / "fairface")
    config = vae_of({"kind": "fairface", "path": folder}, group_columns=["race", "age", "gender"])
    data = load_data(config)
    assert names(data, "train") == [f"train/{number}.jpg" for number in range(1, 7)]
    assert names(data, "validation") == [f"val/{number}.jpg" for number in range(1, 4)]
    assert group_sizes(data)["race=East Asian"] == 3
    assert group_sizes(data)["age=20-29"] == 9
    assert data.labels["service_test"].texts().tolist() == ["True"] * 9
    pixels = load_image((folder / "val" / "3.jpg").read_bytes(), config.preprocessing)
    np.testing.assert_array_equal(data.faces.images[8], pixels)


def test_one_csv_of_fairface_alone_is_split_by_name(vae_of: VaeMaker, tmp_path: Path) -> None:
    folder = write_fairface(tmp_path / "fairface", train=40)
    (folder / "fairface_label_val.csv").unlink()
    data = load_data(vae_of({"kind": "fairface", "path": folder}))
    assert data.faces.source.partitions is None
    assert {name.split("/")[0] for name in names(data, "validation")} == {"train"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,age,gender,service_test\nval/1.jpg,a,b,c\n", "no column 'race'; it has file, age"),
        ("file,age,gender,race,service_test\n,a,b,c,d\n", "a line without a `file`: a, b, c, d"),
        ("", "no column 'file'; it has none"),
    ],
)
def test_a_csv_of_fairface_that_lacks_a_column_is_an_error(
    vae_of: VaeMaker, tmp_path: Path, text: str, message: str
) -> None:
    folder = write_fairface(tmp_path / "fairface")
    (folder / "fairface_label_val.csv").write_text(text)
    with pytest.raises(DataError, match=rf"fairface_label_val\.csv: {message}"):
        load_data(vae_of({"kind": "fairface", "path": folder}))


def test_a_folder_without_a_csv_of_fairface_is_an_error(vae_of: VaeMaker, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither fairface_label_train\.csv nor"):
        load_data(vae_of({"kind": "fairface", "path": tmp_path}))
