"""What the studio is told on its command line."""

from dataclasses import dataclass, field
from pathlib import Path

from evenface_client import TLS

DEFAULT_METRICS = "http://127.0.0.1:9464/metrics"
MAX_UPLOAD_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Settings:
    """Settings of the studio.

    Attributes:
        server: The service's address, "host:port" or any gRPC target.
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        tls: How to speak TLS to the service; None for plain text.
        token: API token, for services that ask for one.
        timeout: Seconds that one request to the service may take.
        metrics: URL of the service's metrics, which the Live tab shows.
        data: Folders and Parquet files that the Dataset tab may read, and nothing outside them.
        max_upload: Bytes that one request of the page may have.
        upload_seconds: Time that these may take to arrive; 16 MiB need 1.2 Mbit/s.
        idle_seconds: Time that a connection may be open without a whole request's head.
        max_at_once: Requests that are answered at the same time; a browser has six of a page.
    """

    server: str = "127.0.0.1:50051"
    host: str = "127.0.0.1"
    port: int = 7860
    tls: TLS | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    metrics: str = field(default=DEFAULT_METRICS, repr=False)  # it may hold a password
    data: tuple[Path, ...] = ()
    max_upload: int = MAX_UPLOAD_BYTES
    upload_seconds: float = 120.0
    idle_seconds: float = 60.0
    max_at_once: int = 64
