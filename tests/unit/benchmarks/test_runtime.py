"""The runtime's benchmark, run for a moment on a tiny bundle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.bundles import Tiny, write_tiny_bundle

from benchmarks.runtime.timing import time_in_turn

ROOT = Path(__file__).parents[3]


def test_it_measures_every_way_of_every_function_and_leaves_tables_numbers_and_a_picture(
    tmp_path: Path,
) -> None:
    bundle = write_tiny_bundle(tmp_path, Tiny(conditions=("beard",)))
    short = ["--rounds", "1", "--seconds", "0.01", "--rows", "1", "5", "--rows-together", "2"]
    places = ["--bundle", str(bundle), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "benchmarks.runtime", *places, *short]
    subprocess.run(command, cwd=ROOT, check=True)
    found = json.loads((tmp_path / "out" / "runtime-cpu.json").read_text())
    assert [each["function"] for each in found["subjects"]] == ["encode", "decode", "classify"]
    for subject in found["subjects"]:
        assert set(subject["timings"]) == set(subject["off"]) == {"plain run", "bound buffers"}
        for timings in subject["timings"].values():
            assert [timing["rows"] for timing in timings] == [1, 5]
            assert all(timing["images_per_second"] > 0 for timing in timings)
        assert set(subject["off"].values()) == {0.0}
        assert {joint["processes"] for joint in subject["joint"]} >= {1}
    report = (tmp_path / "out" / "runtime-cpu.md").read_text()
    assert "| 5 | bound buffers |" in report
    assert (tmp_path / "out" / "runtime-cpu.png").stat().st_size > 1000


def test_a_bundle_that_cannot_be_opened_is_named_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.runtime", "--bundle", str(tmp_path / "nothing")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "nothing" in done.stderr


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_ways_take_turns_and_another_begins_each_round(rounds: int) -> None:
    order: list[str] = []

    def way(name: str) -> None:
        if order[-1:] != [name]:
            order.append(name)

    ways = {name: (lambda name=name: way(name)) for name in "ab"}
    found = time_in_turn(ways, 10, rounds=rounds, seconds=0.001)
    turns = "ab" + "".join(("ab", "ba")[number % 2] for number in range(rounds))  # warm-up first
    assert "".join(order) == "".join(a for a, b in zip(turns, "_" + turns, strict=False) if a != b)
    assert found["a"].ratio == 1.0
    assert found["a"].rows == 10
