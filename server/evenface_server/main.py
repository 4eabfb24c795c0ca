"""The command `evenface-server`: the supervisor of the workers that answer."""

import asyncio
import fcntl
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from evenface_core.cli import guarded

from evenface_server.admin.server import AdminServer
from evenface_server.logs import CallLog, configure_logging
from evenface_server.options import load_settings
from evenface_server.probes import ProbeServer
from evenface_server.settings import Settings
from evenface_server.supervisor.keeper import CrashLoop
from evenface_server.supervisor.supervisor import Supervisor

_LOG = logging.getLogger(__name__)
EXIT_UNFINISHED: Final = 1
_MAX_FILES: Final = 2**20


def main() -> int:
    """Run the server until SIGTERM or SIGINT; the exit code tells whether all was answered."""
    return guarded(lambda: _serve(sys.argv[1:]))


def _serve(arguments: Sequence[str]) -> int:
    settings = load_settings(arguments, os.environ)
    log = configure_logging(settings.log_level)
    _allow_many_files()
    with _shared_folder() as folder:
        return asyncio.run(_run(settings, folder, log))


@contextmanager
def _shared_folder() -> Iterator[Path]:
    """A folder for what processes share, locked so that systemd-tmpfiles lets its files grow old.

    They are hardly touched once written, and needed whenever a worker is replaced.
    """
    with TemporaryDirectory(prefix="evenface-") as folder:
        lock = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(lock, fcntl.LOCK_SH)
            yield Path(folder)
        finally:
            os.close(lock)


def _allow_many_files() -> None:
    """Use what the system allows: every connection is a file, here and in a worker."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if most == resource.RLIM_INFINITY else min(most, _MAX_FILES)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _run(settings: Settings, folder: Path, log: CallLog) -> int:
    """Serve, drain on the first signal, stop at once on the second; the exit code."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    make_admin = (
        partial(AdminServer, settings, log=log) if settings.admin_port is not None else None
    )
    make_probes = partial(ProbeServer, settings) if settings.health_port is not None else None
    supervisor = Supervisor(settings, folder, make_admin=make_admin, make_probes=make_probes)
    told = asyncio.create_task(signals.get())
    serving = asyncio.create_task(_serve_on(supervisor, settings))
    await asyncio.wait((told, serving), return_when=asyncio.FIRST_COMPLETED)
    try:
        if serving.done():
            serving.result()
        serving.cancel()
    except CrashLoop as error:
        _LOG.error("giving up", extra={"reason": str(error)})
    except BaseException:
        await supervisor.stop()
        raise
    name = signal.Signals(told.result()).name if told.done() else None
    _LOG.info("draining", extra={"signal": name})
    again = told if not told.done() else asyncio.create_task(signals.get())
    finished = await _drain(supervisor, settings, again)
    _LOG.info("stopped", extra={"all_answered": finished})
    return 0 if finished and serving.cancelled() else EXIT_UNFINISHED


async def _serve_on(supervisor: Supervisor, settings: Settings) -> None:
    """Serve until there are no workers any more.

    Raises:
        ConfigError: It cannot begin.
        CrashLoop: Workers die.
    """
    started = time.monotonic()
    serving = await supervisor.listen()
    _LOG.info(
        "serving",
        extra={
            "address": serving.address,
            "metrics_address": serving.metrics_address,
            "admin_address": serving.admin_address,
            "health_address": serving.health_address,
            "device": serving.device,
            "models": serving.models,
            "default_model": serving.default_model,
            "workers": serving.workers,
            "tls": settings.tls_cert is not None,
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    await supervisor.given_up()


async def _drain(supervisor: Supervisor, settings: Settings, again: asyncio.Task[int]) -> bool:
    """Answer what was admitted, or stop at once when told again; whether all was answered."""
    drain = asyncio.create_task(supervisor.drain(settings.drain_delay, settings.drain_grace))
    await asyncio.wait((drain, again), return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if drain.done():
        return drain.result()
    drain.cancel()
    await supervisor.stop()
    return False
