"""A part of a graph that takes as long as a test asks for, on a fast machine as on a slow one.

How much work that is gets measured, once in each process: machines differ five times and more in
what they do in a second.
"""

import time
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

_SIDE = 40  # of matrices so small that ONNX Runtime never shares a product among threads
_MEASURED_LOOPS, _MEASUREMENTS = 2000, 5


def wasted_seconds(seconds: float) -> tuple[list[Any], dict[str, Any]]:
    """Return nodes and weights that add zero to `shift`, in a while, and call it `slow_shift`.

    Args:
        seconds: Of one core that they take, about, > 0.
    """
    return _wasted_loops(max(1, round(seconds / _loop_seconds())))


@cache
def _loop_seconds() -> float:
    """CPU seconds of a loop: the fewest of several runs, as whatever else is going on adds some."""
    nodes, weights = _wasted_loops(_MEASURED_LOOPS)
    weights["shift"] = np.float32(0)
    graph = helper.make_graph(
        nodes,
        "loops",
        [],
        [helper.make_tensor_value_info("slow_shift", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    data = model.SerializeToString()
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def measure() -> float:
        began = time.thread_time()
        session.run(None, {})
        return time.thread_time() - began

    return min(measure() for _ in range(_MEASUREMENTS)) / _MEASURED_LOOPS


def _wasted_loops(loops: int) -> tuple[list[Any], dict[str, Any]]:
    """A loop of matrix products whose result, zero, is added to `shift`."""
    square = [_SIDE, _SIDE]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("MatMul", ["state_in", "state_in"], ["state_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_in", TensorProto.FLOAT, square),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, square),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["loops", "go", "state"], ["final"], body=body),
        helper.make_node("ReduceMean", ["final"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["shift", "nothing"], ["slow_shift"]),
    ]
    return nodes, {
        "loops": np.int64(loops),
        "go": np.bool_(True),  # noqa: FBT003
        "state": np.zeros(square, np.float32),
    }
