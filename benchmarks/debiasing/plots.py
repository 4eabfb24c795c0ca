"""Groups side by side: the CNN against debiasing variants."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.debiasing.bootstrap import CONDITIONS, Float64, Key
from benchmarks.debiasing.variants import BASE, VARIANTS

_THRESHOLDS = {"half": "probability 0.5", "one percent": "1 % false positives"}
_SHOWN = (BASE, "lab", "cnn-hard", "cnn-nonfaces", "known")


def plot(path: Path, rates: Mapping[Key, Float64], groups: Sequence[str], caption: str) -> None:
    """Draw bars by group in each condition, of some variants with and without augmentation.

    Args:
        path: The picture.
        rates: By variant, float64 [conditions, groups], percent.
        groups: Their names.
        caption: What it shows.
    """
    keys = [(name, on) for on in (False, True) for name in _SHOWN if (name, on) in rates]
    rows = len(CONDITIONS)
    figure, axes = plt.subplots(rows, 1, figsize=(14, 12), sharex=True, layout="constrained")
    for number, (axis, (part, at)) in enumerate(zip(axes, CONDITIONS, strict=True)):
        _bars(axis, {key: rates[key][number] for key in keys})
        axis.set_title(f"{part}, {_THRESHOLDS[at]}", fontsize=10, loc="left")
    axes[-1].set_xticks(range(len(groups)), groups, rotation=60, ha="right", fontsize=8)
    figure.legend(
        *axes[0].get_legend_handles_labels(), fontsize=8, ncols=3, loc="outside upper right"
    )
    figure.supxlabel(caption, fontsize=8, color="#555555")
    figure.savefig(path, dpi=75)
    plt.close(figure)


def _bars(axis: Axes, rates: Mapping[Key, Float64]) -> None:
    width = 0.84 / len(rates)
    colors = plt.get_cmap("tab20")
    for number, ((name, augmented), values) in enumerate(rates.items()):
        at = np.arange(len(values)) + (number - (len(rates) - 1) / 2) * width
        label = VARIANTS[name].title + (" + augmentation" if augmented else "")
        color = colors(2 * _SHOWN.index(name) + (not augmented))
        axis.bar(at, values, width, label=label, color=color)
    low = min(float(values.min()) for values in rates.values())
    axis.set_ylim(max(0, low - 5), 100)
    axis.grid(axis="y", alpha=0.3)
