"""The section `resampling`: which faces are shown more often."""

from typing import Literal, Self

from evenface_core import balance
from evenface_core.rules import RULES
from pydantic import Field, field_validator, model_validator

from evenface_training.config.section import Section


class ResamplingConfig(Section):
    """Adaptive resampling of the training faces by what the model says of them, or by labels.

    Attributes:
        enabled: Draw faces by weight; if false, all in random order, equally often.
        nonfaces: `even` shows non-faces in random order, equally often; `hard` draws those that the
            classifier takes for faces more often, by rule `hard` turned around. It has no use for
            `rule`, and none for `enabled`.
        rule: Name of a rule of `evenface_core.resampling`: `lab` and `paper` read latents, which
            `cnn` lacks; `hard` reads logits, which `vae` lacks. Or `groups`: the values of
            `group_column` count alike.
        group_column: The label column of rule `groups`; faces without a value keep their share.
        bins: Bins per latent dimension; rule `hard` has its own.
        smoothing: Added to each bin's density; the larger, the more even the weights.
        warmup_epochs: First epochs without weights, while latents and logits still mean nothing.
        every: Epochs between two computations of the weights.
        min_effective_sample_size: Weights are tempered until (sum w)^2 / sum w^2 is at least this
            share of the faces; 0 is off.
    """

    enabled: bool = False
    nonfaces: Literal["even", "hard"] = "even"
    rule: str = "lab"
    group_column: str | None = None
    bins: int = Field(default=10, ge=2)
    smoothing: float = Field(default=0.001, gt=0)
    warmup_epochs: int = Field(default=1, ge=0)
    every: int = Field(default=1, ge=1)
    min_effective_sample_size: float = Field(default=0.0, ge=0, le=1)

    @field_validator("rule")
    @classmethod
    def _rule_exists(cls, rule: str) -> str:
        known = [*RULES, balance.RULE]
        if rule not in known:
            raise ValueError(f"known rules are {', '.join(sorted(known))}")
        return rule

    @model_validator(mode="after")
    def _column_belongs_to_rule(self) -> Self:
        if (self.rule == balance.RULE) != (self.group_column is not None):
            raise ValueError("group_column is needed by rule groups, and has no use to others")
        return self

    @property
    def reads(self) -> str:
        """What weights come from: `latents`, `logits` or `labels`."""
        return "labels" if self.rule == balance.RULE else RULES[self.rule].reads
