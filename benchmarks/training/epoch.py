"""An epoch of a DB-VAE over as many images as CelebA has, with everything that belongs to it."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from evenface_training.config import load_config
from evenface_training.data import SplitImages, TrainingData
from evenface_training.device import open_device
from evenface_training.loop import Trainer
from evenface_training.run_folder import RunFolder
from evenface_training.sources.cache import DecodedImages

from benchmarks.serving.results import write_json

_SIDE, _HELD = 64, 2048
_EPOCHS = 4  # the first compiles and warms up


def measure(device: str, images: int, batch: int, out: Path) -> None:
    """Time epochs, profile steps of the last, and write `training-DEVICE.json`.

    Args:
        device: `cuda`, or another that a run knows.
        images: Half of them faces.
        batch: Images of a step.
        out: Where to write.
    """
    config = load_config(
        "lab-dbvae",
        [
            f"device={device}",
            f"optimizer.batch_size={batch}",
            f"optimizer.epochs={_EPOCHS}",
            "resampling.enabled=false",
            "pictures_every=10000",
            "log_every=1000",
        ],
    )
    data = _data(images)
    with TemporaryDirectory() as scratch:
        run = RunFolder.create(Path(scratch) / "run")
        trainer = Trainer(config, data, run, open_device(config))
        profile = _Profile(first=(_EPOCHS - 1) * (images // batch) + 5)
        started = time.perf_counter()
        trainer.fit(profile)
        whole = time.perf_counter() - started
        seconds = [each["seconds"] for each in run.records() if each["kind"] == "epoch"]
        run.close()
    print(profile.table)
    result = {
        "device": _name(trainer.device),
        "torch": torch.__version__,
        "images": images,
        "batch": batch,
        "seconds_of_epochs": seconds,
        "seconds_in_all": whole,
        "images_per_second": images / min(seconds),
    }
    print(result)
    write_json(out / f"training-{device}.json", {**result, "profile": profile.table.splitlines()})


class _Profile:
    """Asked after each step; watches ten of them."""

    def __init__(self, first: int) -> None:
        self._first, self._step = first, 0
        self._profiler = torch.profiler.profile()
        self.table = ""

    def __call__(self) -> bool:
        self._step += 1
        if self._step == self._first:
            self._profiler.start()
        if self._step == self._first + 10:
            self._profiler.stop()
            key = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
            self.table = self._profiler.key_averages().table(sort_by=key, row_limit=25)
        return False


def _data(images: int) -> TrainingData:
    half = images // 2
    generator = np.random.default_rng(0)
    parts = [_part(count, generator) for count in (half, images - half)]
    nothing = np.zeros((len(parts[0].images), 0), np.float32)
    return TrainingData(parts[0], parts[1], {}, (), nothing, "drawn", None)


def _part(count: int, generator: np.random.Generator) -> SplitImages:
    """Noise at a fifth of the brightness range around a colour of each image's own."""
    total = count + _HELD
    images = generator.integers(0, 52, (total, _SIDE, _SIDE, 3), dtype=np.uint8)
    images += generator.integers(0, 204, (total, 1, 1, 3), dtype=np.uint8)
    source = DecodedImages(
        Path("drawn"), images, (), (), {}, None, np.zeros(0, np.uint64), "drawn", Path("none")
    )
    return SplitImages(source, np.arange(count), np.arange(count, total))


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
