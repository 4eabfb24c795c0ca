"""Wires the server: the only place that knows every part."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import evenface_transport as transport
from evenface.oip import inference_pb2
from evenface.v1 import face_service_pb2, model_service_pb2
from evenface_core.bundle import open_bundle
from evenface_core.errors import ConfigError
from evenface_core.manifest import FunctionName
from evenface_runtime import Device, GpuOptions, Model, choose_device, open_model
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from evenface_server.access import (
    Access,
    Buckets,
    Watcher,
    refusal_of,
    watch_subjects,
    watch_tls,
    watch_tokens,
)
from evenface_server.batching import INLINE_SECONDS, Arrays, Lane
from evenface_server.engine import Engine
from evenface_server.health import HealthService
from evenface_server.intake import Limits
from evenface_server.kit import Kit
from evenface_server.logs import CallLog
from evenface_server.metrics import Metrics
from evenface_server.models.loader import Loader
from evenface_server.models.registry import Registry, ServedModel
from evenface_server.oip import InferenceService
from evenface_server.plain_rpcs import PlainRpcs
from evenface_server.rpc import Refusal, Rpcs
from evenface_server.servicer import FaceService, ModelService
from evenface_server.settings import Settings
from evenface_server.streams import Streams
from evenface_server.workshop import Workshop

_FACE: Final = face_service_pb2.DESCRIPTOR.services_by_name["FaceService"]
_MODEL: Final = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
_INFERENCE: Final = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION: Final = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]

# What a lane is behind of those RPCs that end where it is full.
_FUNCTIONS: Final[Mapping[str, FunctionName]] = {
    "Encode": "encode",
    "ClassifyFace": "classify",
    "Decode": "decode",
    "Sample": "decode",
}

# Far more than any request has: a file, or a set of attributes.
_FIELDS_PER_ITEM: Final = 64
# For replies on their way, and for peers to learn that the connection ends.
_CLOSING_SECONDS: Final = 2.0
# For the last spans to reach their collector.
_EXPORTING_SECONDS: Final = 2.0


class App:
    """A server that answers on the connections it is given.

    Args:
        device: Where its models run.
        engine: Does the work.
        loader: Changes what models it has, none at first.
        server: Speaks gRPC.
        health: What it says of itself.
        streams: The bulk streams.
        watcher: Follows the files that callers are known by.
        kit: What some of these were made by.
    """

    def __init__(
        self,
        device: Device,
        engine: Engine,
        loader: Loader,
        server: transport.Server,
        health: HealthService,
        streams: Streams,
        watcher: Watcher,
        kit: Kit,
    ) -> None:
        self.device: Final = device
        self.engine = engine
        self.loader = loader
        self._server = server
        self._health = health
        self._streams = streams
        self._watcher = watcher
        self._kit = kit

    @property
    def connections(self) -> int:
        """How many are open, but for those that were asked to go elsewhere."""
        return self._server.connections

    @property
    def held_bytes(self) -> int:
        """Bytes of requests and replies that are held."""
        return self._server.budget.held

    async def adopt(self, connected: socket.socket) -> None:
        """Answer on a connected socket."""
        await self._server.adopt(connected)

    def thin_out(self, count: int) -> None:
        """Ask so many peers to connect anew; none of their calls is cut off."""
        self._server.thin_out(count)

    async def drain(self, delay: float, grace: float) -> bool:
        """Stop without losing a request.

        Health says NOT_SERVING; after `delay` callers are sent elsewhere, and streams end after the
        replies to what they have sent; what has come in is answered.

        Args:
            delay: Seconds for load balancers to take notice.
            grace: Seconds for the requests that have come in.

        Returns:
            Whether all of them finished.
        """
        self._health.drain()
        await asyncio.sleep(delay)
        await self._server.leave()
        self._streams.close()
        await asyncio.sleep(0)  # a turn, in which what they have read goes through the door
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
        self._watcher.stop()
        self._health.close()
        await self._server.stop(grace)
        self.engine.stop()
        await self._kit.close(_EXPORTING_SECONDS if grace else 0.0)


def open_app(
    settings: Settings,
    metrics: Metrics,
    log: CallLog,
    shared: Path | None = None,
    *,
    on_lost: Callable[[], None] = lambda: None,
) -> App:
    """Make ready to answer, once the app's loader has been given models.

    Args:
        settings: All of them.
        metrics: Where to count.
        log: Gets a line about each call.
        shared: A folder that the processes of one server share; None where there is but one.
        on_lost: Told whenever a connection is gone.

    Raises:
        ConfigError: The device or the certificates cannot be used.
    """
    tls = watch_tls(settings)
    if tls is not None:
        metrics.follow_certificates(lambda: tls.value.validities)
    tokens, subjects = watch_tokens(settings), watch_subjects(settings)
    buckets = Buckets(shared and shared / "rates")
    access = Access(tokens, subjects, buckets, metrics.caller, metrics.caller_refused)
    device = choose_device(settings.device)
    kit = _kit(settings)
    registry = Registry()
    loader = Loader(
        registry,
        partial(_open, settings, device),
        partial(_serve, settings, metrics, kit),
        partial(_publish, registry, metrics),
    )
    limits = Limits(
        max_items=settings.max_items_per_request,
        max_message_bytes=settings.max_message_bytes,
        max_pixels=settings.max_pixels_per_image,
    )
    workshop = Workshop(settings.image_threads)
    engine = kit.engine(registry, limits, workshop, max_queue_rows=settings.max_queue_rows)
    streams, faults = kit.streams(settings.stream_requests), kit.faults(metrics)
    services = (_FACE, _MODEL, _INFERENCE) if settings.open_inference else (_FACE, _MODEL)
    health = HealthService(service.full_name for service in services)
    rpcs = Rpcs(metrics, faults, log, access, _FIELDS_PER_ITEM * settings.max_items_per_request)
    methods = {
        **rpcs.methods(_FACE, FaceService(engine, streams, faults), _refusals(engine)),
        **rpcs.methods(_MODEL, ModelService(engine)),
    }
    if settings.open_inference:
        inference = InferenceService(engine, streams, faults, lambda: not health.is_draining)
        methods |= rpcs.methods(_INFERENCE, inference, {"ModelInfer": inference.refusal})
    plain = PlainRpcs(faults, access)
    methods = kit.methods(methods) | plain.methods(_HEALTH, health)
    if settings.reflection:
        names = tuple(service.full_name for service in (*services, _HEALTH, _REFLECTION))
        reflector = reflection.aio.ReflectionServicer(names)
        methods |= plain.methods(_REFLECTION, reflector)
    server = transport.Server(
        methods,
        _transport_limits(settings),
        explain=faults.explain,
        tls=None if tls is None else lambda: tls.value.context,
        on_lost=on_lost,
        on_refused=partial(_count_refusal, metrics),
    )
    watcher = Watcher([one for one in (tls, tokens, subjects) if one is not None])
    return App(device, engine, loader, server, health, streams, watcher, kit)


def _count_refusal(metrics: Metrics, error: ssl.SSLError) -> None:
    reason = refusal_of(error)
    if reason is not None:
        metrics.caller_refused(reason)


def _kit(settings: Settings) -> Kit:
    if not settings.tracing:
        return Kit()
    try:
        from evenface_server.tracing import open_tracing  # noqa: PLC0415 - of an extra

        return open_tracing(settings.tracing_ratio)
    except ImportError as error:
        raise ConfigError(
            f"tracing needs the extra 'tracing': pip install 'evenface[tracing]' ({error})"
        ) from error
    except ValueError as error:  # the SDK's, also at import
        raise ConfigError(f"tracing: OpenTelemetry's variables (OTEL_*): {error}") from error


def _refusals(engine: Engine) -> Mapping[str, Refusal]:
    return {name: partial(engine.refusal, function) for name, function in _FUNCTIONS.items()}


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
    return open_model(
        bundle, device, threads=settings.session_threads, gpu=_gpu_options(settings)
    ), bundle.card


def _gpu_options(settings: Settings) -> GpuOptions:
    limit = settings.gpu_memory_limit
    return GpuOptions(
        max_rows=settings.max_batch_rows,
        cuda_graphs=settings.cuda_graphs,
        memory_limit=None if limit is None else limit // max(1, settings.workers),
        tensorrt_cache=settings.tensorrt_cache,
    )


def _serve(settings: Settings, metrics: Metrics, kit: Kit, model: Model, card: str) -> ServedModel:
    """Give each function of a model a lane."""
    lanes = {name: _lane(settings, metrics, kit, model, name) for name in model.manifest.functions}
    return ServedModel(model, lanes, card)


def _lane(
    settings: Settings, metrics: Metrics, kit: Kit, model: Model, function: FunctionName
) -> Lane:
    name, version = model.manifest.name, model.manifest.version

    def run(inputs: Arrays) -> Arrays:
        return model.run(function, inputs)

    return kit.lane(
        run,
        max_batch_rows=settings.max_batch_rows,
        max_queue_rows=settings.max_queue_rows,
        label=f"{name}/{version}/{function}",
        metrics=metrics.lane(name, version, function),
        # Where a device works, the loop goes on meanwhile.
        inline_seconds=INLINE_SECONDS if model.device == "cpu" else 0.0,
    )


def _publish(registry: Registry, metrics: Metrics) -> None:
    metrics.forget_models()
    for served in registry:
        metrics.model(
            model=served.manifest.name,
            version=served.manifest.version,
            kind=served.manifest.kind,
            device=served.model.device,
            is_default=registry.is_default(served),
        )
