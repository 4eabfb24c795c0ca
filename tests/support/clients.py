"""Both Python clients behind one face, so that a test runs on either."""

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

from evenface_client import AsyncClient, Client


class Caller(Protocol):
    """Calls methods of either client."""

    def call(self, method: str, *args: object, **options: object) -> Any: ...  # noqa: ANN401
    def stream(self, method: str, *args: object, **options: object) -> list[Any]: ...


class SyncCaller:
    """Calls `Client`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def call(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401
        return getattr(self._client, method)(*args, **options)

    def stream(self, method: str, *args: object, **options: object) -> list[Any]:
        return list(getattr(self._client, method)(*args, **options))


class AsyncCaller:
    """Calls `AsyncClient` on an event loop of its own."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def call(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401
        return self._runner.run(getattr(self._client, method)(*args, **options))

    def stream(self, method: str, *args: object, **options: object) -> list[Any]:
        async def gather() -> list[Any]:
            return [item async for item in getattr(self._client, method)(*args, **options)]

        return self._runner.run(gather())


def callers(address: str, kind: str) -> Iterator[Caller]:
    """A client of a kind, "sync" or "async", closed at the end."""
    if kind == "sync":
        with Client(address) as client:
            yield SyncCaller(client)
        return
    with asyncio.Runner() as runner:
        twin = AsyncClient(address)
        yield AsyncCaller(twin, runner)
        runner.run(twin.close())
