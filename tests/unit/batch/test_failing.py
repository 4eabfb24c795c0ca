"""Chunks whose places cannot even be named, as of a far file system that fails in its own way."""

from collections.abc import Iterator
from pathlib import Path

from evenface_batch.inputs.files import FilePlaces
from evenface_batch.items import Chunk, Item
from evenface_batch.output import Output
from evenface_batch.page.faces import read_faces
from evenface_batch.page.findings import Spot
from evenface_batch.parts import Form
from evenface_batch.scoring import fail_chunk


class Lost(FilePlaces):
    """Places that break off with an error of no known kind after the first item."""

    def ids(self) -> Iterator[str]:
        yield "first"
        raise RuntimeError

    def pick(self, rows: frozenset[int]) -> Iterator[tuple[int, Item]]:
        yield min(rows), Item("first", b"data")
        raise RuntimeError


CHUNK = Chunk(7, Lost("", "", ("first", "second")))


def test_a_chunk_that_failed_and_cannot_be_named_is_rows_all_the_same(tmp_path: Path) -> None:
    output = Output(str(tmp_path), Form(2, "float32"))
    assert fail_chunk(CHUNK, "worker died", output).failed == 2
    assert [(row["id"], row["error"]) for row in output.read(7).to_pylist()] == [
        ("first", "worker died"),
        ("chunk 7", "worker died"),
    ]


def test_faces_that_cannot_be_read_again_stop_no_page() -> None:
    spots = [Spot(0.1, 7, 0), Spot(0.2, 7, 1)]
    assert list(read_faces([CHUNK], spots)) == [(7, 0)]
