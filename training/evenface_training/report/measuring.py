"""What a run's best model does on the run's own data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from evenface_core.errors import DataError, EvenfaceError
from evenface_core.manifest import AggregatePosterior
from tqdm import tqdm

from evenface_training.checkpoint import LoadedModel
from evenface_training.data import Int64, SplitImages, TrainingData, UInt8, load_data
from evenface_training.degradation import degrade
from evenface_training.evaluate import Encodings, Float32, encode_all
from evenface_training.groups import FALSE_POSITIVES
from evenface_training.metrics import threshold_at
from evenface_training.report.faces import (
    Pair,
    Traversal,
    WeightFacts,
    describe_weights,
    draw_pairs,
    draw_samples,
    draw_traversals,
)
from evenface_training.report.groups import Bools, GroupTable, tabulate_groups
from evenface_training.report.latents import LatentFacts, describe_latents
from evenface_training.report.reading import Run
from evenface_training.sampler import face_weights

_MOST_FACES = 100_000
_SEED = 0
_CHUNK = 1024


@dataclass(frozen=True)
class Generation:
    """What has latents shows.

    Attributes:
        latents: Of training faces.
        pairs: Held-out faces and their reconstructions.
        plain_samples: From N(0, 1), data URLs.
        fitted_samples: From the aggregate posterior, data URLs.
        traversals: Of the most active dimensions.
    """

    latents: LatentFacts
    pairs: Sequence[Pair] = field(repr=False)
    plain_samples: Sequence[str] = field(repr=False)
    fitted_samples: Sequence[str] = field(repr=False)
    traversals: Sequence[Traversal] = field(repr=False)


@dataclass(frozen=True)
class Findings:
    """What was measured.

    Attributes:
        digest: Of the data, by which runs on the same are known.
        counts: Images by part, such as `training faces`.
        threshold: Probability that 1 % of the held-out non-faces pass; None without non-faces.
        groups: Tables of groups.
        generation: None for a cnn.
        weights: Of training faces by the run's own rule; None for a cnn that draws them evenly.
    """

    digest: str
    counts: Mapping[str, int]
    threshold: float | None
    groups: Sequence[GroupTable]
    generation: Generation | None
    weights: WeightFacts | None


class Measured(NamedTuple):
    """A run with what was measured, or why nothing was."""

    run: Run
    findings: Findings | None
    problems: tuple[str, ...]


def measure(run: Run, device: torch.device, edge: int) -> Measured:
    """Measure a run's model, if its data are where its configuration says.

    Args:
        run: As read.
        device: Where to compute.
        edge: Of pictures, in pixels.
    """
    if run.loaded is None:
        return Measured(run, None, run.problems)
    try:
        data = load_data(run.config)
        _require_same(data, run.loaded)
    except EvenfaceError as error:
        problem = f"Nothing was measured, because the run's data were not found: {error}"
        return Measured(run, None, (*run.problems, problem))
    model = run.loaded.model.to(device)
    try:
        return Measured(run, _find(run, run.loaded, data, edge), run.problems)
    finally:
        model.to("cpu")


def _require_same(data: TrainingData, loaded: LoadedModel) -> None:
    if not data.matches(loaded.data_digest):
        raise DataError(
            f"{data.faces.source.path}: these are not the images and labels that the run was "
            f"trained on (digest {data.digest[:12]}, the checkpoint's is "
            f"{loaded.data_digest[:12]}); name the right ones with --set data.faces=..."
        )


def _find(run: Run, loaded: LoadedModel, data: TrainingData, edge: int) -> Findings:
    config = loaded.config
    weighted = config.resampling.enabled or (
        config.model.generates and config.resampling.reads == "latents"
    )
    trained = _sample(data.faces.train)
    encoded = config.model.generates or weighted
    total = len(trained) if encoded else 0
    if data.nonfaces is not None:
        total += 2 * (len(data.faces.validation) + len(data.nonfaces.validation))
    generation, weights = None, None
    with tqdm(total=total, desc=run.name, unit="image", disable=None) as bar:
        trials, threshold = _classify(loaded, data, bar)
        if encoded:
            encodings = _encode(loaded, _chunks(data.faces, trained), bar)
            if config.model.generates:
                generation = _generate(loaded, data, encodings, edge)
            if weighted:
                found = face_weights(encodings, data, trained, config.resampling)
                weights = describe_weights(found, data, trained, edge)
    columns = {
        name: data.labels[name].texts()[data.faces.validation] for name in data.group_columns
    }
    return Findings(
        digest=data.digest,
        counts=_counts(data),
        threshold=threshold,
        groups=tabulate_groups(columns, trials),
        generation=generation,
        weights=weights,
    )


def _classify(
    loaded: LoadedModel, data: TrainingData, bar: "tqdm[NoReturn]"
) -> tuple[dict[str, Bools], float | None]:
    """Which held-out faces pass, by trial, and the probability that 1 % of the non-faces pass."""
    if data.nonfaces is None:
        return {}, None
    faces, alarms, poor_faces, poor_alarms = (
        _logits(loaded, map(alter, _chunks(part, part.validation)), bar)
        for alter in (np.asarray, degrade)
        for part in (data.faces, data.nonfaces)
    )
    limit = threshold_at(alarms, FALSE_POSITIVES)
    trials = {
        "at 0.5": faces >= 0,
        "at 1 % false positives": faces >= limit,
        "degraded, at 1 % false positives": (
            poor_faces >= threshold_at(poor_alarms, FALSE_POSITIVES)
        ),
    }
    return trials, float(1 / (1 + np.exp(-limit)))


def _logits(loaded: LoadedModel, chunks: Iterable[UInt8], bar: "tqdm[NoReturn]") -> Float32:
    logits = _encode(loaded, chunks, bar).logit
    assert logits is not None  # noqa: S101 - callers leave a vae out
    return logits


def _sample(rows: Int64) -> Int64:
    """At most so many rows, at random, the same each time: a bound on memory and time."""
    if len(rows) <= _MOST_FACES:
        return rows
    chosen: Int64 = np.random.default_rng(_SEED).choice(rows, _MOST_FACES, replace=False)
    return np.sort(chosen)


def _chunks(part: SplitImages, rows: Int64) -> Iterator[UInt8]:
    """Some images at a time: uint8 [C, S, S, channels]."""
    for start in range(0, len(rows), _CHUNK):
        yield part.images[rows[start : start + _CHUNK]]


def _encode(loaded: LoadedModel, chunks: Iterable[UInt8], bar: "tqdm[NoReturn]") -> Encodings:
    """As `encode_all`, with progress."""
    found = []
    for chunk in chunks:
        found.append(encode_all(loaded.model, chunk, np.arange(len(chunk))))
        bar.update(len(chunk))
    parts = zip(*((part.logit, part.mean, part.log_variance) for part in found), strict=True)
    return Encodings(*map(_joined, parts))


def _joined(parts: Sequence[Float32 | None]) -> Float32 | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None


def _generate(
    loaded: LoadedModel, data: TrainingData, encodings: Encodings, edge: int
) -> Generation:
    mean, log_variance = encodings.mean, encodings.log_variance
    assert mean is not None  # noqa: S101 - callers leave a cnn out
    assert log_variance is not None  # noqa: S101 - as above
    model = loaded.model
    latents = describe_latents(mean, log_variance)
    posterior = AggregatePosterior.fit(mean, log_variance)
    plain, fitted = draw_samples(model, posterior, edge)
    return Generation(
        latents=latents,
        pairs=draw_pairs(model, data, edge),
        plain_samples=plain,
        fitted_samples=fitted,
        traversals=draw_traversals(model, posterior, latents, edge),
    )


def _counts(data: TrainingData) -> dict[str, int]:
    counts = {
        "training faces": len(data.faces.train),
        "held-out faces": len(data.faces.validation),
    }
    if data.nonfaces is not None:
        counts["training non-faces"] = len(data.nonfaces.train)
        counts["held-out non-faces"] = len(data.nonfaces.validation)
    return counts
