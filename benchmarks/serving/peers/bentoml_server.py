"""BentoML: one worker process per core; bytes come in through a mounted ASGI application.

Its own methods take arrays as JSON or as files on disk, and it batches no others.
"""

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.serving.peers.encoding import WORKERS, Encoder, UInt8, image_of, pixels_of


class _App(Starlette):
    """Raw pixels at /raw and /many, a file at /jpeg."""

    def __init__(self) -> None:
        post = ["POST"]
        super().__init__(
            routes=[
                Route("/raw", self._raw, methods=post),
                Route("/many", self._raw, methods=post),
                Route("/jpeg", self._jpeg, methods=post),
            ]
        )
        self._encoder = Encoder()

    async def _raw(self, request: Request) -> Response:
        return self._answer(pixels_of(await request.body()))

    async def _jpeg(self, request: Request) -> Response:
        return self._answer(image_of(await request.body()))

    def _answer(self, images: UInt8) -> Response:
        (body,) = self._encoder.encode_each([images])
        return Response(body, media_type="application/octet-stream")


@bentoml.asgi_app(_App())
@bentoml.service(
    workers=WORKERS, metrics={"enabled": False}, logging={"access": {"enabled": False}}
)
class Service:
    """What `bentoml serve` looks for."""
