"""The training loop: steps, epochs, validation, checkpoints, and going on after a stop.

All state of a run is in `Trainer`, and `Trainer.checkpoint` puts all of it into one value.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any

import torch
from evenface_core.errors import TrainingError
from evenface_core.resampling import Weights
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from evenface_training.augmentation import augment
from evenface_training.batches import open_batches
from evenface_training.checkpoint import Checkpoint, Progress, save_checkpoint
from evenface_training.config import TrainingConfig
from evenface_training.data import TrainingData
from evenface_training.draws import Draws
from evenface_training.evaluate import Evaluation, evaluate, to_floats
from evenface_training.groups import GroupRates, spread
from evenface_training.meter import Meter
from evenface_training.metrics import group_shares
from evenface_training.models import Conditions, FaceModel
from evenface_training.pictures import draw_augmented, draw_colours, draw_faces, draw_losses
from evenface_training.principal import PrincipalComponents
from evenface_training.ranks import Ranks
from evenface_training.run_folder import RunFolder
from evenface_training.sampler import (
    DrawWeights,
    EpochPlan,
    plan_epoch,
    steps_per_epoch,
    weights_are_due,
)
from evenface_training.schedule import learning_rate
from evenface_training.shared_weights import draw_weights
from evenface_training.step import Stepper


class Trainer:
    """A run in progress.

    Args:
        config: What to do.
        data: What to learn from.
        run: Where to write.
        fabric: Where to compute, of `device.open_device`.

    Attributes:
        ranks: The processes that make this run.
    """

    def __init__(
        self, config: TrainingConfig, data: TrainingData, run: RunFolder, fabric: Fabric
    ) -> None:
        self._config, self._data, self._run = config, data, run
        self._fabric = fabric
        self._faces = len(data.faces.train)
        self._nonfaces = 0 if data.nonfaces is None else len(data.nonfaces.train)
        steps = steps_per_epoch(self._faces, self._nonfaces, config.optimizer.batch_size)
        self._total_steps = steps * config.optimizer.epochs
        self.ranks = Ranks(fabric)
        self.ranks.require_even(config.optimizer.batch_size, parts=1 + (self._nonfaces > 0))
        self._stepper = Stepper(config, fabric, self._total_steps)
        self._batches = open_batches(data, fabric.device, config.compute)
        self._meter = Meter(self._stepper.names, self.ranks)
        self._random = torch.Generator().manual_seed(config.seed)
        self._weights = DrawWeights()
        self._plan: EpochPlan | None = None
        self._progress = Progress()

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        device: torch.device = self._fabric.device
        return device

    @property
    def averaged(self) -> FaceModel:
        """The averaged weights, which are validated and exported."""
        return self._stepper.averaged.model

    def fit(self, stop: Callable[[], bool]) -> None:
        """Train until the last epoch is done.

        Args:
            stop: Asked after every step; when true, the run is saved and left.

        Raises:
            KeyboardInterrupt: `stop` said so; the last checkpoint holds everything up to there.
            TrainingError: The loss is no longer a number, or something cannot be written.
        """
        if not self._progress.step:
            self._start()
            if self.ranks.is_first and self._config.pictures_every:
                draw_augmented(self._run.pictures, self._data, self._config.augmentation)
        while self._progress.epoch < self._config.optimizer.epochs:
            started = time.monotonic()
            plan = self._plan or self._begin_epoch()
            self._train_epoch(plan, stop)
            self._end_epoch(plan, time.monotonic() - started)

    def _start(self) -> None:
        """Set the weights that the training faces decide; a checkpoint has them already."""
        faces, mirrored = self._data.faces, self._config.augmentation.flip > 0

        def fit(size: int, pool: int) -> PrincipalComponents:
            return PrincipalComponents.fit(
                faces.images, faces.train, size, pool=pool, mirrored=mirrored
            )

        self._stepper.start(fit)

    def checkpoint(self) -> Checkpoint:
        """Everything that is needed to go on from here."""
        tensors = self._stepper.tensors()
        tensors["random.state"] = self._random.get_state()
        drawn_by = {"weights": self._weights.faces, "nonface_weights": self._weights.nonfaces}
        tensors |= {f"sampler.{k}": v for k, v in drawn_by.items() if v is not None}
        if self._plan is not None:
            tensors |= {"sampler.faces": self._plan.faces, "sampler.nonfaces": self._plan.nonfaces}
        return Checkpoint(self._config, self._progress, self._data.digest, tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint was made.

        Raises:
            TrainingError: It belongs to other data or another model.
        """
        if not self._data.matches(checkpoint.data_digest):
            raise TrainingError(
                f"the images have changed since {self._run.last} was written, or their labels, or "
                "which of them are held out; start a new run"
            )
        try:
            self._stepper.load(
                *(checkpoint.section(name) for name in ("model", "averaged", "optimizer"))
            )
            self._random.set_state(checkpoint.section("random")["state"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise TrainingError(f"{self._run.last} does not fit its own configuration") from error
        sampler = checkpoint.section("sampler")
        self._weights = DrawWeights(sampler.get("weights"), sampler.get("nonface_weights"))
        self._plan = (
            EpochPlan(sampler["faces"], sampler["nonfaces"]) if "faces" in sampler else None
        )
        self._progress = checkpoint.progress
        self._run.rewind(checkpoint.progress)

    def _begin_epoch(self) -> EpochPlan:
        if weights_are_due(self._progress.epoch, self._config.resampling):
            self._weights, weights = draw_weights(
                self.averaged, self._data, self._config.resampling, self.ranks
            )
            if weights is not None:
                self._record_weights(weights)
        self._plan = plan_epoch(
            self._faces,
            self._nonfaces,
            self._config.optimizer.batch_size,
            self._weights,
            self._random,
        )
        return self._plan

    def _train_epoch(self, plan: EpochPlan, stop: Callable[[], bool]) -> None:
        self._stepper.begin()
        begun = self._progress.position
        title = f"epoch {self._progress.epoch + 1}/{self._config.optimizer.epochs}"
        with (
            tqdm(total=plan.steps, initial=begun, desc=title, unit="step", disable=None) as bar,
            closing(self._batches.of(self.ranks.plan(plan), begun)) as batches,
        ):
            for position, images in enumerate(batches, begun):
                self._step(plan, position, images)
                if self._progress.step % self._config.log_every == 0:
                    self._log(bar)
                bar.update()
                if self.ranks.stop(wanted=stop()):
                    self._read_meter()
                    self.ranks.first(lambda: save_checkpoint(self._run.last, self.checkpoint()))
                    raise KeyboardInterrupt
        self._read_meter()

    def _step(self, plan: EpochPlan, position: int, pixels: Tensor) -> None:
        images = self._augmented(pixels, self.ranks.rows(plan))
        faces = plan.faces.shape[1]
        mine = self.ranks.part(faces)
        eps = None
        if noise_shape := self._config.model.noise_shape:
            # Drawn on the CPU, so that a seed means the same on every device.
            eps = self._moved(torch.randn(faces, *noise_shape, generator=self._random)[mine])
        noise = (eps, self._conditions(plan, position))
        faces = mine.stop - mine.start
        self._meter.add(self._stepper.take(self._progress.step, images, faces, noise))
        self._progress = self._progress.model_copy(
            update={"position": position + 1, "step": self._progress.step + 1}
        )

    def _augmented(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """Turn this rank's rows of a step from uint8 [N, S, S, C] to float32, changed at random."""
        draws = Draws(self._random, self._config.optimizer.batch_size, rows)
        return augment(to_floats(pixels), self._config.augmentation, draws)

    def _moved(self, values: Tensor) -> Tensor:
        """Move what was drawn on the CPU to the device, without waiting for a GPU."""
        if self.device.type == "cuda":
            values = values.pin_memory()
        return values.to(self.device, non_blocking=True)

    def _conditions(self, plan: EpochPlan, position: int) -> Conditions | None:
        """What the decoder and the encoder of a conditional model are told of a step's faces."""
        if not self._config.model.conditions:
            return None
        rows = self._data.faces.train[plan.faces[position].numpy()]
        known = torch.from_numpy(self._data.conditions[rows])
        draws = torch.rand(len(known), 1, generator=self._random)
        told = known * (draws >= self._config.model.untold_fraction)
        mine = self.ranks.part(len(known))
        return Conditions(self._moved(known[mine]), self._moved(told[mine]))

    def _log(self, bar: "tqdm[Any]") -> None:
        figures = self._read_meter()
        bar.set_postfix(loss=f"{figures['loss']:.4f}", refresh=False)
        self._run.record({"kind": "step", "step": self._progress.step, **figures})

    def _read_meter(self) -> Mapping[str, float]:
        """Add up the figures of the steps since the last time, and give those of the last."""
        rows, sums = self._meter.read(), dict(self._progress.sums)
        for step, figures in enumerate(rows, self._progress.position - len(rows) + 1):
            self._require_finite(figures["loss"], step)
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + value
        self._progress = self._progress.model_copy(update={"sums": sums})
        return rows[-1] if rows else {}

    def _end_epoch(self, plan: EpochPlan, seconds: float) -> None:
        if self.ranks.is_first:
            self._conclude(plan, seconds)
        else:
            self._plan = None
            self._progress = Progress(epoch=self._progress.epoch + 1, step=self._progress.step)

    def _conclude(self, plan: EpochPlan, seconds: float) -> None:
        evaluation = evaluate(self.averaged, self._data, self._config.loss)
        loss = evaluation.figures["loss"]
        self._require_finite(loss, plan.steps)
        old = self._progress
        improved = old.best_loss is None or loss < old.best_loss
        self._progress = Progress(
            epoch=old.epoch + 1,
            step=old.step,
            best_loss=loss if improved else old.best_loss,
            metrics=dict(evaluation.figures),
        )
        self._plan = None
        train = {name: value / plan.steps for name, value in old.sums.items()}
        self._record_epoch(train, evaluation, seconds)
        self._draw_if_due()
        if improved:
            save_checkpoint(self._run.best, self.checkpoint())
        save_checkpoint(self._run.last, self.checkpoint())

    def _record_weights(self, weights: Weights) -> None:
        shares = group_shares(weights.values, self._data.groups(self._data.faces.train))
        self._run.record(
            {
                "kind": "resampling",
                "epoch": self._progress.epoch + 1,
                "step": self._progress.step,
                "effective_sample_size": weights.effective_sample_size,
                "temper": weights.temper,
                "groups": {
                    name: {"before": before, "after": after}
                    for name, (before, after) in shares.items()
                },
            }
        )

    def _record_epoch(
        self, train: dict[str, float], evaluation: Evaluation, seconds: float
    ) -> None:
        epoch, step = self._progress.epoch, self._progress.step
        self._run.record(
            {
                "kind": "epoch",
                "epoch": epoch,
                "step": step,
                "seconds": round(seconds, 3),
                "learning_rate": learning_rate(step - 1, self._total_steps, self._config.optimizer),
                "train": train,
                "validation": dict(evaluation.figures),
                **_group_record(evaluation.groups),
            }
        )
        figures = "  ".join(f"{k} {v:.4f}" for k, v in evaluation.figures.items())
        tqdm.write(f"epoch {epoch}: {figures}")

    def _draw_if_due(self) -> None:
        epoch, epochs = self._progress.epoch, self._config.optimizer.epochs
        every = self._config.pictures_every
        if not every or (epoch % every and epoch != epochs):
            return
        draw_losses(self._run.pictures / "losses.png", self._run.records())
        if self._config.model.generates:
            draw_faces(
                self._run.pictures,
                self.averaged,
                self._data,
                self._config.resampling,
            )
        elif self._config.model.colours:
            draw_colours(self._run.pictures, self._stepper.averaged.model, self._data)

    def _require_finite(self, loss: float, position: int) -> None:
        if not math.isfinite(loss):
            kept = f"; {self._run.last} is from before" if self._run.last.is_file() else ""
            raise TrainingError(
                f"the loss became {loss} in epoch {self._progress.epoch + 1}, step {position}; "
                f"try a lower optimizer.learning_rate, an optimizer.gradient_clip such as 1, or "
                f"precision float32{kept}"
            )


def _group_record(groups: GroupRates | None) -> dict[str, object]:
    if groups is None:
        return {}
    return {
        "true_positive_rate": dict(groups.at_half),
        "true_positive_rate_at_1_percent_false_positives": dict(groups.at_one_percent),
        "over_groups": asdict(spread(groups.at_half)),
    }
