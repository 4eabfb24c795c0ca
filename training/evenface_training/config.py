"""What a training run is told: one YAML file, checked by pydantic.

Ready-made files ship in `configs/`. Nothing here reads data or touches torch.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from evenface_core.config import load_yaml
from evenface_core.errors import ConfigError
from evenface_core.images import Preprocessing
from evenface_core.rules import RULES
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Kind = Literal["cnn", "vae", "dbvae"]
Reconstruction = Literal["l1", "mse", "bce"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(_Section):
    """Shape of the network (see `models.FaceModel`).

    Attributes:
        kind: `cnn` classifies, `vae` encodes and decodes, `dbvae` does both.
        image_size: Height and width in pixels; four stride-2 convolutions need a multiple of 16.
        channels: 1 for gray, 3 for RGB.
        latent_size: Length L of a latent.
        n_filters: Width of the first convolution; the others have 2, 4 and 6 times as many.
        hidden_size: Units of the encoder's dense layer.
    """

    kind: Kind = "dbvae"
    image_size: int = Field(default=64, ge=16, le=1024, multiple_of=16)
    channels: Literal[1, 3] = 3
    latent_size: int = Field(default=100, ge=1)
    n_filters: int = Field(default=12, ge=1)
    hidden_size: int = Field(default=512, ge=1)

    @property
    def classifies(self) -> bool:
        """Whether the model tells face from non-face."""
        return self.kind != "vae"

    @property
    def generates(self) -> bool:
        """Whether the model has latents and a decoder."""
        return self.kind != "cnn"


class DataConfig(_Section):
    """Where the images are and how they are read. Relative paths start at the current directory.

    Attributes:
        faces: Folder of face images, searched recursively.
        nonfaces: Folder of other images; needed by `cnn` and `dbvae`, absent for `vae`.
        labels: CSV with a column `file`; its other columns describe the image.
        group_columns: Columns of `labels` that name groups, each reported by itself.
        validation_fraction: Share of the files held out, chosen by a hash of their names.
        cache: Folder of the decoded arrays.
        max_broken_fraction: More unreadable files than this share are an error.
        crop: `center` cuts a square, `none` stretches.
        resample: The filter of the resize.
        horizontal_flip: Mirror every other training image, at random.
    """

    faces: Path
    nonfaces: Path | None = None
    labels: Path | None = None
    group_columns: tuple[str, ...] = ()
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    cache: Path = Path(".cache/evenface")
    max_broken_fraction: float = Field(default=0.01, ge=0, le=1)
    crop: Literal["center", "none"] = "center"
    resample: Literal["bilinear", "lanczos", "box"] = "bilinear"
    horizontal_flip: bool = False


class LossConfig(_Section):
    """Terms of the loss (see `losses`).

    Attributes:
        reconstruction: The reconstruction term, averaged over pixels and channels.
        kl_weight: c in c * L_KL + L_reconstruction; L_KL is summed over the latent.
        vae_weight: Factor on a DB-VAE's VAE term. The reconstruction is a mean over pixels and so
            far smaller than the classification's gradient: at 1 the encoder hardly learns faces.
    """

    reconstruction: Reconstruction = "l1"
    kl_weight: float = Field(default=0.0005, ge=0)
    vae_weight: float = Field(default=1.0, gt=0)


class OptimizerConfig(_Section):
    """Adam and everything that steers it.

    Attributes:
        learning_rate: The highest learning rate of the run.
        batch_size: Images a step; `cnn` and `dbvae` take half faces, half non-faces.
        epochs: Passes over as many images as the training part has.
        schedule: `cosine` falls to zero at the last step, `constant` stays.
        warmup_steps: Steps over which the learning rate rises linearly from zero.
        ema_decay: Decay of the averaged weights that are validated and exported; 0 is off.
        gradient_clip: Largest norm of the gradient; 0 is off.
    """

    learning_rate: float = Field(default=5e-4, gt=0)
    batch_size: int = Field(default=32, ge=2)
    epochs: int = Field(default=6, ge=1)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    gradient_clip: float = Field(default=0.0, ge=0)


class ResamplingConfig(_Section):
    """Adaptive resampling of the training faces by their latents.

    Attributes:
        enabled: Draw faces by weight; if false, all in random order, equally often. No use to
            `cnn`.
        rule: Name of a rule of `evenface_core.resampling`.
        bins: Bins per latent dimension.
        smoothing: Added to each bin's density; the larger, the more even the weights.
        warmup_epochs: First epochs without weights, while the latents still mean nothing.
        every: Epochs between two computations of the weights.
        min_effective_sample_size: Weights are tempered until (sum w)^2 / sum w^2 is at least this
            share of the faces; 0 is off.
    """

    enabled: bool = False
    rule: str = "lab"
    bins: int = Field(default=10, ge=2)
    smoothing: float = Field(default=0.001, gt=0)
    warmup_epochs: int = Field(default=1, ge=0)
    every: int = Field(default=1, ge=1)
    min_effective_sample_size: float = Field(default=0.0, ge=0, le=1)

    @field_validator("rule")
    @classmethod
    def _rule_exists(cls, rule: str) -> str:
        if rule not in RULES:
            raise ValueError(f"known rules are {', '.join(sorted(RULES))}")
        return rule


class TrainingConfig(_Section):
    """A whole training run.

    Attributes:
        name: First part of the run folder's name.
        seed: Seed of every random choice of the run.
        device: `auto` takes CUDA or MPS where there is one.
        precision: `auto` is bfloat16 on CUDA, float32 elsewhere.
        log_every: Steps between two lines of the loss in `metrics.jsonl`.
        pictures_every: Epochs between two sets of pictures; the last epoch always makes one.
        model: Shape of the network.
        data: Where the images are.
        loss: Terms of the loss.
        optimizer: Adam and its schedule.
        resampling: Adaptive resampling of faces.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    log_every: int = Field(default=50, ge=1)
    pictures_every: int = Field(default=5, ge=1)
    model: ModelConfig = ModelConfig()
    data: DataConfig
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    resampling: ResamplingConfig = ResamplingConfig()

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.model.classifies and self.data.nonfaces is None:
            raise ValueError(f"data.nonfaces is needed by model.kind {self.model.kind}")
        if not self.model.classifies and self.data.nonfaces is not None:
            raise ValueError("data.nonfaces has no use with model.kind vae; leave it out")
        if self.resampling.enabled and not self.model.generates:
            raise ValueError("resampling.enabled needs latents, which model.kind cnn lacks")
        if self.data.group_columns and self.data.labels is None:
            raise ValueError("data.group_columns needs data.labels")
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image file becomes the model's input; travels on into the bundle."""
        return Preprocessing(
            size=self.model.image_size,
            channels=self.model.channels,
            crop=self.data.crop,
            resample=self.data.resample,
        )


def load_config(name_or_path: str, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a configuration by its ready-made name or its path.

    Args:
        name_or_path: A name out of `ready_made()`, or the path of a YAML file.
        overrides: `key.sub=value` pairs that replace single values.

    Raises:
        ConfigError: There is no such file, or a key or value in it is wrong.
    """
    return load_yaml(TrainingConfig, _find(name_or_path), overrides)


def ready_made() -> list[str]:
    """Names of the configurations that ship with the package."""
    folder = resources.files("evenface_training") / "configs"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    if name_or_path in ready_made():
        return Path(str(resources.files("evenface_training") / "configs" / f"{name_or_path}.yaml"))
    raise ConfigError(
        f"{path}: no such file, and the ready-made ones are {', '.join(ready_made())}"
    )
