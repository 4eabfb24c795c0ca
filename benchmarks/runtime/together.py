"""Several processes that run the same graph at the same time, each with a session of its own."""

import multiprocessing
import time
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from evenface_core.bundle import open_bundle
from evenface_core.errors import BundleError
from evenface_core.manifest import FunctionName
from evenface_runtime.device import Device

from benchmarks.runtime.inputs import inputs_of
from benchmarks.runtime.variants import Variant, open_variant

_AHEAD = 0.05  # seconds between the signal and the start, so that all begin together
_PATIENCE = 600.0  # for opening, on a GPU with TensorRT


@dataclass(frozen=True)
class Joint:
    """What some processes did together.

    Attributes:
        variant: Name of the way that they ran it.
        processes: How many.
        rows: Images or latents in a call.
        images_per_second: Of all together.
        cores: CPU seconds per second of all together.
    """

    variant: str
    processes: int
    rows: int
    images_per_second: float
    cores: float


@dataclass(frozen=True)
class Job:
    """What each process runs.

    Attributes:
        bundle: Folder of the bundle.
        function: Which of its functions.
        device: Where.
        variant: How.
        rows: Images or latents in a call.
    """

    bundle: Path
    function: FunctionName
    device: Device
    variant: Variant
    rows: int


def run_together(job: Job, processes: int, seconds: float) -> Joint:
    """Run a job in some processes at once.

    Args:
        job: What.
        processes: In how many.
        seconds: How long.

    Raises:
        BundleError: A process could not open the bundle.
    """
    context = multiprocessing.get_context("spawn")  # CUDA survives no fork
    with ExitStack() as stack:
        ends = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(job, theirs), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.enter_context(ours)
            ends.append(ours)
        for end in ends:
            _receive(end)
        start = time.monotonic() + _AHEAD
        for end in ends:
            end.send((start, seconds))
        found = [_receive(end) for end in ends]
    return Joint(
        job.variant.name,
        processes,
        job.rows,
        sum(rate for rate, _ in found),
        sum(cores for _, cores in found),
    )


def _receive(end: Connection) -> tuple[float, float]:
    said = end.recv() if end.poll(_PATIENCE) else "a process is too slow"
    if isinstance(said, str):
        raise BundleError(said)
    rate, cores = said
    return float(rate), float(cores)


def _work(job: Job, end: Connection) -> None:
    """Run in a process of its own: open, say so, run when told to, say how much."""
    try:
        bundle = open_bundle(job.bundle)
        runner = open_variant(bundle, job.function, job.device, job.variant, job.rows)
        inputs = inputs_of(bundle.manifest, job.function, job.rows)
        for _ in range(3):
            runner.run(inputs)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it
        end.send(str(error))
        return
    end.send((0.0, 0.0))
    start, seconds = end.recv()
    time.sleep(max(0.0, start - time.monotonic()))
    cpu, calls = time.process_time(), 0
    while calls == 0 or time.monotonic() < start + seconds:
        runner.run(inputs)
        calls += 1
    took = time.monotonic() - start
    end.send((calls * job.rows / took, (time.process_time() - cpu) / took))
