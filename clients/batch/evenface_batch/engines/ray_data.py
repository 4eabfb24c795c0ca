"""The engine of a Ray cluster: Ray Data hands chunks to actors, each with sessions of its own.

What travels is where images lie, and how many were scored: actors read images and write parts
themselves, so that neither passes the driver or Ray's object store. All nodes must reach both by
the same paths or URLs, and have evenface installed; the bundle is sent to them.

Ray Data takes its input as a whole. So a long job goes through it in windows, whose chunks fit the
driver's memory.
"""

import pickle
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evenface_core.bundle import MANIFEST_FILE
from evenface_core.errors import EvenfaceError, JobError

from evenface_batch.engines.cluster import Ray, connected, is_client, quiet_data
from evenface_batch.engines.local import TRIES
from evenface_batch.engines.model import LocalModel
from evenface_batch.items import Chunk
from evenface_batch.output import Output
from evenface_batch.plan import ModelFacts
from evenface_batch.scores import Scorer
from evenface_batch.scoring import MOST_FAILED, Answer, Done, fail_chunk, try_chunk
from evenface_batch.text import one_line

# About 160,000 paths: a minute of work beside the seconds that starting actors takes.
_WINDOW_BYTES = 16 * 2**20
_MOST_WINDOW_BYTES = 2**30
_DIED = "worker died"
_AHEAD = 2  # chunks that an actor has at once, so that it need not wait for the driver


@dataclass(frozen=True)
class Crew:
    """What actors are made from.

    Attributes:
        model: How the bundle is opened.
        files: The bundle's files by name.
        output: Where parts go.
        workers: Number of actors.
        gpus: GPUs of each, also a part of one.
    """

    model: LocalModel
    files: Mapping[str, bytes] = field(repr=False)
    output: Output
    workers: int
    gpus: float


class RayEngine:
    """Scores chunks on a Ray cluster.

    Args:
        model: The bundle.
        workers: Actors; 0 for one a CPU of the cluster, or one a GPU where they use these.
        address: Of the cluster; None for one on this machine that begins and ends with the job.
        gpus: GPUs of each actor; 0 scores on CPUs.
    """

    def __init__(
        self, model: LocalModel, workers: int = 0, address: str | None = None, gpus: float = 0.0
    ) -> None:
        self._model, self._workers, self._address, self._gpus = model, workers, address, gpus
        self._facts = cache(model.facts)

    def model(self) -> ModelFacts:
        """Verify the bundle and say what it is, as `engines.Engine` says."""
        return self._facts()

    def run(self, chunks: Iterable[Chunk], output: Output) -> Generator[Done, None, None]:
        """Score chunks, as `engines.Engine` says; takes a window of them at once.

        Raises:
            JobError: Ray or the cluster is not there, a part cannot be written, workers die at one
                chunk after the other, or the bundle was replaced since `model`.
        """
        coming = iter(chunks)
        first = next(coming, None)
        if first is None:
            return
        with connected(self._address, self._workers, self._gpus) as ray:
            workers = self._workers or _room(ray, self._gpus)
            model = self._model.only(self.model())
            crew = Crew(model, _files(model), output, workers, self._gpus)
            size = min(_WINDOW_BYTES * workers, _MOST_WINDOW_BYTES)
            for window in _windows(first, coming, size):
                yield from self._score(ray, crew, window)

    def _score(self, ray: Ray, crew: Crew, window: dict[int, bytes]) -> Iterator[Done]:
        """Score a window; what died with its worker is tried again with nothing beside it."""
        reasons: dict[int, str] = {}
        for ahead, tries in ((_AHEAD, 1), (1, TRIES)):
            if window:
                yield from self._pass(ray, crew, window, reasons, ahead, tries)
        if len(window) >= MOST_FAILED:
            index = min(window)
            raise JobError(f"{len(window)} chunks could not be scored: {reasons.get(index, _DIED)}")
        for index, data in window.items():
            why = f"{reasons.get(index, _DIED)}, {TRIES} times"
            yield fail_chunk(_unpacked(data), why, crew.output)

    def _pass(
        self,
        ray: Ray,
        crew: Crew,
        window: dict[int, bytes],
        reasons: dict[int, str],
        ahead: int,
        tries: int,
    ) -> Iterator[Done]:
        """Try all of a window, and take from it what is done."""
        for index, answer in _answers(ray, self._address, (crew, dict(window), ahead, tries)):
            if isinstance(answer, EvenfaceError):
                raise answer
            if isinstance(answer, Done):
                del window[index]
                yield answer
            else:
                reasons[index] = answer


