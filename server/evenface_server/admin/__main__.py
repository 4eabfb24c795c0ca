"""The command `python -m evenface_server.admin`: orders to a server, and how it stands."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import grpc
from evenface.v1 import admin_service_pb2 as pb
from evenface.v1.admin_service_pb2_grpc import AdminServiceStub
from evenface_core.cli import guarded
from evenface_core.errors import ConfigError

_ADDRESS: Final = "127.0.0.1:50052"
_MAX_DIGITS: Final = 9  # the server has a stricter limit; this one is for the message's field

Order = Callable[[AdminServiceStub, argparse.Namespace], Iterator[str]]


def main() -> int:
    """Give one order and print what comes of it."""
    return guarded(lambda: _give(sys.argv[1:]))


def _give(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    with grpc.insecure_channel(options.address) as channel:
        try:
            for line in _ORDERS[options.order](AdminServiceStub(channel), options):
                print(line)  # noqa: T201 - a command's output
        except grpc.RpcError as error:
            print(f"error: {error.code().name}: {error.details()}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evenface_server.admin",
        description="Changes what a server serves; it must run with --admin-port.",
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


def _status(stub: AdminServiceStub, options: argparse.Namespace) -> Iterator[str]:
    del options
    status = stub.GetStatus(pb.GetStatusRequest())
    yield f"plan {status.plan}, {status.workers} workers, default {status.default_model or 'none'}"
    yield from map(_line, status.models)
    for split in status.traffic:
        weights = ", ".join(f"{v}: {w}" for v, w in sorted(split.weights.items()))
        yield f"traffic of {split.model}: {weights}"


def _reload(stub: AdminServiceStub, options: argparse.Namespace) -> Iterator[str]:
    del options
    yield from map(_line, stub.ReloadModels(pb.ReloadModelsRequest()).models)


def _load(stub: AdminServiceStub, options: argparse.Namespace) -> Iterator[str]:
    name, _, version = options.version.partition("/")
    stub.LoadModel(pb.LoadModelRequest(model=name, version=version))
    yield f"{options.version} serves"


def _unload(stub: AdminServiceStub, options: argparse.Namespace) -> Iterator[str]:
    name, _, version = options.version.partition("/")
    stub.UnloadModel(pb.UnloadModelRequest(model=name, version=version))
    yield f"{options.version} is unloaded"


def _traffic(stub: AdminServiceStub, options: argparse.Namespace) -> Iterator[str]:
    weights = dict(map(_weight, options.weights))
    stub.SetTraffic(pb.SetTrafficRequest(model=options.model, weights=weights))
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
