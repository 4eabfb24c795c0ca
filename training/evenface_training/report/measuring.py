"""What a run's best model does on the run's own data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from evenface_core.errors import DataError, EvenfaceError
from evenface_core.manifest import AggregatePosterior
from tqdm import tqdm

from evenface_training.checkpoint import LoadedModel
from evenface_training.data import Int64, SplitImages, TrainingData, load_data
from evenface_training.evaluate import Encodings, encode_all
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
from evenface_training.report.groups import FALSE_POSITIVES, GroupTable, tabulate_groups
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
        weights: Of the same training faces as `latents`.
    """

    latents: LatentFacts
    pairs: Sequence[Pair] = field(repr=False)
    plain_samples: Sequence[str] = field(repr=False)
    fitted_samples: Sequence[str] = field(repr=False)
    traversals: Sequence[Traversal] = field(repr=False)
    weights: WeightFacts


@dataclass(frozen=True)
class Findings:
    """What was measured.

    Attributes:
        digest: Of the data, by which runs on the same are known.
        counts: Images by part, such as `training faces`.
        threshold: Probability that 1 % of the held-out non-faces pass; None without non-faces.
        groups: Tables of groups.
        generation: None for a cnn.
    """

    digest: str
    counts: Mapping[str, int]
    threshold: float | None
    groups: Sequence[GroupTable]
    generation: Generation | None


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
    held_out, others = data.faces.validation, data.nonfaces
    trained = _sample(data.faces.train) if loaded.config.model.generates else None
    total = 0 if trained is None else len(trained)
    total += 0 if others is None else len(held_out) + len(others.validation)
    logits, limit = None, None
    with tqdm(total=total, desc=run.name, unit="image", disable=None) as bar:
        if others is not None:
            logits = _encode(loaded, data.faces, held_out, bar).logit
            alarms = _encode(loaded, others, others.validation, bar).logit
            assert alarms is not None  # noqa: S101 - what has non-faces classifies
            limit = threshold_at(alarms, FALSE_POSITIVES)
        generation = None
        if trained is not None:
            encodings = _encode(loaded, data.faces, trained, bar)
            generation = _generate(loaded, data, trained, encodings, edge)
    columns = {name: data.labels[name].texts()[held_out] for name in data.group_columns}
    return Findings(
        digest=data.digest,
        counts=_counts(data),
        threshold=None if limit is None else float(1 / (1 + np.exp(-limit))),
        groups=tabulate_groups(columns, logits, limit or 0.0),
        generation=generation,
    )


def _sample(rows: Int64) -> Int64:
    """At most so many rows, at random, the same each time: a bound on memory and time."""
    if len(rows) <= _MOST_FACES:
        return rows
    chosen: Int64 = np.random.default_rng(_SEED).choice(rows, _MOST_FACES, replace=False)
    return np.sort(chosen)


def _encode(
    loaded: LoadedModel, part: SplitImages, rows: Int64, bar: "tqdm[NoReturn]"
) -> Encodings:
    """As `encode_all`, with progress."""
    found = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        found.append(encode_all(loaded.model, part.images, chunk))
        bar.update(len(chunk))
    return Encodings(
        *(
            None if any(part is None for part in parts) else np.concatenate(parts)
            for parts in (
                [getattr(encodings, name) for encodings in found]
                for name in ("logit", "mean", "log_variance")
            )
        )
    )


def _generate(
    loaded: LoadedModel, data: TrainingData, rows: Int64, encodings: Encodings, edge: int
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
        weights=describe_weights(face_weights(mean, loaded.config.resampling), data, rows, edge),
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
