"""Inputs: what is found, in which order, under which names, and what is wrong with what is not."""

import inspect
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from evenface_batch import reading
from evenface_batch.inputs import find_places, places_of
from evenface_batch.items import Item, Places
from evenface_batch.plan import InputFacts, Kind
from evenface_batch.scoring import PASSING
from evenface_core.errors import JobError
from support.datasets import jpeg, samples, write_jpegs, write_shard


def facts(*urls: str, kind: Kind | None = None, column: str | None = None) -> InputFacts:
    return InputFacts(urls=urls, kind=kind, column=column, id_column=None)


def found(*inputs: Path | str, size: int = 100, kind: Kind | None = None) -> list[Places]:
    urls = [str(one) for one in inputs]
    places = list(find_places(facts(*urls, kind=kind), urls, size))
    again = [places_of(one.to_line()) for one in places]
    assert again == places
    return places


def items(places: list[Places]) -> list[Item]:
    read = [item for one in places for item in one.items()]
    assert [item.id for item in read] == [name for one in places for name in one.ids()]
    return read


def ids(places: list[Places]) -> list[str]:
    return [item.id for item in items(places)]


def test_a_folder_gives_its_images_sorted_and_those_of_folders_below(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["b.jpg", "a.JPG", "c/z.png", "c/a.webp", "d.jpeg"])
    (tmp_path / "notes.doc").write_text("no image")
    places = found(tmp_path, size=2)
    assert ids(places) == ["a.JPG", "b.jpg", "c/a.webp", "c/z.png", "d.jpeg"]
    assert [one.count for one in places] == [2, 2, 1]
    assert all(item.data for item in items(places))


def test_names_that_are_no_utf_8_or_have_commas_and_line_breaks_are_read(tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.jpg"), "a,b.jpg", "new\nline.jpg"]
    write_jpegs(tmp_path, names)
    read = items(found(tmp_path))
    assert {item.id for item in read} == set(names)
    assert all(item.data for item in read)


def test_what_cannot_be_read_is_an_item_with_its_error(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["good.jpg"])
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "fat.jpg").write_bytes(bytes(20 * 2**20 + 1))
    os.mkfifo(tmp_path / "pipe.jpg")
    errors = {item.id: item.error for item in items(found(tmp_path))}
    assert errors == {
        "good.jpg": None,
        "gone.jpg": "missing: no such file",
        "fat.jpg": "too large: more than 20971520 bytes; limit 20971520",
        "pipe.jpg": "unreadable: not a file",
    }


def test_a_file_that_vanishes_after_it_was_listed_is_an_error(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["a.jpg", "b.jpg"])
    places = found(tmp_path)
    (tmp_path / "a.jpg").unlink()
    assert [item.error for item in items(places)] == ["missing: no such file", None]


def test_items_of_several_inputs_are_told_apart_by_what_was_written(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["x/a.jpg", "y/a.jpg", "b.jpg"])
    inputs = [tmp_path / "x", tmp_path / "y", tmp_path / "b.jpg"]
    places = list(
        find_places(facts(*map(str, inputs)), ["x", "./y/", str(inputs[2])], chunk_size=9)
    )
    assert ids(places) == ["x/a.jpg", "./y/a.jpg", str(inputs[2])]


def test_a_pattern_gives_what_it_matches(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["a1.jpg", "a2.jpg", "b1.jpg"])
    assert ids(found(f"{tmp_path}/a*.jpg")) == ["a1.jpg", "a2.jpg"]


@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.tsv"])
def test_a_list_names_files_beside_it_elsewhere_and_more_than_once(
    tmp_path: Path, name: str
) -> None:
    write_jpegs(tmp_path, ["a.jpg", "far/b.jpg"])
    far = str(tmp_path / "far" / "b.jpg")
    header = "" if name.endswith("txt") else "file\n"
    (tmp_path / name).write_text(f"{header}a.jpg\n\nno.jpg\n{far}\na.jpg\nfile://{far}\n")
    read = items(found(tmp_path / name, size=3))
    assert [item.id for item in read] == ["a.jpg", "no.jpg", far, "a.jpg", f"file://{far}"]
    assert [item.error for item in read] == [None, "missing: no such file", None, None, None]


def test_a_csv_list_may_name_files_with_commas_and_line_breaks(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["a,b.jpg", "c\nd.jpg"])
    path = tmp_path / "list.csv"
    path.write_text('label,path\n1,"a,b.jpg"\n0,"c\nd.jpg"\n')
    places = list(find_places(facts(str(path), column="path"), [str(path)], 10))
    assert [item.error for item in items(places)] == [None, None]


