"""The command `evenface-batch`: images in, Parquet out.

0: done. 1: done, but some items have an error. 2: not done. 130: Ctrl-C.
"""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import fsspec
from evenface_core.cli import EXIT_INTERRUPTED, guarded
from evenface_core.histogram_files import write_histogram

from evenface_batch import job as jobs
from evenface_batch.engines.choice import choose_engine
from evenface_batch.job import Counts, Job
from evenface_batch.options import parser, wanted, weighting, workers
from evenface_batch.page import write_page
from evenface_batch.weighting import NothingToWeight, Summary, Weighting, weigh
from evenface_batch.weighting_store import JobStore

EXIT_ERRORS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: None for those of the process.

    Returns:
        The exit code.
    """
    options = parser({"encode": _encode, "weights": _weights, "all": _all}).parse_args(arguments)
    with _terminable():
        return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    try:
        code: int = options.run(options)
    except KeyboardInterrupt:
        _tell("interrupted; what is done stays: go on with the same command and --resume")
        return EXIT_INTERRUPTED
    return code


def _encode(options: argparse.Namespace) -> int:
    asked, engine = wanted(options), choose_engine(options)
    with jobs.alone(options.out):
        job = jobs.begin(options.out, asked, engine)
        counts = jobs.encode(job, engine)
        _tell_encoded(job, counts)
        _tell(f"page: {write_page(job)}")
    return EXIT_ERRORS if counts.failed else 0


def _weights(options: argparse.Namespace) -> int:
    how, job = weighting(options), jobs.load(options.out)
    job.require_complete()
    with jobs.alone(options.out):
        summary = _weigh(job, how, options)
    return EXIT_ERRORS if summary.failed else 0


def _all(options: argparse.Namespace) -> int:
    asked, how, engine = wanted(options), weighting(options), choose_engine(options)
    with jobs.alone(options.out):
        job = jobs.begin(options.out, asked, engine)
        counts = jobs.encode(job, engine)
        _tell_encoded(job, counts)
        try:
            _weigh(job, how, options)
        except NothingToWeight as error:
            _tell(f"page: {write_page(job)}")
            if not counts.failed:
                raise
            _tell(str(error))
    return EXIT_ERRORS if counts.failed else 0


def _weigh(job: Job, how: Weighting, options: argparse.Namespace) -> Summary:
    store = JobStore(job)
    summary = weigh(store, how, workers=min(workers(options), len(store.units())))
    _tell_weighted(summary)
    if options.histogram_out is not None:
        with fsspec.open(options.histogram_out, "wb") as file:
            write_histogram(file, summary.histogram)
    words = {"rule": summary.rule}
    if summary.temper < 1:
        words["tempered with exponent"] = f"{summary.temper:.3f}"
    if summary.non_faces:
        words["left out, unlikely faces"] = f"{summary.non_faces:,}"
    _tell(f"page: {write_page(job, words)}")
    return summary


def _tell_encoded(job: Job, counts: Counts) -> None:
    where = f"{job.folder.url}/parts"
    _tell(f"{counts.rows:,} rows in {where}, {counts.failed:,} of them with an error")


def _tell_weighted(summary: Summary) -> None:
    size, rows = summary.effective_sample_size, summary.weighted
    _tell(f"effective sample size {size:,.1f} of {rows:,} weighted rows ({size / rows:.0%})")
    if summary.temper < 1:
        _tell(f"tempered: each weight to the power {summary.temper:.3f}")
    if summary.unsure:
        _tell(
            f"{summary.unsure:,} of them are less likely a face than not, and may weigh most: "
            "--min-face-probability leaves them out"
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
