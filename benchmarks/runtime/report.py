"""Results of the runtime's benchmark as JSON and Markdown."""

import importlib.metadata
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from benchmarks.runtime.timing import Timing
from benchmarks.runtime.together import Joint

_NOTE = """\
×: images/s over the first way's in the same round, median of the rounds. × CPU: the same of images
per CPU second, which says more where others use the machine. Off: largest difference of any output
from a plain run on the CPU, in float32 and in levels of 255 for images."""


@dataclass(frozen=True)
class Subject:
    """A function of a bundle, measured.

    Attributes:
        bundle: NAME/VERSION.
        function: Its function.
        timings: By way and rows.
        off: Largest difference of any output from a plain run on the CPU, by way.
        joint: Of several processes.
    """

    bundle: str
    function: str
    timings: dict[str, list[Timing]]
    off: dict[str, float]
    joint: list[Joint]


def describe_machine(device: str) -> dict[str, object]:
    """What the run was made with."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": device,
        "gpu": _gpu() if device != "cpu" else None,
        "cpu": _cpu(),
        "python": platform.python_version(),
        "onnxruntime": ort.__version__,
        "providers": ort.get_available_providers(),
        "numpy": np.__version__,
        "cudnn": _version("nvidia-cudnn-cu13"),
    }


def as_json(machine: dict[str, object], subjects: Sequence[Subject]) -> dict[str, object]:
    """Everything that was measured, as JSON values."""
    return {"machine": machine, "subjects": [asdict(each) for each in subjects]}


def write_report(machine: dict[str, object], subjects: Sequence[Subject], command: str) -> str:
    """All tables."""
    about = ", ".join(f"{key} {value}" for key, value in machine.items() if value)
    parts = [f"# Graphs by themselves, on {machine['device']}", f"`{command}`", about, _NOTE]
    for subject in subjects:
        parts += [f"## {subject.bundle}, {subject.function}", _timings(subject)]
        if subject.joint:
            parts += ["Several processes at once:", _joint(subject)]
    return "\n\n".join(parts) + "\n"


def _timings(subject: Subject) -> str:
    head = ("rows", "way", "images/s", "×", "p50 ms", "p99 ms", "CPU µs/image", "× CPU", "off")
    by_rows = zip(*subject.timings.values(), strict=True)
    lines = [
        (
            str(timing.rows),
            way,
            f"{timing.images_per_second:,.0f}",
            f"{timing.ratio:.2f}",
            f"{timing.p50:.3f}",
            f"{timing.p99:.3f}",
            f"{timing.cpu:.1f}",
            f"{timing.cpu_ratio:.2f}",
            f"{subject.off[way]:.1e}",
        )
        for timings in by_rows
        for way, timing in zip(subject.timings, timings, strict=True)
    ]
    return _table(head, lines)


def _joint(subject: Subject) -> str:
    head = ("rows", "way", "processes", "images/s", "cores used", "CPU µs/image")
    return _table(
        head,
        [
            (
                str(joint.rows),
                joint.variant,
                str(joint.processes),
                f"{joint.images_per_second:,.0f}",
                f"{joint.cores:.2f}",
                f"{1e6 * joint.cores / joint.images_per_second:.1f}",
            )
            for joint in subject.joint
        ],
    )


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.machine()


def _gpu() -> str:
    files = Path("/proc/driver/nvidia/gpus").glob("*/information")
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    return ", ".join(models) or "unknown"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
