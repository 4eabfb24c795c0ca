"""Scratch files: what a killed process leaves goes away, what a living one writes stays."""

import subprocess
import sys
from pathlib import Path

import pytest
from evenface_core.errors import TrainingError
from evenface_training.files import explained, replacing, write_atomically

_HOLD = (
    "import sys; from pathlib import Path; from evenface_training.files import replacing\n"
    "with replacing(Path(sys.argv[1])) as scratch:\n"
    "    scratch.write_bytes(b'half')\n"
    "    print(scratch, flush=True); sys.stdin.read()\n"
)


def test_scratch_files_of_the_living_stay_and_those_of_the_killed_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "cache.npy")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            scratch = Path(other.stdout.readline().strip())
            write_atomically(tmp_path / "x", b"1")
            assert scratch.read_bytes() == b"half"
        finally:
            other.kill()
            other.wait()
    assert scratch.exists()
    write_atomically(tmp_path / "x", b"2")
    assert {path.name for path in tmp_path.iterdir()} == {"x"}


def test_other_files_that_end_in_tmp_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.tmp").write_text("mine")
    (tmp_path / "x.0123.tmp").write_text("mine")
    write_atomically(tmp_path / "x", b"1")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_scratch_file_taken_for_abandoned_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl  # noqa: PLC0415 - its one use here

    lock = fcntl.flock
    taken: list[Path] = []

    def slow(descriptor: int, operation: int) -> None:
        if not taken:  # as if another process had been quicker
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()
        lock(descriptor, operation)

    monkeypatch.setattr("fcntl.flock", slow)
    with replacing(tmp_path / "x") as scratch:
        assert scratch != taken[0]
        scratch.write_bytes(b"1")
    assert (tmp_path / "x").read_bytes() == b"1"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "x"
    with pytest.raises(TrainingError, match=r"cannot write .*file/x: "), explained(path):
        write_atomically(path, b"1")
