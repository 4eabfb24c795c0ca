"""A folder of images encoded and weighted through the service, while a person waits."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from evenface_client import AsyncClient, Unsupported
from evenface_core.images import DEFAULT_LIMITS

from evenface_studio.dataset.labels import LabelFile
from evenface_studio.dataset.listed import ListedRows
from evenface_studio.dataset.pictures import Pictures
from evenface_studio.dataset.roots import Roots, images_below, read_below
from evenface_studio.dataset.shown import DataSet, Facts, key_of
from evenface_studio.dataset.table import Float32, Float64, Table
from evenface_studio.problems import StudioError

MOST_IMAGES = 10_000
Rule = Literal["lab", "paper", "hard"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes:
        folder: With the images, below a root.
        model: Name of the model; "" for the default.
        version: Its version; "" for the newest.
        rule: Of the weights.
        least: Effective sample size as a share of the images that must be kept, 0 to 1.
    """

    folder: Path
    model: str
    version: str
    rule: Rule
    least: float


@dataclass
class Progress:
    """How far it is.

    Attributes:
        images: How many there are.
        encoded: Images that have gone through the encoder.
        classified: Images that have gone through the classifier; None where there is none.
        failed: Images that could not be encoded.
        step: What is being done.
    """

    images: int = 0
    encoded: int = 0
    classified: int | None = None
    failed: int = 0
    step: Literal["listing", "encoding", "weighting", "done"] = "listing"


@dataclass
class _Found:
    """What is known of the images, by their number."""

    names: Sequence[str]
    means: dict[int, Float32] = field(default_factory=dict)
    logits: dict[int, float] = field(default_factory=dict)
    probabilities: dict[int, float] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)


async def encode_folder(
    client: AsyncClient, roots: Roots, task: Task, progress: Progress
) -> DataSet:
    """Encode, classify and weight the images of a folder.

    Args:
        client: Of the service.
        roots: What may be read.
        task: What is to be done.
        progress: Is kept up to date.

    Raises:
        StudioError: There are no images, too many, or none that can be encoded.
        EvenfaceClientError: The service cannot do it.
    """
    names = await asyncio.to_thread(list_images, task.folder)
    info = (await client.model(task.model, task.version)).info
    if "encode" not in info.functions:
        raise Unsupported(f"{info.name} cannot encode; it can {', '.join(info.functions)}")
    target = {"model": info.name, "version": info.version}
    progress.images = len(names)
    progress.classified = 0 if "classify" in info.functions else None
    progress.step = "encoding"
    found = _Found(names)
    async with asyncio.TaskGroup() as group:
        group.create_task(_encode(client, roots, task, target, found, progress))
        if progress.classified is not None:
            group.create_task(_classify(client, roots, task, target, found, progress))
    progress.step = "weighting"
    weights = await _weigh(client, task, target, found)
    made = await asyncio.to_thread(_made, roots, task, found, weights, target)
    progress.step = "done"
    return made


def list_images(folder: Path) -> list[str]:
    """Name the images of a folder.

    Raises:
        StudioError: There are none, or more than the studio takes.
    """
    names = list(islice(images_below(folder), MOST_IMAGES + 1))
    if not names:
        raise StudioError(
            "No images in this folder",
            f"{folder} has no .jpg, .jpeg, .png or .webp, and neither have the folders below.",
            "Pick another folder.",
            kind="empty",
        )
    if len(names) > MOST_IMAGES:
        raise StudioError(
            "Too many images to wait for",
            f"{folder} has more than {MOST_IMAGES:,} images.",
            f"Score them with `evenface-batch all '{folder}' --engine grpc --target HOST:PORT "
            "--model NAME --out OUT`, and open OUT here.",
            status=413,
            kind="too-large",
        )
    return names


async def _encode(
    client: AsyncClient, roots: Roots, task: Task, target: dict[str, str], found: _Found,
    progress: Progress,
) -> None:  # fmt: skip
    sent: list[int] = []

    def refused(row: int, error: str) -> None:
        found.errors[row] = error
        progress.encoded += 1
        progress.failed += 1

    images = _files(roots, task.folder, found.names, sent, refused)
    async with aclosing(client.encode_stream(images, **target)) as outcomes:
        async for outcome in outcomes:
            row = sent[outcome.index]
            if outcome.value is None:
                refused(row, _line(outcome.error))
            else:
                found.means[row] = outcome.value.mean
                progress.encoded += 1


async def _classify(
    client: AsyncClient, roots: Roots, task: Task, target: dict[str, str], found: _Found,
    progress: Progress,
) -> None:  # fmt: skip
    sent: list[int] = []

    def count(*_: object) -> None:
        progress.classified = (progress.classified or 0) + 1

    images = _files(roots, task.folder, found.names, sent, count)
    async with aclosing(client.classify_stream(images, **target)) as outcomes:
        async for outcome in outcomes:
            if outcome.value is not None:
                found.logits[sent[outcome.index]] = outcome.value.logit
                found.probabilities[sent[outcome.index]] = outcome.value.probability
            count()


async def _files(
    roots: Roots, folder: Path, names: Sequence[str], sent: list[int],
    refused: Callable[[int, str], None],
) -> AsyncIterator[bytes]:  # fmt: skip
    """The images' bytes; those that cannot be read are refused and left out."""
    for row, name in enumerate(names):
        try:
            data = await asyncio.to_thread(
                read_below, roots, folder / name, DEFAULT_LIMITS.max_bytes
            )
        except OSError as error:
            refused(row, f"unreadable: {error.strerror or error}")
            continue
        if not data:
            refused(row, "unreadable: empty file")
            continue
        sent.append(row)
        yield data


async def _weigh(
    client: AsyncClient, task: Task, target: dict[str, str], found: _Found
) -> Float64:
    """The weights, NaN for images without."""
    values = found.logits if task.rule == "hard" else found.means
    rows = sorted(found.means.keys() & values.keys())
    if not rows:
        first = next(iter(found.errors.values()), "the model does not classify")
        raise StudioError(
            "Nothing to weight",
            f"None of the {len(found.names):,} images has what rule '{task.rule}' reads: {first}.",
            "Look at the folder, or choose another rule or model.",
            kind="empty",
        )
    read = np.stack([np.asarray(values[row], np.float32) for row in rows])
    given = {"logits": read} if task.rule == "hard" else {"latents": read}
    weighting = await client.resample_weights(
        **given, rule=task.rule, min_effective_sample_size=task.least, **target
    )
    weights = np.full(len(found.names), np.nan)
    weights[rows] = weighting.weights
    return weights


def _made(
    roots: Roots, task: Task, found: _Found, weights: Float64, target: dict[str, str]
) -> DataSet:
    probabilities = np.full(len(found.names), np.nan, np.float32)
    for row, value in found.probabilities.items():
        probabilities[row] = value
    failed = np.zeros(len(found.names), np.bool_)
    failed[list(found.errors)] = True
    labels = LabelFile(roots, task.folder).labels(found.names)
    facts = Facts(
        title=roots.shown(task.folder),
        kind="folder",
        model=f"{target['model']}/{target['version']}",
        rule=task.rule,
        mark=key_of(task, found.names).encode(),
    )
    return DataSet(
        key_of(task, time.time_ns()),
        facts,
        Table(weights, probabilities, failed, labels),
        ListedRows(found.names, found.errors),
        Pictures(roots, folders=(task.folder,)),
    )


def _line(error: Exception | None) -> str:
    problem = getattr(error, "problem", None) or str(error)
    return str(problem).splitlines()[0][:300]
