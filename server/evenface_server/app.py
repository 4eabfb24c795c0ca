"""Wires the server: the only place that knows every part."""

import asyncio
import logging
import socket
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import evenface_transport as transport
from evenface.v1 import face_service_pb2, model_service_pb2
from evenface_core.bundle import open_bundle
from evenface_core.manifest import FunctionName
from evenface_runtime import Device, Model, choose_device, open_model
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from prometheus_client import start_http_server

from evenface_server.batching import Arrays, Lane
from evenface_server.endpoints import load_tls
from evenface_server.engine import Engine
from evenface_server.health import HealthService
from evenface_server.intake import Limits
from evenface_server.listening import Listener, address_of, bind
from evenface_server.logs import CallLog
from evenface_server.metrics import Metrics
from evenface_server.models.curator import Curator
from evenface_server.models.loader import Loader
from evenface_server.models.registry import Registry, ServedModel
from evenface_server.models.rollout import Rollout
from evenface_server.rpc import Faults, Rpcs
from evenface_server.servicer import FaceService, ModelService
from evenface_server.settings import Settings
from evenface_server.streams import Streams
from evenface_server.workshop import Workshop

_LOG = logging.getLogger(__name__)
_FACE: Final = face_service_pb2.DESCRIPTOR.services_by_name["FaceService"]
_MODEL: Final = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION: Final = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]

# Far more than any request has: a file, or a set of attributes.
_FIELDS_PER_ITEM: Final = 64
# For replies on their way, and for peers to learn that the connection ends.
_CLOSING_SECONDS: Final = 2.0


class App:
    """A server that answers on the connections it is given.

    Args:
        engine: Does the work.
        loader: Changes what models it has, none at first.
        server: Speaks gRPC.
        health: What it says of itself.
        streams: The bulk streams.
    """

    def __init__(
        self,
        engine: Engine,
        loader: Loader,
        server: transport.Server,
        health: HealthService,
        streams: Streams,
    ) -> None:
        self.engine = engine
        self.loader = loader
        self._server = server
        self._health = health
        self._streams = streams

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._server.connections

    async def adopt(self, connected: socket.socket) -> None:
        """Answer on a connected socket."""
        await self._server.adopt(connected)

    async def drain(self, delay: float, grace: float) -> bool:
        """Stop without losing a request that was admitted.

        Health says NOT_SERVING; after `delay` new requests are refused; those admitted finish.

        Args:
            delay: Seconds for load balancers to take notice.
            grace: Seconds for admitted requests.

        Returns:
            Whether all of them finished.
        """
        self._health.drain()
        await asyncio.sleep(delay)
        self._streams.close()
        try:
            async with asyncio.timeout(grace):
                await self.engine.drain()
            finished = True
        except TimeoutError:
            finished = False
        await self.stop(_CLOSING_SECONDS if finished else 0.0)
        return finished

    async def stop(self, grace: float = 0.0) -> None:
        """Close connections, after at most `grace` seconds for replies on their way."""
        self._health.close()
        await self._server.stop(grace)
        self.engine.stop()


@dataclass(frozen=True)
class Standing:
    """An app with sockets of its own, in one process.

    Attributes:
        app: What answers.
        curator: Decides on the models.
        address: "host:port" of gRPC.
        metrics_address: "host:port" of the metrics; None where they are off.
    """

    app: App
    curator: Curator
    address: str
    metrics_address: str | None
    _opened: AsyncExitStack

    async def drain(self, delay: float, grace: float) -> bool:
        """As `App.drain`."""
        finished = await self.app.drain(delay, grace)
        await self.stop()
        return finished

    async def stop(self) -> None:
        """Close everything at once."""
        await self._opened.aclose()


