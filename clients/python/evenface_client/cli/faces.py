"""The commands that make pictures: `sample`, `reconstruct`, `morph`, `traverse`."""

from argparse import Namespace
from collections.abc import Sequence

import numpy as np
from evenface_core.latents import interpolate
from evenface_core.latents import traverse as vary
from numpy.typing import NDArray

from evenface_client import Client, ModelDetails
from evenface_client.cli import files
from evenface_client.cli.errors import CommandError
from evenface_client.cli.report import gather, say
from evenface_client.cli.target import target

_COLUMNS = 8
_PAPER = 255

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]


def sample(client: Client, args: Namespace) -> int:
    """Draw new faces."""
    files.check_output(args.out, (".png", ".npy"))
    files.check_output(args.latents, (".npy",))
    drawn = client.sample(
        args.count,
        seed=args.seed,
        temperature=args.temperature,
        prior=args.prior,
        attributes=dict(args.attribute or ()),
        color=args.color,
        **target(args),
    )
    files.write_pictures(args.out, drawn.images)
    if args.latents is not None:
        files.write_array(args.latents, drawn.latents)
    say(f"{len(drawn.images)} faces in {args.out}")
    return 0


def reconstruct(client: Client, args: Namespace) -> int:
    """Encode and decode images, and lay each result below its original."""
    files.check_output(args.out, (".png",))
    paths = files.find_images(args.images)
    found = gather(paths, client.encode_stream(paths, **target(args)))
    means = np.stack([encoded.mean for encoded in found.values])
    rebuilt = client.decode(means, **target(args)).images
    originals = np.stack([files.as_seen(path, rebuilt.shape[1:]) for path in found.files])
    columns = min(_COLUMNS, len(rebuilt))
    files.write_pictures(args.out, _in_pairs(originals, rebuilt, columns), columns)
    say(f"{len(rebuilt)} reconstructions below their originals in {args.out}")
    return found.exit_code


def morph(client: Client, args: Namespace) -> int:
    """Walk from one face to another."""
    files.check_output(args.out, (".png", ".npy"))
    means = client.encode([args.start, args.end], **target(args)).mean
    steps = interpolate(means[0], means[1], args.steps)
    files.write_pictures(args.out, client.decode(steps, **target(args)).images, args.steps)
    say(f"{args.steps} steps from {args.start} to {args.end} in {args.out}")
    return 0


def traverse(client: Client, args: Namespace) -> int:
    """Vary each latent dimension of a face by itself."""
    files.check_output(args.out, (".png", ".npy"))
    if (args.image is None) == (args.seed is None):
        raise CommandError("traverse: pass either an image or --seed")
    if args.steps < 1:
        raise CommandError(f"--steps: {args.steps} is below 1")
    details = client.model(args.model, args.version)
    start = _start(client, args)
    dimensions = range(start.size) if args.dimensions is None else args.dimensions
    rows = [vary(start, d, _values(details, d, args)) for d in dimensions]
    images = client.decode(np.concatenate(rows), **target(args)).images
    files.write_pictures(args.out, images, args.steps)
    say(f"{len(rows)} dimensions, {args.steps} steps each, in {args.out}")
    return 0


def _start(client: Client, args: Namespace) -> Float32:
    if args.image is not None:
        latents = client.encode(args.image, **target(args)).mean
    else:
        latents = client.sample(1, seed=args.seed, **target(args)).latents
    start: Float32 = latents[0]
    return start


def _values(details: ModelDetails, dimension: int, args: Namespace) -> Sequence[float]:
    """Values around where the training set's latents lie; around 0 ± 1 where that is unknown."""
    mean, std = 0.0, 1.0
    known = details.aggregate_posterior
    if known is not None and 0 <= dimension < known.shape[1]:
        mean, std = known[:, dimension].tolist()
    offsets = np.linspace(-args.range, args.range, args.steps) * std
    values: list[float] = (mean + offsets).tolist()
    return values


def _in_pairs(originals: UInt8, rebuilt: UInt8, columns: int) -> UInt8:
    """Alternate rows of originals and of results, the last ones filled up with paper."""
    missing = -len(originals) % columns
    pad = ((0, missing), (0, 0), (0, 0), (0, 0))
    rows = [
        np.pad(images, pad, constant_values=_PAPER).reshape(-1, columns, *images.shape[1:])
        for images in (originals, rebuilt)
    ]
    return np.stack(rows, axis=1).reshape(-1, *originals.shape[1:])
