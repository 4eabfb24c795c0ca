"""Bundles: written whole or not at all, opened only when every digest checks out."""

import json
from pathlib import Path

import numpy as np
import pytest
from evenface_core.bundle import MANIFEST_FILE, open_bundle, write_bundle
from evenface_core.errors import BundleError
from evenface_core.images import Preprocessing
from evenface_core.manifest import (
    AggregatePosterior,
    Function,
    Manifest,
    TensorSpec,
    TrainingHistogram,
)
from evenface_core.resampling import LatentHistogram

FILES = {"encode.onnx": b"graph" * 100, "model_card.md": b"# tiny\n"}

WORTH = dict.fromkeys(("positives", "negatives", "held_out_positives", "held_out_negatives"), 1)


def manifest_of(**changes: object) -> Manifest:
    encode = Function(
        graph="encode.onnx",
        inputs=(TensorSpec(name="images", dtype="uint8", shape=("batch", 16, 16, 3)),),
        outputs=(TensorSpec(name="mean", dtype="float32", shape=("batch", 2)),),
    )
    values: dict[str, object] = {
        "name": "tiny",
        "version": "1",
        "kind": "vae",
        "preprocessing": Preprocessing(size=16),
        "latent_size": 2,
        "functions": {"encode": encode},
    }
    return Manifest.model_validate(values | changes)


def written(root: Path, **changes: object) -> Path:
    return write_bundle(root, manifest_of(**changes), FILES)


def test_a_written_bundle_opens_with_the_same_contents(tmp_path: Path) -> None:
    latents = np.random.default_rng(0).normal(size=(50, 2))
    histogram = LatentHistogram.from_latents(latents)
    folder = written(
        tmp_path,
        aggregate_posterior=AggregatePosterior(mean=(0.1, 0.2), std=(1.0, 2.0)),
        training_histogram=TrainingHistogram.from_histogram(histogram),
        attribute_vectors={"smiling": (0.5, -0.5)},
    )
    bundle = open_bundle(folder)
    assert folder == tmp_path / "tiny" / "1"
    assert bundle.read("encode.onnx") == FILES["encode.onnx"]
    assert bundle.card == "# tiny\n"
    assert bundle.manifest.attributes == ("smiling",)
    assert bundle.manifest.training_histogram is not None
    opened = bundle.manifest.training_histogram.to_histogram()
    assert np.array_equal(opened.edges, histogram.edges)
    assert np.array_equal(opened.counts, histogram.counts)


@pytest.mark.parametrize("name", [*FILES])
def test_a_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path)
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=rf"{name}: SHA-256 is .* says"):
        open_bundle(folder)


def test_a_shortened_file_is_found_with_both_sizes(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "encode.onnx").write_bytes(b"graph")
    with pytest.raises(BundleError, match=r"encode.onnx: 5 bytes, but manifest.json says 500"):
        open_bundle(folder)


def test_a_file_larger_than_memory_is_refused_unread(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with (folder / "encode.onnx").open("r+b") as file:
        file.truncate(2**42)  # with a hole, so that it takes no disk
    with pytest.raises(BundleError, match=f"encode.onnx: {2**42} bytes, but manifest.json says"):
        open_bundle(folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST_FILE])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=rf"{name}: No such file"):
        open_bundle(folder)


def edited(folder: Path, **changes: object) -> Path:
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"schema_version": 2}, "schema version 2; this evenface reads version 1"),
        ({"latent_sise": 2}, "unknown key 'latent_sise' .did you mean 'latent_size'"),
        ({"latent_size": -1}, "'latent_size' is -1"),
        ({"name": "../up"}, r"'name' is '../up'"),
        ({"files": {"../x": {"size": 0, "sha256": "0" * 64}}}, "does not match"),
        ({"files": {}}, "'encode.onnx' is not listed"),
        ({"functions": {}}, "functions"),
        ({"attribute_vectors": {"smiling": [1.0]}}, "'smiling' has 1 dimensions, latent_size is 2"),
        ({"aggregate_posterior": {"mean": [1, 2], "std": [1]}}, "std has 1 dimensions"),
        ({"training_histogram": {"edges": [[0, 1, 0]] * 2, "counts": [[1, 1]] * 2}}, "increase"),
        ({"training_histogram": {"edges": [[0, 1, 2]] * 2, "counts": [[1, 2**70]] * 2}}, "counts"),
        ({"provenance": {"seed": "\ud800"}}, "surrogates not allowed"),
        ({"conditions": ["a"], "attribute_vectors": {"a": [1, 2]}}, "both a condition and"),
        ({"attribute_quality": {"old": WORTH}}, "attribute_quality has 'old', which has no vector"),
        (
            {"functions": {"colorize": {"graph": "encode.onnx", "inputs": [], "outputs": []}}},
            "functions has 'colorize', but the model's images have colours",
        ),
        ({"decision_threshold": float("nan")}, "decision_threshold"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    folder = edited(written(tmp_path), **changes)
    with pytest.raises(BundleError, match=problem):
        open_bundle(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff", "[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    folder = written(tmp_path)
    (folder / MANIFEST_FILE).write_text(text)
    with pytest.raises(BundleError, match=MANIFEST_FILE):
        open_bundle(folder)


def test_an_existing_version_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with pytest.raises(BundleError, match="this version exists"):
        written(tmp_path)
    write_bundle(tmp_path, manifest_of(), {**FILES, "model_card.md": b"new"}, replace=True)
    assert open_bundle(folder).card == "new"
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_a_bundle_that_does_not_verify_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"'encode\.onnx' is not listed"):
        write_bundle(tmp_path, manifest_of(), {"model_card.md": b""})
    assert list((tmp_path / "tiny").iterdir()) == []


def test_a_full_disk_leaves_the_old_bundle_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evenface_core.bundle.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(tmp_path, manifest_of(), {**FILES, "model_card.md": b"new"}, replace=True)
    assert open_bundle(folder).card == "# tiny\n"
    assert [path.name for path in folder.parent.iterdir()] == ["1"]
