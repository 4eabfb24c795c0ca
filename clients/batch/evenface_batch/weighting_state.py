"""What the passes have found, kept beside the parts until the weights are written.

OUT/weighting/plan.json             what it was found for; of something else it is thrown away
OUT/weighting/histogram.npz
OUT/weighting/scored.json           what there is to know of all scores
OUT/weighting/scores/000000000.npy  of each unit, by the number of its first part
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
from evenface_core.histogram_files import read_histogram, write_histogram
from evenface_core.resampling import LatentHistogram
from numpy.typing import NDArray

from evenface_batch.job import WEIGHTING_FOLDER, WEIGHTING_PLAN, forget_weighting
from evenface_batch.output import Folder
from evenface_batch.weighting_store import Found, Unit

_EDGES = f"{WEIGHTING_FOLDER}/edges.npy"
_HISTOGRAM, _SCORED = f"{WEIGHTING_FOLDER}/histogram.npz", f"{WEIGHTING_FOLDER}/scored.json"


@dataclass(frozen=True)
class State:
    """What has been found.

    Attributes:
        folder: OUT.
    """

    folder: Folder

    @classmethod
    def begin(cls, folder: Folder, plan: str) -> "State":
        """Take up what was found for the same plan, or begin."""
        state = cls(folder)
        if state._read(WEIGHTING_PLAN) != plan:
            forget_weighting(folder)
            state._write(WEIGHTING_PLAN, plan)
        return state

    @property
    def edges(self) -> NDArray[np.float64] | None:
        """Of the histogram that rows are to be counted into."""
        return _read_array(self.folder, _EDGES) if self.folder.exists(_EDGES) else None

    def keep_edges(self, edges: NDArray[np.float64]) -> None:
        """Keep them."""
        _write_array(self.folder, _EDGES, edges)

    @property
    def histogram(self) -> LatentHistogram | None:
        """The histogram that rows were counted into."""
        if not self.folder.exists(_HISTOGRAM):
            return None
        with self.folder.open(_HISTOGRAM) as file:
            return read_histogram(file, _HISTOGRAM)

    def keep_histogram(self, histogram: LatentHistogram) -> None:
        """Keep it."""
        with self.folder.replacing(_HISTOGRAM) as file:
            write_histogram(file, histogram)

    @property
    def found(self) -> Found | None:
        """What there is to know of all scores."""
        text = self._read(_SCORED)
        return None if text is None else Found(**json.loads(text))

    def keep_found(self, found: Found) -> None:
        """Keep it; all scores are kept already."""
        self._write(_SCORED, json.dumps(asdict(found)))

    def end(self) -> None:
        """Throw away what is needed no more."""
        forget_weighting(self.folder)

    def _read(self, name: str) -> str | None:
        if not self.folder.exists(name):
            return None
        with self.folder.open(name) as file:
            return file.read().decode()

    def _write(self, name: str, text: str) -> None:
        with self.folder.replacing(name) as file:
            file.write(text.encode())


def read_scores(folder: Folder, unit: Unit) -> NDArray[np.float64]:
    """The scores of a unit's weighted rows, float64 [N], logarithms."""
    return _read_array(folder, _scores(unit))


def write_scores(folder: Folder, unit: Unit, scores: NDArray[np.float64]) -> None:
    """Keep them."""
    _write_array(folder, _scores(unit), scores)


def _scores(unit: Unit) -> str:
    return f"{WEIGHTING_FOLDER}/scores/{unit[0]:09}.npy"


def _read_array(folder: Folder, name: str) -> NDArray[np.float64]:
    with folder.open(name) as file:
        array: NDArray[np.float64] = np.load(file)
    return array


def _write_array(folder: Folder, name: str, array: NDArray[np.float64]) -> None:
    with folder.replacing(name) as file:
        np.save(file, array)
