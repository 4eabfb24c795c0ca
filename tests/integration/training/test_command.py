"""`evenface-train` as a user runs it: exit codes, one-line errors, Ctrl-C."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from evenface_training.checkpoint import load_checkpoint
from evenface_training.config import TrainingConfig
from evenface_training.main import main
from support.patience import PATIENCE

ConfigMaker = Callable[..., TrainingConfig]


@pytest.fixture
def config_file(make_config: ConfigMaker, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(make_config().model_dump(mode="json")))
    return path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command, see that it fails properly, and give its one line."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("error: ")
        return lines[0]

    return run


def test_a_run_leaves_everything_in_its_folder(config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main([str(config_file), "--run", str(run), "--set", "optimizer.epochs=1"]) == 0
    assert {path.name for path in run.iterdir()} == {
        ".lock",
        "config.yaml",
        "metrics.jsonl",
        "tensorboard",
        "checkpoints",
        "pictures",
    }
    assert yaml.safe_load((run / "config.yaml").read_text())["optimizer"]["epochs"] == 1
    assert {path.name for path in (run / "checkpoints").iterdir()} == {
        "best.safetensors",
        "last.safetensors",
    }


def test_broken_files_are_written_down(config_file: Path, tmp_path: Path, images: Path) -> None:
    (images / "face" / "005.png").write_bytes(b"broken")
    run = tmp_path / "run"
    settings = ["optimizer.epochs=1", "data.max_broken_fraction=0.1"]
    assert main([str(config_file), "--run", str(run), "--set", *settings]) == 0
    assert "face/005.png\tnot a JPEG" in (run / "broken-files.txt").read_text()


def test_a_finished_run_resumes_to_nothing_more(config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main([str(config_file), "--run", str(run), "--set", "optimizer.epochs=1"]) == 0
    metrics = (run / "metrics.jsonl").read_text()
    assert main(["--resume", str(run)]) == 0
    assert (run / "metrics.jsonl").read_text() == metrics


def test_a_typo_is_one_line_with_the_nearest_key(
    config_file: Path, refused: Callable[..., str]
) -> None:
    line = refused(config_file, "--set", "optimizer.lerning_rate=1")
    assert "unknown key 'optimizer.lerning_rate' (did you mean 'learning_rate'?)" in line


def test_a_run_folder_that_cannot_be_made_is_named(
    config_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused(config_file, "--run", tmp_path / "file" / "run")
    assert f"cannot write {tmp_path / 'file' / 'run'}" in line


def test_a_used_run_folder_is_refused_before_any_work(
    config_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    line = refused(config_file, "--run", tmp_path / "run")
    assert "is not empty; choose another --run" in line  # nothing there to resume
    assert not (tmp_path / "cache").exists()


def test_a_folder_with_a_run_in_it_is_refused_with_the_way_to_continue(
    config_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.safetensors").touch()
    assert "continue that run with --resume" in refused(config_file, "--run", tmp_path / "run")


def test_a_missing_face_folder_is_named(config_file: Path, refused: Callable[..., str]) -> None:
    line = refused(config_file, "--run", config_file.parent / "run", "--set", "data.faces=/nowhere")
    assert "/nowhere: no such folder" in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_a_missing_device_is_named_before_any_work(
    config_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    line = refused(config_file, "--device", "cuda", "--run", tmp_path / "run")
    assert "device 'cuda' is not available on this machine" in line
    assert not (tmp_path / "cache").exists()


def test_an_unknown_device_lists_the_known_ones(
    config_file: Path, refused: Callable[..., str]
) -> None:
    assert "'auto', 'cpu', 'cuda' or 'mps'" in refused(config_file, "--device", "gpu")


def test_resuming_nothing_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "no run to resume" in refused("--resume", tmp_path)


def test_a_configuration_and_resume_exclude_each_other(refused: Callable[..., str]) -> None:
    assert "either" in refused("lab-cnn", "--resume", "somewhere")
    assert "either" in refused()


def test_a_full_disk_is_one_line(config_file: Path, tmp_path: Path) -> None:
    # A limit on the size of a file stands in for the full disk: the same calls fail.
    code = (
        "import resource, signal, sys; from evenface_training.main import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(config_file), "--run", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 2
    assert "error: cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def endless(config_file: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A run that would take for ever, seen to have taken its first steps."""
    command = [sys.executable, "-m", "evenface_training.main", str(config_file)]
    command += ["--run", str(tmp_path / "run"), "--set", "optimizer.epochs=1000000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "held out" in process.stdout.readline()
        assert process.stdout.readline().startswith("epoch 1:")
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_and_end_with_130(
    endless: "subprocess.Popen[str]", tmp_path: Path, number: signal.Signals
) -> None:
    endless.send_signal(number)
    _, errors = endless.communicate(timeout=PATIENCE)
    assert endless.returncode == 130
    assert "Traceback" not in errors
    assert f"evenface-train --resume {tmp_path / 'run'}" in errors
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    last_step = max(json.loads(line)["step"] for line in lines)
    saved = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.safetensors")
    assert saved.progress.step == last_step


@pytest.fixture
def decoding(config_file: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A run that decodes slowly, seen to have begun with it."""
    code = (
        "import sys, time; from evenface_training import main;"
        "from evenface_training.sources import decoding;"
        "decode = decoding.load_image;"
        "decoding.load_image = lambda *given: (time.sleep(0.2), decode(*given))[1];"
        "sys.exit(main.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(config_file), "--run", str(tmp_path / "run")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while not list((tmp_path / "cache").glob("*.tmp")) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_images_are_decoded_leaves_no_scratch_file(
    decoding: "subprocess.Popen[str]", tmp_path: Path, number: signal.Signals
) -> None:
    decoding.send_signal(number)
    _, errors = decoding.communicate(timeout=PATIENCE)
    assert decoding.returncode == 130
    assert "Traceback" not in errors
    assert not list((tmp_path / "cache").iterdir())


def test_what_a_kill_while_images_are_decoded_leaves_is_gone_after_the_next_run(
    decoding: "subprocess.Popen[str]", config_file: Path, tmp_path: Path
) -> None:
    decoding.kill()
    decoding.communicate(timeout=PATIENCE)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".tmp"]
    run = [str(config_file), "--run", str(tmp_path / "again"), "--set", "optimizer.epochs=1"]
    assert main(run) == 0
    suffixes = sorted(path.suffix for path in (tmp_path / "cache").iterdir())
    assert suffixes == [".json", ".json", ".npy", ".npy"]
