"""Decoding on all cores, a bounded way ahead of whoever asks.

Uses the one decoding function that the server uses too.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from evenface_core.errors import InvalidInput
from evenface_core.images import DEFAULT_LIMITS, Preprocessing, load_image, preprocess
from tqdm import tqdm

from evenface_training.sources.source import Content, Item, Problem, Source, UInt8

_ITEMS_A_TASK = 8
_TASKS_A_WORKER = 2  # under way at once: bounds what is read and not yet written

Decoded = tuple[Item, UInt8 | Problem]


def decode_all(source: Source, items: Iterable[Item], spec: Preprocessing) -> Iterator[Decoded]:
    """Yield each item with its pixels or what is wrong with it, in order, under a progress bar.

    Args:
        source: What the bar is about.
        items: Its items.
        spec: Size and crop of the decoded images.
    """
    title = f"decoding {source.path.name}"
    bar = tqdm(total=source.count(), desc=title, unit="image", disable=None)
    try:
        for results in _decode_tasks(iter(items), spec):
            yield from results
            bar.update(len(results))
    finally:
        bar.close()


def oversize(size: int) -> Problem | None:
    """What is wrong with an image file of so many bytes, said before it is read."""
    limit = DEFAULT_LIMITS.max_bytes
    return Problem(f"{size} bytes; limit {limit}") if size > limit else None


def _decode_tasks(items: Iterator[Item], spec: Preprocessing) -> Iterator[list[Decoded]]:
    """Decode on all cores, but no further ahead of the caller than a few tasks a core."""

    def decode(chunk: Sequence[Item]) -> list[Decoded]:
        return [(item, _decode_one(item.content, spec)) for item in chunk]

    workers = os.cpu_count() or 1
    # Threads are enough: Pillow releases the interpreter lock while it decodes.
    pool = ThreadPoolExecutor(workers)
    under_way: deque[Future[list[Decoded]]] = deque()
    try:
        while chunk := list(islice(items, _ITEMS_A_TASK)):
            under_way.append(pool.submit(decode, chunk))
            if len(under_way) == _TASKS_A_WORKER * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_one(content: Content, spec: Preprocessing) -> UInt8 | Problem:
    try:
        if isinstance(content, Problem):
            return content
        if isinstance(content, Path):
            return _read(content, spec)
        if isinstance(content, bytes):
            return load_image(content, spec)
        return preprocess(content, spec)
    except InvalidInput as error:
        return Problem(error.problem)
    except OSError as error:
        return Problem(error.strerror or str(error))


def _read(path: Path, spec: Preprocessing) -> UInt8 | Problem:
    # Asked before it is read, for it may not fit in memory.
    return oversize(path.stat().st_size) or load_image(path.read_bytes(), spec)
