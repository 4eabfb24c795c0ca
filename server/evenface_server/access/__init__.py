"""Who may call: API tokens, client certificates, rates. Transport-free.

All that it knows is in files, which are read again when they change.
"""

from evenface_server.access.buckets import Buckets
from evenface_server.access.callers import Access, Caller
from evenface_server.access.subjects import watch_subjects
from evenface_server.access.tls import refusal_of, watch_tls
from evenface_server.access.tokens import watch_tokens
from evenface_server.access.watch import Watched, Watcher

__all__ = [
    "Access",
    "Buckets",
    "Caller",
    "Watched",
    "Watcher",
    "refusal_of",
    "watch_subjects",
    "watch_tls",
    "watch_tokens",
]
