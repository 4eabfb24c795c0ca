"""The command `python -m evenface_server.admin`: orders to a server, and how it stands."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import grpc
from evenface.v1 import admin_service_pb2 as pb
from evenface.v1.admin_service_pb2_grpc import AdminServiceStub
from evenface_core.cli import guarded
from evenface_core.errors import ConfigError
from google.protobuf.message import Message

from evenface_server.hosts import is_loopback

_ADDRESS: Final = "127.0.0.1:50052"
_DIRECTLY: Final = (("grpc.enable_http_proxy", 0),)  # a proxy would see orders and token
_MAX_DIGITS: Final = 9  # the server has a stricter limit; this one is for the message's field


class Server:
    """The server that orders go to.

    Args:
        channel: To its admin service.
        token: What it knows us by; empty for nothing.
    """

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._stub = AdminServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def do(self, request: Message) -> Any:  # noqa: ANN401 - the reply to this request
        """Call the RPC of a request."""
        rpc = getattr(self._stub, type(request).__name__.removesuffix("Request"))
        return rpc(request, metadata=self._metadata)


Order = Callable[[Server, argparse.Namespace], Iterator[str]]


def main() -> int:
    """Give one order and print what comes of it."""
    return guarded(lambda: _give(sys.argv[1:]))


def _give(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    token = os.environ.get("EVENFACE_TOKEN", "")
    if token and not is_loopback(options.address.rpartition(":")[0].strip("[]")):
        raise ConfigError(
            f"EVENFACE_TOKEN would travel to {options.address} in plain text; "
            "forward a port of this machine to it, and give that as --address"
        )
    with grpc.insecure_channel(options.address, options=_DIRECTLY) as channel:
        server = Server(channel, token)
        try:
            for line in _ORDERS[options.order](server, options):
                print(line)  # noqa: T201 - a command's output
        except grpc.RpcError as error:
            print(f"error: {error.code().name}: {error.details()}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evenface_server.admin",
        description="Changes what a server serves that runs with --admin-port. Where it asks for a "
        "token, that is read from EVENFACE_TOKEN.",
    )
    parser.add_argument("--address", default=_ADDRESS, help=f"of the server [{_ADDRESS}]")
    orders = parser.add_subparsers(dest="order", required=True, metavar="ORDER")
    orders.add_parser("status", help="say how things stand")
    orders.add_parser("reload", help="look at the model directory now, try again what was refused")
    for name, text in (("load", "load a version anew"), ("unload", "take a version out")):
        orders.add_parser(name, help=text).add_argument("version", metavar="NAME/VERSION")
    traffic = orders.add_parser("traffic", help="split requests that name no version")
    traffic.add_argument("model", metavar="NAME")
    traffic.add_argument(
        "weights", nargs="*", metavar="VERSION=WEIGHT", help="none for all to the newest"
    )
    return parser


def _status(server: Server, options: argparse.Namespace) -> Iterator[str]:
    del options
    status = server.do(pb.GetStatusRequest())
    yield f"plan {status.plan}, {status.workers} workers, default {status.default_model or 'none'}"
    yield from map(_line, status.models)
    for split in status.traffic:
        weights = ", ".join(f"{v}: {w}" for v, w in sorted(split.weights.items()))
        yield f"traffic of {split.model}: {weights}"


def _reload(server: Server, options: argparse.Namespace) -> Iterator[str]:
    del options
    yield from map(_line, server.do(pb.ReloadModelsRequest()).models)


def _load(server: Server, options: argparse.Namespace) -> Iterator[str]:
    name, _, version = options.version.partition("/")
    server.do(pb.LoadModelRequest(model=name, version=version))
    yield f"{options.version} serves"


def _unload(server: Server, options: argparse.Namespace) -> Iterator[str]:
    name, _, version = options.version.partition("/")
    server.do(pb.UnloadModelRequest(model=name, version=version))
    yield f"{options.version} is unloaded"


def _traffic(server: Server, options: argparse.Namespace) -> Iterator[str]:
    weights = dict(map(_weight, options.weights))
    server.do(pb.SetTrafficRequest(model=options.model, weights=weights))
    yield f"requests for {options.model} go to " + (
        ", ".join(f"{version}: {weight}" for version, weight in weights.items()) or "the newest"
    )


def _weight(text: str) -> tuple[str, int]:
    version, _, weight = text.partition("=")
    if not weight.isdecimal() or len(weight) > _MAX_DIGITS:
        raise ConfigError(f"'{text}' is not VERSION=WEIGHT with a whole number")
    return version, int(weight)


def _line(model: pb.ModelStatus) -> str:
    state = pb.ModelState.Name(model.state).removeprefix("MODEL_STATE_")
    facts = (f"{model.model}/{model.version}", state, model.digest[:12], model.reason)
    return "  ".join(fact for fact in facts if fact)


_ORDERS: Final[Mapping[str, Order]] = {
    "status": _status,
    "reload": _reload,
    "load": _load,
    "unload": _unload,
    "traffic": _traffic,
}

if __name__ == "__main__":
    sys.exit(main())
