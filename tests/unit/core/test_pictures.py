from evenface_core.pictures import histogram_path


def test_a_histogram_fills_its_box() -> None:
    assert histogram_path([1, 0, 2], 30, 10) == "M0 10V5H10V10H20V0H30V10Z"
