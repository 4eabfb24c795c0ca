"""A folder of images encoded and weighted through the service, while a person waits."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from evenface_client import AsyncClient, ModelInfo, Unsupported
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
        EvenfaceClientError: The service cannot do it; inside an ExceptionGroup where that shows
            while images are on their way.
    """
    names = await asyncio.to_thread(list_images, task.folder)
    info = (await client.model(task.model, task.version)).info
    if "encode" not in info.functions:
        raise Unsupported(f"{info.name} cannot encode; it can {', '.join(info.functions)}")
    progress.images = len(names)
    progress.classified = 0 if "classify" in info.functions else None
    progress.step = "encoding"
    work = _Work(client, roots, task, info, progress, names)
    async with asyncio.TaskGroup() as group:
        group.create_task(work.encode())
        if progress.classified is not None:
            group.create_task(work.classify())
    progress.step = "weighting"
    weights = await work.weigh()
    made = await asyncio.to_thread(work.made, weights)
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


@dataclass
class _Work:
    """The images of a folder on their way, by their number."""

    client: AsyncClient
    roots: Roots
    task: Task
    model: ModelInfo
    progress: Progress
    names: Sequence[str]
    means: dict[int, Float32] = field(default_factory=dict)
    logits: dict[int, float] = field(default_factory=dict)
    probabilities: dict[int, float] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)

    async def encode(self) -> None:
        sent: list[int] = []
        images = self._files(sent, self._refuse)
        outcomes = self.client.encode_stream(
            images, model=self.model.name, version=self.model.version
        )
        async for outcome in outcomes:
            row = sent[outcome.index]
            if outcome.value is None:
                self._refuse(row, _line(outcome.error))
            else:
                self.means[row] = outcome.value.mean
                self.progress.encoded += 1

    async def classify(self) -> None:
        sent: list[int] = []
        images = self._files(sent, self._pass_over)
        outcomes = self.client.classify_stream(
            images, model=self.model.name, version=self.model.version
        )
        async for outcome in outcomes:
            row = sent[outcome.index]
            self._pass_over(row)
            if outcome.value is not None:
                self.logits[row] = outcome.value.logit
                self.probabilities[row] = outcome.value.probability

    async def weigh(self) -> Float64:
        """The weights, NaN for images without.

        Raises:
            StudioError: There is nothing that the rule could weight.
        """
        rule = self.task.rule
        values: Mapping[int, float | Float32] = self.logits if rule == "hard" else self.means
        rows = sorted(self.means.keys() & values.keys())
        if not rows:
            raise self._nothing()
        read = np.stack([np.asarray(values[row], np.float32) for row in rows])
        weighting = await self.client.resample_weights(
            latents=None if rule == "hard" else read,
            logits=read if rule == "hard" else None,
            rule=rule,
            min_effective_sample_size=self.task.least,
            model=self.model.name,
            version=self.model.version,
        )
        weights = np.full(len(self.names), np.nan)
        weights[rows] = weighting.weights
        return weights

    def made(self, weights: Float64) -> DataSet:
        """The data set that all of this makes."""
        probabilities = np.full(len(self.names), np.nan, np.float32)
        for row, value in self.probabilities.items():
            probabilities[row] = value
        failed = np.zeros(len(self.names), np.bool_)
        failed[list(self.errors)] = True
        labels = LabelFile(self.roots, self.task.folder).labels(self.names)
        facts = Facts(
            title=self.roots.shown(self.task.folder),
            kind="folder",
            model=f"{self.model.name}/{self.model.version}",
            rule=self.task.rule,
            mark=key_of(self.task, self.names).encode(),
        )
        return DataSet(
            key_of(self.task, time.time_ns()),
            facts,
            Table(weights, probabilities, failed, labels),
            ListedRows(self.names, self.errors),
            Pictures(self.roots, folders=(self.task.folder,)),
        )

    async def _files(
        self, sent: list[int], refused: Callable[[int, str], None]
    ) -> AsyncIterator[bytes]:
        """The images' bytes; those that cannot be read are refused and left out."""
        limit = DEFAULT_LIMITS.max_bytes
        for row, name in enumerate(self.names):
            path = self.task.folder / name
            try:
                data = await asyncio.to_thread(read_below, self.roots, path, limit)
            except OSError as error:
                refused(row, f"unreadable: {error.strerror or error}")
                continue
            if not data:
                refused(row, "unreadable: empty file")
                continue
            sent.append(row)
            yield data

    def _refuse(self, row: int, error: str) -> None:
        self.errors[row] = error
        self.progress.encoded += 1
        self.progress.failed += 1

    def _pass_over(self, _: int, __: str = "") -> None:
        self.progress.classified = (self.progress.classified or 0) + 1

    def _nothing(self) -> StudioError:
        first = next(iter(self.errors.values()), "the model does not classify")
        reads = "a logit" if self.task.rule == "hard" else "a latent"
        return StudioError(
            "Nothing to weight",
            f"None of the {len(self.names):,} images got {reads}: {first}.",
            "Look at the folder, or choose another rule or model.",
            kind="empty",
        )


def _line(error: Exception | None) -> str:
    problem = getattr(error, "problem", None) or str(error)
    return str(problem).splitlines()[0][:300]
