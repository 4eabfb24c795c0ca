"""The settings that both clients take, and small conversions of arguments."""

from collections.abc import Callable
from dataclasses import dataclass, field

from evenface_client._channel import Setup
from evenface_client._requests import Noise, Wanted
from evenface_client._tracing import trace_context
from evenface_client._transport import CallOptions
from evenface_client.errors import EvenfaceClientError, Unavailable

_LONGEST = 365 * 24 * 3600.0  # seconds; gRPC and the clock lose count of what is far beyond


@dataclass(frozen=True)
class Settings:
    """Settings of a client.

    Attributes:
        setup: Of the channel.
        timeout: Seconds that one request may take.
        request_id: Makes the id of a call.
        credentials: Metadata that shows who calls.
    """

    setup: Setup
    timeout: float
    request_id: Callable[[], str]
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def options(self, timeout: float | None, *, wait_for_ready: bool = False) -> CallOptions:
        """The options of a call; a timeout of None means the client's."""
        seconds = self.timeout if timeout is None else timeout
        return CallOptions(
            min(seconds, _LONGEST),
            self.request_id(),
            wait_for_ready,
            self.credentials,
            trace_context(),
        )

    def not_ready(self, timeout: float, error: EvenfaceClientError) -> Unavailable:
        """What to raise when a server did not become ready in time."""
        return Unavailable(
            f"{self.setup.server} is not ready after {timeout:g} s: {error}", code=error.code
        )


def wanted(seed: int | None, first_item: int, *, probabilities: bool) -> Wanted:
    """What is wanted of images: samples where a seed is given."""
    return Wanted(None if seed is None else Noise(seed, first_item), probabilities)
