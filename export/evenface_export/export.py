"""The way from a checkpoint to a bundle, step by step.

Nothing is written before every graph has passed the parity gate and every figure is known.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from evenface_core.bundle import write_bundle
from evenface_core.config import parse
from evenface_core.errors import BundleError, DataError, ExportError
from evenface_core.manifest import CARD_FILE, FunctionName, Manifest, TrainingHistogram, check_name
from evenface_training.checkpoint import LoadedModel, load_model
from evenface_training.config import TrainingConfig
from evenface_training.data import TrainingData, load_data
from tqdm import tqdm

from evenface_export.attributes import split_sides
from evenface_export.card import CardFacts, write_card
from evenface_export.colorizer import colour_figures, describe_colorizer, load_colorizer
from evenface_export.distance import FileFeatures
from evenface_export.figures import measure
from evenface_export.graphs import Graph, Precision, export_graphs
from evenface_export.parity import (
    BATCHES,
    Deviation,
    measure_graphs,
    require_parity,
    worst_by_output,
)
from evenface_export.pictures import draw_pictures
from evenface_export.provenance import describe_origin
from evenface_export.quality import require_nonfaces
from evenface_export.sessions import ServedModel, UInt8

BEST_CHECKPOINT = Path("checkpoints") / "best.safetensors"


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and where to.

    Attributes:
        source: A run's folder, whose best checkpoint is taken, or a checkpoint.
        out: The model directory; the bundle becomes `out/NAME/VERSION`.
        name: The model's name.
        version: Its version.
        precision: Of the graphs.
        replace: Whether an existing version may be replaced.
        faces: Where the faces, or faces and non-faces of one source, are now; None for where the
            run found them.
        nonfaces: Likewise the non-faces.
        labels: Likewise the labels file.
        cache: Likewise the folder of decoded arrays.
        data_note: For the card: what the images are and where they come from.
        pictures: Folder for pictures, or None.
        colorizer: Run or checkpoint of a colorizer for the model's grey images, or None.
        features: ONNX file of the network that samples are compared with faces by, or None.
        attributes: Label columns that become attribute vectors; None for those of the run's groups.
        max_false_positives: Share of the held-out non-faces that may pass the decision threshold,
            above 0 and below 1; None chooses it by balanced accuracy.
    """

    source: Path
    out: Path
    name: str
    version: str
    precision: Precision = "fp32"
    replace: bool = False
    faces: Path | None = None
    nonfaces: Path | None = None
    labels: Path | None = None
    cache: Path | None = None
    data_note: str = ""
    pictures: Path | None = None
    colorizer: Path | None = None
    features: Path | None = None
    attributes: tuple[str, ...] | None = None
    max_false_positives: float | None = None


def export_bundle(request: ExportRequest) -> Path:
    """Make a bundle of a checkpoint.

    Returns:
        The bundle's folder.

    Raises:
        BundleError: The version exists and may not be replaced.
        ConfigError: The run has no non-faces that could have moved.
        DataError: The data cannot be read or are not what the run was trained on.
        ExportError: The name is not allowed, a graph does not agree with the trained model, a
            label column cannot become attribute vectors, or no threshold has so few false
            positives.
        OSError: Something cannot be written.
        TrainingError: There is no such checkpoint, or it cannot be used.
    """
    _check_target(request)
    checkpoint = find_checkpoint(request.source)
    loaded = load_model(checkpoint)
    colorizer = _check_kinds(request, loaded)
    data = _load_data(request, loaded)
    split_sides(data.labels, request.attributes or ())  # a wrong name is told before the work
    _check_nonfaces(request, data)
    tqdm.write("exporting graphs")
    graphs, deviations = _convert(loaded, request.precision, data)
    origin = describe_origin(loaded, checkpoint, request.precision, request.data_note)
    if request.max_false_positives is not None:
        origin["max_false_positives"] = f"{request.max_false_positives:g}"
    if request.features is not None:
        origin["features_sha256"] = FileFeatures(request.features).digest
    colours: dict[str, float] = {}
    if colorizer is not None and request.colorizer is not None:
        painting, more = _convert(colorizer, request.precision, data)
        graphs, deviations = graphs | painting, deviations + more
        origin |= describe_colorizer(colorizer, find_checkpoint(request.colorizer))
        colours = colour_figures(colorizer.metrics)
    served = ServedModel(graphs)
    figures = measure(
        served,
        data,
        loaded.config,
        request.attributes,
        request.features,
        request.max_false_positives,
    )
    figures = replace(figures, quality=figures.quality | colours)
    facts = CardFacts(
        name=request.name,
        version=request.version,
        config=loaded.config,
        functions=tuple(graphs),
        precision=request.precision,
        figures=figures,
        deviations=deviations,
        origin=origin,
    )
    files = {graph.function.graph: graph.data for graph in graphs.values()}
    files[CARD_FILE] = write_card(facts).encode()
    manifest = build_manifest(facts, graphs)
    written = write_bundle(request.out, manifest, files, replace=request.replace)
    if request.pictures is not None and figures.latents is not None:
        draw_pictures(request.pictures, served, data, figures)
    return written


def find_checkpoint(source: Path) -> Path:
    """Return the checkpoint itself, or the best one of a run's folder."""
    return source / BEST_CHECKPOINT if source.is_dir() else source


