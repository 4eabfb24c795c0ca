"""Files that are read again when they change."""

import logging
import os
import threading
from pathlib import Path

import pytest
from evenface_core.errors import ConfigError
from evenface_server.access.watch import Watched, Watcher


def watched(path: Path) -> Watched[str]:
    def read() -> str:
        try:
            text = path.read_text()
        except OSError as error:
            raise ConfigError(f"{path.name}: {error.strerror}") from error
        if "bad" in text:
            raise ConfigError(f"{path.name} is bad")
        if "odd" in text:
            raise RuntimeError("nobody thought of this")
        return text

    return Watched("some_file", (path,), read)


def settle(found: Watched[str]) -> str:
    """Look twice, as a change is taken in once it has come to rest."""
    found.poll()
    found.poll()
    return found.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("old")
    return path


def test_a_changed_file_is_read_again(path: Path) -> None:
    found = watched(path)
    path.write_text("newer")
    assert settle(found) == "newer"


def test_a_file_of_the_same_size_and_time_in_its_place_is_seen(path: Path) -> None:
    found = watched(path)
    other = path.with_name("other")
    other.write_text("new")
    stamp = path.stat()
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.replace(path)
    assert settle(found) == "new"


def test_a_file_that_is_still_being_written_is_left_until_it_rests(path: Path) -> None:
    found = watched(path)
    path.write_text("half of it")
    found.poll()
    path.write_text("half of it, and the rest")
    found.poll()
    assert found.value == "old"
    found.poll()
    assert found.value == "half of it, and the rest"


def test_a_file_that_changes_while_it_is_read_is_read_again_once_it_rests(path: Path) -> None:
    def read() -> str:
        text = path.read_text()
        if text == "half":
            path.write_text("half, and the rest")
        return text

    found = Watched("some_file", (path,), read)
    path.write_text("half")
    assert settle(found) == "old"
    assert settle(found) == "half, and the rest"


def test_a_file_that_nobody_touched_is_not_read_again(path: Path) -> None:
    reads = []
    found = Watched("some_file", (path,), lambda: reads.append(1))
    for _ in range(5):
        found.poll()
    assert len(reads) == 1


@pytest.mark.parametrize("text", ["bad", "odd"])
def test_a_file_that_cannot_be_used_keeps_the_old_one_and_is_complained_of_once(
    path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    found = watched(path)
    path.write_text(text)
    for _ in range(5):
        assert settle(found) == "old"
    (record,) = caplog.records
    assert record.message == "reload refused"
    assert vars(record)["setting"] == "some_file"
    assert vars(record)["reason"] in ("file is bad", "nobody thought of this")
    path.write_text("mended")
    assert settle(found) == "mended"


def test_a_deleted_file_keeps_the_old_one_and_is_complained_of_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = watched(path)
    path.unlink()
    for _ in range(5):
        assert settle(found) == "old"
    assert [vars(record)["reason"] for record in caplog.records] == [
        "file: No such file or directory"
    ]
    path.write_text("back")
    assert settle(found) == "back"


def test_what_is_wrong_at_the_start_is_raised(path: Path) -> None:
    path.write_text("bad")
    with pytest.raises(ConfigError, match="file is bad"):
        watched(path)


def test_a_swapped_link_is_seen(tmp_path: Path) -> None:
    # As Kubernetes does for secrets: files are links through ..data, a link that is replaced.
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "..data").symlink_to("one")
    path = tmp_path / "file"
    path.symlink_to("..data/file")
    found = watched(path)
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert settle(found) == "two"


def test_the_watcher_s_thread_looks_again_and_again_until_it_is_stopped(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    again = threading.Event()

    def read() -> str:
        again.set()
        return path.read_text()

    found = Watched("some_file", (path,), read)
    again.clear()
    watcher = Watcher([found], seconds=0.001)
    path.write_text("newer")
    assert again.wait(30)
    watcher.stop()
    assert found.value == "newer"
    assert "watch" not in {thread.name for thread in threading.enumerate()}
