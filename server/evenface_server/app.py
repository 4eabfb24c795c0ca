"""Wires the server: the only place that knows every part."""

import asyncio
import logging
import socket
import ssl
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from wsgiref.simple_server import WSGIServer

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
from evenface_server.models import Registry, ServedModel, load_registry
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
        server: Speaks gRPC.
        health: What it says of itself.
        streams: The bulk streams.
    """

    def __init__(
        self, engine: Engine, server: transport.Server, health: HealthService, streams: Streams
    ) -> None:
        self.engine = engine
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
        address: "host:port" of gRPC.
        metrics_address: "host:port" of the metrics; None where they are off.
    """

    app: App
    address: str
    metrics_address: str | None
    _listener: Listener
    _metrics_server: WSGIServer | None

    async def drain(self, delay: float, grace: float) -> bool:
        """As `App.drain`."""
        finished = await self.app.drain(delay, grace)
        await self.stop()
        return finished

    async def stop(self) -> None:
        """Close everything at once."""
        self._listener.close()
        await self.app.stop()
        if self._metrics_server is not None:
            await asyncio.to_thread(self._metrics_server.shutdown)
            self._metrics_server.server_close()


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
    app = open_app(settings, metrics, log, tls)
    listener = Listener(bind("port", settings.host, settings.port), app.adopt)
    try:
        metrics_address, metrics_server = _serve_metrics(settings, metrics)
    except Exception:
        listener.close()
        raise
    standing = Standing(
        app, address_of(settings.host, listener.port), metrics_address, listener, metrics_server
    )
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


def open_app(settings: Settings, metrics: Metrics, log: CallLog, tls: ssl.SSLContext | None) -> App:
    """Open the models and make ready to answer.

    Args:
        settings: All of them.
        metrics: Where to count.
        log: Gets a line about each call.
        tls: How to encrypt; None for plain text.

    Raises:
        ConfigError: The device or the models cannot be used.
    """
    device = choose_device(settings.device)
    registry = load_registry(
        settings.models, settings.default_model, partial(_serve_bundle, settings, device, metrics)
    )
    _publish(registry, metrics)
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
    return App(engine, server, health, streams)


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


def _serve_bundle(settings: Settings, device: Device, metrics: Metrics, path: Path) -> ServedModel:
    """Open one bundle and give each of its functions a lane."""
    bundle = open_bundle(path)
    model = open_model(bundle, device, threads=settings.session_threads)
    lanes = {name: _lane(settings, metrics, model, name) for name in model.manifest.functions}
    return ServedModel(model, lanes, bundle.card)


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


def _serve_metrics(settings: Settings, metrics: Metrics) -> tuple[str | None, WSGIServer | None]:
    if not settings.metrics:
        return None, None
    host, port = settings.metrics_host, settings.metrics_port
    bind("metrics_port", host, port).close()  # its reasons are clearer than the library's
    server, _ = start_http_server(port, host, metrics.registry)
    return address_of(host, server.server_port), server
