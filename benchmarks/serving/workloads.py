"""What every server is asked: the scenarios, and the pixels and files that they send."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8 = NDArray[np.uint8]

SIDE = 64  # pixels, of the model
SMALL, PORTRAIT = (64, 64), (178, 218)  # width × height of the JPEG files


@dataclass(frozen=True)
class Scenario:
    """One kind of load.

    Attributes:
        key: Short name for options and files.
        title: What the tables call it.
        images: Images in one message.
        messages: Messages in one request; a request of several is a stream.
        connections: Connections of the client; one for each request in flight over HTTP/1.
        streams: Requests in flight on each connection.
        file: Width and height of the JPEG file that is sent; None sends raw pixels.
    """

    key: str
    title: str
    images: int = 1
    messages: int = 1
    connections: int = 4
    streams: int = 1
    file: tuple[int, int] | None = None

    @property
    def images_per_request(self) -> int:
        """Images in all messages of a request."""
        return self.images * self.messages

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer at any time."""
        return self.connections * self.streams


SCENARIOS = (
    Scenario("single", "(a) 1 image, 32 in flight", connections=8, streams=4),
    Scenario("batch", "(b) 32 images, 4 in flight", images=32),
    Scenario("stream", "(c) stream of 8 × 32 images, 4 at a time", images=32, messages=8),
    Scenario("stream-1", "(c) stream of 256 × 1 image, 4 at a time", messages=256),
    Scenario("jpeg", "(d) JPEG 64×64, 32 in flight", connections=8, streams=4, file=SMALL),
    Scenario("portrait", "(d) JPEG 178×218, 32 in flight", connections=8, streams=4, file=PORTRAIT),
)


def pixels(count: int) -> UInt8:
    """Noise: uint8 [count, 64, 64, 3], the same each time."""
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def jpeg(width: int, height: int) -> bytes:
    """A JPEG file of quality 90 with a photograph's smooth areas and grain, always the same."""
    rng = np.random.default_rng(width * height)
    coarse = Image.fromarray(rng.integers(40, 216, (10, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    grainy = smooth + rng.normal(0, 3.5, (height, width, 1))
    buffer = io.BytesIO()
    Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
