"""A gRPC server that computes nothing: what the transport alone costs.

grpc.aio on uvloop with generic handlers, one process per core on one port. It answers each
message of /noop.Call/SCENARIO and /noop.Stream/SCENARIO with zeros, as many as evenface would.
"""

import argparse
import asyncio
import multiprocessing
import signal
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import uvloop

from benchmarks.serving.wires import HOST, reply_size
from benchmarks.serving.workloads import SCENARIOS

_OPTIONS = (
    ("grpc.so_reuseport", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


if TYPE_CHECKING:  # not generic at run time
    _Handler = grpc.RpcMethodHandler[bytes, bytes]


class _Noop(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        replies = {scenario.key: bytes(reply_size(scenario)) for scenario in SCENARIOS}
        self._handlers = {
            f"/noop.{kind}/{key}": handler
            for key, reply in replies.items()
            for kind, handler in (("Call", _call(reply)), ("Stream", _stream(reply)))
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "_Handler | None":
        return self._handlers.get(handler_call_details.method)


def _call(reply: bytes) -> "_Handler":
    async def answer(_request: bytes, _context: object) -> bytes:
        return reply

    return grpc.unary_unary_rpc_method_handler(answer)


def _stream(reply: bytes) -> "_Handler":
    async def answer(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield reply

    return grpc.stream_stream_rpc_method_handler(answer)


async def _serve(port: int) -> None:
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((_Noop(),))
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await server.wait_for_termination()


def _work(port: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(port))


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    workers = [
        multiprocessing.Process(target=_work, args=(options.port,), daemon=True)
        for _ in range(options.workers)
    ]
    for worker in workers:
        worker.start()
    # Ending by an exception lets multiprocessing end its daemons.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.pause()


if __name__ == "__main__":
    main()
