"""Whole runs on drawn faces: learning, resuming, resampling and stopping."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evenface_core.errors import DataError, TrainingError
from evenface_training.checkpoint import load_checkpoint, load_model
from evenface_training.config import AugmentationConfig, Kind, TrainingConfig
from evenface_training.data import load_data
from evenface_training.device import open_device
from evenface_training.evaluate import encode_all, evaluate, to_images
from evenface_training.loop import Trainer
from evenface_training.models import build_model
from evenface_training.run_folder import RunFolder
from evenface_training.sampler import face_weights
from PIL import Image

ConfigMaker = Callable[..., TrainingConfig]


def never() -> bool:
    return False


def after(steps: int) -> Callable[[], bool]:
    """Ask to stop after a number of steps."""
    left = iter(range(steps - 1, -1, -1))
    return lambda: next(left) == 0


def train(config: TrainingConfig, path: Path, stop: Callable[[], bool] = never) -> RunFolder:
    run = RunFolder.create(path)
    _fit(Trainer(config, load_data(config), run, open_device(config)), run, stop)
    return run


def resume(path: Path, stop: Callable[[], bool] = never) -> RunFolder:
    run = RunFolder.open(path)
    checkpoint = load_checkpoint(run.last)
    config = checkpoint.config
    trainer = Trainer(config, load_data(config), run, open_device(config))
    trainer.restore(checkpoint)
    _fit(trainer, run, stop)
    return run


def _fit(trainer: Trainer, run: RunFolder, stop: Callable[[], bool]) -> None:
    try:
        trainer.fit(stop)
    finally:
        run.close()


def history(run: RunFolder) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.records()]


@pytest.fixture
def whole(make_config: ConfigMaker, tmp_path: Path) -> RunFolder:
    """An uninterrupted run: three epochs of three steps."""
    return train(make_config(), tmp_path / "whole")


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 9])
def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(
    make_config: ConfigMaker, tmp_path: Path, whole: RunFolder, steps: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(make_config(), tmp_path / "stopped", after(steps))
    stopped = RunFolder(tmp_path / "stopped")
    assert [r["step"] for r in stopped.records() if r["kind"] == "step"] == [*range(1, steps + 1)]
    resumed = resume(tmp_path / "stopped")

    assert history(resumed) == history(whole)
    assert len([r for r in history(whole) if r["kind"] == "step"]) == 9
    ours, theirs = load_checkpoint(resumed.last), load_checkpoint(whole.last)
    assert ours.progress == theirs.progress
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name, tensor in ours.tensors.items():
        assert torch.equal(tensor, theirs.tensors[name]), name


def test_a_run_killed_after_a_checkpoint_writes_its_metrics_once(
    make_config: ConfigMaker, tmp_path: Path, whole: RunFolder
) -> None:
    # What a kill leaves behind: a checkpoint of the past beside the metrics of the present.
    with pytest.raises(KeyboardInterrupt):
        train(make_config(), tmp_path / "killed", after(4))
    run = RunFolder(tmp_path / "killed")
    past = run.last.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        resume(run.path, after(3))
    run.last.write_bytes(past)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    assert history(resume(run.path)) == history(whole)


def test_images_that_changed_are_not_resumed_on(
    make_config: ConfigMaker, tmp_path: Path, images: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(make_config(), tmp_path / "run", after(2))
    (images / "face" / "000.png").write_bytes((images / "face" / "001.png").read_bytes())
    with pytest.raises(TrainingError, match="images have changed"):
        resume(tmp_path / "run")


@pytest.mark.parametrize("kind", ["cnn", "vae", "dbvae"])
def test_every_kind_learns_and_loads(make_config: ConfigMaker, tmp_path: Path, kind: Kind) -> None:
    config = make_config(
        model={"kind": kind},
        data={"nonfaces": None} if kind == "vae" else {},
        resampling={"enabled": kind == "dbvae"},
        optimizer={"epochs": 8},
    )
    run = train(config, tmp_path / "run")
    epochs = [record for record in run.records() if record["kind"] == "epoch"]
    assert epochs[-1]["train"]["loss"] < epochs[0]["train"]["loss"]
    loaded = load_model(run.best)
    assert loaded.epoch == epochs[-1]["epoch"] or loaded.epoch < 8
    assert not loaded.model.training
    assert ("accuracy" in loaded.metrics) == (kind != "vae")
    assert ("psnr" in loaded.metrics) == (kind != "cnn")


def test_the_best_checkpoint_is_the_one_with_the_lowest_validation_loss(whole: RunFolder) -> None:
    losses = {r["epoch"]: r["validation"]["loss"] for r in whole.records() if r["kind"] == "epoch"}
    best = load_model(whole.best)
    assert best.epoch == min(losses, key=losses.__getitem__)
    assert best.metrics["loss"] == min(losses.values())


def test_a_loaded_model_has_the_averaged_weights(whole: RunFolder) -> None:
    tensors = load_checkpoint(whole.last).tensors
    weight = load_model(whole.last).model.state_dict()["encoder.0.weight"]
    assert torch.equal(weight, tensors["averaged.encoder.0.weight"])
    assert not torch.equal(weight, tensors["model.encoder.0.weight"])


def test_the_averaged_weights_are_the_ones_that_are_validated(
    make_config: ConfigMaker, whole: RunFolder
) -> None:
    config = make_config()
    found = evaluate(load_model(whole.last).model, load_data(config), config.loss)
    recorded = [record for record in whole.records() if record["kind"] == "epoch"][-1]
    assert recorded["validation"] == pytest.approx(dict(found.figures), rel=1e-4)


def test_a_step_learns_from_images_of_the_training_part_and_their_mirror_images(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    still = {"shift": 0, "hue": 0, "noise": 0, "jpeg": 0}
    config = make_config(augmentation=still)
    data = load_data(config)
    trainer = Trainer(config, data, RunFolder.create(tmp_path / "run"), open_device(config))
    plan = trainer._begin_epoch()  # noqa: SLF001 - what a step sees is not to be seen from outside
    assert data.nonfaces is not None
    mirrored = 0
    faces = plan.faces.shape[1]
    for pixels in trainer._batches.of(plan, 0):  # noqa: SLF001 - as above
        images = trainer._augmented(pixels, torch.arange(16))  # noqa: SLF001 - as above
        assert (faces, len(images)) == (8, 16)
        for part, batch in ((data.faces, images[:faces]), (data.nonfaces, images[faces:])):
            known = {part.images[row].tobytes() for row in part.train}
            for image in to_images(batch):
                mirrored += image.tobytes() not in known
                assert {image.tobytes(), image[:, ::-1].tobytes()} & known
    assert 0.25 < mirrored / (16 * plan.steps) < 0.75


@pytest.mark.parametrize("still", [{"warmup_steps": 10**9}, {"gradient_clip": 1e-12}])
def test_the_schedule_and_the_clipping_bound_the_steps(
    make_config: ConfigMaker, tmp_path: Path, still: dict[str, float]
) -> None:
    config = make_config(optimizer={"epochs": 1, **still})
    before = build_model(config.model, config.seed)
    run = train(config, tmp_path / "run")
    after = load_checkpoint(run.last).section("model")
    for name, parameter in before.named_parameters():
        torch.testing.assert_close(after[name], parameter.data, atol=1e-6, rtol=0)


def test_resampling_begins_after_the_warm_up_and_reports_the_groups(whole: RunFolder) -> None:
    weighings = [record for record in whole.records() if record["kind"] == "resampling"]
    assert [record["epoch"] for record in weighings] == [2, 3]
    groups = weighings[-1]["groups"]
    assert set(groups) == {"tone=blue", "tone=plain"}
    assert sum(group["after"] for group in groups.values()) == pytest.approx(1.0)
    assert 1 <= weighings[-1]["effective_sample_size"] <= 48


def test_resampling_raises_the_rare_faces(make_config: ConfigMaker, tmp_path: Path) -> None:
    config = make_config(
        loss={"kl_weight": 0.0001},
        optimizer={"epochs": 12},
        resampling={"enabled": True, "warmup_epochs": 10},
    )
    run = train(config, tmp_path / "run")
    last = [record for record in run.records() if record["kind"] == "resampling"][-1]
    blue = last["groups"]["tone=blue"]
    assert blue["after"] > 1.2 * blue["before"]


def test_a_cnn_is_shown_the_faces_that_are_hard_for_it(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    config = make_config(
        model={"kind": "cnn"},
        resampling={"enabled": True, "rule": "hard", "warmup_epochs": 1},
        optimizer={"epochs": 2},
    )
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", after(4))
    run = RunFolder.open(tmp_path / "run")
    weights = load_checkpoint(run.last).tensors["sampler.weights"]
    record = next(record for record in run.records() if record["kind"] == "resampling")
    assert record["effective_sample_size"] > len(weights) / 5
    assert record["temper"] == 1.0


def test_non_faces_that_look_like_faces_are_drawn_more_often_after_a_stop_too(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    config = make_config(
        model={"kind": "cnn"},
        resampling={"enabled": False, "nonfaces": "hard", "warmup_epochs": 1, "every": 9},
        optimizer={"epochs": 3},
    )
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", after(4))
    tensors = load_checkpoint(RunFolder(tmp_path / "run").last).tensors
    weights = tensors["sampler.nonface_weights"]
    assert "sampler.weights" not in tensors
    drawn = torch.bincount(tensors["sampler.nonfaces"].flatten(), minlength=len(weights))
    assert weights[drawn > 0].mean() > weights[drawn == 0].mean()
    resumed = resume(tmp_path / "run")
    assert history(resumed) == history(train(config, tmp_path / "whole"))


def test_known_groups_are_drawn_alike(make_config: ConfigMaker, tmp_path: Path) -> None:
    config = make_config(
        resampling={"rule": "groups", "group_column": "tone", "warmup_epochs": 0},
        optimizer={"epochs": 1},
    )
    run = train(config, tmp_path / "run")
    record = next(record for record in run.records() if record["kind"] == "resampling")
    for group in record["groups"].values():
        assert group["after"] == pytest.approx(0.5)


def test_a_group_column_that_is_not_there_is_named(make_config: ConfigMaker) -> None:
    config = make_config(resampling={"rule": "groups", "group_column": "hat"})
    with pytest.raises(DataError, match=r"no column 'hat' \(resampling.group_column\)"):
        load_data(config)


def test_an_epoch_draws_its_faces_by_the_weights(make_config: ConfigMaker, tmp_path: Path) -> None:
    # Untempered, the paper's rule piles the weight on a few faces; without weights no face of
    # the 24 drawn from 34 comes twice.
    config = make_config(resampling={"rule": "paper", "warmup_epochs": 1})
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", after(4))
    tensors = load_checkpoint(RunFolder.open(tmp_path / "run").last).tensors
    drawn = torch.bincount(tensors["sampler.faces"].flatten())
    assert drawn.max() >= 5
    assert drawn.argmax() == tensors["sampler.weights"].argmax()


def test_a_loss_that_is_no_number_stops_with_advice(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    config = make_config(optimizer={"learning_rate": 1e30, "gradient_clip": 0, "epochs": 50})
    message = r"the loss became (nan|inf) in epoch \d+, step \d+; try a lower optimizer"
    with pytest.raises(TrainingError, match=message):
        train(config, tmp_path / "run")


def test_the_rarest_and_the_commonest_faces_come_first_in_their_pictures(
    make_config: ConfigMaker, whole: RunFolder
) -> None:
    config = make_config()
    data = load_data(config)
    faces = data.faces
    encodings = encode_all(load_model(whole.last).model, faces.images, faces.train)
    weights = face_weights(encodings, data, data.faces.train, config.resampling).values
    for name, extreme in (("rarest", weights.max()), ("commonest", weights.min())):
        with Image.open(whole.pictures / f"{name}.png") as picture:
            tile = np.asarray(picture)[:128:4, :128:4]
        shown = (faces.images[faces.train] == tile).all(axis=(1, 2, 3))
        assert extreme in weights[shown]  # several may weigh the same


def test_augmented_examples_can_be_looked_at_while_the_run_begins(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    for name, values in (("on", {"flip": 0.5, "brightness": 0.5}), ("off", {})):
        config = make_config().model_copy(update={"augmentation": AugmentationConfig(**values)})
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / name, after(1))
    assert not (tmp_path / "off" / "pictures").exists()
    with Image.open(tmp_path / "on" / "pictures" / "augmented.png") as picture:
        page = np.asarray(picture)
    tile = page.shape[0] // 5
    original, *copies = (page[row * (tile + 1) :][: tile - 2, : tile - 2] for row in range(5))
    assert all((copy != original).any() for copy in copies)


def test_no_pictures_are_drawn_where_none_are_wanted(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    run = train(make_config(pictures_every=0, optimizer={"epochs": 1}), tmp_path / "bare")
    assert not run.pictures.exists()


def test_pictures_are_drawn_at_the_end(whole: RunFolder) -> None:
    names = {path.name for path in whole.pictures.iterdir()}
    faces = {"reconstructions.png", "samples.png", "rarest.png", "commonest.png"}
    assert names == {"losses.png", "augmented.png", *faces}
    assert all(path.stat().st_size > 1000 for path in whole.pictures.iterdir())


def test_a_run_folder_is_for_one_process_at_a_time(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    train(make_config(optimizer={"epochs": 1}), tmp_path / "run")
    first = RunFolder.open(tmp_path / "run")
    with pytest.raises(TrainingError, match="run: another process is training here"):
        RunFolder.open(tmp_path / "run")
    first.close()
    RunFolder.open(tmp_path / "run").close()


def test_a_folder_whose_run_never_began_can_be_used_again(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run").close()
    RunFolder.create(tmp_path / "run").close()
