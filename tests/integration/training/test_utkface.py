"""UTKFace, whose labels stand in the names."""

from collections.abc import Callable
from pathlib import Path

import pytest
from evenface_core.errors import DataError
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from support.datasets import write_jpegs
from support.training_data import group_sizes

VaeMaker = Callable[..., TrainingConfig]

UTK = ["1_0_0_201.jpg.chip.jpg", "25_1_1_202.jpg", "70_0_4_203.jpg", "116_1_3_204.jpg"]
UTK_ODD = ["61_1_20170109142408075.jpg.chip.jpg", "24_2_0_205.jpg", "portrait.jpg"]


def test_the_names_of_utkface_are_label_columns(vae_of: VaeMaker, tmp_path: Path) -> None:
    more = [f"40_0_2_{number}.jpg" for number in range(20)]
    folder = write_jpegs(tmp_path / "utk", [*UTK, *UTK_ODD, *more])
    columns = ["age_group", "gender", "race"]
    data = load_data(vae_of({"kind": "utkface", "path": folder}, group_columns=columns))
    found = group_sizes(data)
    assert found == {
        "age_group=0-2": 1, "age_group=20-29": 1, "age_group=40-49": 20,
        "age_group=more than 70": 2,
        "gender=male": 22, "gender=female": 2,
        "race=White": 1, "race=Black": 1, "race=Asian": 20, "race=Indian": 1, "race=other": 1,
    }  # fmt: skip
    age = dict(zip(data.faces.source.files, data.labels["age"].texts(), strict=True))
    assert age["116_1_3_204.jpg"] == "116"
    assert {age[name] for name in UTK_ODD} == {""}


def test_a_folder_without_one_name_of_utkface_is_an_error(vae_of: VaeMaker, tmp_path: Path) -> None:
    folder = write_jpegs(tmp_path / "utk", UTK_ODD)
    with pytest.raises(DataError, match=r"no file is named age_gender_race_date.*first is 24_2_0"):
        load_data(vae_of({"kind": "utkface", "path": folder}))
