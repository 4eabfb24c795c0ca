"""mosec: a Rust front, one worker process per core and route.

Batches of eight requests, of two where a request holds many images: else one worker takes all.
"""

import os

from benchmarks.serving.peers.encoding import (
    HOST,
    PORTS,
    WORKERS,
    Encoder,
    UInt8,
    image_of,
    pixels_of,
)

# mosec reads its settings when it is imported.
os.environ.update(MOSEC_ADDRESS=HOST, MOSEC_PORT=str(PORTS[0]), MOSEC_LOG_LEVEL="warning")
from mosec import Runtime, Server, Worker


class Raw(Worker):
    """Raw pixels in."""

    resp_mime_type = "application/octet-stream"

    def __init__(self) -> None:
        super().__init__()
        self._encoder = Encoder()

    def deserialize(self, data: bytes) -> UInt8:
        """The body as images."""
        return pixels_of(data)

    def forward(self, data: list[UInt8]) -> list[bytes]:
        """Encode a batch."""
        return self._encoder.encode_each(data)

    def serialize(self, data: bytes) -> bytes:
        """The answer as it is."""
        return data


class Jpeg(Raw):
    """A file in."""

    def deserialize(self, data: bytes) -> UInt8:
        """The body as images."""
        return image_of(data)


if __name__ == "__main__":
    routes = (("/raw", Raw, 8), ("/many", Raw, 2), ("/jpeg", Jpeg, 8))
    server = Server()
    server.register_runtime(
        {
            route: [Runtime(kind, num=WORKERS, max_batch_size=size, max_wait_time=1)]
            for route, kind, size in routes
        }
    )
    server.run()
