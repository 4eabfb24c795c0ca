"""Results of the runtime's benchmark as a picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.runtime.report import Subject


def plot(path: Path, subjects: Sequence[Subject], caption: str) -> None:
    """Draw images per second by rows, and by processes, one line of panels for each function."""
    figure, axes = plt.subplots(
        len(subjects), 2, figsize=(13, 3.6 * len(subjects)), squeeze=False, layout="constrained"
    )
    for (left, right), subject in zip(axes, subjects, strict=True):
        _by_rows(left, subject)
        _by_processes(right, subject)
    figure.supxlabel(caption, fontsize=8, color="#555555")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _by_rows(axis: Axes, subject: Subject) -> None:
    for way, timings in subject.timings.items():
        rates = [timing.images_per_second for timing in timings]
        axis.plot([timing.rows for timing in timings], rates, marker="o", ms=3, label=way)
    axis.set_xscale("log", base=2)
    _finish(axis, f"{subject.bundle}, {subject.function}", "images in a call")


def _by_processes(axis: Axes, subject: Subject) -> None:
    lines = sorted({(joint.variant, joint.rows) for joint in subject.joint})
    for variant, rows in lines:
        points = [j for j in subject.joint if (j.variant, j.rows) == (variant, rows)]
        axis.plot(
            [joint.processes for joint in points],
            [joint.images_per_second for joint in points],
            marker="o",
            ms=3,
            label=f"{variant}, {rows} images",
        )
    _finish(axis, "several processes at once", "processes")


def _finish(axis: Axes, title: str, label: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(label, fontsize=8)
    axis.set_ylabel("images/s", fontsize=8)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.lines:
        axis.legend(fontsize=7, frameon=False)
