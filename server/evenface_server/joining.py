"""Requests of a stream that are alike, run as one call. Transport-free.

A small call costs as much to check, to admit and to queue as a large one. Those that came in
together, want the same of the same model and are for raw pixels of one size go that way once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

from evenface_server.calls import ClassifyCall, EncodeCall, RawPixels
from evenface_server.intake import Limits
from evenface_server.models.registry import Registry

# Larger calls gain little, and lose that some of them are answered before the others have run.
MOST_IMAGES = 32
# Nor do large images, of which joining would make another copy.
MOST_IMAGE_BYTES = 2**16

CallT = TypeVar("CallT", bound=EncodeCall | ClassifyCall)


def runs(
    calls: Sequence[EncodeCall | ClassifyCall | Exception],
    counts: Sequence[int],
    most_of: Callable[[EncodeCall | ClassifyCall], int],
) -> Iterator[int]:
    """Yield how many of the calls run as one, from the first to the last.

    Args:
        calls: In the order of their replies; errors, which stay alone, in the place of some.
        counts: `count_of` each.
        most_of: Says how many images of calls like one may run together.
    """
    length, room, wanted = 0, 0, None
    for call, count in zip(calls, counts, strict=True):
        wants = _wants(call)
        if wants is not None and wants == wanted and 0 < count <= room:
            length, room = length + 1, room - count
            continue
        if length:
            yield length
        length, wanted = 1, wants if count else None
        room = 0
        if count and not isinstance(call, Exception):
            room = min(MOST_IMAGES, most_of(call)) - count
    if length:
        yield length


def most_together(registry: Registry, limits: Limits, call: EncodeCall | ClassifyCall) -> int:
    """Return how many images of calls like one should run as one at most.

    0 where weights on versions deal out requests, each by itself, and where a joined call could be
    refused after some of its work has been done.
    """
    target, images = call.target, call.images
    candidates = registry.candidates(target.model, target.version)
    if len(candidates) != 1 or not isinstance(images, RawPixels):
        return 0
    (served,) = candidates
    spec = served.manifest.preprocessing
    runs_twice = isinstance(call, EncodeCall) and call.with_probabilities
    runs_twice = runs_twice and not served.manifest.encode_classifies
    if runs_twice or images[1:] != (spec.size, spec.size, spec.channels):
        return 0
    return min(limits.max_items, *(lane.max_batch_rows for lane in served.lanes.values()))


def join(calls: Sequence[CallT]) -> CallT:
    """Return a call for the images of all calls of a run."""
    pixels = [call.images for call in calls if isinstance(call.images, RawPixels)]
    data = b"".join([each.data for each in pixels])
    images = pixels[0]._replace(data=data)
    return cast(CallT, calls[0]._replace(images=images, requests=len(calls)))


def count_of(call: EncodeCall | ClassifyCall | Exception) -> int:
    """Return how many images a call has that may run with those of others; 0 where none may.

    Posterior samples differ from item to item, and what cannot be used is for its sender alone.
    """
    if isinstance(call, Exception) or not isinstance(call.images, RawPixels):
        return 0
    if isinstance(call, EncodeCall) and call.sample_seed is not None:
        return 0
    data, height, width, channels = call.images
    size = height * width * channels
    if not 0 < size <= MOST_IMAGE_BYTES or len(data) % size:
        return 0
    return len(data) // size


def _wants(call: EncodeCall | ClassifyCall | Exception) -> tuple[Any, ...] | None:
    """Return all of a call but its pixels."""
    if isinstance(call, Exception) or not isinstance(call.images, RawPixels):
        return None
    return (call.target, call.images[1:], *call[2:])
