"""What an export refuses: one line, exit code 2, and no folder left behind."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from evenface_core.pictures import save_png
from evenface_export.main import main
from evenface_training.checkpoint import load_checkpoint, save_checkpoint
from safetensors import safe_open
from support.datasets import samples, write_shard

SaveCheckpoint = Callable[..., Path]
Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run the command, check that it fails as it should, and return its one line."""

    def run(*arguments: object, out: Path | None = None) -> str:
        models = out or tmp_path / "models"
        assert main([*map(str, arguments), "--out", str(models)]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: ")
        assert "Traceback" not in line
        assert not list(models.glob("*/*")) if models.is_dir() else True
        return line

    return run


def _copy(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder)) / "checkpoints" / "best.safetensors"


def test_a_missing_checkpoint_is_named(refused: Refused, tmp_path: Path) -> None:
    assert "run/checkpoints/best.safetensors: no such checkpoint" in refused(
        _made(tmp_path / "run")
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_checkpoint_of_another_version_is_refused(
    refused: Refused, cnn_run: Path, tmp_path: Path
) -> None:
    path = _copy(cnn_run, tmp_path / "run")
    key = "evenface.checkpoint"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[key]) | {"schema_version": 99}
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors, path, metadata={key: json.dumps(header)})
    assert "schema version 99" in refused(path)


def test_a_model_that_computes_no_numbers_leaves_no_bundle(
    refused: Refused, cnn_run: Path, tmp_path: Path
) -> None:
    path = _copy(cnn_run, tmp_path / "run")
    checkpoint = load_checkpoint(path)
    last = next(reversed([name for name in checkpoint.tensors if name.endswith("bias")]))
    checkpoint.tensors[last].fill_(torch.nan)
    save_checkpoint(path, checkpoint)
    line = refused(path)
    assert "classify: 'logits' differs from torch by nan at batch 1" in line
    assert not (tmp_path / "models").exists()


def test_an_existing_version_is_kept_unless_it_may_be_replaced(
    cnn_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "models" / "faces" / "1"
    old.mkdir(parents=True)
    (old / "mine.txt").write_text("keep")
    arguments = [str(cnn_run), "--out", str(tmp_path / "models")]
    assert main(arguments) == 2
    assert "this version exists; --replace" in capsys.readouterr().err
    assert (old / "mine.txt").read_text() == "keep"
    assert main([*arguments, "--replace"]) == 0
    assert sorted(path.name for path in old.iterdir()) == [
        "classify.onnx",
        "manifest.json",
        "model_card.md",
    ]


def test_images_that_have_changed_since_the_run_are_refused(
    refused: Refused, cnn_run: Path, data_folder: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(data_folder, tmp_path / "moved"))
    save_png(moved / "face" / "more.png", torch.zeros(32, 32, 3, dtype=torch.uint8).numpy())
    line = refused(cnn_run, "--faces", moved / "face", "--cache", tmp_path / "cache")
    assert "not the images that the run was trained on" in line


def test_images_that_have_only_moved_are_found_where_the_caller_says(
    cnn_run: Path, data_folder: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(data_folder, tmp_path / "moved"))
    places = {
        "faces": moved / "face",
        "nonfaces": moved / "nonface",
        "labels": moved / "labels.csv",
        "cache": tmp_path / "cache",
    }
    options = [text for key, path in places.items() for text in (f"--{key}", str(path))]
    assert main([str(cnn_run), "--out", str(tmp_path / "models"), *options]) == 0
    assert (tmp_path / "models" / "faces" / "1" / "manifest.json").is_file()


def test_a_source_that_has_moved_keeps_its_kind_and_names_no_folder_of_this_machine(
    save: SaveCheckpoint, refused: Refused, tmp_path: Path
) -> None:
    shard = write_shard(tmp_path / "here" / "a.tar", samples(90))
    source = {"kind": "webdataset", "path": shard}
    cache = tmp_path / "cache"
    both = {"source": source, "face_label": {"column": "cls"}, "validation_fraction": 0.3}
    run = save("cnn", data={**both, "cache": cache})
    shard.parent.rename(tmp_path / "there")
    moved = ["--faces", str(tmp_path / "there" / "a.tar")]
    assert main([str(run), "--out", str(tmp_path / "models"), *moved]) == 0
    manifest = (tmp_path / "models" / "faces" / "1" / "manifest.json").read_text()
    assert "a.tar" in manifest
    assert str(tmp_path) not in manifest
    assert "source holds the non-faces too" in refused(
        run, *moved, "--nonfaces", tmp_path, out=tmp_path / "none"
    )


def test_a_name_that_no_server_would_take_is_refused(refused: Refused, cnn_run: Path) -> None:
    assert "'../up' does not match" in refused(cnn_run, "--name", "../up")
    assert "'V 1' does not match" in refused(cnn_run, "--version", "V 1")


def test_an_out_folder_that_is_a_file_is_refused_before_any_work(
    refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    line = refused("no such run", out=tmp_path / "file")
    assert "cannot be written" in line
    assert str(tmp_path / "file") in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_out_folder_that_may_not_be_written_is_refused(refused: Refused, tmp_path: Path) -> None:
    locked = _made(tmp_path / "locked")
    locked.chmod(0o500)
    assert "cannot be written" in refused("no such run", out=locked)


def test_pictures_of_a_model_without_latents_are_refused(
    refused: Refused, cnn_run: Path, tmp_path: Path
) -> None:
    assert "--pictures: a cnn has no latents" in refused(cnn_run, "--pictures", tmp_path / "p")


def test_sigterm_ends_an_export_as_ctrl_c_does(
    cnn_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on")

    monkeypatch.setattr("evenface_export.main.export_bundle", stopped)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert main([str(cnn_run), "--out", str(tmp_path)]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("share", "reason"),
    [
        ("1", "is not between 0 and 1"),
        ("nan", "is not between 0 and 1"),
        ("0.001", "takes 1,000 held-out non-faces or more to tell"),
    ],
)
def test_a_share_of_false_positives_that_cannot_be_told_is_refused(
    refused: Refused, cnn_run: Path, share: str, reason: str
) -> None:
    assert f"--max-false-positives {share} {reason}" in refused(
        cnn_run, "--max-false-positives", share
    )


def test_a_threshold_of_a_model_that_does_not_classify_is_refused(
    refused: Refused, vae_run: Path
) -> None:
    assert "a vae does not tell faces from non-faces" in refused(
        vae_run, "--max-false-positives", "0.01"
    )
