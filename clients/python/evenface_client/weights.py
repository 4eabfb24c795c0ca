"""Weights that `evenface-batch` has written, for a training loop: aligned, drawn by, sampled by.

    weights = align_weights("OUT", ids)                            # float64, in the order of ids
    loader = DataLoader(faces, 32, sampler=weighted_sampler(weights, seed=1))

Needs pyarrow (`pip install evenface[parquet]`), for a URL fsspec too, and for `weighted_sampler`
torch; each is imported where it is needed and not before.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from evenface_core.errors import DataError, InvalidInput
from evenface_core.weights import WEIGHTING_MARK
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch.utils.data import WeightedRandomSampler

__all__ = ["Draws", "RowWeights", "align_weights", "read_weights", "weighted_sampler"]

Float64 = NDArray[np.float64]

_PART = re.compile(r"/part-\d{9,}\.parquet$")
_BATCH = 2**16  # rows that are read, and numbers that are drawn, at a time
_MOST = 2**24  # weights that torch.multinomial draws by


@dataclass(frozen=True)
class RowWeights:
    """All rows of a job, in the order of its parts.

    Attributes:
        ids: pyarrow.ChunkedArray of strings; `ids[7].as_py()` is one of them.
        values: float64 [N]; 0 for a row that has no weight: one with an error, or left out.
    """

    ids: Any
    values: Float64


def read_weights(url: str | Path) -> RowWeights:
    """Read ids and weights of a job, for a dataset that is made from them.

    Args:
        url: OUT of `evenface-batch`, or a file with columns `id` and `weight` as the studio writes
            it, `.parquet` or `.csv`; a path or a URL of fsspec.

    Raises:
        DataError: There are no parts, one cannot be read, or they have not all been weighted, all
            in one way.
        ImportError: pyarrow is missing, or fsspec for a URL.
    """
    import pyarrow as pa  # noqa: PLC0415

    ids, values = [], [np.empty(0)]
    for names, weights in _batches(url):
        ids.append(names)
        values.append(weights)
    return RowWeights(pa.chunked_array(ids, pa.string()), np.concatenate(values))


def align_weights(url: str | Path, ids: Sequence[str] | NDArray[np.str_]) -> Float64:
    """Read the weights of a dataset's items.

    Beside the weights this takes some 40 bytes an item, however long the ids are.

    Args:
        url: As for `read_weights`.
        ids: Of the items in the dataset's order, as the job calls them; it may have others too.

    Returns:
        float64 [number of ids]; 0 for an item that has no weight.

    Raises:
        DataError: As `read_weights`, or the job has an id twice.
        InvalidInput: The job lacks an id, or the dataset has one twice.
        ImportError: As `read_weights`.
    """
    if len(ids) == 0:
        raise InvalidInput("ids", "there are none")
    digests = _digests(ids)
    order = np.argsort(digests)
    digests = digests[order]
    twice = np.flatnonzero(digests[1:] == digests[:-1])
    if len(twice):
        second = int(max(order[twice[0]], order[twice[0] + 1]))
        raise InvalidInput("ids", f"{ids[second]!r} is there twice", index=second)
    aligned = np.full(len(ids), np.nan)
    for names, weights in _batches(url):
        wanted = _digests(names.to_pylist())
        places = np.searchsorted(digests, wanted).clip(max=len(ids) - 1)
        known = np.flatnonzero(digests[places] == wanted)
        found = order[places[known]]
        again = _again(found, aligned)
        if again is not None:
            raise DataError(f"{url}: id {names[int(known[again])].as_py()!r} is there twice")
        aligned[found] = weights[known]
    missing = np.flatnonzero(np.isnan(aligned))
    if len(missing):
        first = int(missing[0])
        others = f", and neither are {len(missing) - 1:,} others" if len(missing) > 1 else ""
        raise InvalidInput("ids", f"{ids[first]!r} is not in {url}{others}", index=first)
    return aligned


class Draws:
    """Draws indices in proportion to weights, with replacement: a sampler that needs no torch.

    `DataLoader(dataset, sampler=Draws(weights))` works as well; unlike torch's own it takes more
    than 2^24 weights. Each pass over it draws others, the same for the same seed.

    Args:
        weights: float64 [N], at least 0, one of them above.
        count: Indices a pass; None is N.
        seed: 0 or above.

    Attributes:
        epoch: The number of the next pass, 0 at first. Set it to go on where a run was interrupted.

    Raises:
        InvalidInput: The weights cannot be used.
    """

    def __init__(self, weights: Float64, count: int | None = None, *, seed: int = 0) -> None:
        self._ends = np.cumsum(_usable(weights))
        self._last = int(np.flatnonzero(weights)[-1])
        self._count = len(weights) if count is None else count
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self._seed, self.epoch])
        self.epoch += 1
        for start in range(0, self._count, _BATCH):
            points = generator.random(min(_BATCH, self._count - start)) * self._ends[-1]
            found = np.searchsorted(self._ends, points, side="right")
            yield from found.clip(max=self._last).tolist()  # a point may be rounded to the end


def weighted_sampler(
    weights: Float64, count: int | None = None, *, seed: int = 0
) -> "WeightedRandomSampler":
    """Make torch's sampler of weights, with replacement.

    Args:
        weights: float64 [N], at least 0, one of them above; N at most 2^24.
        count: Indices an epoch; None is N.
        seed: Of its generator.

    Raises:
        InvalidInput: The weights cannot be used.
        ImportError: torch is missing.
    """
    import torch  # noqa: PLC0415
    from torch.utils.data import WeightedRandomSampler  # noqa: PLC0415

    if len(_usable(weights)) > _MOST:
        problem = f"torch draws by at most {_MOST:,}, not {len(weights):,}; use Draws"
        raise InvalidInput("weights", problem, value=len(weights), limit=_MOST)
    generator = torch.Generator().manual_seed(seed)
    drawn = len(weights) if count is None else count
    return WeightedRandomSampler(torch.from_numpy(weights), drawn, generator=generator)  # type: ignore[arg-type]


def _usable(weights: Float64) -> Float64:
    if weights.ndim != 1 or not np.isfinite(weights).all() or (weights < 0).any():
        raise InvalidInput("weights", "must be [N], finite and at least 0")
    if not weights.any():
        raise InvalidInput("weights", "all are 0, so that nothing can be drawn")
    return weights


def _again(found: NDArray[np.int64], aligned: Float64) -> int | None:
    """Which of the places that were found has a weight already, or is there twice."""
    _, first = np.unique(found, return_index=True)
    again = ~np.isnan(aligned[found])
    again[np.setdiff1d(np.arange(len(found)), first)] = True
    return int(np.argmax(again)) if again.any() else None


def _digests(ids: Sequence[str] | NDArray[np.str_]) -> NDArray[np.bytes_]:
    """16 bytes an id, so many that no two ids have the same."""
    made = (hashlib.blake2b(name.encode(), digest_size=16).digest() for name in ids)
    return np.fromiter(made, "S16", len(ids))


def _batches(url: str | Path) -> Iterator[tuple[Any, Float64]]:
    """Ids and weights of all rows, some at a time."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    system, folder = _system(url)
    if folder.endswith(".csv"):
        yield from _lines(system, folder)
        return
    mark: bytes | None = None
    for name in _parts(system, folder, url):
        try:
            with system.open_input_file(name) as file:
                part = pq.ParquetFile(file)
                mark = _same_mark(part, mark, name)
                for batch in part.iter_batches(_BATCH, columns=["id", "weight"]):
                    weights = batch.column("weight").fill_null(0.0)
                    yield batch.column("id"), weights.to_numpy()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise DataError(f"{name}: cannot be read: {str(error).splitlines()[0]}") from error


