"""A gRPC server over HTTP/2 for asyncio: fast, bounded in all it holds, and nothing of evenface.

Handlers take and return bytes; what they mean is the service's business.
"""

from evenface_transport.call import Call, Method, Peer, Stream, Unary
from evenface_transport.limits import Limits
from evenface_transport.memory import keep_freed_memory
from evenface_transport.server import Server
from evenface_transport.status import Alike, Code, StatusError

__all__ = [
    "Alike",
    "Call",
    "Code",
    "Limits",
    "Method",
    "Peer",
    "Server",
    "StatusError",
    "Stream",
    "Unary",
    "keep_freed_memory",
]
