"""Small data sets in the exact layouts of their authors, with real JPEGs."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8 = NDArray[np.uint8]

ATTRIBUTES = ("Male", "Smiling", "Young")
RED = (220, 30, 20)


def jpeg(number: int, size: int = 40) -> bytes:
    """A JPEG of its own for each number: a red ground with a field of noise."""
    rng = np.random.default_rng(number)
    pixels = np.full((size, size, 3), RED, np.uint8)
    pixels[8:24, 8:24] = rng.integers(0, 255, (16, 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_jpegs(folder: Path, names: Sequence[str], first: int = 0) -> Path:
    """Fill a folder with JPEGs of these names, `jpeg(first)` and those after it."""
    for number, name in enumerate(names, first):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    return folder


def write_celeba(folder: Path, partitions: str = "0000001112") -> Path:
    """CelebA with one image for each digit, its partition; two images a person."""
    names = [f"{number:06}.jpg" for number in range(1, len(partitions) + 1)]
    write_jpegs(folder / "img_align_celeba", names)
    lines = [str(len(names)), " ".join(ATTRIBUTES) + " "]
    for number, name in enumerate(names):
        values = [1 if number >> bit & 1 else -1 for bit in range(len(ATTRIBUTES))]
        lines.append(f"{name} " + " ".join(f"{value:2}" for value in values))
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    (folder / "list_eval_partition.txt").write_text(
        "".join(f"{name} {part}\n" for name, part in zip(names, partitions, strict=True))
    )
    (folder / "identity_CelebA.txt").write_text(
        "".join(f"{name} {2880 + number // 2}\n" for number, name in enumerate(names))
    )
    return folder


def write_fairface(folder: Path, train: int = 6, validation: int = 3) -> Path:
    """FairFace with its two CSV files."""
    for part, count in (("train", train), ("val", validation)):
        names = [f"{part}/{number}.jpg" for number in range(1, count + 1)]
        write_jpegs(folder, names, first=0 if part == "train" else train)
        lines = ["file,age,gender,race,service_test"]
        for number, name in enumerate(names):
            race = ("East Asian", "White", "Latino_Hispanic")[number % 3]
            lines.append(f"{name},20-29,{'Male' if number % 2 else 'Female'},{race},True")
        (folder / f"fairface_label_{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_shard(path: Path, samples: Sequence[Mapping[str, bytes]]) -> Path:
    """A tar file of samples, each its files by ending; `{number:06}` is a sample's key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, sample in enumerate(samples):
            for ending, data in sample.items():
                member = tarfile.TarInfo(f"{number:06}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def samples(count: int, first: int = 0) -> list[dict[str, bytes]]:
    """Samples with a JPEG, a JSON and a class; every third is of class 0."""
    return [
        {
            "jpg": jpeg(first + number),
            "json": json.dumps(
                {"tone": "dark" if number % 2 else "light", "age": 30 + number, "box": [1, 2]}
            ).encode(),
            "cls": b"0" if number % 3 == 0 else b"1",
        }
        for number in range(count)
    ]
