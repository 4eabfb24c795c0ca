"""What a run has left in its folder, whether it is finished, unfinished or damaged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from evenface_core.config import load_yaml
from evenface_core.errors import DataError, TrainingError
from pydantic import BaseModel, ValidationError

from evenface_training.checkpoint import LoadedModel, load_model
from evenface_training.config import TrainingConfig
from evenface_training.run_folder import RunFolder


class StepRecord(BaseModel):
    """A line of `metrics.jsonl` about a step."""

    step: int
    loss: float


class EpochRecord(BaseModel):
    """A line of `metrics.jsonl` about an epoch.

    Attributes:
        epoch: Counted from 1.
        train: Loss and its terms, means over the epoch.
        validation: Figures of the held-out images.
        true_positive_rate: By group, at probability 0.5.
    """

    epoch: int
    train: dict[str, float]
    validation: dict[str, float]
    true_positive_rate: dict[str, float] = {}


class Share(BaseModel):
    """Share of a group among the training faces, by count and by weight."""

    before: float
    after: float


class ResamplingRecord(BaseModel):
    """A line of `metrics.jsonl` about the weights of the training faces.

    Attributes:
        epoch: The epoch that began with them.
        effective_sample_size: (sum w)^2 / sum w^2.
        groups: Shares by group.
    """

    epoch: int
    effective_sample_size: float
    groups: dict[str, Share] = {}


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it.

    Attributes:
        name: Tells it from the others on a page.
        path: Its folder.
        config: What it was told.
        steps: Every few steps.
        epochs: One an epoch.
        resamplings: One a computation of weights.
        loaded: The best model; None where there is none.
        problems: What could not be read, a sentence each.
    """

    name: str
    path: Path
    config: TrainingConfig
    steps: Sequence[StepRecord] = field(repr=False)
    epochs: Sequence[EpochRecord] = field(repr=False)
    resamplings: Sequence[ResamplingRecord] = field(repr=False)
    loaded: LoadedModel | None = field(repr=False)
    problems: tuple[str, ...]


RecordT = TypeVar("RecordT", bound=BaseModel)


def read_runs(paths: Sequence[Path], overrides: Sequence[str] = ()) -> list[Run]:
    """Read run folders.

    Args:
        paths: At least one folder.
        overrides: `data.key=value` pairs, for data that have moved.

    Raises:
        ConfigError: A configuration or an override cannot be used.
        DataError: A folder holds no run, or comes twice.
    """
    resolved = [path.resolve() for path in paths]
    twice = {path for path in resolved if resolved.count(path) > 1}
    if twice:
        raise DataError(f"{min(twice)}: given twice")
    for path in paths:
        if not (path / "config.yaml").is_file():
            raise DataError(f"{path}: no run folder (there is no config.yaml in it)")
    return [
        _read(path, name, overrides) for path, name in zip(paths, _names(resolved), strict=True)
    ]


def _names(paths: Sequence[Path]) -> Iterator[str]:
    """The last parts of the paths, as many as tell them apart."""
    for path in paths:
        for length in range(1, len(path.parts)):
            parts = path.parts[-length:]
            if sum(other.parts[-length:] == parts for other in paths) == 1:
                break
        yield "/".join(parts)


def _read(path: Path, name: str, overrides: Sequence[str]) -> Run:
    folder = RunFolder(path)
    records = folder.records()
    config = load_yaml(TrainingConfig, path / "config.yaml", overrides)
    epochs = _of_kind(EpochRecord, "epoch", records)
    loaded, problem = _load(folder)
    return Run(
        name=name,
        path=path,
        config=config,
        steps=_of_kind(StepRecord, "step", records),
        epochs=epochs,
        resamplings=_of_kind(ResamplingRecord, "resampling", records),
        loaded=loaded,
        problems=(problem,) if problem else (),
    )


def _load(folder: RunFolder) -> tuple[LoadedModel | None, str]:
    if not folder.best.is_file():
        return None, "No epoch is complete yet, so there is no model to measure."
    try:
        return load_model(folder.best), ""
    except TrainingError as error:
        return None, f"The best checkpoint cannot be read: {error}"


def _of_kind(
    model: type[RecordT], kind: str, records: Sequence[Mapping[str, Any]]
) -> list[RecordT]:
    """The lines of a kind, but for those that something has damaged."""
    found = []
    for record in records:
        if record.get("kind") == kind:
            try:
                found.append(model.model_validate(record))
            except ValidationError:
                continue
    return found
