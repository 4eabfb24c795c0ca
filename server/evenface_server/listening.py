"""Accepts connections and hands them on. Transport-free: does not see what is spoken on them."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from evenface_core.errors import ConfigError

from evenface_server.settings import option_of

_LOG = logging.getLogger(__name__)
_BACKLOG: Final = 1024
_AT_ONCE: Final = 64  # so that a flood of connections leaves time for other work
# When the system has no descriptors left, accepting fails until others are closed.
_PAUSE_SECONDS: Final = 0.5


def address_of(host: str, port: int) -> str:
    """Return "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_free(setting: str, host: str, port: int) -> None:
    """Listen for a moment: the reason that the system gives is clearer than a library's.

    Raises:
        ConfigError: Names the setting, the address and the reason.
    """
    with _bound(setting, host, port) as bound, _explained(setting, host, port):
        bound.listen()


class Listener:
    """Takes an address when made; accepts connections once opened.

    Args:
        setting: That names the port, for messages.
        host: Address to listen on.
        port: 0 for any free one.
        deliver: Gets each connected socket.

    Raises:
        ConfigError: Names the setting, the address and the reason.

    Attributes:
        is_open: Whether it accepts connections.
    """

    def __init__(
        self, setting: str, host: str, port: int, deliver: Callable[[socket.socket], None]
    ) -> None:
        self._wanted = setting, host, port
        self._deliver = deliver
        self._socket = _bound(setting, host, port)
        self.is_open = self._is_paused = False

    @property
    def address(self) -> str:
        """Where it listens, "host:port"."""
        _, host, _ = self._wanted
        return address_of(host, int(self._socket.getsockname()[1]))

    def open(self) -> None:
        """Begin to accept; until then connections are refused.

        Raises:
            ConfigError: Another program has been faster; names setting, address and reason.
        """
        with _explained(*self._wanted):
            self._socket.listen(_BACKLOG)
        self.is_open = True
        self._read()

    def pause(self) -> None:
        """Let new connections wait with the system."""
        self._is_paused = True
        if self.is_open:
            asyncio.get_running_loop().remove_reader(self._socket)

    def resume(self) -> None:
        """Accept again."""
        if self._is_paused:
            self._is_paused = False
            self._read()

    def close(self) -> None:
        """Accept no more."""
        self.pause()
        self.is_open = False
        self._socket.close()

    def _read(self) -> None:
        if self.is_open and not self._is_paused:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if self._is_paused:
                return
            try:
                connected, _address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                _LOG.warning("cannot accept a connection", extra={"reason": error.strerror})
                self._rest()
                return
            connected.settimeout(0)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._deliver(connected)

    def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.call_later(_PAUSE_SECONDS, self._read)


def _bound(setting: str, host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.settimeout(0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if bound.family is socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        with _explained(setting, host, port):
            bound.bind((host, port))
    except ConfigError:
        bound.close()
        raise
    return bound


@contextmanager
def _explained(setting: str, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Errors below 0 are about the host's name.
        number = error.errno or 0
        cause = os.strerror(number) if number > 0 else error.strerror
        raise ConfigError(
            f"{option_of(setting)}: cannot listen on {address_of(host, port)}: {cause}"
        ) from error
