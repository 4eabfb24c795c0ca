"""OpenTelemetry: spans of calls and of the batches that they run in (docs/tracing.md).

Imported only where tracing is on. Each worker has an exporter of its own, whose thread sends what
has gathered; nothing that answers calls ever waits for it.
"""

from evenface_server.tracing.kit import Tracing
from evenface_server.tracing.setup import open_tracing

__all__ = ["Tracing", "open_tracing"]
