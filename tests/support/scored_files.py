"""Parquet as `evenface-batch` writes it, made from lists, for tests of those who read it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from evenface_core.weights import WEIGHTING_MARK


def _but(failed: Iterable[bool], values: Iterable[float]) -> list[float | None]:
    return [None if bad else value for bad, value in zip(failed, values, strict=True)]


@dataclass(frozen=True)
class Lines:
    """Rows as lists; None where a row has no value."""

    ids: Sequence[str]
    weights: Sequence[float | None]
    probabilities: Sequence[float | None]
    errors: Sequence[str | None]
    labels: Mapping[str, Sequence[str | None]] = field(default_factory=dict)

    @classmethod
    def drawn(cls, rows: int, seed: int = 0) -> "Lines":
        generator = np.random.default_rng(seed)
        failed = generator.random(rows) < 0.1
        weights = generator.exponential(size=rows)
        weights /= weights[~failed].sum()
        probabilities = generator.random(rows, np.float32)
        tones = generator.choice(["dark", "light"], rows)
        return cls(
            [f"folder/{number:05}.png" for number in range(rows)],
            _but(failed, weights.tolist()),
            _but(failed, probabilities.tolist()),
            ["cannot be decoded" if bad else None for bad in failed],
            {"tone": [str(tone) if at % 7 else None for at, tone in enumerate(tones)]},
        )

    def cut(self, start: int, end: int) -> "Lines":
        labels = {name: values[start:end] for name, values in self.labels.items()}
        here = slice(start, end)
        return Lines(
            self.ids[here], self.weights[here], self.probabilities[here], self.errors[here], labels
        )


def write_file(path: Path, lines: Lines, *, mark: bytes | None = b"run 1", group: int = 7) -> Path:
    """Write one file, its row groups small."""
    columns = {
        "id": pa.array(lines.ids, pa.string()),
        "mean": pa.array([[0.5, 1.5]] * len(lines.ids), pa.list_(pa.float32(), 2)),
        "probability": pa.array(lines.probabilities, pa.float32()),
        "weight": pa.array(lines.weights, pa.float64()),
        "error": pa.array(lines.errors, pa.string()),
        **{name: pa.array(values, pa.string()) for name, values in lines.labels.items()},
    }
    table = pa.table(columns, metadata={WEIGHTING_MARK: mark} if mark else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path


def write_parts(folder: Path, lines: Lines, cuts: Sequence[int], **options: object) -> Path:
    """Write the parts of a job, without the rest of it."""
    ends = [*sorted(cuts), len(lines.ids)]
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        name = folder / "parts" / f"part-{number:09}.parquet"
        write_file(name, lines.cut(start, end), **options)  # type: ignore[arg-type]
    return folder
