"""The engine of a running service: threads that read images, send them, and wait where it helps.

Each thread has a connection of its own, as a server's worker serves whole connections.
"""

import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from evenface_client import TLS, Client, EvenfaceClientError, InvalidRequest
from evenface_core.errors import ConfigError, EvenfaceError, JobError

from evenface_batch.engines.asking import Asking, ServiceScorer, Silence
from evenface_batch.items import Chunk
from evenface_batch.output import Output
from evenface_batch.plan import ModelFacts
from evenface_batch.scoring import Answer, Done, Failures, fail_chunk, try_chunk

_THREADS_PER_CORE = 4  # a thread waits for the service most of its time


@dataclass(frozen=True)
class Service:
    """Which service is asked, and how.

    Attributes:
        targets: Addresses of servers that serve the same model, HOST:PORT or any gRPC target.
        model: Its name; empty for the servers' default.
        version: Its version; empty for the newest when the job begins.
        tls: How to speak TLS; None for plain text.
        token: API token, for servers that ask for one.
        timeout: Seconds that one request may take.
        patience: Seconds without an answer from any server after which the job stops.
    """

    targets: tuple[str, ...]
    model: str = ""
    version: str = ""
    tls: TLS | None = None
    token: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    patience: float = 300.0

    def connect(self, target: str) -> Client:
        """Open a connection, which tries nothing again by itself.

        Raises:
            ConfigError: A setting cannot be used.
        """
        try:
            return Client(target, timeout=self.timeout, tls=self.tls, retries=0, token=self.token)
        except InvalidRequest as error:
            raise ConfigError(f"{target}: {error}") from error


class ServiceEngine:
    """Scores chunks with a running service.

    Args:
        service: Which.
        workers: Chunks under way at once, each with one request in flight; 0 for four a core.
    """

    def __init__(self, service: Service, workers: int = 0) -> None:
        self._service = service
        self._workers = workers or _THREADS_PER_CORE * len(os.sched_getaffinity(0))
        self._facts: ModelFacts | None = None

    def model(self) -> ModelFacts:
        """Ask the service which model it has, as `engines.Engine` says."""
        if self._facts is None:
            self._facts = self._ask_for_model()
        return self._facts

    def _ask_for_model(self) -> ModelFacts:
        service = self._service
        with Asking(service, 0, Silence(service.patience), threading.Event()) as asking:
            try:
                info = asking.ask(lambda client: client.model(service.model, service.version)).info
            except EvenfaceClientError as error:
                raise JobError(f"{', '.join(service.targets)}: {error}") from error
        return ModelFacts.of(
            f"{info.name}/{info.version}",
            info.functions,
            name=info.name,
            version=info.version,
            digest=info.manifest_digest,
            latent_size=info.latent_size,
        )

    def run(self, chunks: Iterable[Chunk], output: Output) -> Generator[Done, None, None]:
        """Score chunks, as `engines.Engine` says; one is under way in each thread.

        Raises:
            JobError: The service is gone for too long or has lost the model, or a part cannot be
                written.
        """
        facts, silence = self.model(), Silence(self._service.patience)
        stop = threading.Event()
        with ExitStack() as stack:
            pool = ThreadPoolExecutor(self._workers, "evenface-batch")
            stack.callback(pool.shutdown, cancel_futures=True)
            askings = [
                stack.enter_context(Asking(self._service, place, silence, stop))
                for place in range(self._workers)
            ]
            stack.callback(stop.set)  # first of all: then connections close, then threads end
            scorers = [ServiceScorer(asking, facts) for asking in askings]
            yield from _Threads(pool, scorers, output).work(iter(chunks))


class _Threads:
    """Threads, and the chunks that they have."""

    def __init__(
        self, pool: ThreadPoolExecutor, scorers: Sequence[ServiceScorer], output: Output
    ) -> None:
        self._pool, self._free, self._output = pool, deque(scorers), output
        self._running: dict[Future[Answer], tuple[ServiceScorer, Chunk]] = {}
        self._failures = Failures()

    def work(self, coming: Iterator[Chunk]) -> Iterator[Done]:
        while True:
            while self._free and (chunk := next(coming, None)) is not None:
                scorer = self._free.popleft()
                future = self._pool.submit(try_chunk, chunk, partial(_itself, scorer), self._output)
                self._running[future] = scorer, chunk
            if not self._running:
                return
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                scorer, chunk = self._running.pop(future)
                self._free.append(scorer)
                yield self._taken(chunk, future.result())

    def _taken(self, chunk: Chunk, answer: Answer) -> Done:
        if isinstance(answer, EvenfaceError):
            raise answer
        if isinstance(answer, Done):
            self._failures.end()
            return answer
        self._failures.add(answer)
        return fail_chunk(chunk, answer, self._output)


def _itself(scorer: ServiceScorer) -> ServiceScorer:
    return scorer
