"""Parquet files with images in a column, as Hugging Face's `datasets` writes them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evenface_core.errors import DataError

from evenface_training.sources.columns import label_text
from evenface_training.sources.extras import require
from evenface_training.sources.source import (
    Content,
    Item,
    Problem,
    fingerprint_files,
    list_shards,
)

_ROWS = 64  # read at once
_BUFFER = 2**20  # bytes read ahead of a column, in place of all of its row group
_METADATA = b"huggingface"

Names = Mapping[str, list[str]]  # by column, what its numbers stand for


class ParquetSource:
    """The rows of Parquet files: an image each, and what the other columns say of it.

    Labels are the columns of plain values. Where Hugging Face's metadata name the classes of a
    column, the label is the name and not the number.

    Args:
        path: A Parquet file, or a folder searched for `*.parquet`.
        image_column: A column of structs with the image file in `bytes` (and perhaps its `path`),
            or of such bytes alone.

    Raises:
        DataError: There is no such file or folder, or pyarrow is not installed.
    """

    def __init__(self, path: Path, image_column: str = "image") -> None:
        self.path = path
        self._column = image_column
        self._shards = list_shards(path, ".parquet", "Parquet")
        self._pyarrow = require("pyarrow", "parquet")
        self._parquet = require("pyarrow.parquet", "parquet")

    def fingerprint(self) -> str:
        """Names, sizes and times of the files, and the column."""
        return fingerprint_files(f"parquet {self._column}", self._shards)

    def count(self) -> int:
        """How many rows there are, by the files' footers."""
        rows = 0
        for _, path in self._shards:
            with self._open(path) as file:
                rows += file.metadata.num_rows
        return rows

    def items(self) -> Iterator[Item]:
        """Yield the rows; a name is the file's, the row's number and the image's own path."""
        for prefix, path in self._shards:
            try:
                yield from self._rows(prefix, path)
            except (self._pyarrow.ArrowException, OSError) as error:
                raise _damaged(path, error) from error

    def _rows(self, prefix: str, path: Path) -> Iterator[Item]:
        with self._open(path) as file:
            columns = self._label_columns(path, file.schema_arrow)
            names = _class_names(file.schema_arrow)
            batches = file.iter_batches(batch_size=_ROWS, columns=[self._column, *columns])
            row = 0
            for batch in batches:
                for known in batch.to_pylist():
                    yield _item(f"{prefix}{row:08}", known.pop(self._column), known, names)
                    row += 1

    def _open(self, path: Path) -> Any:  # noqa: ANN401 - pyarrow has no types
        try:
            return self._parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER)
        except (self._pyarrow.ArrowException, OSError) as error:
            raise _damaged(path, error) from error

    def _label_columns(self, path: Path, schema: Any) -> list[str]:  # noqa: ANN401 - as above
        """The columns of plain values, after a look at the image column."""
        types = self._pyarrow.types
        if self._column not in schema.names:
            raise DataError(
                f"{path}: no column '{self._column}'; it has {', '.join(schema.names) or 'none'}"
            )
        kind = schema.field(self._column).type
        if types.is_struct(kind):
            kind = next((field.type for field in kind if field.name == "bytes"), kind)
        if not types.is_binary(kind) and not types.is_large_binary(kind):
            raise DataError(
                f"{path}: column '{self._column}' is {kind}; it must be a struct with `bytes`, "
                "or binary"
            )
        return [field.name for field in schema if self._is_plain(field.type)]

    def _is_plain(self, kind: Any) -> bool:  # noqa: ANN401 - as above
        types = self._pyarrow.types
        if types.is_dictionary(kind):
            kind = kind.value_type
        tests = (types.is_string, types.is_large_string, types.is_integer, types.is_floating)
        return types.is_boolean(kind) or any(test(kind) for test in tests)


def _class_names(schema: Any) -> Names:  # noqa: ANN401 - pyarrow has no types
    """The names of classes in the metadata of Hugging Face, by column."""
    try:
        features = json.loads((schema.metadata or {})[_METADATA])["info"]["features"]
        return {
            column: list(feature["names"])
            for column, feature in features.items()
            if feature.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}  # written by another program


def _item(name: str, image: Any, known: Mapping[str, Any], names: Names) -> Item:  # noqa: ANN401
    own_path = None
    if isinstance(image, dict):
        image, own_path = image.get("bytes"), image.get("path")
    content: Content = image if image is not None else Problem("no bytes in this row")
    labels = {column: _label(value, names.get(column)) for column, value in known.items()}
    return Item(f"{name}/{own_path}" if own_path else name, content, labels)


def _label(value: object, names: list[str] | None) -> str:
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return label_text(value)


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cut, damaged or no Parquet file ({error})")
