"""The benchmark as files: a sheet to look at, or a folder for other programs."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from evenface_core.errors import ConfigError
from evenface_core.images import encode_image
from evenface_core.pictures import grid, save_png
from PIL import Image, ImageDraw
from tqdm import tqdm

from evenface_training.files import explained, replacing
from evenface_training.synthetic.config import Frequencies, SyntheticConfig
from evenface_training.synthetic.render import UInt8, render_faces, render_nonfaces
from evenface_training.synthetic.streams import draw_each

FileFormat = Literal["png", "jpeg"]

MAX_SHEET = 4096  # images
_JPEG_QUALITY = 95
_PAPER = 255
_CAPTION = 16  # pixels below an image
_SHOWN = 5  # index of the one whose factors are changed
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


def write_factors(path: Path, config: SyntheticConfig) -> None:
    """Write one PNG file with a line a factor: its values side by side, under their names.

    Where a factor is not shown it has the value that is most frequent in `config`.

    Raises:
        OSError: The file cannot be written.
    """
    shares = config.frequencies.model_dump()
    usual = {factor: {max(values, key=values.get): 1.0} for factor, values in shares.items()}
    lines = [
        [
            _captioned(value, _draw_one(factor, config, {**usual, factor: {value: 1.0}}))
            for value in values
        ]
        for factor, values in shares.items()
    ]
    blank = np.full_like(lines[0][0], _PAPER)
    columns = max(map(len, lines))
    tiles = [tile for line in lines for tile in [*line, *[blank] * (columns - len(line))]]
    save_png(path, grid(tiles, columns))


def _draw_one(factor: str, config: SyntheticConfig, shares: Mapping[str, object]) -> UInt8:
    only = config.model_copy(update={"frequencies": Frequencies.model_validate(shares)})
    render = render_nonfaces if factor == "kind" else render_faces
    image: UInt8 = render(only, _SHOWN, 1).images[0]
    return image


def _captioned(text: object, image: UInt8) -> UInt8:
    size = image.shape[0]
    tile = Image.new("RGB", (size, size + _CAPTION), (_PAPER,) * 3)
    tile.paste(Image.fromarray(image))
    ImageDraw.Draw(tile).text((size // 2, size), str(text), fill=0, anchor="ma", font_size=11)
    return np.asarray(tile)


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
