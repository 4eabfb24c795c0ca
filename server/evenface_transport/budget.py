"""How many bytes of messages a server holds, so that callers cannot make it hold more."""

from typing import Final

from evenface_transport.status import Code, StatusError

_RETRY_AFTER: Final = 0.5


class Budget:
    """Bytes of requests and replies that are held, against a limit.

    Args:
        limit: Bytes of requests beyond which no new one is let in.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Account:
    """What one connection holds of a budget.

    Args:
        budget: That of the server.
        share: Bytes beyond which this connection's requests are not let in.
    """

    def __init__(self, budget: Budget, share: int) -> None:
        self._budget = budget
        self._share = share
        self._held = 0

    def reserve(self, size: int) -> None:
        """Hold room for a request.

        Raises:
            StatusError: There is none, for now.
        """
        budget = self._budget
        if self._held + size > self._share or budget.held + size > budget.limit:
            raise StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"{budget.held} bytes of requests and replies are held, {self._held} of them for "
                f"this connection; limit {budget.limit}, for one connection {self._share}",
                retry_after=_RETRY_AFTER,
            )
        self.add(size)

    def add(self, size: int) -> None:
        """Hold a reply; there must be room, as it cannot be refused any more."""
        self._held += size
        self._budget.held += size

    def release(self, size: int) -> None:
        """Hold so many bytes less."""
        self._held -= size
        self._budget.held -= size
