"""The section `optimizer`: Adam, its schedule and what happens to the weights."""

from typing import Literal

from pydantic import Field

from evenface_training.config.section import Section


class OptimizerConfig(Section):
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
