"""The benchmark as files: a sheet to look at, or a folder for other programs."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from evenface_core.errors import ConfigError
from evenface_core.images import encode_image
from evenface_core.pictures import grid, save_png
from tqdm import tqdm

from evenface_training.files import explained, replacing
from evenface_training.synthetic.config import Frequencies, SyntheticConfig
from evenface_training.synthetic.streams import draw_each

FileFormat = Literal["png", "jpeg"]

MAX_SHEET = 4096  # images
_JPEG_QUALITY = 95
_LABELS = "labels.csv"
_COLUMNS = ("file", "label", "tone_group", *Frequencies.model_fields)
_DEGREES = ("yaw", "pitch", "roll", "light_angle")


def write_sheet(path: Path, config: SyntheticConfig, counts: Mapping[str, int]) -> None:
    """Write one PNG file with all images beside each other.

    Args:
        path: The file.
        config: What to draw.
        counts: How many, by name of part; at most 4096 together.

    Raises:
        ConfigError: There are none, or too many for a sheet.
        OSError: The file cannot be written.
    """
    total = sum(counts.values())
    if not 1 <= total <= MAX_SHEET:
        raise ConfigError(
            f"a sheet has 1 to {MAX_SHEET} images, not {total}; --folder has no limit"
        )
    images = [image for _, image, _ in draw_each(config, counts)]
    save_png(path, grid(images, columns=min(len(images), 16)))


def write_folder(
    folder: Path, config: SyntheticConfig, counts: Mapping[str, int], file_format: FileFormat
) -> None:
    """Write an image file each and, once all are there, `labels.csv`, with a progress bar.

    Args:
        folder: Where `face/`, `nonface/` and `labels.csv` go.
        config: What to draw.
        counts: How many, by name of part.
        file_format: `png` is lossless.

    Raises:
        ConfigError: There is a `labels.csv` already.
        TrainingError: A file cannot be written; names it.
    """
    labels = folder / _LABELS
    if labels.exists():
        raise ConfigError(f"{labels} exists; give another folder")
    with explained(labels), replacing(labels) as scratch, scratch.open("w", newline="") as file:
        table = csv.DictWriter(file, (*_COLUMNS, *_DEGREES), restval="")
        table.writeheader()
        bar = tqdm(total=sum(counts.values()), desc="drawing", unit="image", disable=None)
        with bar:
            for name, image, row in draw_each(config, counts):
                path = folder / f"{name}.{'jpg' if file_format == 'jpeg' else 'png'}"
                _write(path, encode_image(image, file_format, _JPEG_QUALITY))
                table.writerow({"file": path.relative_to(folder).as_posix(), **row})
                bar.update()


def _write(path: Path, data: bytes) -> None:
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
