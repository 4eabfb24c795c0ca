"""What stands before every handler: who may ask, what browsers may do, how errors are told."""

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Middleware
from yarl import URL

from evenface_studio import problems
from evenface_studio.problems import StudioError
from evenface_studio.settings import Settings

_LOG = logging.getLogger(__name__)
_API = "/api/"
_OWN_SITE = {"same-origin", "none"}  # "none": typed into the address bar

_HEADERS = {
    # Nothing from elsewhere, and no script or style in the page itself. Pictures that arrive as
    # bytes are shown from blob: URLs.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def middlewares(settings: Settings) -> list[Middleware]:
    """Those of the application, outermost first."""
    return [
        _telling_errors(settings.server),
        _only_our_names(settings.host),
        _only_our_page,
        _only_so_many(settings.max_at_once),
    ]


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on a reply that tell browsers what the page may do."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _telling_errors(server: str) -> Middleware:
    @web.middleware
    async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception as error:
            problem = problems.of_error(error, server)
            if isinstance(error, web.HTTPException) and (
                problem is None or error.status < web.HTTPBadRequest.status_code
            ):
                raise
            if problem is None:
                _LOG.exception("%s %s", request.method, request.path)
                problem = problems.unforeseen()
            return problem.response()

    return tell


def _only_our_names(listening: str) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _host_of(request.headers.get("Host", ""))
        if not is_our_name(host, listening):
            raise StudioError(
                "This address is not the studio's",
                f"Host is {host!r}, which evenface-studio does not listen on.",
                "Open the address that evenface-studio printed.",
                status=421,
            )
        return await handler(request)

    return check


@web.middleware
async def _only_our_page(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith(_API) and not _is_same_origin(request):
        raise StudioError(
            "Only the studio's own page may ask this",
            "The request comes from a page of another origin.",
            "Open the studio itself, and ask there.",
            status=403,
            kind="denied",
        )
    return await handler(request)


def _only_so_many(most: int) -> Middleware:
    working = 0

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal working
        if working >= most:
            raise StudioError(
                "The studio is busy",
                f"It answers {working} requests already, and at most {most} at once.",
                "Try again in a few seconds.",
                status=503,
                kind="overloaded",
            )
        working += 1
        try:
            return await handler(request)
        finally:
            working -= 1

    return count


def is_our_name(host: str, listening: str) -> bool:
    """Whether a request's Host header may be answered.

    A page elsewhere can have its own name point to this machine (DNS rebinding) and would then
    count as our origin. It cannot do so with an address, nor with a name of ours. The port is not
    compared: one that is forwarded, as ssh -L does, may be another.

    Args:
        host: Name or address of the Host header, without port and brackets.
        listening: Name or address that the studio listens on.
    """
    if host in {listening, "localhost"}:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_of(header: str) -> str:
    try:
        return URL(f"http://{header}").host or ""
    except ValueError:
        return ""


def _is_same_origin(request: web.Request) -> bool:
    """Whether a browser says that our page asks; programs that are no browsers say nothing."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    ours = origin is None or origin == f"{request.scheme}://{request.host}"
    return site in _OWN_SITE and ours
