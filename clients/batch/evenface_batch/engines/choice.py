"""Which engine a command line asks for. Each engine's libraries are imported only if it is."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evenface_core.errors import JobError
from evenface_core.signatures import Trust

from evenface_batch.engines import Engine

if TYPE_CHECKING:
    from evenface_batch.engines.model import LocalModel


def add_engine_options(command: argparse.ArgumentParser) -> None:
    """Add `--engine` and what engines need to know."""
    group = command.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=tuple(_ENGINES),
        default="local",
        help="who scores: processes here, a running service, or a Ray cluster (local)",
    )
    group.add_argument(
        "--model",
        metavar="MODEL",
        help="local and ray: folder of a bundle, as models/faces/1; "
        "grpc: NAME or NAME/VERSION (the service's default)",
    )
    group.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="local: processes (one a core); grpc: requests in flight (four a core); "
        "ray: actors (one a CPU of the cluster, or a GPU)",
    )
    group.add_argument(
        "--device",
        choices=("cpu", "cuda", "tensorrt"),
        default="cpu",
        help="local and ray: where sessions run (cpu)",
    )
    group.add_argument(
        "--require-signature",
        metavar="FILE",
        help="local and ray: keys or certificates (PEM), one of which must have signed the bundle",
    )
    _add_service(command.add_argument_group("--engine grpc"))
    _add_ray(command.add_argument_group("--engine ray"))


def _add_service(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="a server; give several times for several that serve the same model",
    )
    group.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="S",
        help="seconds without an answer from any server until the job stops (300)",
    )
    group.add_argument("--tls", action="store_true", help="speak TLS")
    group.add_argument("--tls-ca", metavar="FILE", help="certificates to trust; implies --tls")
    group.add_argument(
        "--token",
        default=os.environ.get("EVENFACE_TOKEN") or None,
        metavar="TOKEN",
        help="API token; EVENFACE_TOKEN, which others on this machine cannot read",
    )


def _add_ray(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="cluster that is there: HOST:PORT, ray://HOST:PORT or auto; if absent, one is started "
        "on this machine and ended with the job",
    )
    group.add_argument(
        "--gpus",
        type=float,
        metavar="N",
        help="GPUs of each actor, also a part of one (1 with --device other than cpu, else 0)",
    )


def checked_workers(options: argparse.Namespace) -> int:
    """What `--workers` says, 0 for so many as fit.

    Raises:
        JobError: Fewer than none.
    """
    workers: int = options.workers
    if workers < 0:
        raise JobError(f"--workers: {workers} is below 0")
    return workers


def choose_engine(options: argparse.Namespace) -> Engine:
    """Make the engine that was asked for.

    Raises:
        JobError: An option cannot be used.
    """
    checked_workers(options)
    return _ENGINES[options.engine](options)


def _local(options: argparse.Namespace) -> Engine:
    from evenface_batch.engines.local import LocalEngine  # noqa: PLC0415

    return LocalEngine(_model(options), options.workers)


def _grpc(options: argparse.Namespace) -> Engine:
    from evenface_client import TLS  # noqa: PLC0415

    from evenface_batch.engines.service import Service, ServiceEngine  # noqa: PLC0415

    if not options.target:
        raise JobError("--engine grpc needs --target HOST:PORT")
    if not options.patience > 0:
        raise JobError(f"--patience: {options.patience:g} is not above 0")
    name, _, version = (options.model or "").partition("/")
    service = Service(
        targets=tuple(options.target),
        model=name,
        version=version,
        tls=TLS(ca=options.tls_ca) if options.tls or options.tls_ca else None,
        token=options.token,
        patience=options.patience,
    )
    return ServiceEngine(service, options.workers)


def _ray(options: argparse.Namespace) -> Engine:
    from evenface_batch.engines.ray_data import RayEngine  # noqa: PLC0415

    gpus = float(options.device != "cpu") if options.gpus is None else options.gpus
    if not gpus >= 0:
        raise JobError(f"--gpus: {gpus:g} is below 0")
    return RayEngine(_model(options), options.workers, options.ray_address, gpus)


def _model(options: argparse.Namespace) -> "LocalModel":
    from evenface_batch.engines.model import LocalModel  # noqa: PLC0415

    if not options.model:
        raise JobError(f"--engine {options.engine} needs --model, the folder of a bundle")
    trust = None
    if options.require_signature is not None:
        trust = Trust(Path(options.require_signature))
        trust.require()
    return LocalModel(Path(options.model), options.device, trust=trust)


_ENGINES: Mapping[str, Callable[[argparse.Namespace], Engine]] = {
    "local": _local,
    "grpc": _grpc,
    "ray": _ray,
}
