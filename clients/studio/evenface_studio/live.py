"""The tab Live."""

from aiohttp import web


def routes() -> list[web.RouteDef]:
    """The routes of the tab."""
    return []
