"""The experiment on shares of rare groups, run for a moment on few drawn faces."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.debiasing import shares


def call(monkeypatch: pytest.MonkeyPatch, folder: Path, faces: int) -> int:
    monkeypatch.chdir(folder)
    brief = ["--seeds", "1", "--size", "32", "--epochs", "1", "--ess", "0.4"]
    arguments = [*brief, "--faces", str(faces), "--out", str(folder)]
    monkeypatch.setattr("sys.argv", ["shares", *arguments])
    return shares.main()


def test_every_rule_keeps_the_sample_size_and_known_labels_raise_all_groups_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, tmp_path, 400) == 0
    found = json.loads((tmp_path / "shares.json").read_text())["results"]
    rules = {one["rule"]: one for one in found}
    assert {"none", "lab", "paper", "hard", "neighbours", "clusters", "tails", "known"} < set(rules)
    for one in found:
        assert one["effective_share"] > 0.39
    factors = {
        rule: np.array([one["after"][name] / one["before"][name] for name in one["before"]])
        for rule, one in rules.items()
    }
    np.testing.assert_allclose(factors["none"], 1)
    assert np.ptp(factors["known"]) < 0.2
    # The bound of docs/debiasing.md, for independent groups.
    before = np.array(list(rules["none"]["before"].values()))
    bound = 1 + np.sqrt((1 / 0.4 - 1) / (before / (1 - before)).sum())
    assert factors["known"].mean() == pytest.approx(bound, rel=0.15)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| none |")]
    assert set(row.split(" | ")[1:]) == {"100%", "1.0", "1.0 |"}
    for name in ("shares.png", "shares-faces.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_too_few_faces_for_a_group_are_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, tmp_path, 20) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error: no training face of " in error
    assert "give more --faces" in error
