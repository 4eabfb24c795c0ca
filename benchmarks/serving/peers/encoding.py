"""What all adapters share: the same session and the same JPEG decoding as evenface.

Runs in a peer's own environment, so it imports nothing of the benchmark; ports, graph and number
of workers come in environment variables.
"""

import os
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from evenface_core.images import Preprocessing, load_image
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

HOST = "127.0.0.1"
SIDE = 64
LATENT = 100
PORTS = [int(port) for port in os.environ.get("BENCH_PORTS", "0,0,0").split(",")]
WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))

_PREPROCESSING = Preprocessing(size=SIDE)


class Encoder:
    """A session on the encoder's graph.

    Args:
        threads: Threads within one run.
    """

    def __init__(self, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        graph = os.environ["BENCH_GRAPH"]
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def encode(self, images: UInt8) -> tuple[Float32, Float32]:
        """Mean and log-variance, float32 [N, 100] each, of uint8 [N, 64, 64, 3]."""
        mean, log_variance = self._session.run(["mean", "log_variance"], {"images": images})
        return mean, log_variance

    def encode_each(self, requests: Sequence[UInt8]) -> list[bytes]:
        """Encode the images of several requests in one run; the body of each one's answer."""
        together = requests[0] if len(requests) == 1 else np.concatenate(requests)
        mean, log_variance = self.encode(together)
        ends = np.cumsum([len(images) for images in requests])
        starts = [0, *ends[:-1]]
        return [
            mean[start:end].tobytes() + log_variance[start:end].tobytes()
            for start, end in zip(starts, ends, strict=True)
        ]


def pixels_of(body: bytes) -> UInt8:
    """View raw pixels as uint8 [N, 64, 64, 3]."""
    return np.frombuffer(body, np.uint8).reshape(-1, SIDE, SIDE, 3)


def image_of(file: bytes) -> UInt8:
    """Decode an image file to uint8 [1, 64, 64, 3]."""
    return load_image(file, _PREPROCESSING)[None]
