"""The commands `encode` and `decode`."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenface_client import Client
from evenface_client.cli import files
from evenface_client.cli.report import gather, say
from evenface_client.cli.target import target


def encode(client: Client, args: Namespace) -> int:
    """Encode images to .npy or .csv."""
    files.check_output(args.out, (".npy", ".csv"))
    paths = files.find_images(args.images)
    found = gather(paths, client.encode_stream(paths, **target(args)))
    means = np.stack([encoded.mean for encoded in found.values])
    _write_latents(args.out, found.files, means)
    say(f"{len(means)} latents of {means.shape[1]} dimensions in {args.out}")
    return found.exit_code


def decode(client: Client, args: Namespace) -> int:
    """Decode latents of an .npy file."""
    files.check_output(args.out, (".png", ".npy"))
    latents = files.read_array(args.latents)
    decoded = client.decode(
        latents, attributes=dict(args.attribute or ()), color=args.color, **target(args)
    )
    files.write_pictures(args.out, decoded.images)
    say(f"{len(decoded.images)} images in {args.out}")
    return 0


def _write_latents(path: Path, names: Sequence[Path], means: NDArray[np.float32]) -> None:
    if path.suffix.lower() == ".npy":
        files.write_array(path, means)
        return
    header = ["file", *(f"mean_{number}" for number in range(means.shape[1]))]
    rows = ([name, *mean] for name, mean in zip(names, means.tolist(), strict=True))
    files.write_csv(path, header, rows)
