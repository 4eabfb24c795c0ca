"""What a call costs between transport and session, in microseconds of CPU: `--help` says how.

A session that answers at once stands in for the model, so that all that is left is ours: parsing
the message, checking, admitting, preparing, batching, splitting, and packing the reply. CPU time
counts all threads and is what several worker processes on one machine compete for.
"""

import argparse
import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uvloop
from evenface.v1 import common_pb2
from evenface.v1.face_service_pb2 import EncodeRequest, EncodeResponse, SampleRequest
from evenface_core.bundle import open_bundle
from evenface_core.manifest import Manifest
from evenface_runtime import open_model
from evenface_server.batching import Arrays, Lane
from evenface_server.codec import replies, requests
from evenface_server.engine import Engine
from evenface_server.intake import Limits
from evenface_server.metrics import Metrics
from evenface_server.workshop import Workshop
from numpy.typing import NDArray
from PIL import Image

try:
    from evenface_server.models.registry import Registry, ServedModel
except ModuleNotFoundError:  # in commits to compare with
    from evenface_server.models import (  # type: ignore[attr-defined, no-redef]
        Registry,
        ServedModel,
    )

_BUNDLE = Path("models/faces/1")
_BATCH_ROWS, _QUEUE_ROWS = 64, 4096
_LIMITS = Limits(max_items=1024, max_message_bytes=64 * 2**20, max_pixels=25_000_000)
_DEADLINE_SECONDS = 10.0

Answer = Callable[[Engine, bytes], Awaitable[bytes]]


class Case(NamedTuple):
    """One kind of call: its message, who answers, how many are in flight and how many measured."""

    message: bytes
    answer: Answer
    flight: int
    calls: int


def _photo(height: int, width: int) -> NDArray[np.uint8]:
    """A gradient with noise, which compresses about as photos do."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1)
    noise = np.random.default_rng(0).integers(0, 20, smooth.shape)
    return (smooth + noise).clip(0, 255).astype(np.uint8)


def _jpeg(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_photo(height, width)).save(buffer, "JPEG")
    return buffer.getvalue()


def _raw(count: int, height: int, width: int, seed: int | None = None) -> bytes:
    pixels = np.repeat(_photo(height, width)[None], count, axis=0)
    raw = common_pb2.RawImages(data=pixels.tobytes(), height=height, width=width, channels=3)
    return EncodeRequest(images=common_pb2.Images(raw=raw), sample_seed=seed).SerializeToString()


def _files(*files: bytes) -> bytes:
    encoded = common_pb2.EncodedImages(data=files)
    return EncodeRequest(images=common_pb2.Images(encoded=encoded)).SerializeToString()


async def _encode(engine: Engine, message: bytes) -> bytes:
    request = EncodeRequest.FromString(message)
    call = requests.encode_call(request, time.monotonic() + _DEADLINE_SECONDS)
    answer = await engine.encode(call)
    return replies.encode_response(answer, EncodeResponse()).SerializeToString()


async def _sample(engine: Engine, message: bytes) -> bytes:
    request = SampleRequest.FromString(message)
    call = requests.sample_call(request, time.monotonic() + _DEADLINE_SECONDS)
    return replies.sample_response(await engine.sample(call)).SerializeToString()


def _cases(calls: int) -> Mapping[str, Case]:
    one = _raw(1, 64, 64)
    return {
        "1 image, 1 in flight": Case(one, _encode, 1, calls),
        "1 image, 8 in flight": Case(one, _encode, 8, calls),
        "1 image, 32 in flight": Case(one, _encode, 32, calls),
        "32 images, 4 in flight": Case(_raw(32, 64, 64), _encode, 4, calls // 4),
        "256 images, 8 in flight": Case(_raw(256, 64, 64), _encode, 8, calls // 32),
        "1 image with a sample, 8 in flight": Case(_raw(1, 64, 64, 7), _encode, 8, calls),
        "1 raw image 128×128, 8 in flight": Case(_raw(1, 128, 128), _encode, 8, calls // 4),
        "1 JPEG 64×64, 8 in flight": Case(_files(_jpeg(64, 64)), _encode, 8, calls // 4),
        "1 JPEG 178×218, 32 in flight": Case(_files(_jpeg(218, 178)), _encode, 32, calls // 8),
        "1 sample, 8 in flight": Case(
            SampleRequest(count=1, seed=1).SerializeToString(), _sample, 8, calls
        ),
    }


def _session(manifest: Manifest, function: str) -> Callable[[Arrays], Arrays]:
    """Answers with zeros that lie ready."""
    spec, size = manifest.preprocessing, manifest.latent_size
    shape = (spec.size, spec.size, spec.channels)
    latents = np.zeros((_BATCH_ROWS, size), np.float32)
    ready: Mapping[str, Arrays] = {
        "encode": (latents, latents),
        "decode": (np.zeros((_BATCH_ROWS, *shape), np.uint8),),
        "classify": (np.zeros(_BATCH_ROWS, np.float32),),
    }

    def run(inputs: Arrays) -> Arrays:
        rows = len(inputs[0])
        return tuple(array[:rows] for array in ready[function])

    return run


def _engine() -> Engine:
    bundle = open_bundle(_BUNDLE)
    model = open_model(bundle, "cpu", threads=1)
    metrics = Metrics()
    lanes = {
        name: Lane(
            _session(bundle.manifest, name),
            max_batch_rows=_BATCH_ROWS,
            max_queue_rows=_QUEUE_ROWS,
            label=f"faces/1/{name}",
            metrics=metrics.lane("faces", "1", name),
        )
        for name in bundle.manifest.functions
    }
    registry = Registry([ServedModel(model, lanes, bundle.card)], "faces")
    return Engine(registry, _LIMITS, Workshop(2), max_queue_rows=_QUEUE_ROWS)


async def _measure(engine: Engine, case: Case) -> float:
    """Microseconds of CPU a call."""
    left = case.calls

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await case.answer(engine, case.message)

    await case.answer(engine, case.message)
    started = time.process_time()
    await asyncio.gather(*(caller() for _ in range(case.flight)))
    return (time.process_time() - started) / case.calls * 1e6


async def main() -> None:
    """Measure all cases and print them as one JSON object."""
    parser = argparse.ArgumentParser(description="Microseconds of CPU a call, by case, as JSON.")
    parser.add_argument("--calls", type=int, default=4000, help="of the cheapest case")
    engine = _engine()
    cases = _cases(parser.parse_args().calls)
    print(json.dumps({name: await _measure(engine, case) for name, case in cases.items()}))
    engine.stop()


if __name__ == "__main__":
    uvloop.run(main())