async def start(settings: Settings, log: CallLog) -> Standing:
    """Open the models and start to answer.

    Args:
        settings: All of them.
        log: Gets a line about each call.

    Raises:
        ConfigError: The device, models, certificates or an address cannot be used.
    """
    started = time.monotonic()
    metrics = Metrics()
    tls = load_tls(settings)
    async with AsyncExitStack() as opened:
        app = open_app(settings, metrics, log, tls)
        opened.push_async_callback(app.stop)
        curator = await _curate(settings, metrics, app, opened)
        listener = Listener(bind("port", settings.host, settings.port), app.adopt)
        opened.callback(listener.close)
        metrics_address = _serve_metrics(settings, metrics, opened)
        address = address_of(settings.host, listener.port)
        standing = Standing(app, curator, address, metrics_address, opened.pop_all())
    registry = app.engine.registry
    _LOG.info(
        "serving",
        extra={
            "address": standing.address,
            "metrics_address": metrics_address,
            "device": next(iter(registry)).model.device,
            "models": [f"{m.manifest.name}/{m.manifest.version}" for m in registry],
            "default_model": registry.default,
            "tls": tls is not None,
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    return standing


async def _curate(
    settings: Settings, metrics: Metrics, app: App, opened: AsyncExitStack
) -> Curator:
    """Serve what is in the model directory."""
    copies = Path(opened.enter_context(TemporaryDirectory(prefix="evenface-")))
    curator = Curator(settings.models, settings.default_model, copies, Rollout(), metrics.refused)
    await curator.join(app.loader)
    await curator.open()
    return curator


def open_app(settings: Settings, metrics: Metrics, log: CallLog, tls: ssl.SSLContext | None) -> App:
    """Make ready to answer, once the app's loader has been given models.

    Args:
        settings: All of them.
        metrics: Where to count.
        log: Gets a line about each call.
        tls: How to encrypt; None for plain text.

    Raises:
        ConfigError: The device cannot be used.
    """
    device = choose_device(settings.device)
    registry = Registry()
    loader = Loader(
        registry,
        partial(_open, settings, device),
        partial(_serve, settings, metrics),
        partial(_publish, registry, metrics),
    )
    limits = Limits(
        max_items=settings.max_items_per_request,
        max_message_bytes=settings.max_message_bytes,
        max_pixels=settings.max_pixels_per_image,
    )
    workshop = Workshop(settings.image_threads)
    engine = Engine(registry, limits, workshop, max_queue_rows=settings.max_queue_rows)
    streams, faults = Streams(settings.stream_requests), Faults(metrics)
    health = HealthService((_FACE.full_name, _MODEL.full_name))
    rpcs = Rpcs(metrics, faults, log, _FIELDS_PER_ITEM * settings.max_items_per_request)
    methods = {
        **rpcs.methods(_FACE, FaceService(engine, streams, faults)),
        **rpcs.methods(_MODEL, ModelService(engine)),
        **rpcs.plain_methods(_HEALTH, health),
    }
    if settings.reflection:
        names = tuple(s.full_name for s in (_FACE, _MODEL, _HEALTH, _REFLECTION))
        reflector = reflection.aio.ReflectionServicer(names)
        methods |= rpcs.plain_methods(_REFLECTION, reflector)
    server = transport.Server(
        methods,
        _transport_limits(settings),
        explain=faults.explain,
        tls=None if tls is None else lambda: tls,
    )
    return App(engine, loader, server, health, streams)


def _transport_limits(settings: Settings) -> transport.Limits:
    return transport.Limits(
        max_held_bytes=settings.max_held_bytes,
        max_connections=settings.max_connections,
        max_message_bytes=settings.max_message_bytes,
        idle_seconds=settings.max_connection_idle,
        max_age_seconds=settings.max_connection_age,
        ping_seconds=settings.keepalive,
        message_seconds=settings.message_time,
    )


def _open(settings: Settings, device: Device, path: Path) -> tuple[Model, str]:
    """Open one bundle; return the model and its card."""
    bundle = open_bundle(path)
    return open_model(bundle, device, threads=settings.session_threads), bundle.card


def _serve(settings: Settings, metrics: Metrics, model: Model, card: str) -> ServedModel:
    """Give each function of a model a lane."""
    lanes = {name: _lane(settings, metrics, model, name) for name in model.manifest.functions}
    return ServedModel(model, lanes, card)


def _lane(settings: Settings, metrics: Metrics, model: Model, function: FunctionName) -> Lane:
    name, version = model.manifest.name, model.manifest.version

    def run(inputs: Arrays) -> Arrays:
        return model.run(function, inputs)

    return Lane(
        run,
        max_batch_rows=settings.max_batch_rows,
        max_queue_rows=settings.max_queue_rows,
        label=f"{name}/{version}/{function}",
        metrics=metrics.lane(name, version, function),
    )


def _publish(registry: Registry, metrics: Metrics) -> None:
    for served in registry:
        metrics.model(
            model=served.manifest.name,
            version=served.manifest.version,
            kind=served.manifest.kind,
            device=served.model.device,
            is_default=registry.is_default(served),
        )


def _serve_metrics(settings: Settings, metrics: Metrics, opened: AsyncExitStack) -> str | None:
    if not settings.metrics:
        return None
    host, port = settings.metrics_host, settings.metrics_port
    bind("metrics_port", host, port).close()  # its reasons are clearer than the library's
    server, _ = start_http_server(port, host, metrics.registry)
    opened.callback(server.server_close)
    opened.push_async_callback(asyncio.to_thread, server.shutdown)
    return address_of(host, server.server_port)
