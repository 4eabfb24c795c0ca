"""What may be read lies below the roots, whatever a path looks like."""

import os
from pathlib import Path

import pytest
from evenface_studio.dataset.roots import Roots, images_below, kind_of, read_below
from evenface_studio.problems import StudioError
from support.scored_files import Lines, write_file


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    folder = tmp_path / "inside"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"picture")
    (folder / "sub" / "b.JPG").write_bytes(b"picture")
    (tmp_path / "inside-out").mkdir()
    (tmp_path / "inside-out" / "secret.png").write_bytes(b"secret")
    (folder / "leak.png").symlink_to(tmp_path / "inside-out" / "secret.png")
    (folder / "leak").symlink_to(tmp_path / "inside-out")
    (folder / "loop").symlink_to(folder / "loop")
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "../inside-out",
        "inside/../inside-out/secret.png",
        "sub/../../inside-out",
        "/etc/passwd",
        "/etc/no-such-file",
        "~",
        "leak",
        "leak/secret.png",
        "leak/../sub",  # the parent of where the link leads to
        "leak.png",
        "loop",
        "a.png\0.jpg",
        "",
        "  ",
        "x" * 10_000,
        "no/such",
    ],
)
def test_what_is_outside_is_as_if_it_were_not_there(inside: Path, text: str) -> None:
    with pytest.raises(StudioError, match="Not there"):
        Roots([inside]).resolve(text)


def test_an_absolute_path_outside_is_as_if_it_were_not_there(inside: Path) -> None:
    with pytest.raises(StudioError, match="Not there"):
        Roots([inside]).resolve(str(inside.parent / "inside-out"))


@pytest.mark.parametrize("text", ["sub", "inside/sub", "./sub/.", "sub/../sub"])
def test_a_path_below_a_root_is_found(inside: Path, text: str) -> None:
    assert Roots([inside]).resolve(text) == inside / "sub"


def test_without_roots_nothing_can_be_opened(inside: Path) -> None:
    with pytest.raises(StudioError, match="--data"):
        Roots([]).resolve(str(inside))


def test_a_file_as_root_gives_itself_alone(inside: Path) -> None:
    roots = Roots([inside / "a.png"])
    assert roots.resolve(str(inside / "a.png")) == inside / "a.png"
    with pytest.raises(StudioError):
        roots.resolve(str(inside / "sub" / "b.JPG"))


def test_a_root_that_is_a_link_means_where_it_leads(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inside)
    assert Roots([tmp_path / "link"]).resolve("sub") == inside / "sub"


def test_images_are_those_of_the_folder_and_below_and_linked_folders_are_left_out(
    inside: Path,
) -> None:
    assert list(images_below(inside)) == ["a.png", "leak.png", "sub/b.JPG"]


def test_an_image_that_is_a_link_to_elsewhere_is_not_read(inside: Path) -> None:
    with pytest.raises(PermissionError):
        read_below(Roots([inside]), inside / "leak.png", 100)


def test_files_too_large_and_pipes_are_refused_without_waiting(inside: Path) -> None:
    os.mkfifo(inside / "pipe.png")
    roots = Roots([inside])
    assert read_below(roots, inside / "a.png", 7) == b"picture"
    for name, limit in (("a.png", 6), ("pipe.png", 100), ("sub", 100)):
        with pytest.raises(OSError):  # noqa: PT011 - of several kinds
            read_below(roots, inside / name, limit)


def test_the_list_has_folders_files_and_jobs(inside: Path) -> None:
    write_file(inside / "one.parquet", Lines.drawn(3))
    (inside / "job").mkdir()
    (inside / "job" / "job.json").write_text("{}")
    write_file(inside / "job" / "parts" / "part-000000000.parquet", Lines.drawn(3))
    roots = Roots([inside])
    listed = {(roots.shown(one.path), one.kind) for one in roots.listed()}
    assert listed == {
        ("inside", "folder"),
        ("inside/sub", "folder"),
        ("inside/one.parquet", "parquet"),
        ("inside/job", "job"),
    }
    assert all(roots.resolve(shown) for shown, _ in listed)


def test_a_file_of_another_kind_is_refused(inside: Path) -> None:
    with pytest.raises(StudioError, match=r"a\.png"):
        kind_of(inside / "a.png")
