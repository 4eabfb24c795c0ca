"""The commands `classify` and `weights`."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evenface_core.rules import RULES
from numpy.typing import NDArray

from evenface_client import Client, Histogram, Weighting
from evenface_client.cli import files
from evenface_client.cli.errors import CommandError
from evenface_client.cli.report import Gathered, gather, say
from evenface_client.cli.target import target

_SHOWN = 5


def classify(client: Client, args: Namespace) -> int:
    """Print probability and decision of each image."""
    files.check_output(args.csv, (".csv",))
    paths = files.find_images(args.images)
    outcomes = client.classify_stream(paths, threshold=args.threshold, **target(args))
    found = gather(paths, outcomes)
    scored = list(zip(found.files, found.values, strict=True))
    for path, score in scored:
        say(f"{score.probability:.4f}  {'face    ' if score.is_face else 'non-face'}  {path}")
    if args.csv is not None:
        rows = ((path, s.logit, s.probability, int(s.is_face)) for path, s in scored)
        files.write_csv(args.csv, ("file", "logit", "probability", "is_face"), rows)
    return found.exit_code


def weights(client: Client, args: Namespace) -> int:
    """Weight images for resampling."""
    files.check_output(args.out, (".csv",))
    files.check_output(args.histogram_out, (".npz",))
    histogram = _histogram(client, args)
    paths = files.find_images(args.images)
    found, items = _items(client, paths, args)
    weighting = client.resample_weights(
        latents=items if items.ndim > 1 else None,
        logits=items if items.ndim == 1 else None,
        histogram=histogram,
        rule=args.rule,
        min_effective_sample_size=args.min_ess,
        **target(args),
    )
    rows = zip(found.files, weighting.weights.tolist(), strict=True)
    files.write_csv(args.out, ("file", "weight"), rows)
    if args.histogram_out is not None:
        files.write_histogram(args.histogram_out, weighting.histogram)
    _summarise(found.files, weighting)
    return found.exit_code


def _items(
    client: Client, paths: Sequence[Path], args: Namespace
) -> tuple[Gathered[Any], NDArray[np.float32]]:
    """The images that could be read, and what the rule reads: latents [N, D] or logits [N]."""
    if args.rule in RULES and RULES[args.rule].reads == "logits":
        scored = gather(paths, client.classify_stream(paths, **target(args)))
        return scored, np.array([score.logit for score in scored.values], np.float32)
    encoded = gather(paths, client.encode_stream(paths, **target(args)))
    return encoded, np.stack([one.mean for one in encoded.values])


def _histogram(client: Client, args: Namespace) -> Histogram | None:
    if args.histogram is None:
        return None
    if args.histogram != "training":
        return files.read_histogram(Path(args.histogram))
    details = client.model(args.model, args.version)
    if details.training_histogram is None:
        raise CommandError(f"{details.info.name}: this model has no training histogram")
    return details.training_histogram


def _summarise(paths: Sequence[Path], weighting: Weighting) -> None:
    count, size = len(paths), weighting.effective_sample_size
    say(f"effective sample size {size:.1f} of {count} ({size / count:.0%})")
    if weighting.temper < 1:
        say(f"tempered: each weight to the power {weighting.temper:.3f}")
    order = np.argsort(-weighting.weights, kind="stable")
    shown = min(_SHOWN, count)
    for title, chosen in (("rarest", order[:shown]), ("commonest", order[::-1][:shown])):
        say(f"{title}:")
        for number in chosen:
            # 1 is an even share.
            say(f"  {weighting.weights[number] * count:8.3f} × average  {paths[number]}")
