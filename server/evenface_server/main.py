"""The command `evenface-server`."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

import uvloop
from evenface_core.cli import guarded

from evenface_server.app import start
from evenface_server.logs import CallLog, configure_logging
from evenface_server.settings import Settings, load_settings

_LOG = logging.getLogger(__name__)
EXIT_UNFINISHED = 1


def main() -> int:
    """Run the server until SIGTERM or SIGINT; the exit code tells whether all was answered."""
    return guarded(lambda: _serve(sys.argv[1:]))


def _serve(arguments: Sequence[str]) -> int:
    settings = load_settings(arguments, os.environ)
    log = configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        finished = runner.run(_run(settings, log))
    logging.shutdown()
    if finished:
        return 0
    # A session's run cannot be interrupted, and Python would wait for its thread.
    os._exit(EXIT_UNFINISHED)


async def _run(settings: Settings, log: CallLog) -> bool:
    """Serve, drain on the first signal, stop at once on the second; whether all was answered."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    app = await start(settings, log)
    _LOG.info("draining", extra={"signal": signal.Signals(await signals.get()).name})
    drain = asyncio.create_task(app.drain(settings.drain_delay, settings.drain_grace))
    again = asyncio.create_task(signals.get())
    await asyncio.wait((drain, again), return_when=asyncio.FIRST_COMPLETED)
    finished = drain.done() and drain.result()
    again.cancel()
    if not drain.done():
        drain.cancel()
        await app.stop()
    _LOG.info("stopped", extra={"all_answered": finished})
    return finished
