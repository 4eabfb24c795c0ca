"""Results of the runtime's benchmark as a picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.runtime.report import Subject


def plot(path: Path, subjects: Sequence[Subject], caption: str, *, by_cpu: bool) -> None:
    """Draw rates by rows, and by processes, one line of panels for each function.

    Args:
        path: The picture.
        subjects: What was measured.
        caption: What it was measured on.
        by_cpu: Draw images per CPU second, which others' work on the machine hardly changes, in
            place of images per second.
    """
    figure, axes = plt.subplots(
        len(subjects), 2, figsize=(12, 3 * len(subjects)), squeeze=False, layout="constrained"
    )
    for (left, right), subject in zip(axes, subjects, strict=True):
        _by_rows(left, subject, by_cpu=by_cpu)
        _by_processes(right, subject, by_cpu=by_cpu)
    for axis in axes.flat:
        axis.set_ylabel("images per CPU second" if by_cpu else "images/s", fontsize=8)
    figure.supxlabel(caption, fontsize=8, color="#555555")
    figure.savefig(path, dpi=75)
    plt.close(figure)


def _by_rows(axis: Axes, subject: Subject, *, by_cpu: bool) -> None:
    for way, timings in subject.timings.items():
        rates = [1e6 / each.cpu if by_cpu else each.images_per_second for each in timings]
        axis.plot([timing.rows for timing in timings], rates, marker="o", ms=3, label=way)
    axis.set_xscale("log", base=2)
    _finish(axis, f"{subject.bundle}, {subject.function}", "images in a call")


def _by_processes(axis: Axes, subject: Subject, *, by_cpu: bool) -> None:
    lines = sorted({(joint.variant, joint.rows) for joint in subject.joint})
    for variant, rows in lines:
        points = [j for j in subject.joint if (j.variant, j.rows) == (variant, rows)]
        rates = [each.images_per_second / (each.cores if by_cpu else 1) for each in points]
        label = f"{variant}, {rows} images"
        axis.plot([each.processes for each in points], rates, marker="o", ms=3, label=label)
    axis.set_xticks(sorted({joint.processes for joint in subject.joint}))
    _finish(axis, "several processes at once", "processes")


def _finish(axis: Axes, title: str, label: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(label, fontsize=8)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.lines:
        axis.legend(fontsize=7, frameon=False)
