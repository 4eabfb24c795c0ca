"""Small parts: versions, attributes, limits, arithmetic, log lines."""

import json
import logging

import numpy as np
import pytest
from evenface_core.errors import FunctionUnsupported, InvalidInput
from evenface_core.images import Preprocessing
from evenface_server import maths
from evenface_server.attributes import apply_attributes
from evenface_server.calls import RawPixels
from evenface_server.intake import Limits, receive
from evenface_server.logs import CURRENT_CALL, CallRecord, JsonFormatter
from evenface_server.models.names import version_key
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import LATENT, Tiny, images, tiny_manifest

LIMITS = Limits(max_items=10, max_message_bytes=10_000, max_pixels=400)


def test_versions_order_by_their_numbers() -> None:
    ordered = ["1", "1.2", "1.10", "2-rc1", "2-rc10", "10", "2024.1.1", "v1", "v2"]
    shuffled = [*ordered[5:], *ordered[:5]]
    assert sorted(shuffled, key=version_key) == ordered


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True)))
def test_any_versions_can_be_ordered(versions: list[str]) -> None:
    ordered = sorted(versions, key=version_key)
    assert sorted(ordered) == sorted(versions)


def test_one_attribute_set_is_for_all_and_several_are_one_each() -> None:
    manifest = tiny_manifest(Tiny(conditions=("beard", "hat")))
    latents = np.zeros((2, LATENT), np.float32)
    moved, conditions = apply_attributes(manifest, latents, [{"hat": 2.0, "smiling": 1.0}])
    np.testing.assert_array_equal(conditions, [[0, 2], [0, 2]])
    np.testing.assert_array_equal(moved, [[1, 0, 0, 2]] * 2)
    _, each = apply_attributes(manifest, latents, [{"beard": 1.0}, {}])
    np.testing.assert_array_equal(each, [[1, 0], [0, 0]])
    assert not latents.any()


@pytest.mark.parametrize("value", [3e38, -3e38])
def test_attributes_that_move_latents_out_of_all_bounds_are_refused(value: float) -> None:
    manifest = tiny_manifest(Tiny())
    latents = np.full((2, LATENT), value, np.float32)
    with pytest.raises(InvalidInput, match=r"attributes: .* not finite"):
        apply_attributes(manifest, latents, [{"smiling": value}])


def test_a_model_without_attributes_says_so() -> None:
    manifest = tiny_manifest(Tiny(attribute_vectors=()))
    with pytest.raises(FunctionUnsupported, match="knows no attributes"):
        apply_attributes(manifest, np.zeros((1, LATENT), np.float32), [{"hat": 1.0}])


@pytest.mark.parametrize(("item", "fits"), [(100, 87), (9480, 1), (9481, 0)])
def test_the_largest_reply_that_fits_is_found(item: int, fits: int) -> None:
    LIMITS.check_reply("x", fits, item)
    with pytest.raises(InvalidInput) as caught:
        LIMITS.check_reply("x", fits + 1, item)
    assert caught.value.limit == fits


def test_raw_pixels_are_not_copied() -> None:
    pictures = images(3)
    data = pictures.tobytes()
    batch = receive(RawPixels(data, 16, 16, 3), Preprocessing(size=16), LIMITS)
    assert np.shares_memory(batch.as_they_are(), np.frombuffer(data, np.uint8))


def test_too_many_pixels_are_refused() -> None:
    with pytest.raises(InvalidInput, match="21×20 = 420 pixels; limit 400"):
        receive(RawPixels(bytes(20 * 21 * 3), 20, 21, 3), Preprocessing(size=16), LIMITS)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1))
def test_the_logistic_function_is_exact_and_never_overflows(values: list[float]) -> None:
    logits = np.array(values, np.float32)
    wide = np.clip(logits.astype(np.longdouble), -500, 500)
    np.testing.assert_allclose(maths.logistic(logits), 1 / (1 + np.exp(-wide)), atol=1e-6)


def test_a_log_line_is_json_with_request_id_and_traceback() -> None:
    CURRENT_CALL.set(CallRecord("abc"))
    error = ValueError("broken")
    record = logging.LogRecord(
        "evenface", logging.ERROR, __file__, 1, "internal %s", ("error",), (ValueError, error, None)
    )
    record.rows = 3
    line = json.loads(JsonFormatter().format(record))
    assert (line["event"], line["level"], line["rows"]) == ("internal error", "error", 3)
    assert line["request_id"] == "abc"
    assert "ValueError: broken" in line["traceback"]
