"""What a supervisor and its workers say to each other: one small class each, JSON on the wire."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from evenface_server.instruments import Changes


@dataclass(frozen=True)
class Start:
    """To a worker, first: make ready.

    Attributes:
        settings: All of them, as JSON.
        place: Its place among the workers.
        folder: What processes share, to be removed where the supervisor no longer can.
    """

    settings: Mapping[str, Any]
    place: int
    folder: str


@dataclass(frozen=True)
class Connection:
    """To a worker, with a connected socket: answer on it."""


@dataclass(frozen=True)
class Ask:
    """To a worker: do something and answer. What there is to do is between those who ask and do.

    Attributes:
        number: Comes back with the answer.
        what: To do.
        arguments: JSON.
    """

    number: int
    what: str
    arguments: Any


@dataclass(frozen=True)
class ThinOut:
    """To a worker: others have fewer connections; ask some peers to connect anew.

    Attributes:
        count: How many.
    """

    count: int


@dataclass(frozen=True)
class Drain:
    """To a worker: answer what was admitted, then end.

    Attributes:
        delay: Seconds before new requests are refused.
        grace: Seconds for admitted requests.
    """

    delay: float
    grace: float


@dataclass(frozen=True)
class Stop:
    """To a worker: end at once."""


@dataclass(frozen=True)
class Ready:
    """From a worker: it may be asked for more.

    Attributes:
        device: Where its models will run.
    """

    device: str


@dataclass(frozen=True)
class Failed:
    """From a worker: it cannot start, and no other will with these settings.

    Attributes:
        reason: One line.
    """

    reason: str


@dataclass(frozen=True)
class Report:
    """From a worker, some times a second and when its connections change: its event loop is alive.

    Attributes:
        adopted: Connections that it has been given so far.
        connections: Of these, those still open.
        changes: Of its metrics since the last report.
        latents: That it has served since then, `evenface_server.drift.Counts` each.
    """

    adopted: int
    connections: int
    changes: Changes
    latents: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Answer:
    """From a worker: what came of what it was asked.

    Attributes:
        number: That it was asked with.
        result: JSON.
        error: What went wrong that nobody foresaw; None where nothing did.
    """

    number: int
    result: Any = None
    error: str | None = None


Message = Start | Connection | Ask | ThinOut | Drain | Stop | Ready | Failed | Report | Answer
_KINDS: Final[Mapping[str, type[Message]]] = {
    kind.__name__: kind
    for kind in (Start, Connection, Ask, ThinOut, Drain, Stop, Ready, Failed, Report, Answer)
}


def encode(message: Message) -> bytes:
    """Return a message as JSON."""
    return json.dumps([type(message).__name__, asdict(message)]).encode()


def decode(data: bytes) -> Message:
    """Return the message that `encode` made JSON of."""
    kind, fields = json.loads(data)
    return _KINDS[kind](**fields)
