from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import DataError
from evenface_training.conditions import read_conditions

FILES = ("a.png", "b.png", "c.png")
SOURCE = Path("labels.csv")


def test_values_are_told_as_they_stand_in_the_order_of_the_columns() -> None:
    labels = {"hat": ("0", "1", "1"), "tone": ("x", "y", ""), "smile": ("-1", "1", "-1")}
    found = read_conditions(labels, ("smile", "hat"), FILES, SOURCE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[-1, 0], [1, 1], [-1, 1]])


def test_an_unconditional_model_is_told_nothing_of_each_face() -> None:
    assert read_conditions({}, (), FILES, None).shape == (3, 0)


@pytest.mark.parametrize("value", ["", "yes", "2", "nan", "0.5"])
def test_an_unknown_value_names_labels_image_column_and_value(value: str) -> None:
    labels = {"hat": ("0", value, value)}
    message = rf"labels\.csv: column 'hat' of b\.png is '{value}', and so for 2 of 3 images.*-1, 0"
    with pytest.raises(DataError, match=message):
        read_conditions(labels, ("hat",), FILES, SOURCE)
