"""One training run, and what is kept of it."""

import base64
import contextlib
import hashlib
import io
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from evenface_core.config import parse
from evenface_training.checkpoint import load_model
from evenface_training.config import TrainingConfig
from evenface_training.device import open_device
from evenface_training.evaluate import encode_all
from evenface_training.loop import Trainer
from evenface_training.metrics import group_shares
from evenface_training.models import FaceModel
from evenface_training.run_folder import RunFolder
from numpy.typing import NDArray

from benchmarks.debiasing.sets import HeldOut, TrainSet, UInt8
from benchmarks.debiasing.variants import Variant

Float32 = NDArray[np.float32]

PARTS = ("clean", "degraded")
_NEVER = 10**9


@dataclass(frozen=True)
class Scores:
    """Logits of a test set.

    Attributes:
        faces: float32 [F].
        nonfaces: float32 [M].
    """

    faces: Float32 = field(repr=False)
    nonfaces: Float32 = field(repr=False)

    @property
    def false_positives(self) -> float:
        """The share of the non-faces that pass at probability 0.5."""
        return float((self.nonfaces >= 0).mean())


@dataclass(frozen=True)
class Run:
    """What is kept of a training run.

    Attributes:
        variant: Its name.
        augmented: Whether the training images were augmented.
        seed: Of data and training.
        cpu_seconds: What it cost, testing included.
        scores: By part of `PARTS`.
        shares: By group, its share of the training faces before and after weighting.
        effective_share: Effective sample size / training faces.
    """

    variant: str
    augmented: bool
    seed: int
    cpu_seconds: float
    scores: dict[str, Scores] = field(repr=False)
    shares: dict[str, tuple[float, float]] = field(repr=False)
    effective_share: float

    @property
    def key(self) -> tuple[str, bool, int]:
        """What tells it from the other runs of the same settings."""
        return self.variant, self.augmented, self.seed


def configure(common: dict[str, Any], variant: Variant, *, augmented: bool) -> TrainingConfig:
    """Make the configuration of a run out of what all have in common."""
    values = {**common, "augmentation": "standard" if augmented else {}}
    for name, section in variant.sections.items():
        values[name] = {**values.get(name, {}), **section}
    return parse(TrainingConfig, values, source=variant.name)


def train_and_test(
    config: TrainingConfig, variant: Variant, train: TrainSet, tests: dict[str, HeldOut]
) -> Run:
    """Train in silence and in a folder that goes away, and test the averaged weights at the end.

    Args:
        config: Of `configure`.
        variant: Where it comes from.
        train: Of `sets.load_train`.
        tests: By part of `PARTS`.
    """
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run")
        with _silence(), contextlib.closing(run):
            Trainer(config, train.data, run, open_device(config)).fit(lambda: False)
        model = load_model(run.last).model
        records = [record for record in run.records() if record["kind"] == "resampling"]
    shares, effective = _resampling(dict(records[-1]) if records else None, train)
    return Run(
        variant=variant.name,
        augmented=config.augmentation.moves,
        seed=config.seed,
        scores={part: _score(model, test) for part, test in tests.items()},
        cpu_seconds=round(time.process_time() - begun, 1),
        shares=shares,
        effective_share=effective,
    )


def common_sections(settings: dict[str, Any], data: dict[str, Any], seed: int) -> dict[str, Any]:
    """The sections of a configuration that all variants share."""
    return {
        "name": "evidence",
        "seed": seed,
        "device": "cpu",
        "precision": "float32",
        "log_every": _NEVER,
        "pictures_every": 0,
        "data": data,
        "model": settings["model"],
        "optimizer": settings["optimizer"],
    }


class Ledger:
    """The finished runs of a benchmark, one JSON line each, so that a stop loses only one.

    Args:
        path: The file; made where needed.
        settings: What all runs have in common; those of other settings are left alone.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        text = json.dumps(settings, sort_keys=True)
        self._digest = hashlib.sha256(text.encode()).hexdigest()[:16]

    def runs(self) -> list[Run]:
        """Those that are finished."""
        if not self._path.is_file():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [_read(values) for values in _whole(lines) if values["settings"] == self._digest]

    def add(self, run: Run) -> None:
        """Write one down."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps({'settings': self._digest, **_written(run)})}")


def _whole(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Lines that a crash has not cut short."""
    for line in filter(None, lines):
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _written(run: Run) -> dict[str, Any]:
    scores = {
        part: {"faces": _pack(found.faces), "nonfaces": _pack(found.nonfaces)}
        for part, found in run.scores.items()
    }
    return {**vars(run), "scores": scores}


def _read(values: dict[str, Any]) -> Run:
    known = {name: value for name, value in values.items() if name != "settings"}
    known["scores"] = {
        part: Scores(**{name: _unpack(text) for name, text in found.items()})
        for part, found in known["scores"].items()
    }
    known["shares"] = {name: (before, after) for name, (before, after) in known["shares"].items()}
    return Run(**known)


def _pack(values: Float32) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _unpack(text: str) -> Float32:
    return np.frombuffer(base64.b64decode(text), "<f4")


def _resampling(
    record: dict[str, Any] | None, train: TrainSet
) -> tuple[dict[str, tuple[float, float]], float]:
    faces = len(train.weights)
    if record is not None:
        found = {name: (at["before"], at["after"]) for name, at in record["groups"].items()}
        return found, record["effective_sample_size"] / faces
    effective = 1 / (faces * (train.weights**2).sum())
    return group_shares(train.weights, train.groups), float(effective)


def _score(model: FaceModel, test: HeldOut) -> Scores:
    return Scores(_logits(model, test.faces), _logits(model, test.nonfaces))


def _logits(model: FaceModel, images: UInt8) -> Float32:
    logit = encode_all(model, images, np.arange(len(images))).logit
    assert logit is not None  # noqa: S101 - all variants classify
    return logit


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the trainer's bars and lines out of the benchmark's own."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
