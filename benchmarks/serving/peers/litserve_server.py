"""LitServe: one worker process per core and route behind a FastAPI front.

Batches of eight requests, of two where a request holds many images.
"""

from typing import Annotated

import litserve as ls
from fastapi import Depends, Request, Response

from benchmarks.serving.peers.encoding import (
    HOST,
    PORTS,
    WORKERS,
    Encoder,
    UInt8,
    image_of,
    pixels_of,
)


async def _body(request: Request) -> bytes:
    return await request.body()


class Raw(ls.LitAPI):
    """Raw pixels in."""

    def setup(self, device: str) -> None:
        """Open the session, in the worker."""
        del device
        self._encoder = Encoder()

    def decode_request(self, request: Annotated[bytes, Depends(_body)]) -> UInt8:
        """The body as images."""
        return pixels_of(request)

    def batch(self, inputs: list[UInt8]) -> list[UInt8]:
        """Keep requests apart; the encoder joins them."""
        return inputs

    def predict(self, x: list[UInt8]) -> list[bytes]:
        """Encode a batch."""
        return self._encoder.encode_each(x)

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        """They are apart already."""
        return output

    def encode_response(self, output: bytes) -> Response:
        """The answer as it is."""
        return Response(output, media_type="application/octet-stream")


class Jpeg(Raw):
    """A file in."""

    def decode_request(self, request: Annotated[bytes, Depends(_body)]) -> UInt8:
        """The body as images."""
        return image_of(request)


if __name__ == "__main__":
    routes = (("/raw", Raw, 8), ("/many", Raw, 2), ("/jpeg", Jpeg, 8))
    apis = [
        kind(api_path=route, max_batch_size=size, batch_timeout=0.001)
        for route, kind, size in routes
    ]
    server = ls.LitServer(
        apis, accelerator="cpu", devices=1, workers_per_device=WORKERS, fast_queue=True
    )
    server.run(
        host=HOST, port=PORTS[0], log_level="warning", generate_client_file=False, access_log=False
    )
