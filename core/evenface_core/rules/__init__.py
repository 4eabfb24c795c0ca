"""The rules that turn "how common is this item" into a score.

A rule is one module with a function `log_scores(evidence)`. Listed in `RULES`, it is at once
available to training, to the RPC and to batch jobs.
"""

from collections.abc import Callable, Mapping

from evenface_core.rules import lab, paper
from evenface_core.rules.evidence import Evidence, Float64

Rule = Callable[[Evidence], Float64]

RULES: Mapping[str, Rule] = {"lab": lab.log_scores, "paper": paper.log_scores}
