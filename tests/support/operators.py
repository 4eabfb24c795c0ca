"""Operators of a server in a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from evenface.v1 import admin_service_pb2 as pb
from evenface.v1.admin_service_pb2_grpc import AdminServiceStub

from support.patience import PATIENCE
from support.servers import ServerProcess, server_process

_OPTIONS = ("--workers", "2", "--admin-port", "0", "--watch-interval", "0.05")


@dataclass(frozen=True)
class Operator:
    """Who may change what a server serves.

    Attributes:
        server: The process.
        admin: Stub of its admin service.
    """

    server: ServerProcess
    admin: Any  # the asynchronous stub exists for type checkers alone

    async def load(self, version: str, model: str = "faces") -> None:
        """Load a version."""
        await self.admin.LoadModel(pb.LoadModelRequest(model=model, version=version))

    async def unload(self, version: str, model: str = "faces") -> None:
        """Take a version out."""
        await self.admin.UnloadModel(pb.UnloadModelRequest(model=model, version=version))

    async def split(self, model: str = "faces", **weights: int) -> None:
        """Split traffic; versions are named v1, v2, …"""
        by_version = {name.removeprefix("v"): weight for name, weight in weights.items()}
        await self.admin.SetTraffic(pb.SetTrafficRequest(model=model, weights=by_version))

    async def status(self) -> pb.GetStatusResponse:
        """How things stand."""
        status: pb.GetStatusResponse = await self.admin.GetStatus(pb.GetStatusRequest())
        return status

    async def states(self) -> Mapping[str, str]:
        """State by "name/version"; the last where there are several."""
        return {
            f"{one.model}/{one.version}": pb.ModelState.Name(one.state).removeprefix("MODEL_STATE_")
            for one in (await self.status()).models
        }

    async def wait_for(self, **states: str) -> None:
        """Wait until versions of faces, named v1, v2, …, stand so, and there are no others."""
        wanted = {f"faces/{name.removeprefix('v')}": state for name, state in states.items()}
        async with asyncio.timeout(PATIENCE):
            while await self.states() != wanted:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)


@asynccontextmanager
async def operated(models: Path, *options: str) -> AsyncIterator[Operator]:
    """Run a server of two workers that looks at its models twenty times a second."""
    with server_process(models, *_OPTIONS, *options) as server:
        address = str(server.wait_for("serving")["admin_address"])
        async with grpc.aio.insecure_channel(address) as channel:
            yield Operator(server, AdminServiceStub(channel))