def _lines(system: Any, name: str) -> Iterator[tuple[Any, Float64]]:  # noqa: ANN401
    """The same of a CSV file."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    columns = {"id": pa.string(), "weight": pa.float64()}
    chosen = csv.ConvertOptions(column_types=columns, include_columns=list(columns))
    split = csv.ParseOptions(newlines_in_values=True)  # an id may hold one
    try:
        with system.open_input_stream(name) as file:
            for batch in csv.open_csv(file, parse_options=split, convert_options=chosen):
                yield batch.column("id"), batch.column("weight").fill_null(0.0).to_numpy()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DataError(f"{name}: cannot be read: {str(error).splitlines()[0]}") from error


def _same_mark(part: Any, mark: bytes | None, name: str) -> bytes:  # noqa: ANN401
    found: bytes | None = (part.schema_arrow.metadata or {}).get(WEIGHTING_MARK)
    if found is None:
        raise DataError(f"{name}: has no weights yet: run `evenface-batch weights` to its end")
    if mark not in {None, found}:
        raise DataError(
            f"{name}: its weights are of another run than those before: "
            "run `evenface-batch weights` to its end"
        )
    return found


def _parts(system: Any, folder: str, url: str | Path) -> list[str]:  # noqa: ANN401
    from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415

    if system.get_file_info(folder).type == FileType.File:
        return [folder]
    selector = FileSelector(f"{folder}/parts", allow_not_found=True)
    files = (info.path for info in system.get_file_info(selector))
    found = sorted(name for name in files if _PART.search(name))
    if not found:
        raise DataError(f"{url}: no parts of evenface-batch there")
    try:
        with system.open_input_file(f"{folder}/job.json") as file:
            wanted = json.loads(file.read())["listing"]["chunks"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{url}/job.json: cannot be read: {error}") from error
    if len(found) != wanted:
        raise DataError(f"{url}: {len(found):,} of {wanted:,} parts are there")
    return found


def _system(url: str | Path) -> tuple[Any, str]:
    """What lists and opens files, and what it calls the folder."""
    from pyarrow import fs  # noqa: PLC0415

    if "://" not in str(url):
        return fs.LocalFileSystem(), str(Path(url).absolute())
    import fsspec  # noqa: PLC0415

    try:
        system, folder = fsspec.core.url_to_fs(str(url).rstrip("/"))
    except (ValueError, ImportError) as error:
        raise DataError(f"{url}: {error}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), folder
