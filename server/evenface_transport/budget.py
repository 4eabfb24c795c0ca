"""How many bytes of messages a server holds, so that callers cannot make it hold more."""


class Budget:
    """Bytes of requests and replies that are held, against a limit.

    Args:
        limit: Bytes of requests beyond which no new one is let in.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def reserve(self, size: int) -> bool:
        """Hold room for a request; whether there is any."""
        if self.held + size > self.limit:
            return False
        self.held += size
        return True

    def add(self, size: int) -> None:
        """Hold a reply; there must be room, as it cannot be refused any more."""
        self.held += size

    def release(self, size: int) -> None:
        """Hold so many bytes less."""
        self.held -= size
