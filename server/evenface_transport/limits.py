"""What a server lets its peers do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one server, all but the first two for each connection.

    Attributes:
        max_held_bytes: Of messages that are held, received and not yet answered or answers not
            yet sent; what would go beyond is refused with RESOURCE_EXHAUSTED.
        max_connections: Open at a time; more are turned away.
        max_message_bytes: Of one request, after decompression.
        max_streams: Calls of one connection at a time.
        max_header_bytes: Of a request's header block.
        idle_seconds: After which a connection without calls is closed.
        max_age_seconds: After which a connection is asked to be opened anew, so that clients
            spread over servers; ± 10 %.
        age_grace_seconds: That calls get to end then.
        ping_seconds: Without a sign of life, after which the peer is asked for one.
        answer_seconds: After which a peer that does not answer that is given up.
        message_seconds: Within which a message, once begun, must come in or be taken whole.
    """

    max_held_bytes: int = 256 * 2**20
    max_connections: int = 1000
    max_message_bytes: int = 64 * 2**20
    max_streams: int = 1024
    max_header_bytes: int = 16_384
    idle_seconds: float = 1800.0
    max_age_seconds: float = 3600.0
    age_grace_seconds: float = 60.0
    ping_seconds: float = 60.0
    answer_seconds: float = 20.0
    message_seconds: float = 120.0
