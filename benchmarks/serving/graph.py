"""The model that every server runs: the lab's DB-VAE with random weights, as a real bundle.

Speed does not depend on the weights, so nothing is trained; graphs and manifest come from the
project's own export.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnxruntime as ort
from evenface_core.bundle import open_bundle, write_bundle
from evenface_core.errors import BundleError
from evenface_core.images import Preprocessing, load_image
from evenface_core.manifest import CARD_FILE, FunctionName, Manifest
from numpy.typing import NDArray

from benchmarks.serving.places import MODELS
from benchmarks.serving.workloads import SIDE, UInt8

if TYPE_CHECKING:
    from evenface_export.graphs import Graph

Float32 = NDArray[np.float32]

Precision = Literal["fp32", "fp16"]

NAME, VERSION = "faces", "1"
LATENT = 100
PREPROCESSING = Preprocessing(size=SIDE)

_CARD = "# Random weights\n\nFor measuring speed alone.\n"


@dataclass(frozen=True)
class Reference:
    """The bundle and a session on its encoder, which says what the right answers are.

    Attributes:
        graph: The encoder's ONNX file.
    """

    graph: Path
    _session: ort.InferenceSession

    def encode(self, images: UInt8) -> Float32:
        """Mean and log-variance side by side: float32 [N, 2 · 100]."""
        return np.hstack(self._session.run(["mean", "log_variance"], {"images": images}))

    def encode_file(self, data: bytes) -> Float32:
        """The same of an image file: float32 [1, 2 · 100]."""
        return self.encode(load_image(data, PREPROCESSING)[None])


def open_reference() -> Reference:
    """Open the benchmark's bundle; it is made where it is missing or damaged."""
    graph = ensure_bundle(MODELS) / "encode.onnx"
    return Reference(graph, ort.InferenceSession(graph, providers=["CPUExecutionProvider"]))


def ensure_bundle(root: Path, name: str = NAME, precision: Precision = "fp32") -> Path:
    """Return the folder of a bundle with the benchmark's graphs; make it first if need be.

    Args:
        root: The model directory.
        name: The model's name.
        precision: Of the graphs; a version of its own.
    """
    version = VERSION if precision == "fp32" else f"{VERSION}-{precision}"
    folder = root / name / version
    try:
        open_bundle(folder)
    except BundleError:
        return _write(root, name, version, precision)
    return folder


def _write(root: Path, name: str, version: str, precision: Precision) -> Path:
    graphs = _graphs(precision)
    files = {graph.function.graph: graph.data for graph in graphs.values()}
    manifest = Manifest(
        name=name,
        version=version,
        kind="dbvae",
        preprocessing=PREPROCESSING,
        latent_size=LATENT,
        functions={function: graph.function for function, graph in graphs.items()},
        provenance={"weights": "random"},
    )
    return write_bundle(root, manifest, {**files, CARD_FILE: _CARD.encode()}, replace=True)


@functools.cache
def _graphs(precision: Precision) -> "dict[FunctionName, Graph]":
    # Imported here: a benchmark whose bundle is there needs no torch.
    from evenface_export.graphs import export_graphs  # noqa: PLC0415
    from evenface_training.config import ModelConfig  # noqa: PLC0415
    from evenface_training.models import build_model  # noqa: PLC0415

    config = ModelConfig(kind="dbvae", image_size=SIDE, latent_size=LATENT, n_filters=12)
    return export_graphs(build_model(config, seed=0).eval(), precision)
