"""Many images, drawn on all cores and a bounded way ahead of whoever asks."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from evenface_training.synthetic.config import SyntheticConfig
from evenface_training.synthetic.render import Labels, Rendered

Render = Callable[[SyntheticConfig, int, int], Rendered]

_PIXELS_A_TASK = 128 * 64 * 64
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
    rows = max(1, _PIXELS_A_TASK // config.size**2)
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


def label_rows(labels: Labels) -> Iterator[dict[str, str]]:
    """Write labels as texts, image by image; degrees to a tenth."""
    columns = {
        name: [f"{value:.1f}" for value in values]
        if np.issubdtype(values.dtype, np.floating)
        else values.astype(str).tolist()
        for name, values in labels.items()
    }
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
