"""The RPCs of AdminService: unpack, pass on to the curator, pack."""

# ruff: noqa: N802 - the RPCs' names are those of the .proto files

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from evenface.v1 import admin_service_pb2
from evenface_core.errors import BundleError, ConfigError, InvalidInput, OrderRefused
from evenface_core.manifest import check_name
from evenface_transport import Call

from evenface_server.models.curator import Curator
from evenface_server.models.plan import ModelKey
from evenface_server.models.status import State

_STATES: Final[Mapping[State, admin_service_pb2.ModelState.ValueType]] = {
    State.LOADING: admin_service_pb2.MODEL_STATE_LOADING,
    State.SERVING: admin_service_pb2.MODEL_STATE_SERVING,
    State.DRAINING: admin_service_pb2.MODEL_STATE_DRAINING,
    State.REFUSED: admin_service_pb2.MODEL_STATE_REFUSED,
    State.UNLOADED: admin_service_pb2.MODEL_STATE_UNLOADED,
}


class AdminService:
    """Takes operators' orders.

    Args:
        curator: Carries them through.
    """

    def __init__(self, curator: Curator) -> None:
        self._curator = curator

    async def GetStatus(
        self, request: admin_service_pb2.GetStatusRequest, call: Call
    ) -> admin_service_pb2.GetStatusResponse:
        """Say how things stand."""
        del request, call
        status = self._curator.status()
        return admin_service_pb2.GetStatusResponse(
            models=self._models(),
            default_model=status.default or "",
            traffic=[
                admin_service_pb2.TrafficSplit(model=name, weights=weights)
                for name, weights in sorted(status.traffic.items())
            ],
            workers=status.workers,
            plan=status.plan,
        )

    async def LoadModel(
        self, request: admin_service_pb2.LoadModelRequest, call: Call
    ) -> admin_service_pb2.LoadModelResponse:
        """Load a version."""
        del call
        with _told():
            await self._curator.load(_key(request))
        return admin_service_pb2.LoadModelResponse()

    async def UnloadModel(
        self, request: admin_service_pb2.UnloadModelRequest, call: Call
    ) -> admin_service_pb2.UnloadModelResponse:
        """Take a version out."""
        del call
        await self._curator.unload(_key(request))
        return admin_service_pb2.UnloadModelResponse()

    async def SetTraffic(
        self, request: admin_service_pb2.SetTrafficRequest, call: Call
    ) -> admin_service_pb2.SetTrafficResponse:
        """Split traffic between versions."""
        del call
        await self._curator.split(request.model, dict(request.weights))
        return admin_service_pb2.SetTrafficResponse()

    async def ReloadModels(
        self, request: admin_service_pb2.ReloadModelsRequest, call: Call
    ) -> admin_service_pb2.ReloadModelsResponse:
        """Look at the model directory."""
        del request, call
        with _told():
            await self._curator.reload()
        return admin_service_pb2.ReloadModelsResponse(models=self._models())

    def _models(self) -> Iterator[admin_service_pb2.ModelStatus]:
        for one in self._curator.status().models:
            yield admin_service_pb2.ModelStatus(
                model=one.key.name,
                version=one.key.version,
                state=_STATES[one.state],
                reason=one.reason,
                digest=one.digest,
            )


@contextmanager
def _told() -> Iterator[None]:
    """Tell an operator what others are not told: what is wrong with bundles and where they are."""
    try:
        yield
    except (BundleError, ConfigError) as error:
        raise OrderRefused(str(error)) from error


def _key(
    request: admin_service_pb2.LoadModelRequest | admin_service_pb2.UnloadModelRequest,
) -> ModelKey:
    """The version that is meant; its parts become parts of a path."""
    for field, name in (("model", request.model), ("version", request.version)):
        try:
            check_name(name)
        except ValueError as error:
            raise InvalidInput(field, str(error), value=name[:100]) from error
    return ModelKey(request.model, request.version)
