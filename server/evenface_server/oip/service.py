"""The RPCs of the Open Inference Protocol: unpack, ask the engine, pack."""

# ruff: noqa: N802 - the RPCs' names are those of the .proto file

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from importlib.metadata import version
from typing import Any, Final

from evenface.oip import inference_pb2 as oip
from evenface_core.errors import ModelNotFound, QueueFull
from evenface_transport import Call
from numpy.typing import NDArray

from evenface_server.calls import ClassifyCall, DecodeCall, EncodeCall, Served, Target
from evenface_server.engine import Engine
from evenface_server.faults import Faults
from evenface_server.oip import replies, requests
from evenface_server.oip.catalog import Catalog, Entry, split_name
from evenface_server.servicer import deadline_of
from evenface_server.streams import Streams, each, serve

_NAME: Final = "evenface"
_EXTENSIONS: Final = ("model_configuration", "statistics")

# What answered, and all outputs by name.
_Found = tuple[Served, Mapping[str, NDArray[Any]]]


class InferenceService:
    """Answers clients of the protocol from the engine that answers our own.

    Args:
        engine: Does the work.
        streams: The bulk streams.
        faults: Turns the error of one request on a stream into its reply.
        is_ready: Says whether the server wants requests.
    """

    def __init__(
        self, engine: Engine, streams: Streams, faults: Faults, is_ready: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._streams = streams
        self._faults = faults
        self._is_ready = is_ready
        self._catalog = Catalog(engine.registry)

    async def ServerLive(
        self, request: oip.ServerLiveRequest, context: Call
    ) -> oip.ServerLiveResponse:
        """Say that the server answers."""
        del request, context
        return oip.ServerLiveResponse(live=True)

    async def ServerReady(
        self, request: oip.ServerReadyRequest, context: Call
    ) -> oip.ServerReadyResponse:
        """Say whether the server wants requests."""
        del request, context
        return oip.ServerReadyResponse(ready=self._is_ready())

    async def ModelReady(
        self, request: oip.ModelReadyRequest, context: Call
    ) -> oip.ModelReadyResponse:
        """Say whether a model is served."""
        del context
        try:
            self._catalog.resolve(request.name, request.version)
        except ModelNotFound:
            return oip.ModelReadyResponse(ready=False)
        return oip.ModelReadyResponse(ready=self._is_ready())

    async def ServerMetadata(
        self, request: oip.ServerMetadataRequest, context: Call
    ) -> oip.ServerMetadataResponse:
        """Say what the server is."""
        del request, context
        return oip.ServerMetadataResponse(
            name=_NAME, version=version(_NAME), extensions=_EXTENSIONS
        )

    async def ModelMetadata(
        self, request: oip.ModelMetadataRequest, context: Call
    ) -> oip.ModelMetadataResponse:
        """Describe a model's inputs and outputs."""
        del context
        entry = self._catalog.resolve(request.name, request.version)
        return replies.metadata(entry, self._catalog.versions(entry.name))

    async def ModelConfig(
        self, request: oip.ModelConfigRequest, context: Call
    ) -> oip.ModelConfigResponse:
        """Describe a model as Triton's configurations do."""
        del context
        entry = self._catalog.resolve(request.name, request.version)
        return replies.config(entry, self._engine.limits.max_items)

    async def ModelStatistics(
        self, request: oip.ModelStatisticsRequest, context: Call
    ) -> oip.ModelStatisticsResponse:
        """Say what models have done in this process."""
        del context
        if request.name:
            self._catalog.resolve(request.name, request.version)
        return oip.ModelStatisticsResponse(
            model_stats=[
                replies.statistics(entry)
                for entry in self._catalog
                if request.name in ("", entry.name) and request.version in ("", entry.version)
            ]
        )

    async def RepositoryIndex(
        self, request: oip.RepositoryIndexRequest, context: Call
    ) -> oip.RepositoryIndexResponse:
        """List models and versions."""
        del context
        return replies.index(() if request.repository_name else self._catalog)

    async def ModelInfer(
        self, request: oip.ModelInferRequest, context: Call
    ) -> oip.ModelInferResponse:
        """Run a model."""
        entry = self._catalog.route(request.model_name, request.model_version)
        wanted = requests.wanted_outputs(request, entry)
        work = self._run(request, entry, deadline_of(context))
        asked = replies.Asked(request.model_name, request.id, wanted)
        del request  # what was sent would else be held twice while the call waits
        served, outputs = await work
        return replies.infer_response(asked, served, outputs)

    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[oip.ModelInferRequest], context: Call
    ) -> AsyncGenerator[oip.ModelStreamInferResponse, None]:
        """Run models for the requests of a stream."""

        async def answer(request: oip.ModelInferRequest) -> oip.ModelStreamInferResponse:
            number, work = request.id, self.ModelInfer(request, context)
            del request
            try:
                response = await work
            except Exception as error:  # noqa: BLE001 - the stream goes on
                return oip.ModelStreamInferResponse(
                    error_message=self._faults.of(error).status.message,
                    infer_response=oip.ModelInferResponse(id=number),
                )
            reply = oip.ModelStreamInferResponse(infer_response=response)
            # Until it is sent: pictures are many times as large as the latents that ask for them.
            context.hold(replies.size_of(reply))
            return reply

        async with aclosing(serve(self._streams, request_iterator, each(answer))) as answers:
            async for reply in answers:
                context.hold(-replies.size_of(reply))
                passed = [reply]
                del reply  # which is its reader's alone
                yield passed.pop()

    def refusal(self, target: Target) -> QueueFull | None:
        """Return why a ModelInfer that begins to come in now would be refused; None lets it come.

        Args:
            target: The model by the protocol's name, and until when.
        """
        found = split_name(target.model)
        if found is None:
            return None  # it will be told so
        model, function = found
        return self._engine.refusal(function, target._replace(model=model))

    def _run(
        self, request: oip.ModelInferRequest, entry: Entry, deadline: float | None
    ) -> Awaitable[_Found]:
        """Ask the engine for exactly the version that was chosen."""
        limits = self._engine.limits
        manifest = entry.served.manifest
        target = Target(manifest.name, manifest.version, deadline)
        if entry.function == "encode":
            return self._encode(requests.encode_call(request, target, limits))
        if entry.function == "classify":
            return self._classify(requests.classify_call(request, target, limits))
        return self._decode(requests.decode_call(request, target, manifest.conditions))

    async def _encode(self, call: EncodeCall) -> _Found:
        latents = await self._engine.encode(call)
        return latents.served, {"mean": latents.mean, "log_variance": latents.log_variance}

    async def _classify(self, call: ClassifyCall) -> _Found:
        found = await self._engine.classify(call)
        return found.served, {
            "logits": found.logits,
            "probabilities": found.probabilities,
            "is_face": found.is_face,
        }

    async def _decode(self, call: DecodeCall) -> _Found:
        pictures = await self._engine.decode(call)
        return pictures.served, {"images": _raw(pictures.images)}


def _raw(images: NDArray[Any] | list[bytes]) -> NDArray[Any]:
    assert not isinstance(images, list)  # noqa: S101 - no files were asked for
    return images
