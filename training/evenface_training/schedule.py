"""The learning rate as a function of the step alone, so that resuming needs no state of it."""

import math

from evenface_training.config import OptimizerConfig


def learning_rate(step: int, total_steps: int, config: OptimizerConfig) -> float:
    """Rise linearly, then stay or fall along half a cosine (Loshchilov & Hutter 2017).

    Args:
        step: Steps already taken, 0 to total_steps - 1.
        total_steps: Steps of the whole run.
        config: Highest rate, schedule and warm-up.
    """
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return config.learning_rate * warmup
    after = max(0, step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    return config.learning_rate * warmup * 0.5 * (1.0 + math.cos(math.pi * after))
