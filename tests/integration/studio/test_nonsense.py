"""What the studio says of a service whose answers cannot be."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np
import pytest
from evenface.v1 import (
    common_pb2,
    face_service_pb2,
    face_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from numpy.typing import ArrayLike
from support.bundles import images
from support.image_files import png
from support.servers import grpc_server
from support.studio_http import error_of, studio_over

FACE = png(images(1)[0])
SIZE = 4
COUNTS = [[1, 2]] * SIZE
EDGES = [[0.0, 1.0, 2.0]] * SIZE


def tensor(values: ArrayLike) -> common_pb2.Tensor:
    held = np.asarray(values)
    kind = common_pb2.DATA_TYPE_INT64 if held.dtype == np.int64 else common_pb2.DATA_TYPE_FLOAT64
    return common_pb2.Tensor(data=held.tobytes(), shape=held.shape, data_type=kind)


@dataclass
class Answers(
    face_service_pb2_grpc.FaceServiceServicer, model_service_pb2_grpc.ModelServiceServicer
):
    """What the service answers; as they stand they are sound."""

    mean: ArrayLike = field(default_factory=lambda: [[0.5] * SIZE])
    probabilities: ArrayLike = field(default_factory=lambda: [0.5])
    edges: ArrayLike = field(default_factory=lambda: EDGES)
    counts: ArrayLike = field(default_factory=lambda: COUNTS)
    latent_size: int = SIZE
    rate: float = 0.5
    pixels: bytes = bytes(12)
    side: int = 2

    def Encode(self, *_: object) -> face_service_pb2.EncodeResponse:  # noqa: N802
        mean = tensor(self.mean)
        return face_service_pb2.EncodeResponse(mean=mean, log_variance=mean)

    def ClassifyFace(self, *_: object) -> face_service_pb2.ClassifyFaceResponse:  # noqa: N802
        found = tensor(self.probabilities)
        return face_service_pb2.ClassifyFaceResponse(
            logits=found, probabilities=found, is_face=[True], threshold=0.5
        )

    def Decode(self, *_: object) -> face_service_pb2.DecodeResponse:  # noqa: N802
        raw = common_pb2.RawImages(data=self.pixels, height=self.side, width=self.side, channels=3)
        return face_service_pb2.DecodeResponse(images=common_pb2.Images(raw=raw))

    def ListModels(self, *_: object) -> model_service_pb2.ListModelsResponse:  # noqa: N802
        limits = model_service_pb2.Limits(
            max_items_per_request=64, max_message_bytes=2**24, max_pixels_per_image=2**24
        )
        return model_service_pb2.ListModelsResponse(models=[self._model()], limits=limits)

    def GetModel(self, *_: object) -> model_service_pb2.GetModelResponse:  # noqa: N802
        histogram = common_pb2.LatentHistogram(edges=tensor(self.edges), counts=tensor(self.counts))
        group = model_service_pb2.GroupQuality(
            column="tone", value="gray", count=9, true_positive_rate=self.rate, share=0.5
        )
        return model_service_pb2.GetModelResponse(
            model=self._model(), training_histogram=histogram, groups=[group]
        )

    def _model(self) -> model_service_pb2.Model:
        return model_service_pb2.Model(name="faces", version="1", latent_size=self.latent_size)


@contextmanager
def serving(**spoilt: Any) -> Iterator[str]:  # noqa: ANN401 - as the fields are
    answers = Answers(**spoilt)  # type: ignore[abstract]  # gRPC answers what is not there
    with grpc_server() as (server, address):
        face_service_pb2_grpc.add_FaceServiceServicer_to_server(answers, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(answers, server)
        server.start()
        yield address


async def asked(address: str, path: str) -> tuple[int, str]:
    """The status of a reply, and the kind of its error; "" where it is none."""
    async with studio_over(address) as page:
        if path.endswith("face"):
            reply = await page.post(path, file=FACE)
        elif path.endswith("decode"):
            reply = await page.post(path, {"latents": [[0.0] * SIZE]})
        else:
            reply = await page.get(path, model="faces")
        return reply.status, "" if reply.ok else (await error_of(reply))["title"]


FACE_PATH, SPACE, DECODE, GROUPS = (
    "/api/explore/face",
    "/api/explore/space",
    "/api/explore/decode",
    "/api/fairness",
)


@pytest.mark.parametrize(
    ("spoilt", "path"),
    [
        ({"probabilities": [nan]}, FACE_PATH),
        ({"probabilities": []}, FACE_PATH),
        ({"mean": [[nan] * SIZE]}, FACE_PATH),
        ({"mean": [[0.5] * (SIZE + 1)]}, FACE_PATH),
        ({"mean": np.zeros((0, SIZE))}, FACE_PATH),
        ({"mean": np.zeros((1, 0)), "latent_size": 0}, FACE_PATH),
        ({"edges": np.zeros((SIZE, 0)), "counts": np.zeros((SIZE, 0), np.int64)}, FACE_PATH),
        ({"edges": EDGES[1:], "counts": COUNTS[1:]}, FACE_PATH),
        ({"edges": [[0.0, nan, 2.0]] * SIZE}, SPACE),
        ({"pixels": b""}, DECODE),
        ({"pixels": b"", "side": 0}, DECODE),
        ({"pixels": bytes(11)}, DECODE),
        ({"rate": nan}, GROUPS),
        ({"rate": 7.0}, GROUPS),
    ],
)
async def test_answers_that_cannot_be_are_told_as_the_service_s_mistake(
    spoilt: dict[str, Any], path: str
) -> None:
    with serving() as address:
        assert await asked(address, path) == (200, "")
    with serving(**spoilt) as address:
        assert await asked(address, path) == (502, "The service made a mistake")
