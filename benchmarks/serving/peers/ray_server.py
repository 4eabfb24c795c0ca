"""Ray Serve: its HTTP proxy and one replica per core, batches of eight."""

import signal
import threading

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.serving.peers.encoding import (
    HOST,
    PORTS,
    WORKERS,
    Encoder,
    UInt8,
    image_of,
    pixels_of,
)


@serve.deployment(
    num_replicas=WORKERS, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.1}
)
class Service:
    """Raw pixels at /raw and /many, a file at /jpeg."""

    def __init__(self) -> None:
        self._encoder = Encoder()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.001)
    async def _encode(self, requests: list[UInt8]) -> list[bytes]:
        return self._encoder.encode_each(requests)

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        body = await request.body()
        images = image_of(body) if request.url.path == "/jpeg" else pixels_of(body)
        answer = await self._encode(images)
        return Response(answer, media_type="application/octet-stream")


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, _node_ip_address=HOST)
    serve.start(http_options={"host": HOST, "port": PORTS[0]})
    serve.run(Service.bind())  # type: ignore[attr-defined]  # the decorator adds it
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    serve.shutdown()
    ray.shutdown()
