"""Latent drift: how far what is served has moved from what a model was trained on. Transport-free.

Each worker counts served latents in the bins of its bundle's training histogram, and its reports
hand on what it has counted (`ServedLatents`). One place adds up what all workers have counted and
shows the population stability index of the sums (`Drift`): an index of one worker's latents says
little of all, and a mean of such indices is not that of the whole.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
from evenface_core.manifest import Manifest
from evenface_core.resampling import LatentHistogram
from numpy.typing import NDArray
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

# Of each model and worker; counting so many takes a quarter of a millisecond.
_ROWS_PER_TAKE: Final = 256
_IDLE_TAKES: Final = 60
_MAX_DIMENSIONS: Final = 1024

# Without drift, the index of n rows in B bins is (B - 1) / n on average: 0.02 where n = 50 B.
_ROWS_PER_BIN: Final = 50
_WINDOW_SECONDS: Final = 900.0
_IDLE_SECONDS: Final = 3600.0
_HALF: Final = 0.5

_LABELS: Final = ("model", "version")


class Counts(NamedTuple):
    """Served latents of one model, by dimension and bin; as JSON, a list of these.

    Attributes:
        model: Its name.
        version: Its version.
        bins: Number that stands for the bins and the training set.
        training: int [D, B] as lists, the latents of the training set.
        served: int [D, B] as lists, in the same bins.
    """

    model: str
    version: str
    bins: int
    training: Sequence[Sequence[int]]
    served: Sequence[Sequence[int]]


class ServedLatents:
    """The latents that one process serves."""

    def __init__(self) -> None:
        # By identity, as hashing a manifest takes longer than all the rest.
        self._models: dict[int, _Gathered] = {}

    def note(self, manifest: Manifest, means: Float32) -> None:
        """Take note of latents on their way to a caller, as many as there is room for.

        Args:
            manifest: Of the model that they are from; all that it serves come with one object.
            means: float32 [N, D].
        """
        found = self._models.get(id(manifest))
        if found is None:
            found = self._models[id(manifest)] = _Gathered(manifest)
        found.add(means)

    def take(self) -> list[Counts]:
        """Return what has been served since the last time; to be called every second."""
        for key, gathered in list(self._models.items()):
            if gathered.idle_takes >= _IDLE_TAKES:
                del self._models[key]  # it may have been unloaded
        return [c for gathered in self._models.values() if (c := gathered.take()) is not None]


class _Gathered:
    """The first latents that a model serves after each `take`: a sample of its traffic in time."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest  # held, so that no other manifest gets its identity
        self.idle_takes = 0
        self._filled = 0
        self._training = _training_of(manifest)
        self._bins = 0 if self._training is None else _number_of(self._training)
        rows = 0 if self._training is None else _ROWS_PER_TAKE
        self._is_whole = manifest.latent_size <= _MAX_DIMENSIONS
        self._rows = np.empty((rows, min(manifest.latent_size, _MAX_DIMENSIONS)), np.float32)

    def add(self, means: Float32) -> None:
        # Copied: what the session returned may be a view of far more.
        start = self._filled
        room = len(self._rows) - start
        if room:
            rows = means if len(means) <= room else means[:room]
            self._filled = start + len(rows)
            self._rows[start : self._filled] = rows if self._is_whole else rows[:, :_MAX_DIMENSIONS]

    def take(self) -> Counts | None:
        rows, self._filled = self._rows[: self._filled], 0
        rows = rows[np.isfinite(rows).all(axis=1)]
        if self._training is None or not len(rows):
            self.idle_takes += 1
            return None
        self.idle_takes = 0
        dimensions = slice(0, _MAX_DIMENSIONS)
        served = LatentHistogram.with_edges(rows, self._training.edges[dimensions])
        return Counts(
            self._manifest.name,
            self._manifest.version,
            self._bins,
            self._training.counts[dimensions].tolist(),
            served.counts.tolist(),
        )


def _training_of(manifest: Manifest) -> LatentHistogram | None:
    found = manifest.training_histogram
    histogram = None if found is None else found.to_histogram()
    return histogram if histogram is not None and histogram.total else None


