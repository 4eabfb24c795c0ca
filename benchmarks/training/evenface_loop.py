"""evenface's own trainer, as `evenface-train` runs it, taking turns."""

import sys
from pathlib import Path

from evenface_training.config import load_config
from evenface_training.data import load_data
from evenface_training.device import open_device
from evenface_training.evaluate import evaluate
from evenface_training.loop import Trainer
from evenface_training.run_folder import RunFolder

from benchmarks.training.turns import Turns


def run(file: str, folder: Path, half: bool) -> None:
    """Train until standard input ends.

    Args:
        file: The configuration.
        folder: The run's folder.
        half: Halve the loss, where the other's is half of ours.
    """
    config = load_config(file, [])
    data = load_data(config)
    trainer = Trainer(config, data, RunFolder.create(folder), open_device(config))

    def validate() -> float:
        loss = evaluate(trainer.averaged, data, config.loss).figures["loss"]
        return loss / 2 if half else loss

    turn = Turns(validate)
    turn()
    trainer.fit(turn)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), len(sys.argv) > 3)
