import numpy as np
import pytest
from evenface_training.sources.columns import (
    LabelColumn,
    LabelTable,
    digest_labels,
    label_text,
)


def table(*rows: dict[str, str]) -> dict[str, LabelColumn]:
    grown = LabelTable()
    for row in rows:
        grown.append(row)
    return grown.columns()


def test_a_column_that_comes_late_is_unknown_before() -> None:
    columns = table({"a": "x"}, {"b": "y"}, {"a": "x", "b": "z"})
    assert list(columns) == ["a", "b"]
    assert columns["a"].texts().tolist() == ["x", "", "x"]
    assert columns["b"].texts().tolist() == ["", "y", "z"]
    assert [columns["b"][row] for row in range(len(columns["b"]))] == ["", "y", "z"]


@pytest.mark.parametrize(("values", "width"), [(2, 1), (256, 1), (257, 2), (70_000, 4)])
def test_a_row_takes_no_more_bytes_than_its_column_has_texts(values: int, width: int) -> None:
    column = table(*({"a": str(number)} for number in range(values)))["a"]
    assert column.codes.itemsize == width
    assert column[values - 1] == str(values - 1)


def test_a_column_comes_back_from_json() -> None:
    column = table(*({"a": str(number % 300)} for number in range(1000)))["a"]
    back = LabelColumn.from_json(column.to_json())
    assert back.values == column.values
    np.testing.assert_array_equal(back.codes, column.codes)
    np.testing.assert_array_equal(back.members("7"), column.texts() == "7")


def test_other_rows_are_taken_in_their_order_and_missing_ones_are_unknown() -> None:
    column = table({"a": "x"}, {"a": "y"})["a"]
    joined = column.joined(np.array([1, -1, 0, 1]))
    assert joined.texts().tolist() == ["y", "", "x", "y"]
    assert joined.members("").tolist() == [False, True, False, False]


def test_the_digest_is_of_what_rows_are_called_and_not_of_how_it_is_kept() -> None:
    one = table({"a": "x"}, {"a": "y"})
    other = {"a": table({"a": "q"}, {"a": "y"}, {"a": "x"})["a"].joined(np.array([2, 1]))}
    assert digest_labels(one) == digest_labels(other)
    for changed in (
        table({"a": "y"}, {"a": "x"}),
        table({"a": "x"}, {"a": "z"}),
        table({"b": "x"}, {"b": "y"}),
        table({"a": "x"}, {}),
    ):
        assert digest_labels(changed) != digest_labels(one)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (np.bool_(0), "false"),
        (1, "1"),
        (1.0, "1"),
        (np.float32(0.5), "0.5"),
        (np.uint8(3), "3"),
        (float("nan"), ""),
        (" a ", "a"),
    ],
)
def test_a_value_has_one_text_whatever_its_type(value: object, text: str) -> None:
    assert label_text(value) == text
