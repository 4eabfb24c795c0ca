"""Accepts connections and hands them on. Transport-free: does not see what is spoken on them."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from evenface_core.errors import ConfigError

from evenface_server.settings import option_of

_LOG = logging.getLogger(__name__)
_BACKLOG: Final = 1024
# When the system has no descriptors left, accepting fails until others are closed.
_PAUSE_SECONDS: Final = 0.1


def bind(setting: str, host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: Names the setting, the address and the reason.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python appends to the system's words; errors below 0 are about the host's name.
        number = error.errno or 0
        cause = os.strerror(number) if number > 0 else error.strerror
        raise ConfigError(
            f"{option_of(setting)}: cannot listen on {address_of(host, port)}: {cause}"
        ) from error


def address_of(host: str, port: int) -> str:
    """Return "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listener:
    """Accepts until it is closed.

    Args:
        listening: A socket that listens.
        deliver: Gets each connected socket.
    """

    def __init__(
        self, listening: socket.socket, deliver: Callable[[socket.socket], Awaitable[None]]
    ) -> None:
        listening.settimeout(0)
        self._socket = listening
        self._deliver = deliver
        self._delivering: set[asyncio.Future[None]] = set()
        self._task = asyncio.create_task(self._accept())

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Accept no more."""
        self._task.cancel()
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connected, _ = await loop.sock_accept(self._socket)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                _LOG.warning("cannot accept a connection", extra={"reason": str(error)})
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            work = asyncio.ensure_future(self._deliver(connected))
            self._delivering.add(work)
            work.add_done_callback(self._delivering.discard)
