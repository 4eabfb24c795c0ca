"""NVIDIA PyTriton: Triton's gRPC front and dynamic batcher, one instance per core."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.serving.peers.encoding import HOST, LATENT, PORTS, SIDE, WORKERS, Encoder, image_of

Arrays = dict[str, NDArray[Any]]


class Instance:
    """One session, called by one of Triton's threads at a time."""

    def __init__(self) -> None:
        self._encoder = Encoder()

    @batch
    def raw(self, images: NDArray[np.uint8]) -> Arrays:
        """Encode uint8 [N, 64, 64, 3]."""
        mean, log_variance = self._encoder.encode(images)
        return {"mean": mean, "log_variance": log_variance}

    @batch
    def jpeg(self, files: NDArray[Any]) -> Arrays:
        """Encode files, bytes [N, 1]."""
        pixels = np.concatenate([image_of(file) for file in files[:, 0]])
        mean, log_variance = self._encoder.encode(pixels)
        return {"mean": mean, "log_variance": log_variance}


def main() -> None:
    """Serve until the process is ended."""
    outputs = [Tensor(name=name, dtype=np.float32, shape=(LATENT,)) for name in _OUTPUTS]
    images = Tensor(name="images", dtype=np.uint8, shape=(SIDE, SIDE, 3))
    files = Tensor(name="files", dtype=bytes, shape=(1,))
    config = ModelConfig(max_batch_size=64)
    instances = [Instance() for _ in range(WORKERS)]
    settings = TritonConfig(
        http_address=HOST,
        http_port=PORTS[1],
        grpc_address=HOST,
        grpc_port=PORTS[0],
        allow_metrics=False,
    )
    with Triton(config=settings) as triton:
        for name, function, tensor in (("encoder", "raw", images), ("jpeg", "jpeg", files)):
            triton.bind(
                model_name=name,
                infer_func=[getattr(instance, function) for instance in instances],
                inputs=[tensor],
                outputs=outputs,
                config=config,
                strict=False,
            )
        triton.serve()


_OUTPUTS = ("mean", "log_variance")

if __name__ == "__main__":
    main()
