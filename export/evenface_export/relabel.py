"""The command `evenface-attributes`: a bundle and labelled faces in, attribute vectors out.

Nothing is trained: vectors need the latents that the bundle's own encoder gives to labelled faces.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from evenface_core.bundle import Bundle, open_bundle, write_bundle
from evenface_core.cli import guarded
from evenface_core.config import parse
from evenface_core.errors import BundleError, ConfigError, ExportError
from evenface_core.manifest import CARD_FILE, Manifest, check_name
from evenface_training.config import TrainingConfig
from evenface_training.data import TrainingData, load_data
from evenface_training.interrupt import terminable
from tqdm import tqdm

from evenface_export.attributes import AttributeVector, find_vectors, split_sides
from evenface_export.card_attributes import replace_section
from evenface_export.graphs import Graph
from evenface_export.sessions import ServedModel


@dataclass(frozen=True)
class AttributesRequest:
    """Which bundle gets attributes, and from which faces.

    Attributes:
        bundle: Its folder.
        faces: A folder, or a source as YAML: `{kind: celeba, path: celeba}`.
        labels: CSV with a column `file`; None where the source has labels.
        columns: Label columns that become attribute vectors.
        version: Of the bundle that is written beside the other; the same one is replaced.
        cache: Folder of the decoded arrays.
    """

    bundle: Path
    faces: str
    labels: Path | None
    columns: tuple[str, ...]
    version: str
    cache: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 after an error, 130 after Ctrl-C."""
    options = vars(_parser().parse_args(arguments))
    request = AttributesRequest(**{**options, "columns": tuple(options["columns"])})
    return guarded(lambda: _run(request))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evenface-attributes",
        description="Give a bundle attribute vectors, found with any labelled faces.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="such as models/faces/1")
    parser.add_argument("--faces", required=True, help="folder, or a source as in docs/data.md")
    parser.add_argument("--labels", type=Path, help="CSV with a column `file`")
    parser.add_argument("--columns", nargs="+", required=True, metavar="COLUMN")
    parser.add_argument(
        "--version", required=True, help="of the bundle to write; its own version replaces it"
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache/evenface"))
    return parser


@terminable()
def _run(request: AttributesRequest) -> None:
    folder, found = add_attributes(request)
    for name, vector in found.items():
        auc = "unknown" if vector.quality.auc is None else f"{vector.quality.auc:.4f}"
        tqdm.write(f"{name}  AUC {auc}")
    tqdm.write(f"done: {folder}")


def add_attributes(request: AttributesRequest) -> tuple[Path, dict[str, AttributeVector]]:
    """Write a bundle with attribute vectors in place of those that it may have.

    Returns:
        Its folder, and the vectors.

    Raises:
        BundleError: There is no such bundle, or another of the version.
        ConfigError: The faces cannot be told what they are.
        DataError: The faces or labels cannot be read.
        ExportError: The bundle has no latents, or no column becomes an attribute.
        OSError: Something cannot be written.
    """
    bundle = open_bundle(request.bundle)
    _check(bundle, request)
    data = load_data(_config(bundle.manifest, request))
    wanted = [column for column in request.columns if column not in bundle.manifest.conditions]
    found = _vectors(bundle, data, wanted)
    manifest = bundle.manifest.model_copy(
        update={
            "version": request.version,
            "attribute_vectors": {name: vector.values for name, vector in found.items()},
            "attribute_quality": {name: vector.quality for name, vector in found.items()},
            "provenance": bundle.manifest.provenance | {"attributes_data_digest": data.digest},
        }
    )
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    files[CARD_FILE] = _card(bundle, request.version, found).encode()
    root = request.bundle.absolute().parents[1]
    replaces = request.version == bundle.manifest.version
    return write_bundle(root, manifest, files, replace=replaces), found


def _check(bundle: Bundle, request: AttributesRequest) -> None:
    try:
        check_name(request.version)
    except ValueError as error:
        raise ExportError(str(error)) from error
    if not {"encode", "decode"} <= set(bundle.manifest.functions):
        raise ExportError(f"{request.bundle}: attributes need a model that encodes and decodes")
    target = request.bundle.absolute().parent / request.version
    if request.version != bundle.manifest.version and target.exists():
        raise BundleError(f"{target}: this version exists")


def _vectors(
    bundle: Bundle, data: TrainingData, columns: Sequence[str]
) -> dict[str, AttributeVector]:
    functions = bundle.manifest.functions.items()
    served = ServedModel({name: Graph(f, bundle.read(f.graph)) for name, f in functions})
    sides = split_sides(data.labels, columns)
    latents, _ = served.encode(data.faces.images, data.faces.train)
    found = find_vectors(served, data.faces, latents, sides)
    if not found:
        raise ExportError(f"--columns {' '.join(columns)}: no attribute has 20 faces on both sides")
    return found


def _card(bundle: Bundle, version: str, found: Mapping[str, AttributeVector]) -> str:
    title, _, rest = bundle.card.partition("\n")
    title = title.replace(f"version {bundle.manifest.version}", f"version {version}")
    return replace_section(f"{title}\n{rest}", found)


def _config(manifest: Manifest, request: AttributesRequest) -> TrainingConfig:
    """A configuration that reads faces as the bundle's run did, and holds out the same ones."""
    run: dict[str, Any] = json.loads(manifest.provenance.get("config", "{}")).get("data", {})
    kept = ("validation_fraction", "group_key", "max_broken_fraction")
    spec = manifest.preprocessing
    return parse(
        TrainingConfig,
        {
            "name": manifest.name,
            # Of the model only its images matter here, and this kind takes any.
            "model": {
                "kind": "vae",
                "architecture": "mlp",
                "image_size": spec.size,
                "channels": spec.channels,
            },
            "data": {key: run[key] for key in kept if key in run}
            | {
                "faces": _source(request.faces),
                "labels": request.labels,
                "cache": request.cache,
                "crop": spec.crop,
                "resample": spec.resample,
            },
        },
        source="--faces",
    )


def _source(text: str) -> Any:  # noqa: ANN401 - a path or a source's settings, checked by pydantic
    if Path(text).exists():
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--faces: neither a folder nor a source as YAML: {text!r}") from error
