"""How sure differences between variants are: the bootstrap (Efron & Tibshirani 1993).

A replicate draws seeds, test faces and test non-faces with replacement, the same for all variants,
so that differences are paired. The threshold of 1 % false positives is found anew in each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from evenface_training.groups import FALSE_POSITIVES
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.debiasing.runs import PARTS, Run, Scores
from benchmarks.debiasing.sets import Bools

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Key = tuple[str, bool]

CONDITIONS = tuple((part, at) for part in PARTS for at in ("half", "one percent"))
FIGURES = ("mean", "variance", "worst")
LEVEL = 95.0


@dataclass(frozen=True)
class Sample:
    """What a replicate has drawn.

    Attributes:
        seeds: int64 [K], positions among the seeds.
        faces: int64 [F], how often each face was drawn.
        nonfaces: int64 [M], how often each non-face was.
    """

    seeds: Int64
    faces: Int64
    nonfaces: Int64


class Comparison:
    """Runs of several variants with the same seeds and test sets.

    Args:
        runs: Of all variants and seeds; each variant has every seed.
        groups: By name, bool [F].

    Attributes:
        keys: Variants, each as (name, augmented).
    """

    def __init__(self, runs: Sequence[Run], groups: Mapping[str, Bools]) -> None:
        self._runs: dict[Key, list[Run]] = {}
        for run in sorted(runs, key=lambda run: run.seed):
            self._runs.setdefault((run.variant, run.augmented), []).append(run)
        self.keys = list(self._runs)
        self._members = np.stack(list(groups.values()), axis=1).astype(np.float64)
        self._order = {
            (run.key, part): np.argsort(run.scores[part].nonfaces)[::-1]
            for run in runs
            for part in PARTS
        }

    def whole(self) -> Sample:
        """Everything once: the figures themselves."""
        runs = self._runs[self.keys[0]]
        scores = runs[0].scores[PARTS[0]]
        once = (np.ones(len(part), np.int64) for part in (scores.faces, scores.nonfaces))
        return Sample(np.arange(len(runs)), *once)

    def draw(self, rng: np.random.Generator) -> Sample:
        """A replicate."""
        whole = self.whole()
        faces, nonfaces = (
            rng.multinomial(len(part), np.full(len(part), 1 / len(part)))
            for part in (whole.faces, whole.nonfaces)
        )
        return Sample(rng.integers(0, len(whole.seeds), len(whole.seeds)), faces, nonfaces)

    def rates(self, key: Key, part: str, at: str, sample: Sample) -> Float64:
        """True positive rates, float64 [K, G], by drawn seed and group."""
        weights = sample.faces.astype(np.float64)
        sizes = weights @ self._members
        found = {seed: self._rates(key, seed, part, at, sample) for seed in set(sample.seeds)}
        return np.stack([found[seed] for seed in sample.seeds]) / np.maximum(sizes, 1)

    def _rates(self, key: Key, seed: int, part: str, at: str, sample: Sample) -> Float64:
        run = self._runs[key][seed]
        scores = run.scores[part]
        threshold = 0.0
        if at != "half":
            threshold = _threshold(scores, self._order[run.key, part], sample.nonfaces)
        passed = np.where(scores.faces >= threshold, sample.faces, 0)
        return passed.astype(np.float64) @ self._members

    def figures(self, key: Key, part: str, at: str, sample: Sample) -> dict[str, float]:
        """E[A] and Var[A] (percent, percent²) over groups and the worst group, means over seeds."""
        rates = 100 * self.rates(key, part, at, sample)
        return {
            "mean": float(rates.mean()),
            "variance": float(rates.var(axis=1).mean()),
            "worst": float(rates.min(axis=1).mean()),
        }

    def all_figures(self, sample: Sample) -> dict[Key, Float64]:
        """By variant: float64 [conditions, figures]."""
        return {
            key: np.array(
                [list(self.figures(key, *condition, sample).values()) for condition in CONDITIONS]
            )
            for key in self.keys
        }


def replicate(comparison: Comparison, count: int, seed: int = 0) -> dict[Key, Float64]:
    """Draw replicates; by variant: float64 [count, conditions, figures]."""
    rng = np.random.default_rng(seed)
    drawn = [
        comparison.all_figures(comparison.draw(rng))
        for _ in tqdm(range(count), desc="bootstrap", disable=None)
    ]
    return {key: np.stack([figures[key] for figures in drawn]) for key in comparison.keys}


def interval(values: Float64) -> tuple[float, float]:
    """The percentile interval of 95 %."""
    low, high = np.percentile(values, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)


def _threshold(scores: Scores, order: Int64, drawn: Int64) -> float:
    """As `metrics.threshold_at`, of non-faces that count several times."""
    allowed = int(FALSE_POSITIVES * drawn.sum())
    reached = np.cumsum(drawn[order])
    limit = scores.nonfaces[order[np.searchsorted(reached, allowed, side="right")]]
    return float(np.nextafter(limit, np.float32(np.inf)))
