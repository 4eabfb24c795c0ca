"""The committed bundle models/faces/1: it opens, it is good, and its card says so."""

import re
from pathlib import Path

import numpy as np
import pytest
from evenface_core.bundle import Bundle, open_bundle
from evenface_core.latents import standard_normal
from evenface_runtime import Model, open_model

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "models" / "faces" / "1"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(FOLDER)


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return open_model(bundle, "cpu", threads=1)


def test_it_is_a_dbvae_with_all_functions_and_facts(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.name, manifest.version, manifest.kind) == ("faces", "1", "dbvae")
    assert set(manifest.functions) == {"encode", "decode", "classify"}
    assert manifest.aggregate_posterior is not None
    assert manifest.aggregate_posterior.factor is not None
    assert manifest.training_histogram is not None
    assert manifest.training_histogram.to_histogram().total == manifest.quality["training_faces"]


def test_its_figures_on_held_out_portraits_are_what_a_default_must_have(bundle: Bundle) -> None:
    quality = bundle.manifest.quality
    assert quality["accuracy"] > 0.99
    assert quality["auc"] > 0.999
    assert quality["reconstruction_psnr"] > 23
    assert quality["reconstruction_ssim"] > 0.65
    assert {group.column for group in bundle.manifest.groups} == {"tone", "gender"}


def test_every_group_of_the_manifest_is_in_the_card(bundle: Bundle) -> None:
    for group in bundle.manifest.groups:
        assert f"{group.column} = {group.value}" in bundle.card


def test_it_was_exported_from_a_clean_tree_and_names_no_machine(bundle: Bundle) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", bundle.manifest.provenance["git_revision"])
    for path in FOLDER.iterdir():
        found = re.findall(rb"/(?:home|root|work|tmp|usr)/[\w./-]+", path.read_bytes())
        assert found == [], path.name


def test_its_samples_are_faces_to_its_own_classifier(bundle: Bundle, model: Model) -> None:
    posterior = bundle.manifest.aggregate_posterior
    assert posterior is not None
    noise = standard_normal(1, range(64), bundle.manifest.latent_size)
    logits = model.classify(model.decode(posterior.draw(noise)))
    assert np.mean(logits > 0) > 0.9


def test_a_sample_survives_encoding_and_decoding(bundle: Bundle, model: Model) -> None:
    posterior = bundle.manifest.aggregate_posterior
    assert posterior is not None
    noise = standard_normal(2, range(16), bundle.manifest.latent_size)
    faces = model.decode(posterior.draw(noise))
    again = model.decode(model.encode(faces)[0])
    error = np.square(faces.astype(float) - again).mean(axis=(1, 2, 3))
    assert (10 * np.log10(255**2 / error)).mean() > 20