def _number_of(histogram: LatentHistogram) -> int:
    return crc32(histogram.edges.tobytes() + histogram.counts.tobytes())


class Drift(Collector):
    """The drift of all models, from what all processes have counted.

    It rests on the latents of two windows, the one at hand and the one before: of the last 15 to 30
    minutes, or of more where it takes longer to come by as many as it needs. A model that has
    served nothing for an hour is shown no more.

    Args:
        clock: Seconds that only ever grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._views: dict[tuple[str, str], _View] = {}
        self._lock = threading.Lock()  # metrics are asked for by another thread

    def add(self, taken: Sequence[Sequence[Any]]) -> None:
        """Add what a process has counted: `Counts`, or the lists that JSON makes of them."""
        now = self._clock()
        with self._lock:
            for model, version, bins, training, served in taken:
                view = self._views.get((model, version))
                if view is None or view.bins != bins:  # new, or of another bundle
                    view = _View(bins, np.array(training, np.int64), now)
                    self._views[model, version] = view
                view.add(np.array(served, np.int64), now)

    def collect(self) -> Iterator[Metric]:
        """All metrics, for Prometheus."""
        drift = GaugeMetricFamily(
            "evenface_latent_drift",
            "Population stability index of served latents against the training set's, by dimension",
            labels=(*_LABELS, "statistic"),
        )
        rows = GaugeMetricFamily(
            "evenface_latent_drift_rows", "Latents that the drift rests on.", labels=_LABELS
        )
        with self._lock:
            self._forget(self._clock() - _IDLE_SECONDS)
            for key, view in self._views.items():
                rows.add_metric(key, view.rows)
                if view.is_enough:
                    index = stability(view.training, view.served)
                    drift.add_metric((*key, "mean"), max(0.0, index.mean()))
                    drift.add_metric((*key, "max"), max(0.0, index.max()))
        yield from (drift, rows)

    def _forget(self, before: float) -> None:
        for key, view in list(self._views.items()):
            if view.last < before:
                del self._views[key]


class _View:
    """What one model has served of late."""

    def __init__(self, bins: int, training: Int64, now: float) -> None:
        self.bins = bins
        self.training = training
        self.last = now
        self._since = now
        self._enough_rows: int = _ROWS_PER_BIN * training.shape[1]
        self._current = np.zeros_like(training)
        self._before = np.zeros_like(training)

    @property
    def served(self) -> Int64:
        counts: Int64 = self._current + self._before
        return counts

    @property
    def rows(self) -> int:
        return int(self.served[0].sum())

    @property
    def is_enough(self) -> bool:
        return self.rows >= self._enough_rows

    def add(self, served: Int64, now: float) -> None:
        is_old = now - self._since >= _WINDOW_SECONDS
        if is_old and self._current[0].sum() >= self._enough_rows:
            self._before, self._current, self._since = self._current, np.zeros_like(served), now
        self._current += served
        self.last = now


def stability(training: Int64, served: Int64) -> Float64:
    """Return the population stability index of each dimension, float64 [D].

    PSI = Σ_b (p_b - q_b) · ln(p_b / q_b), p_b the share of the served latents in bin b and q_b that
    of the training set's (Siddiqi, Credit Risk Scorecards, 2006). Each bin counts half an item more
    than it has, so that empty ones are rare and not impossible. From chance alone the index is
    (B - 1) · (1/n + 1/m) on average, n and m the numbers of latents (Yurdakul and Naranjo,
    Statistical properties of the population stability index, Journal of Risk Model Validation
    14(4), 2020); that much is taken off, so that the result may be a little below 0.

    Args:
        training: int [D, B], n > 0.
        served: int [D, B], counts in the same bins, m > 0.
    """
    p, q = _shares(served), _shares(training)
    by_chance = (training.shape[1] - 1) * (1 / served[0].sum() + 1 / training[0].sum())
    index: Float64 = ((p - q) * np.log(p / q)).sum(axis=1) - by_chance
    return index


def _shares(counts: Int64) -> Float64:
    smoothed = counts.astype(np.float64) + _HALF
    shares: Float64 = smoothed / smoothed.sum(axis=1, keepdims=True)
    return shares
