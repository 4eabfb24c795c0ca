"""A process that scores and says so: `python -m benchmarks.batch.subject KIND WORKERS FOLDER`.

After each chunk comes a line with its number of images, until the process is ended.
"""

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from evenface_batch.engines import Engine
from evenface_batch.engines.local import LocalEngine
from evenface_batch.engines.model import LocalModel
from evenface_batch.engines.ray_data import RayEngine
from evenface_batch.engines.service import Service, ServiceEngine
from evenface_batch.inputs.files import FilePlaces
from evenface_batch.items import Chunk
from evenface_batch.output import Output
from evenface_batch.parts import Form
from evenface_core.bundle import open_bundle
from evenface_core.images import load_image
from evenface_runtime import Model, open_model

from benchmarks.serving.places import ROOT, program
from benchmarks.serving.processes import free_ports, serve

BUNDLE = ROOT / "models" / "faces" / "1"

_ROWS = 64  # of a batch, as in a job
_CHUNKS = 1_000  # more than will be scored


def main() -> None:
    """Be one subject."""
    kind, workers, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    with ExitStack() as stack:
        for images in (
            _FLOORS[kind](folder)
            if kind in _FLOORS
            else _job(_ENGINES[kind](stack, workers), folder, stack)
        ):
            print(images, flush=True)


def _session(folder: Path) -> Iterator[int]:
    """The bare session, on pixels."""
    model, files = _open(folder)
    spec = model.manifest.preprocessing
    pixels = np.stack([load_image(data, spec) for data in files])
    while True:
        _run(model, pixels)
        yield len(pixels)


def _decoding(folder: Path) -> Iterator[int]:
    """The same on files that are in memory."""
    model, files = _open(folder)
    spec = model.manifest.preprocessing
    while True:
        _run(model, np.stack([load_image(data, spec) for data in files]))
        yield len(files)


def _open(folder: Path) -> tuple[Model, list[bytes]]:
    files = [path.read_bytes() for path in itertools.islice(sorted(folder.iterdir()), _ROWS)]
    return open_model(open_bundle(BUNDLE), "cpu", threads=1), files


def _run(model: Model, pixels: "np.typing.NDArray[np.uint8]") -> None:
    model.encode_and_classify(pixels)


def _local(stack: ExitStack, workers: int) -> Engine:
    del stack
    return LocalEngine(LocalModel(BUNDLE), workers)


def _ray(stack: ExitStack, workers: int) -> Engine:
    del stack
    return RayEngine(LocalModel(BUNDLE), workers)


def _grpc(stack: ExitStack, workers: int) -> Engine:
    [port] = free_ports(1)
    options = ["--models", str(BUNDLE.parents[1]), "--port", str(port), "--workers", str(workers)]
    command = [program("evenface-server"), *options, "--no-metrics", "--log-level", "warning"]
    stack.enter_context(serve(f"batch-{workers}", command, {}))
    engine = ServiceEngine(Service((f"127.0.0.1:{port}",), patience=60), 2 * workers)
    engine.model()
    return engine


def _job(engine: Engine, folder: Path, stack: ExitStack) -> Iterator[int]:
    names = tuple(path.name for path in sorted(folder.iterdir()))
    chunks = (Chunk(number, FilePlaces(f"{folder}/", "", names)) for number in range(_CHUNKS))
    out = stack.enter_context(tempfile.TemporaryDirectory(prefix="evenface-bench-"))
    facts = engine.model()
    for done in engine.run(chunks, Output(out, Form(facts.latent_size, "float16"))):
        yield done.rows


_FLOORS: dict[str, Callable[[Path], Iterator[int]]] = {
    "session": _session,
    "decoding + session": _decoding,
}
_ENGINES: dict[str, Callable[[ExitStack, int], Engine]] = {
    "local": _local,
    "grpc": _grpc,
    "ray": _ray,
}
KINDS = (*_FLOORS, *_ENGINES)


def is_floor(kind: str) -> bool:
    """Whether a kind is one process a worker, rather than an engine that has workers."""
    return kind in _FLOORS


if __name__ == "__main__":
    main()
