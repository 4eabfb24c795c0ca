"""The client for asyncio, method for method the twin of `Client`."""

# ruff: noqa: ASYNC109 - a timeout here is the deadline that travels with each request

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Any, Self, TypeVar

import grpc
import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface_client import _operations as operations
from evenface_client import results
from evenface_client._async import AsyncTransport
from evenface_client._bulk import Bulk, Wire
from evenface_client._channel import TLS, Setup, new_request_id
from evenface_client._editing import Change, edit
from evenface_client._inputs import Images, ImageSource
from evenface_client._operations import Knowledge, Operation, WeightSource
from evenface_client._requests import Attributes, Noise, Target, Weighing
from evenface_client._settings import Settings, wanted
from evenface_client._token import authorization, check_private
from evenface_client._transport import POLL_SECONDS
from evenface_client._wires import classify_wire, encode_wire
from evenface_client.errors import DeadlineExceeded, TryAgain

T = TypeVar("T")


class AsyncClient:
    """Calls an evenface server from an event loop.

    Method for method as `Client`, whose documentation holds here too; arguments are the same.
    Files are read in threads. The connection belongs to the event loop of the first call.

    Args:
        server: Address, "host:port" or any gRPC target.
        timeout: Seconds that one request may take, retries included.
        tls: How to speak TLS; None for plain text.
        retries: How often a request is tried again while the server is overloaded or cannot be
            reached, 0 to 4.
        request_id: Makes the id that the requests of a call carry to the server's log.
        token: API token, for servers that ask for one; sent in plain text to this machine alone.
        channel: Used in place of `server`, `tls` and its own retries; the caller closes it, and
            answers for where a token goes.

    Raises:
        InvalidRequest: A setting cannot be used.
    """

    def __init__(
        self,
        server: str = "127.0.0.1:50051",
        *,
        timeout: float = 30.0,
        tls: TLS | None = None,
        retries: int = 3,
        request_id: Callable[[], str] = new_request_id,
        token: str | None = None,
        channel: grpc.aio.Channel | None = None,
    ) -> None:
        setup = Setup(server, tls, retries)
        self._settings = Settings(setup, timeout, request_id, authorization(token))
        if channel is None:
            check_private(token, server, encrypted=tls is not None)
        self._owns_channel = channel is None
        self._channel = channel
        self._transport: AsyncTransport | None = None
        self._knowledge = Knowledge()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        if self._owns_channel and self._channel is not None:
            await self._channel.close(None)

    async def encode(
        self,
        images: Images,
        *,
        sample_seed: int | None = None,
        first_item: int = 0,
        with_probabilities: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Encoding:
        """Encode images; see `Client.encode`."""
        target = Target(model, version)
        asked = wanted(sample_seed, first_item, probabilities=with_probabilities)
        return await self._run(operations.encode(self._knowledge, target, images, asked), timeout)

    async def decode(
        self,
        latents: ArrayLike,
        *,
        attributes: Attributes = None,
        color: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Decoded:
        """Decode latents; see `Client.decode`."""
        target = Target(model, version)
        return await self._run(
            operations.decode(self._knowledge, target, latents, attributes, color=color), timeout
        )

    async def sample(  # noqa: PLR0913
        self,
        count: int,
        *,
        seed: int = 0,
        first_item: int = 0,
        temperature: float | None = None,
        prior: results.Prior | None = None,
        attributes: Attributes = None,
        color: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Samples:
        """Draw new faces; see `Client.sample`."""
        draw = operations.Draw(
            count, Noise(seed, first_item), temperature, prior, attributes, color
        )
        target = Target(model, version)
        return await self._run(operations.sample(self._knowledge, target, draw), timeout)

    async def edit(
        self,
        images: Images | None = None,
        *,
        attributes: Mapping[str, float],
        steps: int = 1,
        latents: ArrayLike | None = None,
        color: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Edited:
        """Change attributes of faces; see `Client.edit`."""
        change = Change(images, latents, attributes, steps, color)
        target = Target(model, version)
        return await self._run(edit(self._knowledge, target, change), timeout)

    async def classify(
        self,
        images: Images,
        *,
        threshold: float | None = None,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Classification:
        """Tell face from non-face; see `Client.classify`."""
        target = Target(model, version)
        return await self._run(
            operations.classify(self._knowledge, target, images, threshold), timeout
        )

    async def resample_weights(  # noqa: PLR0913
        self,
        images: Images | None = None,
        *,
        latents: ArrayLike | None = None,
        logits: ArrayLike | None = None,
        histogram: results.Histogram | None = None,
        edges: NDArray[np.float64] | None = None,
        rule: str = "",
        bins: int | None = None,
        smoothing: float | None = None,
        min_effective_sample_size: float = 0.0,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Weighting:
        """Weight items for resampling; see `Client.resample_weights`."""
        weighing = Weighing(rule, bins, smoothing, min_effective_sample_size, histogram, edges)
        source = WeightSource(images, latents, logits)
        operation = operations.resample_weights(
            self._knowledge, Target(model, version), source, weighing
        )
        return await self._run(operation, timeout)

    def encode_stream(
        self,
        images: Images | AsyncIterable[ImageSource],
        *,
        sample_seed: int | None = None,
        first_item: int = 0,
        with_probabilities: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[results.Outcome[results.EncodedImage]]:
        """Encode any number of images; see `Client.encode_stream`.

        `images` may be asynchronous. Close the iterator (`contextlib.aclosing`) where it is not
        read to its end.
        """
        asked = wanted(sample_seed, first_item, probabilities=with_probabilities)
        wire = encode_wire(Target(model, version), asked)
        return self._stream(wire, images, timeout)

    def classify_stream(
        self,
        images: Images | AsyncIterable[ImageSource],
        *,
        threshold: float | None = None,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[results.Outcome[results.ClassifiedImage]]:
        """Classify any number of images; see `encode_stream`."""
        return self._stream(classify_wire(Target(model, version), threshold), images, timeout)

    async def models(self, *, timeout: float | None = None) -> tuple[results.ModelInfo, ...]:
        """List all models and versions that are served."""
        return (await self._run(self._knowledge.refresh(), timeout)).models

    async def limits(self, *, timeout: float | None = None) -> results.Limits:
        """The server's limits; see `Client.limits`."""
        return (await self._run(self._knowledge.served(), timeout)).limits

    async def model(
        self, name: str = "", version: str = "", *, timeout: float | None = None
    ) -> results.ModelDetails:
        """Describe one model in full; see `Client.model`."""
        return await self._run(operations.model(Target(name, version)), timeout)

    async def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the server answers; see `Client.wait_ready`."""
        end = time.monotonic() + timeout
        while True:
            left = max(end - time.monotonic(), POLL_SECONDS)
            options = self._settings.options(left, wait_for_ready=True)
            try:
                await self._connected().run(self._knowledge.refresh(), options)
            except (TryAgain, DeadlineExceeded) as error:
                if time.monotonic() >= end:
                    raise self._settings.not_ready(timeout, error) from error
                await asyncio.sleep(POLL_SECONDS)
            else:
                return

    def _connected(self) -> AsyncTransport:
        # Not in the constructor, which may run before there is an event loop.
        if self._transport is None:
            self._channel = self._channel or self._settings.setup.open_async()
            self._transport = AsyncTransport(self._channel)
        return self._transport

    async def _run(self, operation: Operation[T], timeout: float | None) -> T:
        return await self._connected().run(operation, self._settings.options(timeout))

    async def _stream(
        self,
        wire: Wire[Any, T],
        images: Images | AsyncIterable[ImageSource],
        timeout: float | None,
    ) -> AsyncIterator[results.Outcome[T]]:
        options = self._settings.options(timeout)
        served = await self._connected().run(self._knowledge.served(), options)
        bulk = Bulk(wire, served.bulk_budget(), self._settings.setup.retries, options.request_id)
        async with contextlib.aclosing(self._connected().stream(bulk, images, options)) as outcomes:
            async for outcome in outcomes:
                yield outcome
