"""The tab Live: the service's metrics, looked at once a second while somebody looks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from evenface_core.errors import ConfigError
from yarl import URL

from evenface_studio.asked import Asked, asked_in_query
from evenface_studio.history import POINTS, TABLE_SECONDS, WINDOW_SECONDS, History
from evenface_studio.metrics import NotOurs, Scrape, read
from evenface_studio.settings import DEFAULT_METRICS, Settings
from evenface_studio.told import told

EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
_UNSEEN_SECONDS = 5.0  # after which nobody looks any more; browsers in the background ask seldom
_MOST_BYTES = 8 * 2**20
_OK = 200


@dataclass
class Watch:
    """Watches the metrics of one service for all who look.

    Attributes:
        url: Where they are.
        history: What was seen.
        problem: Why there are none now; None where there are.
        seen: When somebody last looked, by the loop's clock.
    """

    url: URL
    history: History = field(default_factory=History)
    problem: str | None = None
    seen: float = 0.0
    _task: "asyncio.Task[None] | None" = None
    _beginning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self, session: ClientSession) -> None:
        """Note that somebody looks, and wait for the first look at the metrics."""
        self.seen = asyncio.get_running_loop().time()
        async with self._beginning:
            if self._task is None or self._task.done():
                await self._once(session)
                self._task = asyncio.create_task(self._watch(session))

    async def end(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self, session: ClientSession) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.time()
        while loop.time() - self.seen < _UNSEEN_SECONDS:
            turn = max(turn + EVERY_SECONDS, loop.time())
            await asyncio.sleep(turn - loop.time())
            await self._once(session)

    async def _once(self, session: ClientSession) -> None:
        try:
            text = await _fetch(session, self.url)
            # Some thousand lines take the parser longer than a loop should stand still.
            scrape: Scrape = await asyncio.to_thread(read, text, time.monotonic())
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            self.problem = _reason(error)
            self.history.lose(time.time())
        else:
            self.problem = None
            self.history.add(scrape, time.time())

    def told(self, since: int) -> Mapping[str, Any]:
        """What has come after a point, ready for JSON."""
        return {
            "url": str(self.url.with_user(None).with_query(None)),  # without what lets us in
            "problem": self.problem,
            "points": self.history.since(since),
            "last": self.history.last,
            "most_points": POINTS,
            "methods": self.history.table(),
            "rejections": self.history.rejections(),
            "drift": self.history.drift(),
            "window": WINDOW_SECONDS,
            "table_window": TABLE_SECONDS,
        }


class Looking(Asked):
    """A look at what there is.

    Attributes:
        since: Number of the last point that the page has; 0 for none.
    """

    since: int = 0


_WATCH = web.AppKey("watch", Watch)
_SESSION = web.AppKey("metrics_session", ClientSession)


def context(app: web.Application, settings: Settings) -> None:
    """Prepare the application for the tab.

    Raises:
        ConfigError: The metrics' URL cannot be used.
    """
    app[_WATCH] = watch = Watch(_url(settings.metrics))

    async def session(running: web.Application) -> AsyncIterator[None]:
        timeout = ClientTimeout(total=_PATIENCE_SECONDS)
        async with ClientSession(timeout=timeout, trust_env=False) as opened:
            running[_SESSION] = opened
            yield
            await watch.end()

    app.cleanup_ctx.append(session)


def routes() -> list[web.RouteDef]:
    """The routes of the tab."""
    return [web.get("/api/live", _live)]


async def _live(request: web.Request) -> web.Response:
    asked, watch = asked_in_query(Looking, request), request.app[_WATCH]
    await watch.look(request.app[_SESSION])
    return told(watch.told(asked.since))


def _url(text: str) -> URL:
    with contextlib.suppress(ValueError):
        url = URL(text)
        if url.scheme in {"http", "https"} and url.host:
            return url
    raise ConfigError(
        f"metrics: needs a URL as {DEFAULT_METRICS}, not {text.rsplit('@', maxsplit=1)[-1]!r}"
    )


async def _fetch(session: ClientSession, url: URL) -> str:
    async with session.get(url, allow_redirects=False) as reply:
        if reply.status != _OK:
            raise NotOurs(f"it answers with status {reply.status}")
        held = bytearray()
        async for some in reply.content.iter_chunked(2**16):
            held += some
            if len(held) > _MOST_BYTES:
                raise NotOurs(f"more than {_MOST_BYTES:,} bytes")
        return held.decode()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_PATIENCE_SECONDS:g} s"
    if isinstance(error, UnicodeDecodeError):
        return "this is no text of Prometheus"
    return (str(error) or type(error).__name__).splitlines()[0][:300]
