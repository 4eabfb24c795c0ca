"""Copies of bundles."""

import shutil
from pathlib import Path

import pytest
from evenface_core.bundle import Bundle, open_bundle
from evenface_core.errors import BundleError
from evenface_server.models import store
from evenface_server.models.plan import ModelKey
from evenface_server.models.store import Store
from evenface_server.models.watch import Found, find
from support.bundles import Tiny, write_tiny_bundle

ONE = ModelKey("faces", "1")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model directory with faces/1."""
    write_tiny_bundle(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder


def found(models: Path, key: ModelKey = ONE) -> Found:
    one = find(models, key)
    assert one is not None
    return one


def test_a_copy_outlives_its_bundle_and_holds_what_the_manifest_lists(
    models: Path, copies: Path
) -> None:
    (models / "faces" / "1" / "notes.txt").write_text("not listed")
    ref = Store(copies).keep(found(models))
    shutil.rmtree(models)
    bundle = open_bundle(Path(ref.path))
    names = {path.name for path in Path(ref.path).iterdir()}
    assert names == {"manifest.json", *bundle.manifest.files}
    assert (ref.key, ref.source) == (ONE, str(models / "faces" / "1"))


def test_every_copy_has_a_place_and_a_number_of_its_own(models: Path, copies: Path) -> None:
    store = Store(copies)
    one, two = store.keep(found(models)), store.keep(found(models))
    assert one.digest == two.digest
    assert one.load < two.load
    store.drop(one)
    assert list(copies.iterdir()) == [Path(two.path)]


def test_content_shows_in_the_digest(models: Path, copies: Path) -> None:
    store = Store(copies)
    before = store.keep(found(models)).digest
    write_tiny_bundle(models, Tiny(shift=1))
    assert store.keep(found(models)).digest != before


def test_a_bundle_in_the_wrong_place_is_refused(models: Path, copies: Path) -> None:
    (models / "faces" / "1").rename(models / "faces" / "3")
    with pytest.raises(BundleError, match="its manifest says model 'faces' version '1'"):
        Store(copies).keep(found(models, ModelKey("faces", "3")))
    assert list(copies.iterdir()) == []


@pytest.mark.parametrize("changed", ["manifest.json", "encode.onnx"])
def test_a_bundle_that_changes_while_it_is_copied_is_refused_and_leaves_nothing(
    models: Path, copies: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify_and_change(folder: Path) -> Bundle:
        bundle = open_bundle(folder)
        (folder / changed).write_text("changed")
        return bundle

    monkeypatch.setattr(store, "open_bundle", verify_and_change)
    with pytest.raises(BundleError, match=changed):
        Store(copies).keep(found(models))
    assert list(copies.iterdir()) == []


def test_a_copy_that_cannot_be_made_is_a_refusal_with_the_reason(models: Path) -> None:
    with pytest.raises(BundleError, match="cannot be copied: No such file or directory"):
        Store(models / "nowhere").keep(found(models))
