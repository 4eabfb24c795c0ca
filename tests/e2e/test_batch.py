"""The command `evenface-batch` as a user runs it: killed, interrupted, resumed, refused."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.datasets import jpeg, write_jpegs, write_shard
from support.patience import PATIENCE

COMMAND = str(Path(sys.executable).parent / "evenface-batch")
IMAGES = 200


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    write_jpegs(folder, [f"{number:04}.jpg" for number in range(IMAGES)])
    (folder / "0123.jpg").write_bytes(b"")
    return folder


def arguments(faces: Path, out: Path, models: Path, *more: str) -> list[str]:
    bundle = models / "faces" / "1"
    common = ["--model", str(bundle), "--out", str(out), "--workers", "2", "--chunk-size", "2"]
    return [sys.executable, COMMAND, "encode", str(faces), *common, *more]


def run(command: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def parts(out: Path) -> list[Path]:
    return sorted((out / "parts").glob("*.parquet"))


def rows(out: Path) -> list[dict[str, object]]:
    return [row for path in parts(out) for row in pq.read_table(path).to_pylist()]


@pytest.fixture
def under_way(faces: Path, tmp_path: Path, tiny_models: Path) -> Iterator["subprocess.Popen[str]"]:
    """A job of which some parts are there, and most are not."""
    command = arguments(faces, tmp_path / "out", tiny_models)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while len(parts(tmp_path / "out")) < 5:
            assert process.poll() is None
            time.sleep(0.01)
        yield process
        process.kill()


def test_a_job_killed_at_work_is_resumed_without_a_row_lost_or_doubled(
    under_way: "subprocess.Popen[str]", faces: Path, tmp_path: Path, tiny_models: Path
) -> None:
    under_way.send_signal(signal.SIGKILL)
    under_way.wait()
    out, whole = tmp_path / "out", tmp_path / "whole"
    left = {path: path.stat().st_mtime_ns for path in parts(out)}
    assert 5 <= len(left) < IMAGES // 2
    done = run(arguments(faces, out, tiny_models, "--resume"))
    assert done.returncode == 1
    assert f"{IMAGES} rows in {out}/parts, 1 of them with an error" in done.stderr
    found = rows(out)
    assert [row["id"] for row in found] == [f"{number:04}.jpg" for number in range(IMAGES)]
    assert [row["id"] for row in found if row["error"]] == ["0123.jpg"]
    assert {path: path.stat().st_mtime_ns for path in left} == left
    assert not (out / "unfinished").exists()
    run(arguments(faces, whole, tiny_models))
    assert found == rows(whole)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    under_way: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    os.killpg(under_way.pid, signal.SIGINT)  # as a terminal does
    _, stderr = under_way.communicate(timeout=PATIENCE)
    assert under_way.returncode == 130
    assert stderr.strip().endswith("go on with the same command and --resume")
    assert "Traceback" not in stderr
    assert len(parts(tmp_path / "out")) >= 5
    assert not (tmp_path / "out" / "unfinished").exists()


def test_a_second_process_on_the_same_job_is_refused(
    under_way: "subprocess.Popen[str]", faces: Path, tmp_path: Path, tiny_models: Path
) -> None:
    os.kill(under_way.pid, signal.SIGSTOP)
    done = run(arguments(faces, tmp_path / "out", tiny_models, "--resume"))
    os.kill(under_way.pid, signal.SIGCONT)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'out'}: another evenface-batch is at work there\n"


def test_a_disk_that_takes_no_more_is_one_line_and_the_job_goes_on_later(
    tmp_path: Path, tiny_models: Path
) -> None:
    images = [{"jpg": jpeg(number)} for number in range(400)]
    shard, out = write_shard(tmp_path / "s.tar", images), tmp_path / "out"
    command = [*arguments(shard, out, tiny_models, "--chunk-size", "200")]
    limit = 4_000  # bytes a file: the listing fits, a part does not
    full = run(
        command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert full.returncode == 2
    assert "error: cannot write " in full.stderr
    assert "File too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert parts(out) == []
    assert not (out / "unfinished").exists()
    assert run([*command, "--resume"]).returncode == 0
    assert len(rows(out)) == 400
