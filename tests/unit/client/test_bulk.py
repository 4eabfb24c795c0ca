"""The bookkeeping of bulk streams, against a server that is a few lines of Python."""

from collections import deque
from collections.abc import Callable

import grpc
import numpy as np
import pytest
from evenface.v1 import face_service_pb2
from evenface_client import InvalidRequest, NotFound, Outcome, Overloaded, Unavailable, _bulk
from evenface_client._bulk import Bulk, Outgoing
from evenface_client._chunks import Budget
from evenface_client._inputs import Item
from evenface_client._requests import Target
from evenface_client._wires import classify_wire
from evenface_client.results import ClassifiedImage
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

Request = face_service_pb2.ClassifyFaceStreamRequest
Reply = face_service_pb2.ClassifyFaceStreamResponse
Stream = Bulk[Reply, ClassifiedImage]

BAD = b"bad"


def stream(retries: int = 2, items: int = 4) -> Stream:
    return Bulk(classify_wire(Target(), None), Budget(items, 10_000), retries, "id")


def answer(request: Request) -> Reply:
    """Classify: the logit of an image is its length; BAD cannot be read."""
    files = list(request.request.images.encoded.data)
    if BAD in files:
        return refusal(request, grpc.StatusCode.INVALID_ARGUMENT, files.index(BAD))
    reply = Reply(id=request.id)
    tensor = reply.response.logits
    tensor.data = np.array([len(file) for file in files], "<f4").tobytes()
    tensor.shape.append(len(files))
    tensor.data_type = 1  # type: ignore[assignment]
    reply.response.probabilities.CopyFrom(tensor)
    reply.response.is_face.extend([True] * len(files))
    return reply


def refusal(request: Request, code: grpc.StatusCode, index: int | None = None) -> Reply:
    status = status_pb2.Status(code=code.value[0], message="refused")
    if index is not None:
        field = f"images.encoded.data[{index}]"
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description="damaged")
        packed = any_pb2.Any()
        packed.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        status.details.append(packed)
    return Reply(id=request.id, error=status)


def run(
    bulk: Stream, files: list[bytes], serve: Callable[[Request], Reply] = answer
) -> list[Outcome[ClassifiedImage]]:
    """Drive a stream to its end; one reply is taken for each image that is added."""
    queue: deque[Request] = deque()
    outcomes: list[Outcome[ClassifiedImage]] = []

    def send(outgoing: Outgoing) -> None:
        queue.extend(outgoing.requests)  # type: ignore[arg-type]

    def turn() -> None:
        if queue:
            send(bulk.receive(serve(queue.popleft())))
        outcomes.extend(bulk.ready())

    for file in files:
        send(bulk.add(Item(file)))
        turn()
    send(bulk.flush())
    while bulk.waiting:
        turn()
    outcomes.extend(bulk.ready())
    return outcomes


FILES = st.lists(st.one_of(st.just(BAD), st.binary(min_size=4, max_size=9)), max_size=60)


@given(FILES, st.integers(1, 9))
def test_each_image_has_one_outcome_in_order_and_bad_ones_hurt_no_other(
    files: list[bytes], items: int
) -> None:
    outcomes = run(stream(items=items), files)
    assert [outcome.index for outcome in outcomes] == list(range(len(files)))
    for file, outcome in zip(files, outcomes, strict=True):
        if file == BAD:
            assert isinstance(outcome.error, InvalidRequest)
            assert outcome.error.index == outcome.index
        else:
            assert outcome.unwrap().logit == len(file)


@given(FILES, st.data())
def test_a_stream_that_breaks_anywhere_goes_on_where_it_was(
    files: list[bytes], data: st.DataObject
) -> None:
    bulk = stream(retries=1)
    queue: deque[Request] = deque()
    outcomes: list[Outcome[ClassifiedImage]] = []
    for file in files:
        queue.extend(bulk.add(Item(file)).requests)  # type: ignore[arg-type]
        if data.draw(st.booleans()):  # the stream breaks: what was on its way is lost
            queue = deque(bulk.reopen(Unavailable("gone")).requests)  # type: ignore[arg-type]
        if queue:
            queue.extend(bulk.receive(answer(queue.popleft())).requests)  # type: ignore[arg-type]
        else:
            bulk._reopened = 0  # noqa: SLF001 - nothing was outstanding
        outcomes.extend(bulk.ready())
    queue.extend(bulk.flush().requests)  # type: ignore[arg-type]
    while queue:
        queue.extend(bulk.receive(answer(queue.popleft())).requests)  # type: ignore[arg-type]
    outcomes.extend(bulk.ready())
    assert [outcome.index for outcome in outcomes] == list(range(len(files)))


