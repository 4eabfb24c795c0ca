"""Many images, drawn on all cores and a bounded way ahead of whoever asks."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from evenface_core.config import parse

from evenface_training.synthetic.config import Frequencies, SyntheticConfig
from evenface_training.synthetic.render import (
    CHUNK_PIXELS,
    Labels,
    Rendered,
    UInt8,
    joined,
    render_faces,
    render_nonfaces,
)

Render = Callable[[SyntheticConfig, int, int], Rendered]

# By name of part: how it is drawn, and its label.
PARTS: Mapping[str, tuple[Render, str]] = {
    "face": (render_faces, "1"),
    "nonface": (render_nonfaces, "0"),
}
_LABEL = "label"
_OTHER_SEED = 2**63  # nobody counts that far from a seed of their own
_TASKS_A_WORKER = 2  # under way at once: bounds what is drawn and not yet taken


def stream(
    render: Render, config: SyntheticConfig, start: int, count: int, workers: int | None = None
) -> Iterator[Rendered]:
    """Draw images on several cores.

    Args:
        render: `render_faces` or `render_nonfaces`.
        config: What to draw.
        start: Index of the first.
        count: How many; may be 0.
        workers: Threads; None is one a core.

    Yields:
        The images in order, some at a time; the same ones whatever `workers` is.
    """
    rows = max(1, CHUNK_PIXELS // config.size**2)
    threads = workers or os.cpu_count() or 1
    # Threads are enough: numpy releases the interpreter lock while it computes.
    pool = ThreadPoolExecutor(threads)
    under_way: deque[Future[Rendered]] = deque()
    try:
        for first in range(start, start + count, rows):
            some = min(rows, start + count - first)
            under_way.append(pool.submit(render, config, first, some))
            if len(under_way) == _TASKS_A_WORKER * threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def collect(render: Render, config: SyntheticConfig, start: int, count: int) -> Rendered:
    """Draw images on all cores and keep them all in memory: S · S · 3 bytes each.

    Args:
        render: `render_faces` or `render_nonfaces`.
        config: What to draw.
        start: Index of the first.
        count: How many, at least 1.
    """
    return joined(list(stream(render, config, start, count)))


def balanced(config: SyntheticConfig, *factors: str) -> SyntheticConfig:
    """Settings for a test set: other images, in which no value of a factor is rare.

    Args:
        config: The settings that a model learns from.
        factors: Whose values shall all be equally frequent, such as `tone`; none for every factor.

    Returns:
        The same settings with another seed and these frequencies.

    Raises:
        ConfigError: There is no such factor.
    """
    even = dict.fromkeys(factors or Frequencies.model_fields, "uniform")
    values = config.model_dump()
    values["frequencies"] |= even
    values["seed"] = (config.seed + _OTHER_SEED) % 2**64
    return parse(SyntheticConfig, values, source="balanced")


def draw_each(
    config: SyntheticConfig, counts: Mapping[str, int]
) -> Iterator[tuple[str, UInt8, dict[str, str]]]:
    """Draw images of several parts, each from its index 0 on.

    Args:
        config: What to draw.
        counts: How many, by name out of `PARTS`.

    Yields:
        A name such as `face/00000000`, uint8 [S, S, 3], and all labels as texts: `label`, those of
        `render_faces` or `render_nonfaces`, and degrees to a tenth.
    """
    for part, count in counts.items():
        render, label = PARTS[part]
        index = 0
        for some in stream(render, config, 0, count):
            for image, row in zip(some.images, _label_rows(some.labels), strict=True):
                yield f"{part}/{index:08}", image, {_LABEL: label, **row}
                index += 1


def _label_rows(labels: Labels) -> Iterator[dict[str, str]]:
    """Write labels as texts, image by image; degrees to a tenth."""
    columns = {
        name: [f"{value:.1f}" for value in values]
        if np.issubdtype(values.dtype, np.floating)
        else values.astype(str).tolist()
        for name, values in labels.items()
    }
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
