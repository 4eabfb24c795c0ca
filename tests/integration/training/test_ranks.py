"""Two processes as one run, over gloo on loopback: the same losses and weights, and clean ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from evenface_training.checkpoint import load_checkpoint
from evenface_training.config import TrainingConfig
from evenface_training.main import main
from evenface_training.run_folder import RunFolder
from support.ports import free_port

ConfigMaker = Callable[..., TrainingConfig]
Processes = list[subprocess.Popen[str]]


@contextmanager
def two_processes(*arguments: object) -> Iterator[Processes]:
    """The command twice, in the environment that torchrun gives to two processes."""
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    command = [sys.executable, "-m", "evenface_training.main", *map(str, arguments)]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def ends(processes: Processes) -> list[tuple[int, str]]:
    """Exit codes and what was said on standard error."""
    said = [process.communicate(timeout=200)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


@pytest.fixture
def config(make_config: ConfigMaker) -> TrainingConfig:
    """Batch norms, resampling, averaging, clipping and augmentation, in float32."""
    return make_config(
        precision="float32",
        pictures_every=0,
        augmentation={"flip": 0.5, "shift": 0.1, "noise": 0.03, "brightness": 0.2},
        optimizer={"epochs": 2},
        resampling={"nonfaces": "hard"},
    )


@pytest.fixture
def config_file(config: TrainingConfig, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


def losses(run: Path) -> list[float]:
    return [each["loss"] for each in RunFolder(run).records() if each["kind"] == "step"]


def test_two_processes_learn_what_one_does_and_go_on_after_ctrl_c(
    config_file: Path, tmp_path: Path
) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    with two_processes(config_file, "--run", shared) as processes:
        assert main([str(config_file), "--run", str(alone)]) == 0
        while len(losses(shared)) < 2 and processes[0].poll() is None:
            time.sleep(0.01)
        processes[1].send_signal(signal.SIGINT)  # any rank's wish is all ranks'
        stopped = ends(processes)
    assert [code for code, _ in stopped] == [130, 130], stopped
    with two_processes("--resume", shared) as processes:
        assert [code for code, _ in ends(processes)] == [0, 0]

    # Sums over half a batch and then over two processes round otherwise than sums over all of it:
    # 2e-7 of the losses, when this was written. Adam divides a gradient by its size, which
    # enlarges that where there is next to no gradient: 1.3e-5. A wrong gradient or statistic
    # moves weights by a good part of the steps' sizes, some 0.002 each.
    assert losses(shared) == pytest.approx(losses(alone), rel=1e-5)
    ours = load_checkpoint(shared / "checkpoints" / "last.safetensors")
    theirs = load_checkpoint(alone / "checkpoints" / "last.safetensors")
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name in ("random.state", "sampler.weights", "sampler.nonface_weights"):
        torch.testing.assert_close(ours.tensors[name], theirs.tensors[name], rtol=1e-4, atol=1e-6)
    for section in ("model", "averaged"):
        for name, tensor in ours.section(section).items():
            expected = theirs.section(section)[name]
            torch.testing.assert_close(tensor, expected, rtol=0, atol=2e-4, msg=name)


def test_a_process_that_dies_ends_the_other_with_a_message(
    config_file: Path, tmp_path: Path
) -> None:
    endless = ("--set", "optimizer.epochs=100000")
    with two_processes(config_file, "--run", tmp_path / "run", *endless) as processes:
        while not losses(tmp_path / "run") and processes[0].poll() is None:
            time.sleep(0.01)
        processes[1].kill()
        (code, said), _ = ends(processes)
    assert code == 2
    assert "error: another process of this run has ended" in said
    assert "Traceback" not in said
