"""Operations, driven by hand: what they ask, in which order."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from evenface.v1 import face_service_pb2, model_service_pb2
from evenface_client import _operations as operations
from evenface_client._operations import Knowledge, WeightSource
from evenface_client._requests import Call, Target, Wanted, Weighing
from support.messages import tensor

LATENTS = 3
PLAIN = Weighing("", None, None, 0.0, None, None)


def model(version: str) -> model_service_pb2.Model:
    return model_service_pb2.Model(name="faces", version=version, latent_size=LATENTS)


def answer(call: Call[Any]) -> Any:  # noqa: ANN401 - any reply
    """A server that takes two items a request and serves version 7."""
    if call.method == "ListModels":
        limits = model_service_pb2.Limits(max_items_per_request=2, max_message_bytes=10_000)
        return model_service_pb2.ListModelsResponse(models=[model("7")], limits=limits)
    if call.method == "GetModel":
        return model_service_pb2.GetModelResponse(model=model("7"))
    assert isinstance(call.request, face_service_pb2.EncodeRequest)
    rows = len(call.request.images.encoded.data)
    latents = tensor(np.random.default_rng(rows).normal(size=(rows, LATENTS)).astype(np.float32))
    return face_service_pb2.EncodeResponse(
        model="faces", version="7", mean=latents, log_variance=latents
    )


def run(operation: operations.Operation[Any]) -> tuple[Any, list[Call[Any]]]:
    """Run an operation; returns its result and its calls."""
    asked: list[Call[Any]] = []
    try:
        calls: Iterable[Call[Any]] = next(operation)
        while True:
            batch = list(calls)
            asked += batch
            calls = operation.send([answer(call) for call in batch])
    except StopIteration as end:
        return end.value, asked


def test_the_limits_are_asked_for_once() -> None:
    knowledge = Knowledge()
    for expected in (["ListModels", "Encode"], ["Encode"]):
        _, asked = run(operations.encode(knowledge, Target(), [b"x"], Wanted()))
        assert [call.method for call in asked] == expected


def test_weights_of_many_images_stay_with_the_version_that_encoded_them() -> None:
    images = [bytes([number]) for number in range(5)]
    operation = operations.resample_weights(Knowledge(), Target(), WeightSource(images), PLAIN)
    found, asked = run(operation)
    assert [call.method for call in asked] == ["ListModels", *["Encode"] * 3, "GetModel"]
    last = asked[-1].request
    assert isinstance(last, model_service_pb2.GetModelRequest)
    assert (last.model, last.version) == ("faces", "7")
    assert found.weights.shape == (5,)
