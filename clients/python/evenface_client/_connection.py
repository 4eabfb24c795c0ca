"""What a blocking client is connected to, and how its calls get there."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

import grpc

from evenface_client import results
from evenface_client._bulk import Bulk, Wire
from evenface_client._channel import TLS, Setup, new_request_id
from evenface_client._inputs import Images
from evenface_client._operations import Knowledge, Operation
from evenface_client._settings import Settings
from evenface_client._sync import SyncTransport
from evenface_client._token import authorization, check_private
from evenface_client._transport import POLL_SECONDS
from evenface_client.errors import DeadlineExceeded, TryAgain

T = TypeVar("T")


class Connection:
    """Opens, waits for and closes a connection. What the arguments mean: see `Client`."""

    def __init__(
        self,
        server: str = "127.0.0.1:50051",
        *,
        timeout: float = 30.0,
        tls: TLS | None = None,
        retries: int = 3,
        request_id: Callable[[], str] = new_request_id,
        token: str | None = None,
        channel: grpc.Channel | None = None,
    ) -> None:
        setup = Setup(server, tls, retries)
        self._settings = Settings(setup, timeout, request_id, authorization(token))
        if channel is None:
            check_private(token, server, encrypted=tls is not None)
        self._owns_channel = channel is None
        self._channel = self._settings.setup.open() if channel is None else channel
        self._transport = SyncTransport(self._channel)
        self._knowledge = Knowledge()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        if self._owns_channel:
            self._channel.close()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the server answers.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            Unavailable: It did not answer in that time.
        """
        end = time.monotonic() + timeout
        while True:
            left = max(end - time.monotonic(), POLL_SECONDS)
            options = self._settings.options(left, wait_for_ready=True)
            try:
                self._transport.run(self._knowledge.refresh(), options)
            except (TryAgain, DeadlineExceeded) as error:
                if time.monotonic() >= end:
                    raise self._settings.not_ready(timeout, error) from error
                time.sleep(POLL_SECONDS)
            else:
                return

    def _run(self, operation: Operation[T], timeout: float | None) -> T:
        return self._transport.run(operation, self._settings.options(timeout))

    def _stream(
        self, wire: Wire[Any, T], images: Images, timeout: float | None
    ) -> Iterator[results.Outcome[T]]:
        options = self._settings.options(timeout)
        served = self._transport.run(self._knowledge.served(), options)
        bulk = Bulk(wire, served.bulk_budget(), self._settings.setup.retries, options.request_id)
        yield from self._transport.stream(bulk, images, options)
