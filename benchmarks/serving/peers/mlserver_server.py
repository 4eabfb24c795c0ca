"""MLServer: its gRPC front in one process, adaptive batching, a session with a thread per core."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.peers.encoding import HOST, PORTS, WORKERS, Encoder, UInt8, image_of


class Raw(MLModel):
    """Raw pixels in."""

    async def load(self) -> bool:
        """Open the session."""
        self._encoder = Encoder(threads=WORKERS)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Encode a batch."""
        images = self._images(payload)
        mean, log_variance = self._encoder.encode(images)
        outputs = [
            NumpyCodec.encode_output("mean", mean),
            NumpyCodec.encode_output("log_variance", log_variance),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        """Encode request after request."""
        async for payload in payloads:
            yield await self.predict(payload)

    def _images(self, payload: InferenceRequest) -> UInt8:
        return NumpyCodec.decode_input(payload.inputs[0])


class Jpeg(Raw):
    """Files in."""

    def _images(self, payload: InferenceRequest) -> UInt8:
        return np.concatenate([image_of(file) for file in payload.inputs[0].data])


async def _serve() -> None:
    server = MLServer(
        Settings(
            host=HOST,
            grpc_port=PORTS[0],
            http_port=PORTS[1],
            metrics_port=PORTS[2],
            parallel_workers=0,
            debug=False,
            grpc_max_message_length=64 * 2**20,
        )
    )
    models = [
        ModelSettings(name=name, implementation=kind, max_batch_size=32, max_batch_time=0.001)
        for name, kind in (("encoder", Raw), ("jpeg", Jpeg))
    ]
    await server.start(models)


if __name__ == "__main__":
    asyncio.run(_serve())
