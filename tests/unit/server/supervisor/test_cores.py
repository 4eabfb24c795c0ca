"""How many workers and threads the cores are worth."""

import os
from pathlib import Path

import pytest
from evenface_server.settings import Settings
from evenface_server.supervisor import cores
from evenface_server.supervisor.cores import available_cores, settle


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


def _cgroup(folder: Path, quota: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(quota + "\n")


def _own(tmp_path: Path, name: str) -> Path:
    file = tmp_path / "own"
    file.write_text(f"5:cpu:/old\n0::{name}\n")
    return file


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("250000 100000", 3), ("5000 100000", 1), ("odd", 8)]
)
def test_a_quota_limits_the_cores(tmp_path: Path, quota: str, cores: int) -> None:
    _cgroup(tmp_path / "cgroups", quota)
    assert available_cores(tmp_path / "cgroups", _own(tmp_path, "/")) == cores


@pytest.mark.usefixtures("eight_cores")
def test_the_strictest_cgroup_above_the_process_counts(tmp_path: Path) -> None:
    root = tmp_path / "cgroups"
    _cgroup(root / "a", "200000 100000")
    _cgroup(root / "a" / "b", "600000 100000")
    _cgroup(root / "c", "100000 100000")
    assert available_cores(root, _own(tmp_path, "/a/b")) == 2


@pytest.mark.usefixtures("eight_cores")
def test_without_cgroups_the_allowed_cores_count(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "none", tmp_path / "none either") == 8


@pytest.mark.parametrize(
    ("given", "workers", "threads"),
    [
        ({"device": "cpu"}, 8, 1),
        ({"device": "cpu", "workers": 3}, 3, 2),
        ({"device": "cpu", "workers": 20}, 20, 1),
        ({"device": "cpu", "workers": 2, "session_threads": 7}, 2, 7),
        ({"device": "cuda"}, 2, 4),
    ],
)
def test_cores_are_shared_out_among_workers(
    given: dict[str, object], workers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 8)
    settled = settle(Settings.model_validate(given))
    assert (settled.workers, settled.session_threads) == (workers, threads)
