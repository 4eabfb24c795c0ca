"""The engine of one machine: worker processes, each with its own sessions of one thread.

A worker that dies, for lack of memory say, is replaced. Its chunk is tried again a few times, and
then becomes rows with an error.
"""

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from evenface_core.errors import EvenfaceError, JobError

from evenface_batch.engines.model import LocalModel
from evenface_batch.items import Chunk
from evenface_batch.output import Output
from evenface_batch.plan import ModelFacts
from evenface_batch.scoring import MOST_FAILED, Done, Failures, fail_chunk, try_chunk

TRIES = 3  # of a chunk whose worker dies
_PATIENCE = 5.0  # seconds for a worker to end by itself


class LocalEngine:
    """Scores chunks on the cores of this machine.

    Args:
        model: The bundle.
        workers: Processes; 0 for one a core that this process may use.
    """

    def __init__(self, model: LocalModel, workers: int = 0) -> None:
        self._model = model
        self._facts = cache(model.facts)
        self._workers = workers or len(os.sched_getaffinity(0))

    def model(self) -> ModelFacts:
        """Verify the bundle and say what it is, as `Engine.model` says."""
        return self._facts()

    def run(self, chunks: Iterable[Chunk], output: Output) -> Generator[Done, None, None]:
        """Score chunks, as `Engine.run` says; each worker has one under way.

        Raises:
            JobError: A part cannot be written, workers die at one chunk after the other, or one
                that takes the place of another finds another bundle.
        """
        crew = _Crew(self._model.only(self.model()), output, self._workers, chunks)
        try:
            yield from crew.work()
        finally:
            crew.dismiss()


@dataclass
class _Worker:
    process: BaseProcess
    chunk: Chunk
    started: bool = False


class _Crew:
    """Workers, and the chunks that they have and are to get."""

    def __init__(
        self, model: LocalModel, output: Output, size: int, chunks: Iterable[Chunk]
    ) -> None:
        self._model, self._output, self._size = model, output, size
        self._coming, self._again = iter(chunks), deque[Chunk]()
        self._deaths: Counter[int] = Counter()
        self._failures = Failures()
        self._false_starts = 0
        self._workers: dict[Connection, _Worker] = {}

    def work(self) -> Iterator[Done]:
        while True:
            while len(self._workers) < self._size and (chunk := self._next()) is not None:
                self._hire(chunk)
            if not self._workers:
                return
            for pipe in wait(list(self._workers)):
                assert isinstance(pipe, Connection)  # noqa: S101 - for the type checker
                yield from self._hear(pipe)

    def dismiss(self) -> None:
        """End all workers; what they have under way is lost."""
        for pipe, worker in self._workers.items():
            worker.process.terminate()
            pipe.close()
        for worker in self._workers.values():
            worker.process.join()
        self._workers.clear()

    def _next(self) -> Chunk | None:
        return self._again.popleft() if self._again else next(self._coming, None)

    def _hire(self, chunk: Chunk) -> None:
        # Not forked: ONNX Runtime, Arrow and fsspec have threads.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(self._model, self._output, theirs), daemon=True
        )
        # Ctrl-C, which a terminal sends to all, is the driver's affair: a mask is inherited.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # so that the pipe ends with the worker
        self._workers[ours] = _Worker(process, chunk)

    def _hear(self, pipe: Connection) -> Iterator[Done]:
        worker = self._workers[pipe]
        try:
            answer = pipe.recv()
        except (EOFError, OSError):
            answer = self._bury(pipe)
        if isinstance(answer, EvenfaceError):
            raise answer
        if answer is None:
            worker.started, self._false_starts = True, 0
            _give(pipe, worker.chunk)
            return
        if not worker.started:
            self._start_again(worker.chunk, answer)
        elif isinstance(answer, str):
            yield from self._mourn(worker.chunk, answer)
        else:
            self._failures.end()
            yield answer
        if pipe in self._workers:
            self._go_on(pipe, worker)

    def _go_on(self, pipe: Connection, worker: _Worker) -> None:
        chunk = self._next()
        if chunk is None:
            self._let_go(pipe)
        else:
            worker.chunk = chunk
            _give(pipe, chunk)

    def _bury(self, pipe: Connection) -> str:
        """Say how a worker died."""
        worker = self._workers.pop(pipe)
        pipe.close()
        worker.process.join()
        code = worker.process.exitcode or 0
        if code >= 0:
            return f"worker died: it ended with code {code}"
        hint = ", perhaps for lack of memory" if -code == signal.SIGKILL else ""
        return f"worker died: killed by {signal.Signals(-code).name}{hint}"

    def _start_again(self, chunk: Chunk, why: str) -> None:
        """Another worker gets the chunk, which this one has not seen."""
        self._false_starts += 1
        if self._false_starts == MOST_FAILED:
            raise JobError(f"workers cannot start: {why}")
        self._again.append(chunk)

    def _mourn(self, chunk: Chunk, why: str) -> Iterator[Done]:
        self._deaths[chunk.index] += 1
        if self._deaths[chunk.index] < TRIES:
            self._again.append(chunk)
            return
        self._failures.add(why)
        yield fail_chunk(chunk, f"{why}, {TRIES} times", self._output)

    def _let_go(self, pipe: Connection) -> None:
        worker = self._workers.pop(pipe)
        pipe.close()  # at which it ends
        worker.process.join(_PATIENCE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _give(pipe: Connection, chunk: Chunk) -> None:
    with suppress(OSError):  # it has died: found out as its pipe is read
        pipe.send(chunk)


def _serve(model: LocalModel, output: Output, pipe: Connection) -> None:
    """What a worker does, until the pipe ends: says when it is ready, and answers to chunks."""
    with suppress(EOFError, OSError):  # the driver has gone
        try:
            scorer = model.open()
        except EvenfaceError as error:
            pipe.send(error)
            return
        pipe.send(None)
        while True:
            pipe.send(try_chunk(pipe.recv(), lambda: scorer, output))
