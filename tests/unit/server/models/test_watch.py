"""What is found in a model directory, and when it counts as changed."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from evenface_core.errors import ConfigError
from evenface_server.models.plan import ModelKey
from evenface_server.models.watch import Watcher, find, scan

ONE = ModelKey("faces", "1")


def make(root: Path, content: str = "a") -> Path:
    folder = root / "faces" / "1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(content)
    (folder / "encode.onnx").write_text(content)
    return folder


def test_folders_of_versions_are_found_and_hidden_ones_and_files_are_not(tmp_path: Path) -> None:
    make(tmp_path)
    for hidden in (".git/1", "faces/.2.partly"):
        (tmp_path / hidden).mkdir(parents=True)
    (tmp_path / "README.md").touch()
    (tmp_path / "faces" / "notes.txt").touch()
    assert list(scan(tmp_path)) == [ONE]


def grow(folder: Path) -> None:
    """As a file does that is still being copied, on a file system that counts whole seconds."""
    facts = (folder / "encode.onnx").stat()
    with (folder / "encode.onnx").open("a") as file:
        file.write("more")
    os.utime(folder / "encode.onnx", ns=(facts.st_atime_ns, facts.st_mtime_ns))


def rewrite(folder: Path) -> None:
    before = (folder / "manifest.json").stat().st_mtime_ns
    (folder / "manifest.json").write_text("b")
    os.utime(folder / "manifest.json", ns=(before, before + 1))


def exchange(folder: Path) -> None:
    """Another file of the same size and time, as `mv` and `rsync --times` leave behind."""
    old = folder / "manifest.json"
    facts = old.stat()
    new = folder / "new"
    new.write_text("b")
    os.utime(new, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    new.rename(old)


def add(folder: Path) -> None:
    (folder / "decode.onnx").touch()


def remove(folder: Path) -> None:
    (folder / "encode.onnx").unlink()


@pytest.mark.parametrize("change", [grow, rewrite, exchange, add, remove])
def test_a_change_of_any_file_is_noticed_once_it_has_come_to_rest(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = make(tmp_path)
    watcher = Watcher(tmp_path)
    before = watcher.look_now().found[ONE]
    assert watcher.look().is_settled(ONE)
    change(folder)
    first = watcher.look()
    assert first.found[ONE] != before
    assert not first.is_settled(ONE)
    assert watcher.look().is_settled(ONE)


def test_looking_now_takes_what_there_is_for_settled(tmp_path: Path) -> None:
    make(tmp_path)
    assert Watcher(tmp_path).look_now().is_settled(ONE)


def test_a_link_that_is_turned_to_another_folder_is_a_change(tmp_path: Path) -> None:
    # As Kubernetes mounts volumes: names link into ..data, which links to a dated folder.
    for date in ("..2024_01", "..2024_02"):
        make(tmp_path / date)
    (tmp_path / "..data").symlink_to("..2024_01")
    (tmp_path / "faces").symlink_to("..data/faces")
    watcher = Watcher(tmp_path)
    before = watcher.look_now()
    assert list(before.found) == [ONE]
    (tmp_path / "..new").symlink_to("..2024_02")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert watcher.look().found[ONE] != before.found[ONE]


def test_a_link_that_leads_nowhere_is_no_version(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "faces" / "2").symlink_to("nowhere")
    (tmp_path / "faces" / "1" / "link").symlink_to("nowhere")
    assert list(scan(tmp_path)) == [ONE]


def test_a_directory_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"models: {tmp_path}/none: No such file or directory"):
        scan(tmp_path / "none")


def deny(monkeypatch: pytest.MonkeyPatch, denied: Path) -> None:
    """Let a folder be unreadable, also for root."""
    iterdir = Path.iterdir

    def refuse(folder: Path) -> Iterator[Path]:
        if folder == denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)


def test_a_folder_that_is_no_model_s_may_be_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    (tmp_path / "lost+found").mkdir()  # as every ext4 volume has, for root alone
    deny(monkeypatch, tmp_path / "lost+found")
    assert list(scan(tmp_path)) == [ONE]


def test_a_model_s_folder_that_cannot_be_read_is_an_error_and_not_a_model_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    deny(monkeypatch, tmp_path / "faces")
    with pytest.raises(ConfigError, match=f"models: {tmp_path}/faces: Permission denied"):
        scan(tmp_path)


def test_a_single_version_is_found_like_in_a_scan(tmp_path: Path) -> None:
    make(tmp_path)
    assert find(tmp_path, ONE) == scan(tmp_path)[ONE]
    assert find(tmp_path, ModelKey("faces", "2")) is None
