"""The output folder: files that are there whole or not at all, whatever happens meanwhile."""

import errno
import io
from pathlib import Path
from typing import IO, Any

import fsspec
import numpy as np
import pytest
from evenface_batch.output import Folder, Output
from evenface_batch.parts import Form, Rows
from evenface_core.errors import JobError

FORM = Form(3, "float32")


def rows(count: int, first: int = 0) -> Rows:
    names = [f"{number}" for number in range(first, first + count)]
    return Rows.empty(names, [None] * count, FORM)


def test_a_part_appears_when_all_of_it_is_written(tmp_path: Path) -> None:
    output = Output(str(tmp_path), FORM)
    with output.part(7) as part:
        part.write(rows(1500))
        part.write(rows(1000, 1500))
        assert output.parts() == []
    assert output.parts() == [7]
    assert output.count(7) == (2500, 0)
    ids = output.read(7, ["id"]).column("id").to_pylist()
    assert ids == [str(number) for number in range(2500)]


def test_a_part_whose_writing_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    output = Output(str(tmp_path), FORM)
    output.write(0, rows(2).table())
    with pytest.raises(RuntimeError, match="midway"), output.part(0) as part:  # noqa: PT012
        part.write(rows(2000))
        raise RuntimeError("midway")
    assert output.count(0) == (2, 0)
    assert output.folder.names("unfinished") == []


class _Full(io.BytesIO):
    """A file on a disk that takes 1,000 bytes."""

    def write(self, data: Any) -> int:  # noqa: ANN401 - bytes of any kind
        if self.tell() + len(data) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_is_one_line_that_names_the_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(str(tmp_path), FORM)

    def opened(*_: object, **__: object) -> IO[bytes]:
        return _Full()

    monkeypatch.setattr(fsspec.filesystem("file"), "open", opened, raising=False)
    with pytest.raises(JobError) as caught, output.part(3) as part:
        part.write(rows(5000))
    assert str(caught.value) == (
        f"cannot write {tmp_path}/parts/part-000000003.parquet: no space left on the device"
    )


def test_parts_are_written_to_any_file_system() -> None:
    output = Output("memory://job", FORM)
    output.write(12, rows(2).table())
    assert output.parts() == [12]
    assert output.read(12).column("id").to_pylist() == ["0", "1"]
    output.folder.clear_scratch()
    assert output.folder.names("unfinished") == []


def test_other_files_beside_the_parts_are_left_alone(tmp_path: Path) -> None:
    output = Output(str(tmp_path), FORM)
    output.write(3, rows(2).table())
    for name in ("old-part-000000003.parquet", "part-000000004.parquet.bak", "_SUCCESS"):
        (tmp_path / "parts" / name).touch()
    assert output.parts() == [3]


def test_rows_with_errors_are_null_in_all_but_id_and_error() -> None:
    some = Rows.empty(["a", "b\udce9"], ["missing: no such file", None], FORM)
    some.means[1], some.logits[1] = np.arange(3), 2
    table = some.table()
    assert table.schema == FORM.schema
    assert table.to_pylist() == [
        {"id": "a", "mean": None, "logit": None, "probability": None, "weight": None,
         "error": "missing: no such file"},
        {"id": "b\\xe9", "mean": [0, 1, 2], "logit": 2.0,
         "probability": pytest.approx(1 / (1 + np.exp(-2))), "weight": None, "error": None},
    ]  # fmt: skip


def test_a_part_that_is_not_there_or_damaged_is_one_line(tmp_path: Path) -> None:
    output = Output(str(tmp_path), FORM)
    with pytest.raises(JobError, match=r"cannot read .*000\.parquet: No such file or directory"):
        output.read(0)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part-000000000.parquet").write_bytes(b"nothing")
    with pytest.raises(JobError, match=r"cannot read .*000\.parquet: "):
        output.count(0)


def test_an_unknown_file_system_is_one_line() -> None:
    with pytest.raises(JobError, match="nosuch://x: Protocol not known"):
        Folder("nosuch://x")
