"""A Ray cluster to score on: one that is there, or one that a job starts on this machine and ends.

Ray is imported here alone, and only when it is used.
"""

import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

from evenface_core.errors import JobError

from evenface_batch.text import one_line

Ray: TypeAlias = Any  # its types are not worth importing it for

_CLIENT = "ray://"
_STORE_BYTES = 256 * 2**20  # chunks and answers are small; images never go there
# Read when Ray is imported, or by the processes that it starts.
_OWN: Mapping[str, str] = {
    # Its name tells where it is the default: all servers listen on 127.0.0.1 alone.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",  # other users of this machine are kept out
}
_QUIET: Mapping[str, str] = {"RAY_BACKEND_LOG_LEVEL": "fatal"}


@contextmanager
def connected(address: str | None, workers: int, gpus: float) -> Iterator[Ray]:
    """Lend Ray, connected to a cluster; where this process is connected already, to that one.

    Args:
        address: Of a cluster that is there: HOST:PORT, ray://HOST:PORT or auto. None starts one on
            this machine, for this process alone, and ends it and its files afterwards.
        workers: CPUs of a cluster that is started.
        gpus: GPUs that all workers together need.

    Raises:
        JobError: Ray is not installed, or there is no such cluster.
    """
    if find_spec("ray") is None:
        raise JobError("--engine ray needs Ray: pip install 'evenface[ray]'")
    ray: Ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        yield ray
        return
    with ExitStack() as stack:
        own = {**_OWN, "RAY_AUTH_TOKEN": secrets.token_hex(32)} if address is None else {}
        stack.enter_context(_environment({**_QUIET, **own}))
        quiet_data()
        ray = import_module("ray")
        options = _own_options(stack, workers) if address is None else {"address": address}
        stack.enter_context(_unchanged_signals())
        stack.callback(ray.shutdown)
        try:
            with _silent_stderr():
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise JobError(f"Ray at {address or 'this machine'}: {one_line(str(error))}") from error
        if gpus and address is None and ray.cluster_resources().get("GPU", 0.0) < gpus:
            found = ray.cluster_resources().get("GPU", 0.0)
            raise JobError(f"the workers need {gpus:g} GPUs; Ray finds {found:g} here")
        yield ray


def is_client(address: str | None) -> bool:
    """Whether an address is that of Ray's client, by which Ray Data cannot be driven."""
    return address is not None and address.startswith(_CLIENT)


def quiet_data() -> Any:  # noqa: ANN401 - a module
    """Ray Data, without bars and lines of its own; blocks that fail are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Ray has to say of its own settings
        data: Any = import_module("ray.data")
        context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return data


def _own_options(stack: ExitStack, workers: int) -> dict[str, Any]:
    # In /tmp itself: names of sockets must be short.
    folder = tempfile.mkdtemp(prefix="evenface-ray-", dir="/tmp")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return {
        "address": "local",
        "num_cpus": workers,
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
        "_temp_dir": folder,
    }


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are not set otherwise."""
    ours = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep Ray's libraries from telling how they were told to be quiet; errors are raised."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _unchanged_signals() -> Iterator[None]:
    """Undo what Ray does to SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)
