"""What is in a bundle, held against torch and the data."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from evenface_core.bundle import Bundle, open_bundle
from evenface_core.manifest import AggregatePosterior
from evenface_core.resampling import LatentHistogram
from evenface_export.main import main
from evenface_runtime import open_model
from evenface_training.checkpoint import LoadedModel, load_model
from evenface_training.data import TrainingData, load_data
from evenface_training.evaluate import encode_all, evaluate
from PIL import Image


@pytest.fixture(scope="session")
def loaded(dbvae_run: Path) -> LoadedModel:
    return load_model(dbvae_run / "checkpoints" / "best.safetensors")


@pytest.fixture(scope="session")
def data(loaded: LoadedModel) -> TrainingData:
    return load_data(loaded.config)


def test_graphs_of_the_bundle_run_as_the_manifest_says(bundle: Bundle) -> None:
    for function in bundle.manifest.functions.values():
        session = onnxruntime.InferenceSession(bundle.read(function.graph))
        (spec,) = function.inputs
        shape = [3 if size == "batch" else int(size) for size in spec.shape]
        outputs = session.run(None, {spec.name: np.zeros(shape, spec.dtype)})
        names = [output.name for output in session.get_outputs()]
        assert names == [output.name for output in function.outputs]
        for output, value in zip(function.outputs, outputs, strict=True):
            assert value.dtype == output.dtype
            assert value.shape == tuple(3 if s == "batch" else s for s in output.shape)


def test_figures_are_those_that_training_would_measure(
    bundle: Bundle, loaded: LoadedModel, data: TrainingData
) -> None:
    quality = bundle.manifest.quality
    figures = evaluate(loaded.model, data, loaded.config.loss).figures
    assert quality["auc"] == pytest.approx(figures["auc"], abs=1e-3)
    # Those of the bundle are of images of 256 levels.
    assert quality["reconstruction_l1"] == pytest.approx(figures["l1"], abs=0.002)
    assert quality["reconstruction_psnr"] == pytest.approx(figures["psnr"], abs=0.05)
    assert quality["reconstruction_ssim"] == pytest.approx(figures["ssim"], abs=0.02)
    assert quality["training_faces"] == len(data.faces.train)
    assert quality["pca_psnr"] > quality["reconstruction_psnr"]


def test_latents_are_described_as_torch_finds_them(
    bundle: Bundle, loaded: LoadedModel, data: TrainingData
) -> None:
    manifest = bundle.manifest
    found = encode_all(loaded.model, data.faces.images, data.faces.train)
    assert found.mean is not None
    assert found.log_variance is not None
    expected_posterior = AggregatePosterior.fit(found.mean, found.log_variance)
    assert manifest.aggregate_posterior is not None
    noise = np.random.default_rng(0).normal(size=(4, found.mean.shape[1])).astype(np.float32)
    np.testing.assert_allclose(
        manifest.aggregate_posterior.draw(noise), expected_posterior.draw(noise), atol=1e-4
    )
    assert manifest.training_histogram is not None
    histogram = manifest.training_histogram.to_histogram()
    assert histogram.total == len(data.faces.train)
    expected = LatentHistogram.from_latents(found.mean)
    np.testing.assert_allclose(histogram.edges, expected.edges, atol=1e-5)
    # Two texts give one vector, that of the rarer.
    assert set(manifest.attribute_vectors) == {"tone-gray"}
    assert set(manifest.attribute_quality) == {"tone-gray"}


def test_groups_are_counted_on_their_own_parts(bundle: Bundle, data: TrainingData) -> None:
    groups = {f"{group.column}={group.value}": group for group in bundle.manifest.groups}
    train, held_out = data.groups(data.faces.train), data.groups(data.faces.validation)
    assert set(groups) == {"tone=Gray", "tone=color"}
    for name, group in groups.items():
        assert group.count == held_out[name].sum()
        assert group.share == pytest.approx(train[name].mean())
        assert group.true_positive_rate is not None
        assert group.weighted_share is not None
        assert 0 < group.weighted_share < 1


def test_provenance_names_data_and_libraries_and_no_folder(
    bundle: Bundle, data: TrainingData, data_folder: Path
) -> None:
    provenance = bundle.manifest.provenance
    assert provenance["data_digest"] == data.digest
    assert provenance["precision"] == "fp32"
    assert {"seed", "epoch", "git_revision", "torch", "onnxruntime"} <= set(provenance)
    for name in bundle.manifest.files:
        assert str(data_folder).encode() not in bundle.read(name)
    assert str(data_folder) not in bundle.manifest.model_dump_json()


def test_the_card_holds_the_figures_of_the_manifest(bundle: Bundle) -> None:
    card, manifest = bundle.card, bundle.manifest
    quality = manifest.quality
    assert card.startswith("# faces, version 1\n")
    assert "Blobs & noise." in card
    assert manifest.provenance["data_digest"] in card
    for key in ("accuracy", "true_positive_rate", "false_positive_rate"):
        assert f"| {100 * quality[key]:.2f} % |" in card
    degraded = quality["degraded_true_positive_rate_at_1_percent_false_positives"]
    assert f"| The same on a degraded copy | {100 * degraded:.2f} % |" in card
    rates = [100 * (group.true_positive_rate or 0) for group in manifest.groups if group.count]
    assert f"mean {np.mean(rates):.2f} %, variance {np.var(rates):.2f} percent²" in card
    for prefix in ("reconstruction", "pca"):
        assert f"| {quality[f'{prefix}_psnr']:.2f} dB | {quality[f'{prefix}_ssim']:.3f} |" in card
    for group in manifest.groups:
        assert f"| {group.column} = {group.value} | {group.count} |" in card
        assert group.weighted_share is not None
        assert f"| {100 * group.share:.2f} % | {100 * group.weighted_share:.2f} % |" in card
    assert f"| {quality['parity_fp32_encode_mean']:.1e} |" in card
    assert "The bundle has the graphs in fp32" in card
    assert f"probability {manifest.decision_threshold:.3f}" in card
    assert f"| Samples | {quality['frechet_samples']:.3f} |" in card
    assert f"| As many training faces | {quality['frechet_training_faces']:.3f} |" in card
    assert 0 < quality["frechet_training_faces"] < quality["frechet_samples"]
    for name, worth in manifest.attribute_quality.items():
        assert f"| `{name}` | {worth.positives} / {worth.negatives} |" in card
        assert f"| {worth.auc:.3f} |" in card
    assert "at least 90.00 % of the faces" in card
    assert "those of the export" in card


def test_pca_is_fitted_to_the_training_faces_and_measured_on_the_others(
    data: TrainingData, bundle: Bundle
) -> None:
    pixels = data.faces.images.reshape(len(data.faces.images), -1) / 255.0
    train, held_out = pixels[data.faces.train], pixels[data.faces.validation]
    centre = train.mean(axis=0)
    components = np.linalg.svd(train - centre, full_matrices=False)[2][:8]
    rebuilt = (held_out - centre) @ components.T @ components + centre
    expected = np.abs(held_out - rebuilt.clip(0, 1)).mean()
    assert bundle.manifest.quality["pca_l1"] == pytest.approx(expected, rel=0.02)


def test_no_held_out_image_has_a_copy_in_training_and_the_card_says_so(
    data: TrainingData, bundle: Bundle
) -> None:
    pixels = [image.tobytes() for image in data.faces.images]
    trained_on = {pixels[row] for row in data.faces.train}
    copies = sum(pixels[row] in trained_on for row in data.faces.validation)
    assert copies == 0 < len(pixels) - len(set(pixels))
    assert bundle.manifest.quality["held_out_faces_trained_on"] == copies
    assert bundle.manifest.quality["held_out_nonfaces_trained_on"] == 0
    held_out = bundle.manifest.quality["held_out_faces"]
    assert f"| {held_out:.0f} | {copies} |" in bundle.card


def test_agreement_is_measured_in_both_precisions(bundle: Bundle) -> None:
    quality = bundle.manifest.quality
    assert quality["parity_fp32_encode_mean"] < 1e-5
    assert 1e-6 < quality["parity_fp16_encode_mean"] < 1e-2
    assert quality["parity_fp32_decode_images"] <= 1
    assert quality["parity_fp16_decode_images"] <= 2


def test_a_bundle_in_fp16_is_measured_as_such_and_gives_nearly_the_same(
    dbvae_run: Path, bundle: Bundle, data: TrainingData, tmp_path: Path
) -> None:
    arguments = ["--out", str(tmp_path), "--precision", "fp16", "--version", "1-fp16"]
    assert main([str(dbvae_run), *arguments]) == 0
    halves = open_bundle(tmp_path / "faces" / "1-fp16")
    assert halves.manifest.functions == bundle.manifest.functions
    assert halves.manifest.provenance["precision"] == "fp16"
    assert "The bundle has the graphs in fp16" in halves.card
    ours, theirs = halves.manifest.quality["reconstruction_l1"], bundle.manifest.quality
    assert ours == pytest.approx(theirs["reconstruction_l1"], rel=0.01)
    assert ours != theirs["reconstruction_l1"]
    pictures = data.faces.images[:5]
    found, wanted = (
        open_model(each, "cpu", threads=1).encode(pictures)[0] for each in (halves, bundle)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-2)


def test_pictures_with_images_of_the_data_lie_apart(exported: Path) -> None:
    pictures = exported / "pictures"
    own = {path.name for path in pictures.glob("*.png")}
    assert own == {"samples.png", "traversal.png", "attributes.png"}
    originals = {path.name for path in (pictures / "originals").iterdir()}
    assert originals == {"reconstructions.png", "rarest.png", "commonest.png"}
    with Image.open(pictures / "samples.png") as image:
        assert image.width > image.height > 2 * 96


def test_a_vae_encodes_and_decodes_and_does_not_classify(vae_run: Path, tmp_path: Path) -> None:
    assert main([str(vae_run), "--out", str(tmp_path)]) == 0
    manifest = open_bundle(tmp_path / "faces" / "1").manifest
    assert set(manifest.functions) == {"encode", "decode"}
    assert manifest.latent_size == 8
    assert "accuracy" not in manifest.quality
    assert all(group.true_positive_rate is None for group in manifest.groups)
    assert "Face against non-face" not in open_bundle(tmp_path / "faces" / "1").card


def test_a_cnn_classifies_and_has_no_latents(cnn_run: Path, tmp_path: Path) -> None:
    # The checkpoint itself may be given in place of the run.
    checkpoint = cnn_run / "checkpoints" / "best.safetensors"
    assert main([str(checkpoint), "--out", str(tmp_path), "--name", "lab", "--version", "2b"]) == 0
    bundle = open_bundle(tmp_path / "lab" / "2b")
    assert set(bundle.manifest.functions) == {"classify"}
    assert bundle.manifest.latent_size == 0
    assert bundle.manifest.aggregate_posterior is None
    assert "accuracy" in bundle.manifest.quality
    assert all(group.weighted_share is None for group in bundle.manifest.groups)
    assert "biometric" not in bundle.card


def test_a_threshold_by_false_positives_is_the_one_that_is_served(
    cnn_run: Path, tmp_path: Path, data: TrainingData
) -> None:
    asked = ["--max-false-positives", "0.2"]
    assert main([str(cnn_run), "--out", str(tmp_path), *asked]) == 0
    bundle = open_bundle(tmp_path / "faces" / "1")
    assert bundle.manifest.provenance["max_false_positives"] == "0.2"
    assert "the lowest that at most 20 % of the held-out non-faces pass" in bundle.card
    assert data.nonfaces is not None
    held_out = data.nonfaces.images[data.nonfaces.validation]
    logits = open_model(bundle, "cpu", threads=1).classify(held_out)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    passed = (probabilities >= bundle.manifest.decision_threshold).sum()
    assert passed == len(held_out) // 5
