"""The loops in turns, each in a process of its own: CPU and wall time an image, loss over time."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from evenface_training.config import TrainingConfig, load_config
from evenface_training.data import TrainingData, load_data

from benchmarks.serving.places import ROOT

T = TypeVar("T")

PYTHAE = ROOT / ".cache" / "bench" / "pythae"
BATCH = 32


@dataclass
class Subject:
    """A loop and what was seen of it.

    Attributes:
        name: In tables.
        task: What it trains: `db-vae` or `vae`.
        command: How its process is started.
        batch: Images of a step.
        cpu: CPU seconds of each turn.
        wall: Wall seconds of each turn.
        losses: On the held-out images, after each turn.
    """

    name: str
    task: str
    command: tuple[str, ...]
    batch: int = BATCH
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def seconds_to(self, loss: float, seconds: Sequence[float]) -> float | None:
        """Seconds until the loss was reached for the first time."""
        reached = [turn for turn, value in enumerate(self.losses) if value <= loss]
        return sum(seconds[: reached[0] + 1]) if reached else None


class Worker:
    """The process of a subject.

    Args:
        subject: What to start.
        threads: Threads that it may compute with.
    """

    def __init__(self, subject: Subject, threads: int) -> None:
        self._subject = subject
        limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self._process = subprocess.Popen(
            subject.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, **limits, "PYTHONPATH": str(ROOT)},
        )
        self._in, self._out = map(_required, (self._process.stdin, self._process.stdout))

    def turn(self, steps: int) -> None:
        """Let it take steps and then be measured."""
        times = self._ask(steps)
        self._subject.cpu.append(times["cpu"])
        self._subject.wall.append(times["wall"])
        self._subject.losses.append(self._ask(None)["loss"])

    def _ask(self, value: int | None) -> dict[str, float]:
        self._in.write(f"{json.dumps(value)}\n")
        self._in.flush()
        for line in self._out:
            if line.startswith("{"):
                answer: dict[str, float] = json.loads(line)
                return answer
        raise RuntimeError(f"{self._subject.name} ended with code {self._process.wait()}")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.communicate()


def compare(source: str, threads: int, turns: int, scratch: Path) -> list[Subject]:
    """Run all subjects in turns of one epoch of evenface's DB-VAE.

    Args:
        source: YAML of `data.source`, such as `{kind: synthetic, faces: 2000}`.
        threads: Threads of each.
        turns: How many.
        scratch: Empty folder for arrays and runs.
    """
    config = load_config("lab-dbvae", _overrides(source, turns))
    data = load_data(config)
    _write_arrays(data, scratch)
    subjects = _subjects(source, turns, scratch)
    images = sum(len(part.train) for part in (data.faces, _required(data.nonfaces)))
    with _workers(subjects, threads) as workers:
        for turn in range(turns):
            for subject, worker in zip(subjects, workers, strict=True):
                worker.turn(images // subject.batch)
                print(
                    f"{turn + 1}/{turns} {subject.name} ({subject.task}): "
                    f"{subject.cpu[-1] / images * 1e6:.0f} us of CPU an image, "
                    f"loss {subject.losses[-1]:.4f}",
                    flush=True,
                )
    return subjects


def median_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median over turns of one's figure by the other's; the first turn warms up."""
    return statistics.median(a / b for a, b in zip(one[1:], other[1:], strict=True))


@contextmanager
def _workers(subjects: Sequence[Subject], threads: int) -> Iterator[list[Worker]]:
    with ExitStack() as stack:
        workers = []
        for subject in subjects:
            worker = Worker(subject, threads)
            stack.callback(worker.close)
            workers.append(worker)
        yield workers


def _subjects(source: str, turns: int, scratch: Path) -> list[Subject]:
    here, ours = (sys.executable, "-m"), _overrides(source, turns)
    large = [f"optimizer.batch_size={2 * BATCH}", "optimizer.learning_rate=0.001"]
    subjects = [
        Subject("lab loop", "db-vae", (*here, "benchmarks.training.lab_loop", str(scratch))),
        _evenface("evenface", "db-vae", "lab-dbvae", ours, scratch),
        _evenface(
            "evenface, float32", "db-vae", "lab-dbvae", [*ours, "precision=float32"], scratch
        ),
        _evenface("evenface, batch 64", "db-vae", "lab-dbvae", [*ours, *large], scratch),
        _evenface(
            "evenface, compiled", "db-vae", "lab-dbvae", [*ours, "compute.compile=on"], scratch
        ),
    ]
    python = PYTHAE / "bin" / "python"
    if python.is_file():
        # pythae's loss: half the squared error, summed, and the divergence.
        loss = ["loss.reconstruction=mse", "loss.reconstruction_reduction=sum", "loss.kl_weight=2"]
        overrides = [*ours, *loss]
        subjects += [
            Subject(
                "pythae",
                "vae",
                (str(python), "-m", "benchmarks.training.pythae_loop", str(scratch)),
            ),
            _evenface("evenface", "vae", "lab-vae", overrides, scratch, half=True),
        ]
    return subjects


def _evenface(
    name: str,
    task: str,
    config: str,
    overrides: Sequence[str],
    scratch: Path,
    *,
    half: bool = False,
) -> Subject:
    """A configuration of evenface's, written where its process finds it."""
    label = f"{task}-{name}".replace(" ", "-").replace(",", "")
    file = scratch / f"{label}.yaml"
    values: TrainingConfig = load_config(config, overrides)
    file.write_text(json.dumps(values.model_dump(mode="json")))
    command = (
        sys.executable,
        "-m",
        "benchmarks.training.evenface_loop",
        str(file),
        str(scratch / label),
        *["half"] * half,
    )
    return Subject(name, task, command, values.optimizer.batch_size)


def _overrides(source: str, turns: int) -> list[str]:
    epochs = 2 * turns + 2  # more than it will come to
    return [
        f"data.source={source}",
        "data.faces=null",
        "data.nonfaces=null",
        "pictures_every=10000",
        f"optimizer.epochs={epochs}",
        "device=cpu",
    ]


def _write_arrays(data: TrainingData, folder: Path) -> None:
    parts = {"faces": data.faces, "nonfaces": _required(data.nonfaces)}
    for name, part in parts.items():
        np.save(folder / f"{name}.npy", part.images[part.train])
        np.save(folder / f"held-{name}.npy", part.images[part.validation])


def _required(value: T | None) -> T:
    if value is None:
        raise TypeError("missing")
    return value
