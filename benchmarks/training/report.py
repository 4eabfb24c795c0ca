"""Results of the comparison: a table, a picture, and all figures as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.serving.results import write_json
from benchmarks.training.compare import Subject, median_ratio

_REFERENCES = {"db-vae": "lab loop", "vae": "pythae"}


def write(
    out: Path, runs: Mapping[int, Sequence[Subject]], images: int, machine: Mapping[str, object]
) -> None:
    """Write `training.json`, `training.md` and `training.png`.

    Args:
        out: The folder.
        runs: Subjects by number of threads.
        images: Of a turn.
        machine: What it ran on.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        _row(threads, each, subjects) for threads, subjects in runs.items() for each in subjects
    ]
    figures = {
        str(threads): [
            {
                "name": s.name,
                "task": s.task,
                "batch": s.batch,
                "cpu": s.cpu,
                "wall": s.wall,
                "losses": s.losses,
            }
            for s in subjects
        ]
        for threads, subjects in runs.items()
    }
    write_json(
        out / "training.json",
        {"machine": machine, "images_of_a_turn": images, "threads": figures, "table": rows},
    )
    (out / "training.md").write_text(_table(rows, machine, images))
    _plot(out / "training.png", runs)


def _row(threads: int, subject: Subject, subjects: Sequence[Subject]) -> dict[str, object]:
    """Ratios against the reference of the task; above 1 is faster than it."""
    reference = next(
        s for s in subjects if s.task == subject.task and s.name == _REFERENCES[s.task]
    )
    goal = min(reference.losses)
    mine, theirs = subject.seconds_to(goal, subject.cpu), reference.seconds_to(goal, reference.cpu)
    return {
        "threads": threads,
        "task": subject.task,
        "loop": subject.name,
        "cpu": median_ratio(reference.cpu, subject.cpu),
        "wall": median_ratio(reference.wall, subject.wall),
        "goal": theirs / mine if mine and theirs else None,
        "loss": subject.losses[-1],
        "best": min(subject.losses),
    }


def _table(rows: Sequence[Mapping[str, object]], machine: Mapping[str, object], images: int) -> str:
    lines = [
        (
            f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}; turns of "
            f"{images} images with all that belongs to an epoch. Times are the reference's by "
            "the loop's: above 1 is faster."
        ),
        "",
        (
            "| threads | task | loop | CPU time | wall time | CPU time to the reference's lowest "
            "held-out loss | lowest loss | last |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        goal = "not reached" if row["goal"] is None else f"{row['goal']:.2f} ×"
        lines.append(
            f"| {row['threads']} | {row['task']} | {row['loop']} | {row['cpu']:.2f} × | "
            f"{row['wall']:.2f} × | {goal} | {row['best']:.4f} | {row['loss']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def _plot(path: Path, runs: Mapping[int, Sequence[Subject]]) -> None:
    present = {subject.task for subjects in runs.values() for subject in subjects}
    tasks = [task for task in _REFERENCES if task in present]  # pythae need not be installed
    figure, axes = plt.subplots(
        len(runs),
        len(tasks),
        figsize=(5.5 * len(tasks), 3.6 * len(runs)),
        squeeze=False,
        layout="constrained",
    )
    for line, (threads, subjects) in zip(axes, runs.items(), strict=True):
        for axis, task in zip(line, tasks, strict=True):
            for subject in (s for s in subjects if s.task == task):
                seconds = [sum(subject.cpu[: turn + 1]) for turn in range(len(subject.cpu))]
                axis.plot(seconds, subject.losses, marker="o", ms=3, label=subject.name)
            axis.set_title(f"{task}, threads: {threads}", fontsize=10)
            axis.set_xlabel("CPU seconds of training", fontsize=8)
            axis.set_ylabel("held-out loss", fontsize=8)
            axis.set_yscale("log")
            axis.tick_params(labelsize=8)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=80)
    plt.close(figure)
