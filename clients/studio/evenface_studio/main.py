"""The command `evenface-studio`."""

import argparse
import asyncio
import contextlib
import ipaddress
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from evenface_client import EvenfaceClientError
from evenface_client.cli import arguments
from evenface_core.cli import guarded
from evenface_core.errors import ConfigError

from evenface_studio.app import make_runner
from evenface_studio.settings import DEFAULT_METRICS, Settings

_WARNING = (
    "warning: there is no sign-in: whoever reaches this address uses the service with the studio's "
    "token and reads what --data names. Better keep to 127.0.0.1, and reach it through ssh -L."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the studio until it is told to end.

    Args:
        argv: Arguments; None for those of the process.

    Returns:
        The exit code.
    """
    args = _parser().parse_args(argv)
    return guarded(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    settings = Settings(
        server=args.server,
        host=args.host,
        port=args.port,
        tls=arguments.tls(args),
        token=args.token,
        timeout=args.timeout,
        metrics=args.metrics,
        data=tuple(args.data),
    )
    try:
        if settings.tls is not None:
            settings.tls.credentials()  # so that a file that cannot be read is told now
        asyncio.run(_serve(settings))
    except EvenfaceClientError as error:
        raise ConfigError(str(error)) from error


async def _serve(settings: Settings) -> None:
    runner = make_runner(settings)
    await runner.setup()
    ending = _told_to_end()  # from before anybody can know that it listens
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        shown = f"[{host}]" if ":" in host else host
        print(f"evenface-studio: http://{shown}:{port}/ shows {settings.server}", flush=True)  # noqa: T201
        if not all(ipaddress.ip_address(one[0]).is_loopback for one in runner.addresses):
            print(_WARNING, file=sys.stderr, flush=True)  # noqa: T201
        await ending.wait()
    finally:
        await runner.cleanup()


def _told_to_end() -> asyncio.Event:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # on Windows
            loop.add_signal_handler(number, ending.set)
    return ending


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "evenface-studio", description="Show what the models of an evenface server know, as a page."
    )
    arguments.add_server(parser.add_argument_group("the service"))
    page = parser.add_argument_group("the page")
    page.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    page.add_argument("--port", type=int, default=7860, help="port; 0 for any free one (7860)")
    page.add_argument(
        "--metrics",
        metavar="URL",
        default=DEFAULT_METRICS,
        help=f"the service's metrics, for the tab Live ({DEFAULT_METRICS})",
    )
    page.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a folder or a Parquet file that the tab Dataset may read; may come several times",
    )
    return parser
