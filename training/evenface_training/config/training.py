"""A whole configuration: all sections, and what must hold between them."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from evenface_core.images import Preprocessing
from pydantic import Field, model_validator

from evenface_training.config.augmentation import AugmentationConfig
from evenface_training.config.compute import ComputeConfig
from evenface_training.config.data import DataConfig
from evenface_training.config.loss import LossConfig
from evenface_training.config.model import ModelConfig
from evenface_training.config.optimizer import OptimizerConfig
from evenface_training.config.resampling import ResamplingConfig
from evenface_training.config.section import Section

_OLD_FLIP = "horizontal_flip"


class TrainingConfig(Section):
    """A whole training run.

    Attributes:
        name: First part of the run folder's name.
        seed: Seed of every random choice of the run.
        device: `auto` takes CUDA or MPS where there is one.
        precision: `auto` is bfloat16 where that is fast: on CUDA, and on a CPU with AMX; else
            float32. Weights, sums of losses, validation and latents are float32 in any case.
        log_every: Steps between two lines of the loss in `metrics.jsonl`.
        pictures_every: Epochs between two sets of pictures; the last epoch always makes one. 0
            makes none.
        compute: How the device is used.
        model: Shape of the network.
        data: Where the images are.
        augmentation: Random changes to the training images.
        loss: Terms of the loss.
        optimizer: Adam and its schedule.
        resampling: Adaptive resampling of faces.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    log_every: int = Field(default=50, ge=1)
    pictures_every: int = Field(default=5, ge=0)
    compute: ComputeConfig = ComputeConfig()
    model: ModelConfig = ModelConfig()
    data: DataConfig
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    resampling: ResamplingConfig = ResamplingConfig()

    @model_validator(mode="before")
    @classmethod
    def _flip_has_moved(cls, values: Any) -> Any:  # noqa: ANN401 - whatever stands in a file
        """Read what runs of before wrote: `data.horizontal_flip` is `augmentation.flip` now."""
        data = values.get("data") if isinstance(values, Mapping) else None
        if not isinstance(data, Mapping) or _OLD_FLIP not in data:
            return values
        if "augmentation" in values:
            raise ValueError(f"data.{_OLD_FLIP} is augmentation.flip now; give that alone")
        kept = {key: value for key, value in data.items() if key != _OLD_FLIP}
        flip = 0.5 if data[_OLD_FLIP] else 0.0
        return {**values, "data": kept, "augmentation": {"flip": flip}}

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.model.classifies and self.data.nonfaces is None and self.data.source is None:
            raise ValueError(f"data.nonfaces is needed by model.kind {self.model.kind}")
        if not self.model.classifies and self.data.nonfaces is not None:
            raise ValueError(
                f"data.nonfaces has no use with model.kind {self.model.kind}; leave it out"
            )
        self._check_resampling()
        if self.loss.kl_warmup_epochs > self.optimizer.epochs:
            raise ValueError(
                f"loss.kl_warmup_epochs {self.loss.kl_warmup_epochs} is more than "
                f"optimizer.epochs {self.optimizer.epochs}"
            )
        if self.data.group_columns and not self.data.has_labels:
            raise ValueError("data.group_columns needs data.labels or a source with labels")
        if self.model.conditions and not self.data.has_labels:
            raise ValueError("model.conditions needs data.labels or a source with labels")
        return self

    def _check_resampling(self) -> None:
        if self.resampling.nonfaces == "hard" and not self.model.classifies:
            raise ValueError(
                f"resampling.nonfaces hard needs logits, and {self.model.kind} has none"
            )
        if not self.resampling.enabled:
            return
        has = {
            "latents": self.model.generates,
            "logits": self.model.classifies,
            "labels": self.data.has_labels,
        }
        rule, reads = self.resampling.rule, self.resampling.reads
        if not has[reads]:
            lacking = "data has none" if reads == "labels" else f"{self.model.kind} has none"
            raise ValueError(f"resampling.rule {rule} needs {reads}, and {lacking}")

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image file becomes the model's input; travels on into the bundle."""
        return Preprocessing(
            size=self.model.image_size,
            channels=self.model.channels,
            crop=self.data.crop,
            resample=self.data.resample,
        )
