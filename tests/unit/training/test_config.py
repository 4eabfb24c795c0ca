from pathlib import Path

import pytest
from evenface_core.errors import ConfigError
from evenface_training.config import load_config, ready_made


def test_every_ready_made_configuration_is_valid() -> None:
    names = ready_made()
    assert names == [
        "cnn-strong",
        "colorizer",
        "conv-vae",
        "cvae",
        "dbvae-strong",
        "dbvae-strong-128",
        "faces",
        "lab-cnn",
        "lab-dbvae",
        "lab-vae",
        "mlp-vae",
        "synthetic",
        "vae112",
    ]
    assert [load_config(name).name for name in names] == names


def test_the_lab_configuration_has_the_labs_figures() -> None:
    config = load_config("lab-dbvae")
    assert (config.model.n_filters, config.model.latent_size, config.model.image_size) == (
        12,
        100,
        64,
    )
    assert (config.loss.kl_weight, config.loss.reconstruction) == (0.0005, "l1")
    assert (config.resampling.bins, config.resampling.smoothing) == (10, 0.001)


def test_the_conditional_configuration_has_forty_attributes_and_a_latent_of_16() -> None:
    model = load_config("cvae").model
    assert (len(set(model.conditions)), model.latent_size) == (40, 16)


@pytest.mark.parametrize("name", ["mlp-vae", "conv-vae"])
def test_the_small_configurations_are_of_grey_images(name: str) -> None:
    model = load_config(name).model
    assert (model.image_size, model.channels, model.latent_size) == (30, 1, 10)


def test_the_large_configuration_has_its_article_s_figures() -> None:
    config = load_config("vae112")
    assert (config.model.image_size, config.model.latent_size) == (112, 200)
    loss = config.loss
    assert (loss.reconstruction, loss.reconstruction_reduction) == ("mse", "mean")
    assert (loss.kl_weight, loss.kl_reduction) == (0.01, "mean")


def test_a_section_without_the_newer_keys_means_what_it_did() -> None:
    config = load_config("lab-dbvae")
    assert (config.model.architecture, config.model.conditions) == ("lab", ())
    assert (config.loss.reconstruction_reduction, config.loss.kl_reduction) == ("mean", "sum")


def test_a_typo_is_answered_with_the_nearest_key(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: x\ndata: {faces: a, nonfaces: b}\noptimizer: {lerning_rate: 1}\n")
    with pytest.raises(ConfigError, match=r"optimizer\.lerning_rate.*'learning_rate'"):
        load_config(str(path))


def test_an_override_replaces_one_value() -> None:
    config = load_config("lab-cnn", ["optimizer.epochs=7", "data.faces=photos"])
    assert (config.optimizer.epochs, config.data.faces) == (7, Path("photos"))


@pytest.mark.parametrize("word", ["auto", "on", "off"])
def test_compiling_is_set_by_words_that_yaml_takes_for_truth(word: str) -> None:
    assert load_config("lab-cnn", [f"compute.compile={word}"]).compute.compile == word


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("lab-dbvae", "data.nonfaces=null", "data.nonfaces is needed"),
        ("lab-vae", "data.nonfaces=other", "data.nonfaces has no use"),
        ("lab-cnn", "resampling.enabled=true", "rule lab needs latents, and cnn has none"),
        ("lab-vae", "resampling.nonfaces=hard", "nonfaces hard needs logits, and vae has none"),
        ("lab-dbvae", "resampling.rule=groups", "group_column is needed by rule groups"),
        ("lab-dbvae", "resampling.group_column=tone", "has no use to others"),
        ("lab-dbvae", "resampling.rule=newest", "known rules are groups, hard, lab, paper"),
        ("lab-dbvae", "model.image_size=60", "image_size 60: .*lab needs a multiple of 16"),
        ("vae112", "model.image_size=100", "image_size 100: .*vae112 needs a multiple of 16"),
        ("lab-vae", "loss.kl_warmup_epochs=9", "kl_warmup_epochs 9 is more than .*epochs 6"),
        ("lab-vae", "loss.free_bits=-1", "loss.free_bits"),
        ("lab-vae", "loss.ssim_weight=-1", "loss.ssim_weight"),
        ("conv-vae", "model.image_size=32", "image_size 32: .*conv30 needs 30"),
        ("conv-vae", "model.n_filters=1", "n_filters 1: .*at least 2"),
        ("lab-dbvae", "model.architecture=lap", "architecture"),
        ("lab-cnn", "model.conditions=[tone]", "conditions need latents"),
        ("cvae", "model.conditions=[hat, beard, hat]", "'hat' twice"),
        ("lab-vae", "model.conditions=[hat]", "model.conditions needs data.labels"),
        ("lab-dbvae", "data.group_columns=[tone]", "needs data.labels"),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(name, [override])


def test_an_unknown_name_lists_the_ready_made_ones() -> None:
    with pytest.raises(ConfigError, match=r"no such file.*lab-dbvae"):
        load_config("lab-dbvea")
