"""What changes with the step alone, so that resuming needs no state of it."""

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


def kl_share(step: int, total_steps: int, epochs: int, warmup_epochs: int) -> float:
    """The share of its weight that the KL term has: rises linearly to 1, then stays.

    So the latents come to mean something before they are held to the prior (Bowman et al.,
    "Generating sentences from a continuous space", 2016).

    Args:
        step: Steps already taken.
        total_steps: Steps of the whole run.
        epochs: Epochs of the whole run.
        warmup_epochs: Epochs over which it rises; 0 starts with the whole weight.
    """
    return min(1.0, step / (total_steps / epochs * warmup_epochs)) if warmup_epochs else 1.0
