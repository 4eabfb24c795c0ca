import json
import subprocess
from pathlib import Path

import pytest
from evenface_export.provenance import git_revision, portable_config
from evenface_training.config import TrainingConfig


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "export" / "package"
    folder.mkdir(parents=True)
    (folder / "code.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text("a\n")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    return folder


def test_a_clean_checkout_is_named_by_its_commit(package: Path) -> None:
    assert git_revision(package) == _git(package, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_changed_or_new_code_makes_it_dirty(package: Path, name: str) -> None:
    (package / name).write_text("x = 2\n")
    assert git_revision(package) == _git(package, "rev-parse", "HEAD") + "-dirty"


def test_files_that_are_no_code_do_not_make_it_dirty(package: Path) -> None:
    (package.parents[1] / "notes.txt").write_text("b\n")
    assert not git_revision(package).endswith("-dirty")


def test_an_installed_copy_does_not_borrow_the_commit_around_it(package: Path) -> None:
    installed = package.parents[1] / "venv" / "lib"
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("x = 1\n")
    assert git_revision(installed) == "unknown"


def test_a_folder_outside_git_has_no_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) == "unknown"


def test_a_configuration_travels_without_the_folders_of_its_machine() -> None:
    data = {"faces": "/home/me/faces", "nonfaces": "/home/me/others", "cache": "/home/me/cache"}
    config = TrainingConfig.model_validate({"name": "a", "data": data})
    values = portable_config(config)
    assert "/home" not in json.dumps(values)
    assert (values["data"]["faces"], values["data"]["labels"]) == ("faces", None)


@pytest.mark.parametrize("source", ["/home/me/x", {"kind": "parquet", "path": "/home/me/x"}])
@pytest.mark.parametrize("slot", ["faces", "source"])
def test_a_source_travels_without_the_folder_of_its_machine(slot: str, source: object) -> None:
    values = portable_config(
        TrainingConfig.model_validate(
            {"name": "a", "model": {"kind": "vae"}, "data": {slot: source}}
        )
    )
    assert "/home" not in json.dumps(values)
    found = values["data"][slot]
    assert (found if isinstance(source, str) else found["path"]) == "x"


def test_a_source_without_files_travels_as_it_is() -> None:
    data = {"source": {"kind": "synthetic", "faces": 7, "frequencies": {"tone": "uniform"}}}
    config = TrainingConfig.model_validate({"name": "a", "data": data})
    values = portable_config(config)
    assert values["data"]["source"]["faces"] == 7
    assert TrainingConfig.model_validate(values).data.source == config.data.source
