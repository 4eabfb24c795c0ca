"""WebDataset shards as input: every sample once, whatever the chunks, and what a cut one loses."""

import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from evenface_batch.inputs import find_places
from evenface_batch.items import Item, Places
from evenface_batch.plan import InputFacts
from support.datasets import jpeg, samples, write_shard


def chunks(path: Path, size: int) -> list[Places]:
    facts = InputFacts(urls=(str(path),), kind=None, column=None, id_column=None)
    return list(find_places(facts, [str(path)], size))


def read(places: list[Places]) -> list[Item]:
    return [item for one in places for item in one.items()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_chunks_hold_every_sample_once_and_in_order(tmp_path: Path, size: int) -> None:
    path = write_shard(tmp_path / "s.tar", samples(7))
    places = chunks(path, size)
    assert [item.data for item in read(places)] == [jpeg(number) for number in range(7)]
    assert [one.count for one in places] == [size] * (7 // size) + [7 % size] * (7 % size > 0)
    names = [name for one in places for name in one.ids()]
    assert names == [f"{number:06}" for number in range(7)]


def test_a_folder_s_shards_are_named_in_the_ids(tmp_path: Path) -> None:
    for name in ("b.tar", "a/a.tar"):
        write_shard(tmp_path / name, samples(2))
    names = [item.id for item in read(chunks(tmp_path, 10))]
    assert names == ["a/a.tar/000000", "a/a.tar/000001", "b.tar/000000", "b.tar/000001"]


def test_a_sample_without_an_image_is_an_error_and_no_more(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "s.tar", [{"jpg": jpeg(0)}, {"json": b"{}"}, {"png": b"x"}])
    errors = [item.error for item in read(chunks(path, 10))]
    assert errors == [None, "no image: no jpg, jpeg, png or webp in this sample", None]


@pytest.mark.parametrize("size", [2, 100])
def test_of_a_cut_shard_all_before_the_cut_is_read_and_one_row_says_so(
    tmp_path: Path, size: int
) -> None:
    path = write_shard(tmp_path / "s.tar", [{"jpg": jpeg(number)} for number in range(6)])
    path.write_bytes(path.read_bytes()[: 4 * path.stat().st_size // 8])
    places = chunks(path, size)
    items = read(places)
    assert len(items) > 2
    assert [item.data for item in items[:-1]] == [jpeg(n) for n in range(len(items) - 1)]
    assert items[-1].id == "s.tar"
    assert (items[-1].error or "").startswith("broken shard: what follows the rows before is lost")
    assert places[-1].count is None


def header(name: str, size: int, records: Mapping[str, str]) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.pax_headers = size, dict(records)
    return member.tobuf(tarfile.PAX_FORMAT if records else tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(header("b.jpg", 2**70, {}), id="size"),
        pytest.param(header("b.jpg", 512, {"GNU.sparse.size": "x"}), id="number"),
        pytest.param(
            header("b.jpg", 512, {"GNU.sparse.map": "1,a", "GNU.sparse.size": "5"}), id="map"
        ),
        pytest.param(
            header("b.jpg", 0, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}) + b"9" * 512,
            id="table",
        ),
    ],
)
def test_numbers_in_headers_that_are_none_or_too_large_are_one_row_with_an_error(
    tmp_path: Path, damage: bytes
) -> None:
    path, image = tmp_path / "s.tar", jpeg(0)
    padding = bytes(-len(image) % tarfile.BLOCKSIZE)
    first = header("a.jpg", len(image), {}) + image + padding
    path.write_bytes(first + damage + header("c.jpg", 0, {}) + bytes(tarfile.RECORDSIZE))
    items = read(chunks(path, 10))
    assert items[0].data == image
    assert (items[-1].error or "").startswith("broken shard: what follows the rows before is lost")


@pytest.mark.parametrize("content", [b"", b"this is no tar file" * 100])
def test_a_file_that_is_no_tar_is_one_row_with_an_error(tmp_path: Path, content: bytes) -> None:
    write_shard(tmp_path / "a.tar", samples(1))
    (tmp_path / "b.tar").write_bytes(content)
    items = read(chunks(tmp_path, 10))
    assert [item.id for item in items] == ["a.tar/000000", "b.tar"]
    assert (items[1].error or "").startswith("broken shard: ")


def test_a_shard_that_vanishes_is_one_row_with_an_error(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "s.tar", samples(2))
    places = chunks(path, 10)
    path.unlink()
    assert [(item.id, item.error) for item in read(places)] == [("s.tar", "missing: no such shard")]


@pytest.mark.parametrize("size", [3, 100])
def test_of_a_shard_that_has_grown_shorter_since_it_was_listed_one_row_says_so(
    tmp_path: Path, size: int
) -> None:
    path = write_shard(tmp_path / "s.tar", samples(5))
    places = chunks(path, size)
    write_shard(path, samples(4))
    items = read(places)
    assert [item.data for item in items] == [*(jpeg(number) for number in range(4)), None]
    assert items[-1].id == "s.tar"
    assert (items[-1].error or "").startswith("broken shard: what follows the rows before is lost")
