"""The requests of bulk streams, answered together where they are alike. Transport-free."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from evenface_core.errors import InvalidInput, QueueFull

from evenface_server.calls import ClassifyCall, EncodeCall
from evenface_server.faults import Faults
from evenface_server.joining import CallT, count_of, join, runs
from evenface_server.streams import SMALL, WHOLE


class Answer(Protocol):
    """What the engine answers for several images."""

    def part(self, start: int, stop: int) -> Self:
        """Return the answer for the images from `start` until `stop`."""


AnswerT = TypeVar("AnswerT", bound=Answer)
# A request of a stream, and its reply: each of a type of its own, with an id.
Item = Any
Reply = Any
# Images of a request that counts as a small one.
_FEW = 4
# What a call is told before it runs, and a smaller one may not be told.
_REFUSALS = (QueueFull, InvalidInput)


class Asked(NamedTuple, Generic[CallT]):
    """A request that has been read.

    Attributes:
        reply: What will be sent, empty but for the request's id.
        call: For the engine; or why there is none.
        images: How many may run with those of others.
    """

    reply: Reply
    call: CallT | Exception
    images: int

    @property
    def weight(self) -> int:
        """What it counts as among the requests that a stream holds."""
        return SMALL if 0 < self.images <= _FEW else WHOLE


class Bulk(Generic[CallT, AnswerT]):
    """What one kind of stream asks and how it is answered.

    Args:
        faults: Turns the error of one request into its reply; the stream goes on.
        unpack: Makes the engine's call of a request within an item.
        run: Asks the engine.
        pack: Writes the engine's answer into the response within a reply.
        reply: Makes an empty one, with an item's id.
        most_of: As `runs` has it.
    """

    def __init__(
        self,
        faults: Faults,
        unpack: Callable[[Any, float | None], CallT],
        run: Callable[[CallT], Awaitable[AnswerT]],
        pack: Callable[[AnswerT, Any], Any],
        reply: Callable[..., Reply],
        most_of: Callable[[EncodeCall | ClassifyCall], int],
    ) -> None:
        self._faults = faults
        self._unpack = unpack
        self._run = run
        self._pack = pack
        self._reply = reply
        self._most_of = most_of

    def take(self, item: Item, deadline: float | None) -> Asked[CallT]:
        """Return what a request asks, or why it cannot be used.

        Args:
            item: The request as it came.
            deadline: Of the stream, on the monotonic clock.
        """
        reply = self._reply(id=item.id)
        try:
            call = self._unpack(item.request, deadline)
        except Exception as error:  # noqa: BLE001 - its reply says so
            return Asked(reply, error, 0)
        return Asked(reply, call, count_of(call))

    def begin(self, asked: Sequence[Asked[CallT]]) -> Iterator[Awaitable[Sequence[Reply]]]:
        """Yield what answers requests that came in together, one run of them after another."""
        left = iter(asked)
        calls, counts = [each.call for each in asked], [each.images for each in asked]
        for length in runs(calls, counts, self._most_of):
            yield self._answer(list(islice(left, length)))

    async def _answer(self, run: Sequence[Asked[CallT]]) -> Sequence[Reply]:
        if len(run) == 1:
            return [self._fill(run[0].reply, await self._ask(run[0].call))]
        calls = [each.call for each in run if not isinstance(each.call, Exception)]
        answers: Sequence[AnswerT | Exception]
        found = await self._ask(join(calls))
        if isinstance(found, _REFUSALS):
            answers = await asyncio.gather(*[self._ask(call) for call in calls])
        elif isinstance(found, Exception):
            answers = [found] * len(run)
        else:
            ends = accumulate([each.images for each in run], initial=0)
            answers = [found.part(start, stop) for start, stop in pairwise(ends)]
        replies = [each.reply for each in run]
        return [self._fill(*both) for both in zip(replies, answers, strict=True)]

    async def _ask(self, call: CallT | Exception) -> AnswerT | Exception:
        if isinstance(call, Exception):
            return call
        try:
            return await self._run(call)
        except Exception as error:  # noqa: BLE001 - a reply says so
            return error

    def _fill(self, reply: Reply, answer: AnswerT | Exception) -> Reply:
        if isinstance(answer, Exception):
            self._fail(reply, answer)
        else:
            try:
                self._pack(answer, reply.response)
            except Exception as error:  # noqa: BLE001 - the stream goes on
                self._fail(reply, error)
        return reply

    def _fail(self, reply: Reply, error: Exception) -> None:
        reply.error.CopyFrom(self._faults.of(error).status)
