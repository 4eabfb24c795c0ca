"""The gate of an export: a graph that does not agree with the trained model is not written.

The reference is the model as it was trained, batch norms, division by 255 and all, run by torch
in float32; so folding is checked along with the conversion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from evenface_core.errors import ExportError
from evenface_core.latents import posterior_sample, standard_normal
from evenface_core.manifest import FunctionName
from evenface_training.evaluate import to_images, to_tensor
from evenface_training.models import FaceModel
from numpy.typing import NDArray

from evenface_export.graphs import Graph, Precision
from evenface_export.sessions import Array, GraphSession, UInt8

BATCHES = (1, 2, 7, 32)
TOLERANCES: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 1e-2}
TOLERANCES_LEVELS: Mapping[Precision, float] = {"fp32": 1.0, "fp16": 2.0}

IMAGES = ("images", "painted")  # outputs of 256 levels

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Deviation:
    """How far one output of a graph is from torch's at one batch size.

    Attributes:
        function: The graph's function.
        output: The output's name.
        precision: Of the graph.
        batch: Number of rows.
        error: Largest absolute error: of floats divided by max(1, root mean square of the
            reference), of images in levels of 255.
    """

    function: str
    output: str
    precision: Precision
    batch: int
    error: float

    @property
    def tolerance(self) -> float:
        """The largest error that a graph of this precision may have."""
        allowed = TOLERANCES_LEVELS if self.output in IMAGES else TOLERANCES
        return allowed[self.precision]


def measure_graphs(
    model: FaceModel,
    graphs: Mapping[FunctionName, Graph],
    images: UInt8,
    precision: Precision = "fp32",
) -> list[Deviation]:
    """Compare every graph with the model, at each batch size.

    Args:
        model: In eval mode, on the CPU.
        graphs: Its graphs.
        images: uint8 [N, S, S, C], N ≥ 1, of the kind that the model is for, grey for a colorizer;
            repeated where they are fewer than the largest batch.
        precision: Of the graphs. ONNX Runtime's CPU provider has few float16 kernels and computes
            the rest in float32 between casts: it shows what rounding the weights and some
            intermediate values to float16 costs.
    """
    found: list[Deviation] = []
    for name, graph in graphs.items():
        session = GraphSession(graph)
        for batch in BATCHES:
            rows = _inputs(model, name, np.resize(images, (batch, *images.shape[1:])))
            for output, expected, got in zip(
                session.output_names, _expected(model, name, rows), session.run(*rows), strict=True
            ):
                error = _error(expected, got)
                found.append(Deviation(name, output, precision, batch, error))
    return found


def require_parity(deviations: Sequence[Deviation]) -> None:
    """Refuse graphs that differ too much.

    Raises:
        ExportError: Names function, output, batch, error and tolerance of the worst.
    """
    # Not (a <= b), because NaN must fail too.
    failed = [item for item in deviations if not item.error <= item.tolerance]
    if failed:
        worst = max(failed, key=lambda item: np.nan_to_num(item.error / item.tolerance, nan=np.inf))
        raise ExportError(
            f"{worst.function}: '{worst.output}' differs from torch by {worst.error:.3g} at batch "
            f"{worst.batch}; tolerance {worst.tolerance:g}; no bundle written"
        )


def worst_by_output(deviations: Sequence[Deviation]) -> dict[tuple[Precision, str, str], float]:
    """The largest error over the batch sizes, or NaN, by (precision, function, output)."""
    worst: dict[tuple[Precision, str, str], float] = {}
    for item in deviations:
        key = (item.precision, item.function, item.output)
        worst[key] = float(np.maximum(worst.get(key, 0.0), item.error))
    return worst


@torch.inference_mode()
def _inputs(model: FaceModel, name: FunctionName, images: UInt8) -> tuple[Array, ...]:
    """The images themselves or, for the decoder, latents drawn from their posteriors.

    Conditions are drawn too, from N(0, 1): a caller may ask for any numbers.
    """
    if name != "decode":
        return (images,)
    encoding = model.encode(to_tensor(images, _CPU))
    if encoding.mean is None or encoding.log_variance is None:
        raise TypeError("a model that decodes encodes too")
    noise = standard_normal(0, range(len(images)), model.config.latent_size)
    latents = posterior_sample(encoding.mean.numpy(), encoding.log_variance.numpy(), noise)
    if not model.config.conditions:
        return (latents,)
    return latents, standard_normal(1, range(len(images)), len(model.config.conditions))


@torch.inference_mode()
def _expected(model: FaceModel, name: FunctionName, rows: tuple[Array, ...]) -> tuple[Array, ...]:
    if name == "decode":
        return (to_images(model.decode(*map(torch.from_numpy, rows))),)
    if name == "colorize" and model.decoder is not None:
        grey = to_tensor(rows[0].astype(np.uint8, copy=False), _CPU)
        return (to_images(model.decoder(grey)),)
    encoding = model.encode(to_tensor(rows[0].astype(np.uint8, copy=False), _CPU))
    latents = (encoding.mean, encoding.log_variance) if name == "encode" else ()
    parts = (*latents, encoding.logit)
    return tuple(part.numpy() for part in parts if part is not None)


def _error(expected: Array, got: Array) -> float:
    reference, value = expected.astype(np.float64), got.astype(np.float64)
    if reference.shape != value.shape:
        return float("inf")
    error = float(np.abs(value - reference).max())
    return error if expected.dtype == np.uint8 else error / _scale(reference)


def _scale(reference: NDArray[np.float64]) -> float:
    """At least 1, the unit of a latent (the prior's deviation) and of a logit."""
    return max(1.0, float(np.sqrt(np.square(reference).mean())))
