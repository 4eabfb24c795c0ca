"""The studio as a web application: the page's files, and one module of routes a tab."""

from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from evenface_studio import dataset, explore, fairness, guard, live, models, morph, sample
from evenface_studio.service import connected
from evenface_studio.settings import Settings

STATIC = Path(__file__).with_name("static")

_ROUTES = tuple(tab.routes for tab in (models, explore, sample, morph, dataset, fairness, live))


def make_app(settings: Settings) -> web.Application:
    """Make the application; it connects to the service when it starts.

    Args:
        settings: Of the studio.
    """
    app = web.Application(
        middlewares=guard.middlewares(settings), client_max_size=settings.max_upload
    )
    for tab in (dataset, live):
        tab.context(app, settings)
    app.on_response_prepare.append(guard.add_headers)
    for routes in _ROUTES:
        app.add_routes(routes())
    app.router.add_get("/", _page)
    app.router.add_static("/static", STATIC)

    async def connection(running: web.Application) -> AsyncIterator[None]:
        async for _ in connected(running, settings):
            yield

    app.cleanup_ctx.append(connection)
    return app


def make_runner(settings: Settings) -> web.AppRunner:
    """What serves the application.

    Args:
        settings: Of the studio.
    """
    return web.AppRunner(
        make_app(settings),
        # A page that asks for something newer hangs up; what it had asked for is cancelled.
        handler_cancellation=True,
        keepalive_timeout=settings.idle_seconds,
        access_log=None,
    )


async def _page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(STATIC / "index.html")
