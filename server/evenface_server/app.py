"""Wires the server: the only place that knows every part."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from wsgiref.simple_server import WSGIServer

import grpc
from evenface.v1 import (
    face_service_pb2,
    face_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from evenface_core.bundle import open_bundle
from evenface_core.errors import ConfigError
from evenface_core.manifest import FunctionName
from evenface_runtime import Device, Model, choose_device, open_model
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from evenface_server.batching import Arrays, Lane
from evenface_server.endpoints import Tls, address_of, check_free, load_tls
from evenface_server.engine import Engine
from evenface_server.inflight import InFlight
from evenface_server.intake import Limits
from evenface_server.interceptors import ErrorInterceptor, Faults, MeasuringInterceptor
from evenface_server.metrics import Metrics
from evenface_server.models import Registry, ServedModel, load_registry
from evenface_server.servicer import FaceService, ModelService
from evenface_server.settings import Settings, option_of
from evenface_server.streams import Streams
from evenface_server.workshop import Workshop

_LOG = logging.getLogger(__name__)
_SERVICES = (
    face_service_pb2.DESCRIPTOR.services_by_name["FaceService"].full_name,
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
)

# Far more than any request has: a file, or a set of attributes.
_FIELDS_PER_ITEM = 64
# For replies on their way; open health watches, which never end, are cut off then.
_CLOSING_SECONDS = 1.0


@dataclass(frozen=True)
class App:
    """A server that is answering.

    Attributes:
        address: "host:port" of gRPC.
        metrics_address: "host:port" of the metrics; None where they are off.
        engine: What answers.
    """

    address: str
    metrics_address: str | None
    engine: Engine
    _server: grpc.aio.Server
    _in_flight: InFlight
    _health: health.HealthServicer
    _streams: Streams
    _metrics_server: WSGIServer | None

    async def drain(self, delay: float, grace: float) -> bool:
        """Stop without losing a request that was admitted.

        Health says NOT_SERVING; after `delay` new requests are refused; those admitted finish.

        Args:
            delay: Seconds for load balancers to take notice.
            grace: Seconds for admitted requests.

        Returns:
            Whether all of them finished.
        """
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(delay)
        end = time.monotonic() + grace
        self._streams.close()
        try:
            async with asyncio.timeout(grace):
                await self.engine.drain()
            finished = True
        except TimeoutError:
            finished = False
        # A call that reaches gRPC while it shuts down fails with CANCELLED, as if its caller had
        # cancelled it (grpc/grpc#41785), and so would not be tried elsewhere: let callers settle.
        await self._in_flight.settle(end - time.monotonic())
        await self.stop(_CLOSING_SECONDS if finished else None)
        return finished

    async def stop(self, grace: float | None = None) -> None:
        """Close connections, after at most `grace` seconds for replies on their way."""
        await self._server.stop(grace)
        self.engine.stop()
        if self._metrics_server is not None:
            await asyncio.to_thread(self._metrics_server.shutdown)
            self._metrics_server.server_close()


async def start(settings: Settings) -> App:
    """Open the models and start to answer.

    Raises:
        ConfigError: The device, models, certificates or an address cannot be used.
    """
    started = time.monotonic()
    metrics = Metrics()
    device = choose_device(settings.device)
    credentials = _credentials(load_tls(settings))
    registry = load_registry(
        settings.models, settings.default_model, partial(_serve_bundle, settings, device, metrics)
    )
    _publish(registry, metrics)
    app = await _listen(settings, registry, metrics, credentials)
    _LOG.info(
        "serving",
        extra={
            "address": app.address,
            "metrics_address": app.metrics_address,
            "device": device,
            "models": [f"{m.manifest.name}/{m.manifest.version}" for m in registry],
            "default_model": registry.default,
            "tls": credentials is not None,
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    return app


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


async def _listen(
    settings: Settings,
    registry: Registry,
    metrics: Metrics,
    credentials: grpc.ServerCredentials | None,
) -> App:
    limits = Limits(
        max_items=settings.max_items_per_request,
        max_message_bytes=settings.max_message_bytes,
        max_pixels=settings.max_pixels_per_image,
    )
    workshop = Workshop(settings.image_threads)
    engine = Engine(registry, limits, workshop, max_queue_rows=settings.max_queue_rows)
    streams, faults = Streams(settings.stream_requests), Faults(metrics)
    in_flight = InFlight()
    measuring = MeasuringInterceptor(metrics, in_flight)
    errors = ErrorInterceptor(faults, _FIELDS_PER_ITEM * settings.max_items_per_request)
    server = grpc.aio.server(interceptors=(measuring, errors), options=_options(settings))
    face_service_pb2_grpc.add_FaceServiceServicer_to_server(
        FaceService(engine, streams, faults), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(engine), server)
    checks = await _add_health(server)
    if settings.reflection:
        names = (*_SERVICES, HEALTH_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    address = _bind(server, settings, credentials)
    metrics_address, metrics_server = _serve_metrics(settings, metrics)
    await server.start()
    return App(address, metrics_address, engine, server, in_flight, checks, streams, metrics_server)


def _options(settings: Settings) -> Sequence[tuple[str, int]]:
    return (
        ("grpc.so_reuseport", 0),  # else a second server on the port would go unnoticed
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
    )


async def _add_health(server: grpc.aio.Server) -> health.HealthServicer:
    checks = health.HealthServicer()
    for name in ("", *_SERVICES):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    return checks


def _bind(
    server: grpc.aio.Server, settings: Settings, credentials: grpc.ServerCredentials | None
) -> str:
    check_free("port", settings.host, settings.port)
    wanted = address_of(settings.host, settings.port)
    try:
        if credentials is None:
            port = server.add_insecure_port(wanted)
        else:
            port = server.add_secure_port(wanted, credentials)
    except RuntimeError as error:
        raise ConfigError(f"{option_of('port')}: cannot listen on {wanted}") from error
    return address_of(settings.host, port)


def _serve_metrics(settings: Settings, metrics: Metrics) -> tuple[str | None, WSGIServer | None]:
    if not settings.metrics:
        return None, None
    host, port = settings.metrics_host, settings.metrics_port
    check_free("metrics_port", host, port)
    server, _ = start_http_server(port, host, metrics.registry)
    return address_of(host, server.server_port), server


def _credentials(tls: Tls | None) -> grpc.ServerCredentials | None:
    if tls is None:
        return None
    return grpc.ssl_server_credentials(
        [(tls.key, tls.cert)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
