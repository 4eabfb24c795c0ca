"""The folder of a run: its configuration, metrics, checkpoints and pictures.

config.yaml  metrics.jsonl  broken-files.txt  tensorboard/  checkpoints/  pictures/
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from evenface_core.errors import TrainingError
from torch.utils.tensorboard.writer import SummaryWriter

from evenface_training.checkpoint import Progress
from evenface_training.config import TrainingConfig
from evenface_training.data import TrainingData
from evenface_training.files import explained, name_bytes, write_atomically

Record = Mapping[str, Any]

_LOCK = ".lock"


class RunFolder:
    """Where a run writes. `create` makes a new one, `open` goes on with an old one.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / "checkpoints" / "last.safetensors"
        self.best = path / "checkpoints" / "best.safetensors"
        self.pictures = path / "pictures"
        self._metrics = path / "metrics.jsonl"
        self._writer: SummaryWriter | None = None
        self._lock: int | None = None

    @classmethod
    def create(cls, path: Path) -> "RunFolder":
        """Make a folder for a new run and see that it can be written.

        Raises:
            TrainingError: It holds something already, is in use, or cannot be written.
        """
        run = cls(path)
        with explained(path):
            path.mkdir(parents=True, exist_ok=True)
            if any(entry.name != _LOCK for entry in path.iterdir()):
                resume = "continue that run with --resume or " if run.last.is_file() else ""
                raise TrainingError(f"{path} is not empty; {resume}choose another --run")
            run._take()
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Go on with the folder of an earlier run.

        Raises:
            TrainingError: There is no checkpoint in it, or it cannot be written.
        """
        run = cls(path)
        if not run.last.is_file():
            raise TrainingError(f"{path}: no run to resume ({run.last} is missing)")
        with explained(path):
            run._take()
        return run

    def _take(self) -> None:
        """Keep other processes out until this one ends."""
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise TrainingError(f"{self.path}: another process is training here") from error
        self._lock = lock

    def describe(self, config: TrainingConfig, data: TrainingData) -> None:
        """Write down what the run was told and which files it leaves out."""
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_atomically(self.path / "config.yaml", text.encode())
        broken = "".join(
            f"{folder / item.file}\t{item.problem}\n"
            for folder, items in data.broken.items()
            for item in items
        )
        if broken:
            write_atomically(self.path / "broken-files.txt", name_bytes(broken))

    def rewind(self, progress: Progress) -> None:
        """Drop the metrics written after a checkpoint, which the resumed run will write again."""
        kept = [record for record in self.records() if _is_before(record, progress)]
        lines = "".join(f"{json.dumps(record)}\n" for record in kept)
        write_atomically(self._metrics, lines.encode())
        with explained(self.path):
            self._writer = SummaryWriter(
                str(self.path / "tensorboard"), purge_step=progress.step + 1
            )

    def record(self, record: Record) -> None:
        """Append a line to `metrics.jsonl` and its figures to TensorBoard.

        Args:
            record: `kind`, `step` and numbers, possibly nested in mappings.
        """
        with explained(self._metrics), self._metrics.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(record)}\n")
        with explained(self.path / "tensorboard"):
            if self._writer is None:
                self._writer = SummaryWriter(str(self.path / "tensorboard"))
            for name, value in _flatten(record):
                self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def records(self) -> list[Record]:
        """All lines of `metrics.jsonl` so far; a line that a crash has damaged is left out."""
        if not self._metrics.is_file():
            return []
        found: list[Record] = []
        for line in self._metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                found.append(record)
        return found

    def close(self) -> None:
        """Let TensorBoard finish its file, and others use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._writer is not None:
            with explained(self.path / "tensorboard"):
                self._writer.close()


class Onlooker(RunFolder):
    """The folder as the other processes of a run see it: they read, and write nothing."""

    def describe(self, config: TrainingConfig, data: TrainingData) -> None:
        """Leave it to the first."""

    def rewind(self, progress: Progress) -> None:
        """Leave it to the first."""

    def record(self, record: Record) -> None:
        """Leave it to the first."""


def default_path(config: TrainingConfig) -> Path:
    """`runs/NAME-timestamp` in the current directory."""
    return Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _is_before(record: Record, progress: Progress) -> bool:
    begun = progress.epoch + (progress.position > 0)
    last_epoch = {"epoch": progress.epoch, "resampling": begun}.get(record["kind"])
    if last_epoch is not None:
        return bool(record["epoch"] <= last_epoch)
    return bool(record["step"] <= progress.step)


def _flatten(record: Record, prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and key not in ("step", "epoch"):
            yield f"{prefix}{key}", value
