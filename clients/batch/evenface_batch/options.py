"""The options of every step, and what is made of them."""

import argparse
import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

import fsspec
from evenface_core.errors import JobError
from evenface_core.histogram_files import read_histogram
from evenface_core.resampling import DEFAULT_RULE, LatentHistogram
from evenface_core.rules import RULES

from evenface_batch.engines.choice import add_engine_options, checked_workers
from evenface_batch.job import Wanted
from evenface_batch.plan import MAX_CHUNK, InputFacts
from evenface_batch.reading import is_local, local_path
from evenface_batch.weighting import Weighting

Step: TypeAlias = Callable[[argparse.Namespace], int]


def parser(steps: Mapping[str, Step]) -> argparse.ArgumentParser:
    """The parser of the command.

    Args:
        steps: What runs each step, by its name; lands in the options as `run`.
    """
    whole = argparse.ArgumentParser(
        "evenface-batch",
        description="Score many images: latents, face probabilities and resampling weights.",
    )
    commands = whole.add_subparsers(required=True, metavar="STEP")

    def add(name: str, purpose: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.set_defaults(run=steps[name])
        command.add_argument(
            "--out", required=True, metavar="OUT", help="folder of the job, path or URL"
        )
        return command

    encode = add("encode", "Score images: Parquet files with mean and probability of each.")
    _add_inputs(encode)
    add_engine_options(encode)
    weights = add("weights", "Weight what has been scored: high for rare faces.")
    _add_weighting(weights)
    weights.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes (one a core)"
    )
    both = add("all", "Score images and weight them.")
    _add_inputs(both)
    add_engine_options(both)
    _add_weighting(both)
    return whole


def _add_inputs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="folder of images, *.tar (WebDataset) or *.parquet; a file or pattern of these; a "
        "list of paths (*.txt, *.csv, *.tsv); each a path or a URL of fsspec",
    )
    command.add_argument(
        "--kind",
        choices=("images", "webdataset", "parquet", "list"),
        help="what the inputs hold, where that does not show",
    )
    command.add_argument(
        "--column",
        metavar="NAME",
        help="of Parquet: with images or paths (image); of CSV: with paths (the first)",
    )
    command.add_argument(
        "--id-column", metavar="NAME", help="of Parquet: with ids (the file's name and the row)"
    )
    command.add_argument(
        "--dtype", choices=("float16", "float32"), default="float32", help="of the means (float32)"
    )
    command.add_argument(
        "--chunk-size",
        type=int,
        default=1024,
        metavar="N",
        help="most items a part file, and what a crash costs a worker (1024)",
    )
    command.add_argument(
        "--resume", action="store_true", help="go on with the job in OUT, if there is one"
    )


def _add_weighting(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("weights")
    group.add_argument(
        "--rule", choices=tuple(RULES), default=DEFAULT_RULE, help=f"({DEFAULT_RULE})"
    )
    group.add_argument(
        "--min-ess",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="least effective sample size as a share of the weighted rows, 0 to 1 (0)",
    )
    group.add_argument(
        "--min-face-probability",
        type=float,
        default=0.0,
        metavar="P",
        help="rows that are less likely a face get no weight (0)",
    )
    group.add_argument(
        "--histogram",
        metavar="FILE",
        help="judge rarity by this .npz of --histogram-out (also of `evenface weights`), not by "
        "the job",
    )
    group.add_argument(
        "--histogram-out",
        metavar="FILE",
        help="write the histogram that rarity was judged by, .npz, path or URL",
    )


def wanted(options: argparse.Namespace) -> Wanted:
    """What is to be scored.

    Raises:
        JobError: An option cannot be used.
    """
    if not 1 <= options.chunk_size <= MAX_CHUNK:
        raise JobError(f"--chunk-size: {options.chunk_size} is outside 1 to {MAX_CHUNK}")
    urls = tuple(
        os.path.abspath(local_path(shown)) if is_local(shown) else shown  # noqa: PTH100 - patterns
        for shown in options.inputs
    )
    facts = InputFacts(
        urls=urls, kind=options.kind, column=options.column, id_column=options.id_column
    )
    return Wanted(facts, options.inputs, options.dtype, options.chunk_size, options.resume)


def weighting(options: argparse.Namespace) -> Weighting:
    """How to weight.

    Raises:
        InvalidInput: An option cannot be used.
        JobError: The histogram is to be written into a file of another kind.
        OSError: The histogram cannot be read.
    """
    out = options.histogram_out
    if out is not None and not out.lower().endswith(".npz"):
        raise JobError(f"--histogram-out: {out}: must end in .npz")
    return Weighting(
        rule=options.rule,
        min_effective_sample_size=options.min_ess,
        min_face_probability=options.min_face_probability,
        histogram=_histogram(options.histogram),
    )


def workers(options: argparse.Namespace) -> int:
    """How many processes.

    Raises:
        JobError: Fewer than none.
    """
    return checked_workers(options) or len(os.sched_getaffinity(0))


def _histogram(url: str | None) -> LatentHistogram | None:
    if url is None:
        return None
    with fsspec.open(url, "rb") as file:
        return read_histogram(file, url)