def test_what_is_held_is_bounded_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bulk, "_HELD_IMAGES", 10)
    monkeypatch.setattr(_bulk, "_HELD_BYTES", 5_000)
    many, large = stream(items=2), stream(items=2)
    added = 0
    while not many.full:
        many.add(Item(b"xxxx"))
        added += 1
    assert added == 10
    while not large.full:
        large.add(Item(b"x" * 2_000))
    assert large.added == 5  # two requests of 4,032 bytes are out, the fifth image began a third


def test_large_images_do_not_wait_for_a_request_to_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bulk, "_REQUEST_BYTES", 100)
    bulk = stream(items=4)
    assert not bulk.add(Item(b"x" * 60)).requests
    assert len(bulk.add(Item(b"x" * 60)).requests) == 1


def test_an_overloaded_server_is_asked_again_after_the_delay_it_advises() -> None:
    bulk = stream(retries=1, items=1)
    bulk.add(Item(b"xxxx"))
    (request,) = bulk.add(Item(b"yyyyy")).requests
    again = bulk.receive(refusal(request, grpc.StatusCode.RESOURCE_EXHAUSTED))  # type: ignore[arg-type]
    assert again.delay == pytest.approx(0.2)
    (repeated,) = again.requests
    assert repeated.request == request.request  # type: ignore[attr-defined]
    with pytest.raises(Overloaded):
        bulk.receive(refusal(repeated, grpc.StatusCode.RESOURCE_EXHAUSTED))  # type: ignore[arg-type]


def test_the_delay_that_a_server_advises_is_kept() -> None:
    bulk = stream(retries=1, items=1)
    bulk.add(Item(b"xxxx"))
    (request,) = bulk.flush().requests
    refused = refusal(request, grpc.StatusCode.RESOURCE_EXHAUSTED)  # type: ignore[arg-type]
    advice = refused.error.details.add()
    advice.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=3)))
    assert bulk.receive(refused).delay == pytest.approx(3)


def test_what_was_answered_is_no_longer_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bulk, "_HELD_BYTES", 5_000)
    bulk = stream(items=1)
    for _ in range(9):
        bulk.add(Item(b"x" * 2_000))
        for request in bulk.flush().requests:
            bulk.receive(answer(request))  # type: ignore[arg-type]
    bulk.add(Item(b"xxxx"))
    assert bulk.flush().requests
    list(bulk.ready())
    assert not bulk.full


def test_an_error_that_concerns_every_image_ends_the_stream() -> None:
    with pytest.raises(NotFound):
        run(stream(), [b"xxxx"], lambda r: refusal(r, grpc.StatusCode.NOT_FOUND))
    with pytest.raises(InvalidRequest):  # no image is named, so it is an argument's fault
        run(stream(), [b"xxxx"], lambda r: refusal(r, grpc.StatusCode.INVALID_ARGUMENT))


def test_a_stream_is_not_opened_again_for_ever() -> None:
    bulk = stream(retries=2)
    bulk.add(Item(b"xxxx"))
    delays = [bulk.reopen(Unavailable("gone")).delay for _ in range(2)]
    assert delays == pytest.approx([0.2, 0.4])
    with pytest.raises(Unavailable):
        bulk.reopen(Unavailable("gone"))


def test_images_refused_before_sending_take_their_place_in_order() -> None:
    bulk = stream(items=2)
    bulk.reject(InvalidRequest("images", "gone", index=0, source="gone.png"))
    assert [(o.index, o.source) for o in bulk.ready()] == [(0, "gone.png")]
    bulk.add(Item(b"x" * 20_000, None, "large.png"))
    bulk.add(Item(b"xxxx"))
    (large,) = bulk.ready()
    assert "20000 bytes; limit" in str(large.error)
    with pytest.raises(InvalidRequest, match=r"images\[1\] \(large.png\)"):
        large.unwrap()
