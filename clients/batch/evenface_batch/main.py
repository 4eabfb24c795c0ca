"""The command `evenface-batch`: images in, Parquet out.

0: done. 1: done, but some items have an error. 2: not done. 130: Ctrl-C.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from evenface_core.cli import EXIT_INTERRUPTED, guarded
from evenface_core.errors import JobError

from evenface_batch import job as jobs
from evenface_batch.engines.choice import add_engine_options, choose_engine
from evenface_batch.job import Wanted
from evenface_batch.plan import MAX_CHUNK, InputFacts
from evenface_batch.reading import is_local, local_path

EXIT_ERRORS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: None for those of the process.

    Returns:
        The exit code.
    """
    options = parser().parse_args(arguments)
    with _terminable():
        return guarded(lambda: _run(options))


def parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    whole = argparse.ArgumentParser(
        "evenface-batch",
        description="Score many images: latents, face probabilities and resampling weights.",
    )
    steps = whole.add_subparsers(required=True, metavar="STEP")
    encode = steps.add_parser(
        "encode", help="score images", description="Score images into Parquet files."
    )
    encode.set_defaults(run=_encode)
    _add_inputs(encode)
    add_engine_options(encode)
    return whole


def _add_inputs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="folder of images, *.tar (WebDataset) or *.parquet; a file or pattern of these; a "
        "list of paths (*.txt, *.csv, *.tsv); each a path or a URL of fsspec",
    )
    command.add_argument("--out", required=True, metavar="OUT", help="folder to write, path or URL")
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


def _run(options: argparse.Namespace) -> int:
    try:
        code: int = options.run(options)
    except KeyboardInterrupt:
        _tell("interrupted; what is done stays: go on with the same command and --resume")
        return EXIT_INTERRUPTED
    return code


def _encode(options: argparse.Namespace) -> int:
    wanted, engine = _wanted(options), choose_engine(options)
    with jobs.alone(options.out):
        job = jobs.begin(options.out, wanted, engine)
        counts = jobs.encode(job, engine)
    _tell(
        f"{counts.rows:,} rows in {job.folder.url}/parts, {counts.failed:,} of them with an error"
    )
    return EXIT_ERRORS if counts.failed else 0


def _wanted(options: argparse.Namespace) -> Wanted:
    if not 1 <= options.chunk_size <= MAX_CHUNK:
        raise JobError(f"--chunk-size: {options.chunk_size} is outside 1 to {MAX_CHUNK}")
    urls = tuple(
        os.path.abspath(local_path(shown)) if is_local(shown) else shown  # noqa: PTH100 - patterns
        for shown in options.inputs
    )
    return Wanted(
        InputFacts(
            urls=urls, kind=options.kind, column=options.column, id_column=options.id_column
        ),
        options.inputs,
        options.dtype,
        options.chunk_size,
        options.resume,
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def _terminable() -> Iterator[None]:
    """While entered, SIGTERM ends the command as Ctrl-C does."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


if __name__ == "__main__":
    sys.exit(main())
