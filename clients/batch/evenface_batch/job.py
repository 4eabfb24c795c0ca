"""A job from its beginning to its parts; the steps that follow are others' affair."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from evenface_core.errors import JobError

from evenface_batch.engines import Engine
from evenface_batch.inputs import find_places
from evenface_batch.items import Chunk
from evenface_batch.listing import read_chunks, write_listing
from evenface_batch.output import Folder, Output
from evenface_batch.parts import Precision
from evenface_batch.plan import PLAN_FILE, InputFacts, ListingFacts, Plan
from evenface_batch.progress import Progress
from evenface_batch.scoring import PASSING

WEIGHTING_FOLDER = "weighting"  # what an unfinished weighting has found
WEIGHTING_PLAN = f"{WEIGHTING_FOLDER}/plan.json"  # what it was found for
_LOCK_FILE = "lock"


@dataclass(frozen=True)
class Job:
    """A job whose plan is written.

    Attributes:
        folder: OUT.
        plan: What is to be done.
    """

    folder: Folder
    plan: Plan

    @property
    def output(self) -> Output:
        """Where the parts are."""
        return Output(self.folder.url, self.plan.form)

    def chunks(self) -> Iterator[Chunk]:
        """All chunks in order, read from the listing one at a time."""
        return read_chunks(self.folder, self.plan.listing)

    def require_complete(self) -> None:
        """Check that all parts are there.

        Raises:
            JobError: Some are not.
        """
        there, all_of_them = len(self.output.parts()), self.plan.listing.chunks
        if there != all_of_them:
            raise JobError(
                f"{self.folder.url}: {there:,} of {all_of_them:,} parts are there; "
                "finish the step encode first, with --resume"
            )


@dataclass(frozen=True)
class Counts:
    """What is in the parts of a job.

    Attributes:
        rows: Items.
        failed: Those of them that have an error.
    """

    rows: int
    failed: int


@dataclass(frozen=True)
class Wanted:
    """What a user asks for.

    Attributes:
        input: What to score.
        shown: The inputs as they were written.
        dtype: Of the means.
        chunk_size: Most items a chunk.
        resume: Whether a job that is there may go on.
    """

    input: InputFacts
    shown: Sequence[str]
    dtype: Precision
    chunk_size: int
    resume: bool


def begin(url: str, wanted: Wanted, engine: Engine) -> Job:
    """Begin a job, or take up the one that is there.

    Raises:
        JobError: There is one and it may not be resumed, or is another; or there is nothing to
            score.
        EvenfaceError: The model cannot be used.
    """
    folder = Folder(url)
    before = Plan.load(folder)
    if before is not None and not wanted.resume:
        raise JobError(
            f"{url}: holds a job already; go on with it with --resume, or choose another --out"
        )
    plan = Plan(
        input=wanted.input,
        model=engine.model(),
        dtype=wanted.dtype,
        chunk_size=wanted.chunk_size,
        listing=before.listing if before else ListingFacts(digest="", chunks=0, items=0),
    )
    if before is not None:
        before.require_same(plan, f"{url}/{PLAN_FILE}")
        return Job(folder, before)
    if Output(folder.url, plan.form).parts():
        raise JobError(f"{url}: holds parts, but no {PLAN_FILE}; choose another --out")
    found = find_places(wanted.input, wanted.shown, wanted.chunk_size)
    plan = plan.model_copy(update={"listing": write_listing(folder, found)})
    plan.save(folder)
    return Job(folder, plan)


def load(url: str) -> Job:
    """Take up a job for a later step.

    Raises:
        JobError: There is none.
    """
    folder = Folder(url)
    plan = Plan.load(folder)
    if plan is None:
        raise JobError(f"{url}: no job there: no {PLAN_FILE}")
    return Job(folder, plan)


def encode(job: Job, engine: Engine) -> Counts:
    """Write the parts that are missing, and anew those with errors that may have passed.

    Returns:
        What is in all parts.

    Raises:
        EvenfaceError: The job cannot go on; what is done stays.
    """
    before = _kept(job.output)
    missing = (chunk for chunk in job.chunks() if chunk.index not in before)
    if len(before) < job.plan.listing.chunks:
        forget_weighting(job.folder)  # it knows nothing of the parts to come
    with (
        Progress(job.plan.listing, len(before)) as progress,
        closing(engine.run(missing, job.output)) as finished,
    ):
        for one in finished:
            progress.add(one)
    _require_arrived(job)
    return Counts(
        sum(rows for rows, _ in before.values()) + progress.rows,
        sum(failed for _, failed in before.values()) + progress.failed,
    )


def _kept(output: Output) -> dict[int, tuple[int, int]]:
    """Rows and errors of the parts that need not be made again."""
    counts = {index: output.count(index) for index in output.parts()}
    return {
        index: (rows, failed)
        for index, (rows, failed) in counts.items()
        if not failed or not any(error.startswith(PASSING) for error in output.errors(index))
    }


def forget_weighting(folder: Folder) -> None:
    """Throw away what a weighting has found."""
    folder.remove(WEIGHTING_PLAN)  # first, so that a half removed one is taken for nothing
    folder.remove(WEIGHTING_FOLDER)


def _require_arrived(job: Job) -> None:
    there, all_of_them = len(job.output.parts()), job.plan.listing.chunks
    if there != all_of_them:
        raise JobError(
            f"{job.folder.url}: {there:,} of {all_of_them:,} parts are there although all were "
            "written: is it the same place for every worker?"
        )


@contextmanager
def alone(url: str) -> Iterator[None]:
    """Keep a second process of this machine from working on the same job.

    Raises:
        JobError: There is one at work.
    """
    folder = Folder(url)
    if not folder.is_local:
        yield
        return
    try:
        os.makedirs(folder.path, exist_ok=True)  # noqa: PTH103 - a path of fsspec
        descriptor = os.open(f"{folder.path}/{_LOCK_FILE}", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise JobError(f"cannot write {url}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise JobError(f"{url}: another evenface-batch is at work there") from None
    try:
        folder.clear_scratch()
        yield
    finally:
        folder.clear_scratch()
        os.close(descriptor)
