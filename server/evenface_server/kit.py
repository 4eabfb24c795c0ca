"""The parts of a server that there is another make of where calls are traced."""

from collections.abc import Callable

from evenface_transport import Method

from evenface_server.batching import Lane
from evenface_server.engine import Engine
from evenface_server.faults import Faults
from evenface_server.metrics import Metrics
from evenface_server.streams import Streams


class Kit:
    """Makes them without tracing: none of them knows of it.

    Attributes:
        lane: Makes a lane; takes what `Lane` takes.
        engine: Makes the engine; takes what `Engine` takes.
    """

    lane: Callable[..., Lane] = Lane
    engine: Callable[..., Engine] = Engine

    def streams(self, max_requests: int) -> Streams:
        """Make the bulk streams; see `Streams`."""
        return Streams(max_requests)

    def faults(self, metrics: Metrics) -> Faults:
        """Make what says what callers are told of errors; see `Faults`."""
        return Faults(metrics)

    def methods(self, methods: dict[str, Method]) -> dict[str, Method]:
        """Return the service's methods by path, as they are to be served."""
        return methods

    async def close(self, seconds: float) -> None:
        """Let go of everything, within some seconds."""
