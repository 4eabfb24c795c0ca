"""Calls to a service that is now and then overloaded, restarted, or gone.

What the server pushes back is sent again when it says so, for as long as that takes; a server that
is gone is waited for with patience; what it cannot take is told apart from what it cannot do now.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from evenface_client import (
    Client,
    DeadlineExceeded,
    EvenfaceClientError,
    InternalServerError,
    InvalidRequest,
    Limits,
    ModelRef,
    Overloaded,
    TryAgain,
)
from evenface_core.errors import JobError
from numpy.typing import NDArray
from tqdm import tqdm

from evenface_batch.plan import ModelFacts, require_digest
from evenface_batch.scores import Scores
from evenface_batch.text import one_line

if TYPE_CHECKING:
    from evenface_batch.engines.service import Service

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds, doubled from one to the other
_STRIKES = 3
_ITEM_BYTES, _MESSAGE_BYTES = 16, 1024  # what protobuf adds, at most


class Refused(Exception):
    """A request fails again and again while the service answers others."""


class Silence:
    """How long nothing has been heard of a service, by all who ask it.

    Args:
        patience: Seconds after which it is given up.
        clock: Monotonic seconds.
    """

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None

    def broken(self) -> None:
        """Note that an answer came."""
        self._since = None

    def note(self, address: str, error: EvenfaceClientError) -> None:
        """Note that none came, and say so where it is news.

        Raises:
            JobError: None has come for too long.
        """
        with self._lock:
            now = self._clock()
            is_news, since = self._since is None, self._since if self._since is not None else now
            self._since = since
        if now - since >= self._patience:
            raise JobError(
                f"{address}: no answer for {self._patience:g} s ({one_line(str(error))}); "
                "go on later with --resume"
            )
        if is_news:
            text = f"{address}: {one_line(str(error))}; waiting for {self._patience:g} s at most"
            tqdm.write(text, file=sys.stderr)


@dataclass
class _Target:
    """A server, and how it has been of late."""

    address: str
    client: Client
    failures: int = 0
    rests_until: float = 0.0

    def rest(self, at_least: float) -> None:
        """Leave it alone for a time that grows as it goes on failing."""
        pause = min(_FIRST_PAUSE * 2**self.failures, _LONGEST_PAUSE)
        self.failures += 1
        self.rests_until = time.monotonic() + max(at_least, pause)


class Asking:
    """Asks the servers of a service in turn, one call at a time.

    Args:
        service: Which.
        place: Number of this asker; the first server it asks follows from it.
        silence: Shared by all askers.
        stop: Once it is set, nothing is waited for.
    """

    def __init__(
        self, service: "Service", place: int, silence: Silence, stop: threading.Event
    ) -> None:
        self._targets = deque(_Target(each, service.connect(each)) for each in service.targets)
        self._targets.rotate(-place)
        self._silence = silence
        self._stop = stop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for target in self._targets:
            target.client.close()

    def ask(self, call: Callable[[Client], T]) -> T:
        """Make a call until it is answered.

        Raises:
            Refused: It fails again and again, and the service is there.
            JobError: The service is gone, or the job is.
            EvenfaceClientError: It was answered with an error that will not pass.
        """
        strikes = 0
        while True:
            target = self._next()
            try:
                answer = call(target.client)
            except (TryAgain, DeadlineExceeded, InternalServerError) as error:
                self._failed(target, error)
                strikes += self._is_at_fault(target, error)
                if strikes == _STRIKES:
                    raise Refused(one_line(str(error))) from error
            else:
                target.failures = 0
                self._silence.broken()
                return answer

    def _next(self) -> _Target:
        """Wait for the server whose turn it is, where all of them rest."""
        self._targets.rotate(-1)
        target = min(self._targets, key=lambda each: max(each.rests_until, time.monotonic()))
        if self._stop.wait(max(0.0, target.rests_until - time.monotonic())):
            raise JobError("the job is being stopped")
        return target

    def _failed(self, target: _Target, error: EvenfaceClientError) -> None:
        if self._stop.is_set():
            raise JobError("the job is being stopped") from error
        if isinstance(error, InternalServerError):
            target.failures = 0  # it has time for this
        target.rest((error.retry_after or 0.0) if isinstance(error, TryAgain) else 0.0)
        if isinstance(error, (Overloaded, InternalServerError)):
            self._silence.broken()
        else:
            self._silence.note(target.address, error)

    def _is_at_fault(self, target: _Target, error: EvenfaceClientError) -> bool:
        """Whether a call failed by what it asked for, for all one can tell.

        A server that says that it drains or loads names a reason; one that the call took down
        names none, and its successor answers.
        """
        if isinstance(error, InternalServerError):
            return True
        named = error.code is None or error.reason != error.code.name
        if named or isinstance(error, (Overloaded, DeadlineExceeded)):
            return False
        try:
            target.client.models(timeout=1.0)
        except EvenfaceClientError:
            return False
        return True


@dataclass(frozen=True)
class _Errand:
    """What is asked about images, and where the answers go.

    Attributes:
        method: Asks about some of them; gives a row for each.
        images: All of them.
        rows: Of all of them.
        errors: Of all of them.
    """

    method: Callable[[list[bytes], Client], NDArray[np.float32]]
    images: Sequence[bytes]
    rows: NDArray[np.float32]
    errors: list[str | None]

    def about(self, places: Sequence[int]) -> Callable[[Client], NDArray[np.float32]]:
        """The call about some of the images."""
        return partial(self.method, [self.images[place] for place in places])


class ServiceScorer:
    """Scores with a service.

    Args:
        asking: Of its servers.
        facts: The model, by the name and version that all of the job is scored with.
    """

    def __init__(self, asking: Asking, facts: ModelFacts) -> None:
        self._asking = asking
        self._facts = facts
        self._limits: Limits | None = None

    def score(self, images: Sequence[bytes]) -> Scores:
        """Score images, as `scores.Scorer` says.

        Raises:
            JobError: The service is gone, has lost the model or replaced its bundle, or fails on
                everything.
        """
        errors: list[str | None] = [None] * len(images)
        means = np.zeros((len(images), self._facts.latent_size), np.float32)
        logits = np.zeros(len(images), np.float32) if self._facts.classifies else None
        try:
            self._run(_Errand(self._encode, images, means, errors))
            if logits is not None:
                self._run(_Errand(self._classify, images, logits, errors))
        except EvenfaceClientError as error:
            raise JobError(f"the service cannot score: {one_line(str(error))}") from error
        return Scores(means, logits, errors)

    def _encode(self, images: list[bytes], client: Client) -> NDArray[np.float32]:
        found = client.encode(images, model=self._facts.name, version=self._facts.version)
        self._check(found.model)
        return found.mean

    def _classify(self, images: list[bytes], client: Client) -> NDArray[np.float32]:
        found = client.classify(images, model=self._facts.name, version=self._facts.version)
        self._check(found.model)
        return found.logits

    def _check(self, model: ModelRef) -> None:
        """Find out where a bundle was replaced; it costs nothing, as every reply tells."""
        name = f"{model.name}/{model.version}"
        require_digest(name, model.manifest_digest, self._facts.digest)

    def _run(self, errand: _Errand) -> None:
        """Ask about all images without an error; what cannot be used gets one."""
        for left in self._requests(errand):
            self._run_together(errand, left)

    def _requests(self, errand: _Errand) -> Iterator[list[int]]:
        """Cut to what a request may hold; parts of one call might keep each other out."""
        if self._limits is None:
            self._limits = self._asking.ask(Client.limits)
        some, size = list[int](), 0
        for place in (place for place, error in enumerate(errand.errors) if error is None):
            cost = len(errand.images[place]) + _ITEM_BYTES
            most = self._limits.max_message_bytes - _MESSAGE_BYTES
            if some and (len(some) == self._limits.max_items_per_request or size + cost > most):
                yield some
                some, size = [], 0
            some.append(place)
            size += cost
        if some:
            yield some

    def _run_together(self, errand: _Errand, left: list[int]) -> None:
        while left:
            try:
                errand.rows[left] = self._asking.ask(errand.about(left))
            except InvalidRequest as error:
                if error.index is None:
                    raise
                errand.errors[left.pop(error.index)] = _problem(error)
            except Refused as refused:
                self._run_singly(errand, left, refused)
                return
            else:
                return

    def _run_singly(self, errand: _Errand, left: list[int], refused: Refused) -> None:
        """Find out which images a request fails by."""
        failed = []
        for place in left:
            try:
                errand.rows[place] = self._asking.ask(errand.about([place]))[0]
            except InvalidRequest as error:
                errand.errors[place] = _problem(error)
            except Refused:
                failed.append(place)
        if len(failed) == len(left) > 1:
            raise JobError(f"the service fails on every image: {refused}") from refused
        for place in failed:
            errand.errors[place] = f"the service fails on it: {refused}"


def _problem(error: InvalidRequest) -> str:
    """The error of an image, in the words that an engine in this process uses."""
    kind = "too large: " if "; limit " in error.problem else ""
    return one_line(kind + error.problem)
