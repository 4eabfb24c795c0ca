"""The reader of ONNX files against files that the onnx package writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from evenface_core.errors import BundleError
from evenface_runtime.onnx_file import check_onnx_file, holds_float16
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support.bundles import Tiny, write_tiny_bundle


def _model(*domains: str, location: int = TensorProto.DEFAULT) -> bytes:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    weight.data_location = location  # type: ignore[assignment]
    graph = helper.make_graph([], "g", [], [], [weight])
    opsets = [helper.make_opsetid(domain, 1) for domain in domains]
    # make_model adds the standard set where the list is empty.
    model = helper.make_model(graph, opset_imports=opsets or [helper.make_opsetid("", 1)])
    if not opsets:
        model.ClearField("opset_import")
    return model.SerializeToString()


@pytest.mark.parametrize("domains", [[""], ["ai.onnx"], ["", "ai.onnx"]])
def test_the_standard_domain_is_allowed_under_both_its_names(domains: list[str]) -> None:
    check_onnx_file(_model(*domains), name="g.onnx")


@pytest.mark.parametrize("domain", ["com.microsoft", "ai.onnx.ml", "custom"])
def test_any_other_domain_is_refused(domain: str) -> None:
    with pytest.raises(BundleError, match=rf"g\.onnx: operator domain '{domain}'"):
        check_onnx_file(_model("", domain), name="g.onnx")


def test_weights_in_another_file_are_refused() -> None:
    with pytest.raises(BundleError, match="outside of the file"):
        check_onnx_file(_model("", location=TensorProto.EXTERNAL), name="g.onnx")


def _outside() -> TensorProto:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def _in_branch() -> onnx.GraphProto:
    branch = helper.make_graph([], "b", [], [], [_outside()])
    return helper.make_graph([helper.make_node("If", ["c"], [], then_branch=branch)], "g", [], [])


def _in_constant() -> onnx.GraphProto:
    node = helper.make_node("Constant", [], ["w"], value=_outside())
    return helper.make_graph([node], "g", [], [])


def _in_sparse() -> onnx.GraphProto:
    sparse = onnx.SparseTensorProto(values=_outside(), dims=[1])
    return helper.make_graph([], "g", [], [], sparse_initializer=[sparse])


@pytest.mark.parametrize("make", [_in_branch, _in_constant, _in_sparse])
def test_weights_in_another_file_are_found_wherever_a_tensor_may_be(
    make: Callable[[], onnx.GraphProto],
) -> None:
    data = helper.make_model(make()).SerializeToString()
    with pytest.raises(BundleError, match="outside of the file"):
        check_onnx_file(data, name="g.onnx")


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        (b"\x70\x81\x80\x80\x80\x10", "outside of the file"),  # 1 to protobuf's parsers
        (b"\xf0\x80\x80\x80\x10\x01", "not an ONNX model"),
    ],
    ids=["value", "key"],
)
def test_numbers_above_32_bits_hide_no_weights(field: bytes, problem: str) -> None:
    graph = b"\x2a" + bytes([len(field)]) + field
    data = b"\x42\x00" + b"\x3a" + bytes([len(graph)]) + graph
    with pytest.raises(BundleError, match=problem):
        check_onnx_file(data, name="g.onnx")


def test_a_function_within_the_model_may_use_no_other_domain_either() -> None:
    function = helper.make_function(
        "local", "f", [], [], [], [helper.make_opsetid("com.microsoft", 1)]
    )
    model = helper.make_model(helper.make_graph([], "g", [], []), functions=[function])
    with pytest.raises(BundleError, match=r"'com\.microsoft'"):
        check_onnx_file(model.SerializeToString(), name="g.onnx")


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08", b"\x42\xff", b"\xff" * 20])
def test_other_bytes_are_no_model(data: bytes) -> None:
    with pytest.raises(BundleError, match="not an ONNX model"):
        check_onnx_file(data, name="g.onnx")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        check_onnx_file(data, name="g.onnx")
    except BundleError:
        return
    assert len(data) > 0


def test_a_whole_graph_is_read_as_the_onnx_package_reads_it(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path, Tiny(encode_seconds=1e-6)) / "encode.onnx"
    assert [opset.domain for opset in onnx.load(path).opset_import] == [""]
    check_onnx_file(path.read_bytes(), name="encode.onnx")


@pytest.mark.parametrize(("dtype", "halves"), [(np.float16, True), (np.float32, False)])
def test_weights_in_float16_are_found_in_a_graph_and_in_its_branches(
    dtype: type[np.floating[Any]], *, halves: bool
) -> None:
    weight = numpy_helper.from_array(np.ones(3, dtype), "w")
    branch = helper.make_graph([], "b", [], [], [weight])
    choice = helper.make_node("If", ["c"], [], then_branch=branch)
    for graph in (
        helper.make_graph([], "g", [], [], [weight]),
        helper.make_graph([choice], "g", [], []),
    ):
        assert holds_float16(helper.make_model(graph).SerializeToString()) is halves