class Pass:
    """Chunks on their way through Ray Data; lives where Ray Data can be driven from.

    Args:
        crew: Who scores them.
        chunks: By index, pickled.
        ahead: Chunks that an actor has at once.
        tries: How often a chunk is given to an actor where actors die.
    """

    def __init__(self, crew: Crew, chunks: dict[int, bytes], ahead: int, tries: int) -> None:
        data = quiet_data()
        found = data.from_items(
            [{"index": index, "chunk": chunk} for index, chunk in chunks.items()],
            override_num_blocks=len(chunks),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the retries' option has no successor yet
            scored = found.map(
                _Actor,
                fn_constructor_args=(crew,),
                compute=data.ActorPoolStrategy(
                    size=min(crew.workers, len(chunks)), max_tasks_in_flight_per_actor=ahead
                ),
                num_cpus=1,
                num_gpus=crew.gpus or None,
                max_restarts=-1,
                max_task_retries=tries - 1,
            )
        self._rows = iter(scored.iter_rows())

    def next(self) -> bytes | None:
        """The next answer, pickled with its chunk's index; None after the last."""
        row = next(self._rows, None)
        return None if row is None else row["answer"]


class _Actor:
    """Opens the bundle once, and scores the chunks that Ray Data brings."""

    def __init__(self, crew: Crew) -> None:
        self._output = crew.output
        self._scorer = cache(partial(_opened, crew))

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        try:
            chunk = _unpacked(row["chunk"])
        except (ImportError, AttributeError) as error:  # of code that is not on this node
            answer: Answer = one_line(f"failed: {error}")
        else:
            answer = try_chunk(chunk, self._scorer, self._output)
        return {"answer": pickle.dumps((row["index"], answer))}


def _answers(
    ray: Ray, address: str | None, arguments: tuple[Crew, dict[int, bytes], int, int]
) -> Iterator[tuple[int, Answer]]:
    following = _following(ray, address, arguments)
    while True:
        try:
            packed = following()
        except Exception as error:
            raise JobError(f"Ray: {one_line(str(error))}") from error
        if packed is None:
            return
        yield pickle.loads(packed)  # noqa: S301 - made by an actor of ours


def _following(
    ray: Ray, address: str | None, arguments: tuple[Crew, dict[int, bytes], int, int]
) -> Callable[[], bytes | None]:
    """Begin a pass here, or in the cluster where Ray's client cannot drive Ray Data from here."""
    if not is_client(address):
        return Pass(*arguments).next
    remote = ray.remote(num_cpus=0)(Pass).remote(*arguments)

    def following() -> bytes | None:
        packed: bytes | None = ray.get(remote.next.remote())
        return packed

    return following


def _windows(first: Chunk, coming: Iterator[Chunk], size: int) -> Iterator[dict[int, bytes]]:
    """Pickled chunks by their index, so many bytes of them at a time."""
    window, held = {first.index: pickle.dumps(first)}, 0
    for chunk in coming:
        if held >= size:
            yield window
            window, held = {}, 0
        window[chunk.index] = pickle.dumps(chunk)
        held += len(window[chunk.index])
    yield window


def _unpacked(data: bytes) -> Chunk:
    chunk: Chunk = pickle.loads(data)  # noqa: S301 - made by this job's driver
    return chunk


def _files(model: LocalModel) -> dict[str, bytes]:
    """A bundle's files, verified; actors verify them again, and that they are of this bundle."""
    bundle = model.bundle()
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    return {**files, MANIFEST_FILE: (bundle.path / MANIFEST_FILE).read_bytes()}


def _opened(crew: Crew) -> Scorer:
    with TemporaryDirectory(prefix="evenface-bundle-") as folder:
        for name, data in crew.files.items():
            (Path(folder) / name).write_bytes(data)
        return replace(crew.model, path=Path(folder)).open()


def _room(ray: Ray, gpus: float) -> int:
    """How many actors a cluster has room for."""
    resources = ray.cluster_resources()
    fitting = [resources.get("CPU", 0.0)] + ([resources.get("GPU", 0.0) / gpus] if gpus else [])
    return max(1, int(min(fitting)))
