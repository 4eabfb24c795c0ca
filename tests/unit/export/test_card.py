from evenface_export.markdown import section, table


def test_a_label_cannot_break_a_table() -> None:
    assert table(["a"], [["one | two\nthree"]]) == "| a |\n| --- |\n| one \\| two three |"


def test_empty_blocks_leave_no_gap() -> None:
    assert section("## Title", "", "text") == "## Title\n\ntext"
