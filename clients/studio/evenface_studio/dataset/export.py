"""The weights of chosen rows as one file, in the two forms that `evenface_client.weights` reads."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from evenface_core.weights import WEIGHTING_MARK

from evenface_studio.dataset.table import Bools, Float64

Form = Literal["parquet", "csv"]

_COLUMNS = [pa.field("id", pa.string(), nullable=False), pa.field("weight", pa.float64())]
_HELD = 2**18  # rows of a row group


class Names(Protocol):
    """What gives ids."""

    def names(self) -> Iterator[Any]:
        """All ids in the order of the rows, some at a time, as Arrow arrays of strings."""


def export(names: Names, weights: Float64, mask: Bools, mark: bytes, form: Form) -> Iterator[bytes]:
    """Write ids and weights of the chosen rows, a piece at a time.

    Weights stay as they are, to the last bit; a row without one has none here, too.

    Args:
        names: Gives N ids.
        weights: float64 [N]; NaN for none.
        mask: bool [N].
        mark: Of the weighting, for Parquet.
        form: Of the file.
    """
    sink = _Sink()
    # pyarrow writes CSV without a mark.
    schema = pa.schema(_COLUMNS, metadata={WEIGHTING_MARK: mark} if form == "parquet" else None)
    with _WRITERS[form](sink, schema) as writer:
        for table in _tables(names, weights, mask, schema):
            writer.write_table(table)
            yield sink.take()
    yield sink.take()


def _tables(names: Names, weights: Float64, mask: Bools, schema: Any) -> Iterator[Any]:  # noqa: ANN401
    start = held = 0
    some: list[Any] = []
    for ids in names.names():
        here = slice(start, start + len(ids))
        start += len(ids)
        kept = mask[here]
        if not kept.any():
            continue
        numbers = pa.array(weights[here][kept], from_pandas=True)  # NaN becomes null
        some.append(pa.table([ids.filter(pa.array(kept)), numbers], schema=schema))
        held += len(numbers)
        if held >= _HELD:
            yield pa.concat_tables(some).combine_chunks()
            some, held = [], 0
    if some:
        yield pa.concat_tables(some).combine_chunks()


class _Sink(io.RawIOBase):
    """Holds what a writer has written until it is taken."""

    def __init__(self) -> None:
        self._written = bytearray()
        self._end = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self._written += data
        self._end += len(data)
        return len(data)

    def tell(self) -> int:
        return self._end

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def _parquet(sink: _Sink, schema: Any) -> Any:  # noqa: ANN401
    return pq.ParquetWriter(sink, schema, compression="zstd")


def _csv(sink: _Sink, schema: Any) -> Any:  # noqa: ANN401
    return pyarrow.csv.CSVWriter(sink, schema)


_WRITERS: Mapping[Form, Callable[[_Sink, Any], Any]] = {"parquet": _parquet, "csv": _csv}
