import numpy as np
import pytest

from benchmarks.serving.kserve import fields, infer_outputs, infer_request, streamed


def field(number: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def reply(name: str, values: list[float]) -> tuple[bytes, bytes]:
    tensor = field(1, name.encode()) + field(2, b"FP32") + field(3, bytes([1, len(values)]))
    return field(5, tensor), field(6, np.array(values, "<f4").tobytes())


def test_a_request_holds_model_input_and_raw_contents() -> None:
    raw = bytes(300)
    message = dict(fields(infer_request("encoder", "images", "UINT8", (300, 1), raw)))
    tensor = dict(fields(message[5]))
    assert (message[1], message[7]) == (b"encoder", raw)
    assert (tensor[1], tensor[2]) == (b"images", b"UINT8")
    assert tensor[3] == b"\xac\x02\x01"  # 300 and 1 as varints


def test_outputs_are_matched_with_raw_contents_by_position() -> None:
    mean, first = reply("mean", [1.0, 2.0])
    spread, second = reply("log_variance", [3.0])
    # Numbers and fixed-width fields between them are passed over.
    message = field(1, b"encoder") + b"\x10\x96\x01" + mean + spread + b"\x4d1234" + first + second
    outputs = infer_outputs(message)
    assert outputs["mean"].tolist() == [[1.0, 2.0]]
    assert outputs["log_variance"].tolist() == [[3.0]]


def test_raw_contents_that_are_missing_are_an_error() -> None:
    mean, _ = reply("mean", [1.0])
    with pytest.raises(ValueError, match="zip"):
        infer_outputs(mean)


def test_an_error_on_a_stream_is_raised_with_its_text() -> None:
    assert streamed(field(2, b"reply")) == b"reply"
    with pytest.raises(ValueError, match="no such model"):
        streamed(field(1, b"no such model"))
