"""Replies to results, and replies that cannot be right."""

from dataclasses import replace

import numpy as np
import pytest
from evenface.v1 import common_pb2, face_service_pb2
from evenface_client import InternalServerError, TryAgain, _replies
from evenface_client._operations import Served
from evenface_client._requests import Target
from evenface_client.results import Limits, ModelInfo
from hypothesis import given
from hypothesis import strategies as st
from support.messages import tensor


def reply(version: str, rows: int = 2, digest: str = "") -> face_service_pb2.EncodeResponse:
    latents = tensor(np.full((rows, 3), float(version), np.float32))
    return face_service_pb2.EncodeResponse(
        model="faces",
        version=version,
        manifest_digest=digest,
        mean=latents,
        log_variance=latents,
    )


def model(size: int, latents: int, name: str = "faces") -> ModelInfo:
    return ModelInfo(name, "1", True, "vae", size, 3, latents, (), (), 0.5, {}, {}, "")  # noqa: FBT003


def test_replies_are_joined_in_order() -> None:
    first, second = reply("1"), reply("1", rows=1)
    second.mean.CopyFrom(tensor(np.full((1, 3), 9, np.float32)))
    joined = _replies.encoding([first, second])
    assert joined.mean.tolist() == [[1, 1, 1], [1, 1, 1], [9, 9, 9]]


def test_replies_of_two_versions_are_not_mixed() -> None:
    with pytest.raises(TryAgain, match="faces/1 to faces/2") as caught:
        _replies.encoding([reply("1"), reply("1"), reply("2")])
    assert caught.value.reason == "MODEL_CHANGED"


def test_replies_of_two_bundles_of_one_version_are_not_mixed() -> None:
    replies = [reply("1", digest="ab"), reply("1", digest="cd")]
    with pytest.raises(TryAgain, match="faces/1: its bundle was replaced; try again"):
        _replies.encoding(replies)
    assert _replies.encoding(replies[1:]).model.manifest_digest == "cd"


def test_results_may_be_written_to() -> None:
    for replies in ([reply("1")], [reply("1"), reply("1")]):
        _replies.encoding(replies).mean[0, 0] = 7


@pytest.mark.parametrize(
    "broken",
    [
        common_pb2.Tensor(data=b"123", shape=[1], data_type=common_pb2.DATA_TYPE_FLOAT32),
        common_pb2.Tensor(data=b"1234", shape=[1]),
    ],
)
def test_a_tensor_that_contradicts_itself_is_the_server_s_fault(broken: common_pb2.Tensor) -> None:
    with pytest.raises(InternalServerError, match="broken tensor"):
        _replies.array(broken)


def test_images_that_contradict_themselves_are_the_server_s_fault() -> None:
    raw = common_pb2.RawImages(data=b"1234567", height=1, width=2, channels=3)
    message = face_service_pb2.DecodeResponse(images=common_pb2.Images(raw=raw))
    with pytest.raises(InternalServerError, match="broken images"):
        _replies.decoded([message])


def test_a_histogram_that_is_none_is_the_server_s_fault() -> None:
    edges, counts = np.zeros((1, 3)), np.zeros((1, 2), np.int64)
    message = common_pb2.LatentHistogram(edges=tensor(edges), counts=tensor(counts))
    with pytest.raises(InternalServerError, match="broken histogram"):
        _replies.histogram(message)


@given(st.integers(1, 5000), st.integers(1024, 2**20), st.integers(1, 4096), st.integers(1, 3000))
def test_a_budget_fits_request_and_reply_into_a_message(
    items: int, message: int, size: int, asked: int
) -> None:
    budget = Served((), Limits(items, message, 1)).budget(size)
    rows = min(asked, budget.items)
    assert 1 <= rows <= items
    pixels = common_pb2.RawImages(data=bytes(rows * size), height=1, width=size, channels=1)
    answer = face_service_pb2.DecodeResponse(
        model="m" * 100, version="v" * 100, images=common_pb2.Images(raw=pixels)
    )
    assert answer.ByteSize() <= message or rows == 1


def test_an_unnamed_model_is_taken_for_the_largest() -> None:
    served = Served((model(64, 100), model(128, 20, "big")), Limits(10, 1000, 1))
    assert served.image_bytes(Target()) == 128 * 128 * 3
    assert served.image_bytes(Target("faces")) == 64 * 64 * 3
    grey = replace(model(30, 10, "grey"), channels=1)
    assert Served((grey,), served.limits).image_bytes(Target("grey")) == 30 * 30
    assert Served((grey,), served.limits).image_bytes(Target("grey"), color=True) == 30 * 30 * 3
    assert served.latent_bytes(Target()) == 400
    assert served.image_bytes(Target("nobody")) == 0
