"""The command `edit`."""

from argparse import Namespace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenface_client import Client, Edited
from evenface_client.cli import files
from evenface_client.cli.errors import CommandError
from evenface_client.cli.report import gather, say
from evenface_client.cli.target import target

UInt8 = NDArray[np.uint8]


def edit(client: Client, args: Namespace) -> int:
    """Change attributes of images, or of faces that the model draws."""
    files.check_output(args.out, (".png", ".npy"))
    if bool(args.images) == (args.seed is not None):
        raise CommandError("edit: pass either images or --seed")
    shown: list[Path] = []
    if args.images:
        paths = files.find_images(args.images)
        found = gather(paths, client.encode_stream(paths, **target(args)))
        latents = np.stack([encoded.mean for encoded in found.values])
        shown, code = found.files, found.exit_code
    else:
        latents, code = client.sample(args.count, seed=args.seed, **target(args)).latents, 0
    edited = client.edit(
        latents=latents,
        attributes=dict(args.attributes),
        steps=args.steps,
        color=args.color,
        **target(args),
    )
    _write(args.out, edited, shown)
    changes = " ".join(f"{name}={value:g}" for name, value in args.attributes)
    say(f"{len(latents)} faces with {changes} in {args.out}")
    return code


def _write(path: Path, edited: Edited, shown: list[Path]) -> None:
    if path.suffix.lower() == ".npy":
        files.write_array(path, edited.images)
        return
    rows = np.concatenate([edited.originals[:, None], edited.images], axis=1)
    if shown:
        before = [files.as_seen(image, rows.shape[2:]) for image in shown]
        rows = np.concatenate([np.stack(before)[:, None], rows], axis=1)
    files.write_pictures(path, rows.reshape(-1, *rows.shape[2:]), rows.shape[1])
