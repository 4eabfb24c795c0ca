"""Ports for servers that start later, or again."""

import random
import socket
from contextlib import suppress
from typing import Final

# Below those that systems give to whoever asks for any: tests in other processes do so all the
# time, and would be given one of these before its server starts.
_PORTS: Final = range(20_000, 30_000)


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    for port in random.SystemRandom().sample(_PORTS, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")