def test_an_empty_cell_of_a_list_is_a_row_with_an_error(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["a.jpg", "b.jpg"])
    path = tmp_path / "list.csv"
    path.write_text("label,path\n1,a.jpg\n2,\n3\n\n4,b.jpg\n")
    read = items(list(find_places(facts(str(path), column="path"), [str(path)], 3)))
    assert [(item.id, item.error) for item in read] == [
        ("a.jpg", None),
        ("", "no path: the cell is empty"),
        ("", "no path: the cell is empty"),
        ("b.jpg", None),
    ]


def test_a_list_without_the_column_is_refused_with_the_columns_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("label,path\n1,a.jpg\n")
    with pytest.raises(JobError, match=r"list.csv: no column 'file'; it has label, path"):
        list(find_places(facts(str(path), column="file"), [str(path)], 10))


def test_an_input_with_nothing_to_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"nothing to score: no \.jpg, .*\.parquet$"):
        found(tmp_path)
    write_jpegs(tmp_path, ["a.jpg"])
    with pytest.raises(JobError, match=r"nothing to score: no \.tar in it"):
        found(tmp_path, kind="webdataset")
    with pytest.raises(JobError, match="nowhere: no such file or folder"):
        found(tmp_path / "nowhere")
    with pytest.raises(JobError, match="nothing matches"):
        found(f"{tmp_path}/*.png")
    with pytest.raises(JobError, match="Protocol not known"):
        found("nosuch://a/b")


def test_a_folder_of_two_kinds_is_refused_until_one_is_chosen(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["a.jpg"])
    write_shard(tmp_path / "s.tar", samples(2))
    with pytest.raises(
        JobError, match=r"holds images and 's\.tar'; say which to score with --kind"
    ):
        found(tmp_path)
    assert ids(found(tmp_path, kind="webdataset")) == ["s.tar/000000", "s.tar/000001"]
    assert ids(found(tmp_path, kind="images")) == ["a.jpg"]


def test_a_few_items_are_picked_by_their_places(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "f", ["a.jpg", "b.jpg", "c.jpg"])
    write_shard(tmp_path / "s.tar", samples(3))
    for places in (*found(tmp_path / "f"), *found(tmp_path / "s.tar")):
        whole = list(places.items())
        assert list(places.pick(frozenset({0, 2}))) == [(0, whole[0]), (2, whole[2])]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A folder behind a real HTTP server of the standard library."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_that_a_far_server_does_not_give_for_now_is_told_from_a_missing_one(
    tmp_path: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PAUSE", 0.01)
    (tmp_path / "list.txt").write_text(f"{served}/no.jpg\nhttp://127.0.0.1:1/a.jpg\n")
    missing, unreachable = items(found(tmp_path / "list.txt"))
    assert missing.error == "missing: no such file"
    assert (unreachable.error or "").startswith("unreachable: ")
    assert (unreachable.error or "").startswith(PASSING)
    assert not missing.error.startswith(PASSING)


def test_folders_shards_and_lists_are_read_over_http(tmp_path: Path, served: str) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg", "sub/b.jpg"])
    write_shard(tmp_path / "s.tar", samples(3))
    (tmp_path / "list.txt").write_text("faces/a.jpg\nfaces/no.jpg\n")
    folder = items(found(f"{served}/faces"))
    assert [(item.id, item.data) for item in folder] == [("a.jpg", jpeg(0)), ("sub/b.jpg", jpeg(1))]
    assert [item.data for item in items(found(f"{served}/s.tar"))] == [jpeg(0), jpeg(1), jpeg(2)]
    listed = items(found(f"{served}/list.txt"))
    assert [item.error for item in listed] == [None, "missing: no such file"]


def test_folders_may_lie_deeper_than_python_calls_functions(tmp_path: Path) -> None:
    write_jpegs(tmp_path, [f"{'a/' * 400}x.jpg"])
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        places = found(tmp_path)
    finally:
        sys.setrecursionlimit(usual)
    assert ids(places) == [f"{'a/' * 400}x.jpg"]


def test_a_byte_order_mark_belongs_to_no_name_of_a_list(tmp_path: Path) -> None:
    write_jpegs(tmp_path, ["a.jpg"])
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa.jpg\r\n")
    assert [item.data for item in items(found(tmp_path / "list.txt"))] == [jpeg(0)]


def test_a_list_without_a_line_is_refused_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "list.txt").touch()
    with pytest.raises(JobError, match=r"list\.txt: nothing to score: it is empty$"):
        found(tmp_path / "list.txt")
