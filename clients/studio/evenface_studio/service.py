"""The service that the studio shows: one client, shared by all tabs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypedDict

from aiohttp import web
from evenface_client import AsyncClient, ModelDetails

from evenface_studio.settings import Settings

_RETRIES = 1  # somebody waits at the page: say soon that the service is down


@dataclass(frozen=True)
class Service:
    """What tabs need to answer the page.

    Attributes:
        client: Connected to the service.
        settings: Of the studio.
    """

    client: AsyncClient
    settings: Settings


SERVICE = web.AppKey("service", Service)


async def connected(app: web.Application, settings: Settings) -> AsyncIterator[None]:
    """Hold a client open while the application runs.

    Raises:
        InvalidRequest: A setting cannot be used.
    """
    async with AsyncClient(
        settings.server,
        timeout=settings.timeout,
        tls=settings.tls,
        token=settings.token,
        retries=_RETRIES,
    ) as client:
        app[SERVICE] = Service(client, settings)
        yield


def service_of(request: web.Request) -> Service:
    """The service that a request of the page is for."""
    return request.app[SERVICE]


class Named(TypedDict):
    """The model that a request of the page names, as arguments of the client's methods."""

    model: str
    version: str


def model_of(request: web.Request) -> Named:
    """The model that a request's query names."""
    return Named(model=request.query.get("model", ""), version=request.query.get("version", ""))


async def details_of(request: web.Request) -> ModelDetails:
    """That model in full."""
    named = model_of(request)
    return await service_of(request).client.model(named["model"], named["version"])