def build_manifest(facts: CardFacts, graphs: dict[FunctionName, Graph]) -> Manifest:
    """Put everything that a server must know into a manifest.

    Args:
        facts: What the card is written from, too.
        graphs: The exported graphs.
    """
    config, figures, latents = facts.config, facts.figures, facts.figures.latents
    assert config.model.kind != "colorizer"  # noqa: S101 - `_check_kinds` refuses it by itself
    return Manifest(
        name=facts.name,
        version=facts.version,
        kind=config.model.kind,
        preprocessing=config.preprocessing,
        latent_size=config.model.latent_size if config.model.generates else 0,
        functions={name: graph.function for name, graph in graphs.items()},
        conditions=config.model.conditions,
        attribute_vectors={name: found.values for name, found in figures.attributes.items()},
        attribute_quality={name: found.quality for name, found in figures.attributes.items()},
        aggregate_posterior=None if latents is None else latents.posterior,
        training_histogram=None
        if latents is None
        else TrainingHistogram.from_histogram(latents.histogram),
        decision_threshold=figures.threshold,
        quality=figures.quality | _parity_figures(facts.deviations),
        groups=figures.groups,
        provenance=dict(facts.origin),
    )


def probe_images(data: TrainingData) -> UInt8:
    """Take held-out images to test graphs with, faces and non-faces by turns.

    Returns:
        uint8 [N, S, S, C], N ≥ 1, at most the largest batch.
    """
    most = max(BATCHES)
    parts = [data.faces, *([data.nonfaces] if data.nonfaces is not None else [])]
    chosen = [part.images[part.validation[:most]] for part in parts]
    rows = [image for images in zip(*chosen, strict=False) for image in images]
    return np.stack(rows[:most])


def _check_target(request: ExportRequest) -> None:
    """Refuse early what the last step would refuse."""
    for value in (request.name, request.version):
        try:
            check_name(value)
        except ValueError as error:
            raise ExportError(str(error)) from error
    share = request.max_false_positives
    if share is not None and not 0 < share < 1:
        raise ExportError(f"--max-false-positives {share:g} is not between 0 and 1")
    target = request.out / request.name / request.version
    if target.exists() and not request.replace:
        raise BundleError(f"{target}: this version exists; --replace replaces it")
    for folder in [request.out / request.name, request.pictures]:
        if folder is not None:
            _require_writable(folder)


def _check_kinds(request: ExportRequest, loaded: LoadedModel) -> LoadedModel | None:
    """Refuse models that cannot do what is asked; return the colorizer, if there is to be one."""
    kind = loaded.config.model.kind
    if loaded.config.model.colours:
        raise ExportError(f"{request.source}: a colorizer goes with a model, as its --colorizer")
    if request.pictures is not None and not loaded.config.model.generates:
        raise ExportError(f"--pictures: a {kind} has no latents to draw from")
    if request.max_false_positives is not None and not loaded.config.model.classifies:
        raise ExportError(f"--max-false-positives: a {kind} does not tell faces from non-faces")
    if request.colorizer is None:
        return None
    return load_colorizer(find_checkpoint(request.colorizer), loaded)


def _check_nonfaces(request: ExportRequest, data: TrainingData) -> None:
    if request.max_false_positives is not None and data.nonfaces is not None:
        require_nonfaces(len(data.nonfaces.validation), request.max_false_positives)


def _require_writable(folder: Path) -> None:
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ExportError(f"{folder}: cannot be written ({nearest} is no writable folder)")


def _load_data(request: ExportRequest, loaded: LoadedModel) -> TrainingData:
    data = load_data(_moved(loaded.config, request))
    if not data.matches(loaded.data_digest):
        raise DataError(
            f"{data.faces.source.path}: these are not the images that the run was trained on, or "
            f"not their labels (digest {data.digest[:12]}, the checkpoint's is "
            f"{loaded.data_digest[:12]}), and its split would not be theirs; give the right ones "
            "with --faces, --nonfaces and --labels"
        )
    return data


def _moved(config: TrainingConfig, request: ExportRequest) -> TrainingConfig:
    """The configuration with the places where its data are now; a source stays of its kind."""
    values = config.model_dump()
    data = values["data"]
    for key in ("faces", "nonfaces", "labels", "cache"):
        place = getattr(request, key)
        if place is not None:
            known = "source" if key == "faces" and data["source"] is not None else key
            data[known] = {**data[known], "path": place} if isinstance(data[known], dict) else place
    return parse(TrainingConfig, values, source="the run's configuration")


def _convert(
    loaded: LoadedModel, precision: Precision, data: TrainingData
) -> tuple[dict[FunctionName, Graph], list[Deviation]]:
    """Export graphs, and refuse those that differ from torch; measure the other precision, too."""
    graphs = export_graphs(loaded.model, precision)
    tqdm.write("comparing them with torch")
    images = probe_images(data)
    deviations = measure_graphs(loaded.model, graphs, images, precision)
    require_parity(deviations)
    other: Precision = "fp32" if precision == "fp16" else "fp16"
    others = export_graphs(loaded.model, other)
    return graphs, deviations + measure_graphs(loaded.model, others, images, other)


def _parity_figures(deviations: Sequence[Deviation]) -> dict[str, float]:
    return {
        f"parity_{precision}_{function}_{output}": error
        for (precision, function, output), error in worst_by_output(deviations).items()
        if math.isfinite(error)  # a float16 graph may overflow; the card says so
    }
