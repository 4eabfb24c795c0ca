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
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from evenface_client import (
    Client,
    DeadlineExceeded,
    Encoding,
    EvenfaceClientError,
    InternalServerError,
    InvalidRequest,
    Limits,
    Overloaded,
    TryAgain,
)
from evenface_core.errors import JobError
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
        rows = _Rows(images, self._facts)
        try:
            for left in self._requests(images):
                self._run_together(rows, left)
        except EvenfaceClientError as error:
            raise JobError(f"the service cannot score: {one_line(str(error))}") from error
        return Scores(rows.means, rows.logits, rows.errors)

    def _requests(self, images: Sequence[bytes]) -> Iterator[list[int]]:
        """Cut to what a request may hold; parts of one call might keep each other out."""
        if self._limits is None:
            self._limits = self._asking.ask(Client.limits)
        some, size = list[int](), 0
        for place, image in enumerate(images):
            cost = len(image) + _ITEM_BYTES
            most = self._limits.max_message_bytes - _MESSAGE_BYTES
            if some and (len(some) == self._limits.max_items_per_request or size + cost > most):
                yield some
                some, size = [], 0
            some.append(place)
            size += cost
        if some:
            yield some

    def _run_together(self, rows: "_Rows", left: list[int]) -> None:
        """Score images with one request; what cannot be used gets an error."""
        while left:
            try:
                rows.fill(left, self._ask(rows, left))
            except InvalidRequest as error:
                if error.index is None:
                    raise
                rows.errors[left.pop(error.index)] = _problem(error)
            except Refused as refused:
                self._run_singly(rows, left, refused)
                return
            else:
                return

    def _run_singly(self, rows: "_Rows", left: list[int], refused: Refused) -> None:
        """Find out which images a request fails by."""
        failed = []
        for place in left:
            try:
                rows.fill([place], self._ask(rows, [place]))
            except InvalidRequest as error:
                rows.errors[place] = _problem(error)
            except Refused:
                failed.append(place)
        if len(failed) == len(left) > 1:
            raise JobError(f"the service fails on every image: {refused}") from refused
        for place in failed:
            rows.errors[place] = f"the service fails on it: {refused}"

    def _ask(self, rows: "_Rows", places: Sequence[int]) -> Encoding:
        facts, images = self._facts, [rows.images[place] for place in places]
        found = self._asking.ask(
            lambda client: client.encode(
                images,
                with_probabilities=facts.classifies,
                model=facts.name,
                version=facts.version,
            )
        )
        # Every reply tells, so that a bundle that was replaced is found out for nothing.
        name = f"{found.model.name}/{found.model.version}"
        require_digest(name, found.model.manifest_digest, facts.digest)
        return found


class _Rows:
    """Images, and what has been found of them."""

    def __init__(self, images: Sequence[bytes], facts: ModelFacts) -> None:
        self.images = images
        self.errors: list[str | None] = [None] * len(images)
        self.means = np.zeros((len(images), facts.latent_size), np.float32)
        self.logits = np.zeros(len(images), np.float32) if facts.classifies else None

    def fill(self, places: Sequence[int], found: Encoding) -> None:
        self.means[places] = found.mean
        if self.logits is None:
            return
        if found.logits is None:
            raise JobError("the service is too old: it tells nothing of faces as it encodes")
        self.logits[places] = found.logits


def _problem(error: InvalidRequest) -> str:
    """The error of an image, in the words that an engine in this process uses."""
    kind = "too large: " if "; limit " in error.problem else ""
    return one_line(kind + error.problem)
