"""The section `resampling`: which faces are shown more often."""

from evenface_core.rules import RULES
from pydantic import Field, field_validator

from evenface_training.config.section import Section


class ResamplingConfig(Section):
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
