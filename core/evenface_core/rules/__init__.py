"""The rules that turn "how common is this item" into a score.

A rule is one module with a function `log_scores(evidence)`. Listed in `RULES`, it is at once
available to training, to the RPC and to batch jobs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from evenface_core.rules import hard, lab, paper
from evenface_core.rules.evidence import Evidence, Float64

Reads = Literal["latents", "logits"]


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        log_scores: Gives the logarithms of the items' scores, float64 [N].
        reads: What an item's row holds: a latent of any size, or the one logit of face against
            non-face.
        bins: Bins per dimension where none are asked for.
        spacing: "equal" bins from the least to the greatest value, or bins between "quantiles",
            for items of one dimension.
    """

    log_scores: Callable[[Evidence], Float64]
    reads: Reads = "latents"
    bins: int = 10
    spacing: Literal["equal", "quantiles"] = "equal"


RULES: Mapping[str, Rule] = {
    "lab": Rule(lab.log_scores),
    "paper": Rule(paper.log_scores),
    "hard": Rule(hard.log_scores, "logits", bins=1000, spacing="quantiles"),
}
