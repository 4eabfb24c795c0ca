"""The command `evenface` where something is wrong: one line, an exit code, no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from evenface_client.cli import main
from support.bundles import Tiny, write_tiny_bundle
from support.patience import PATIENCE
from support.servers import server_process


@pytest.fixture(autouse=True)
def _server(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENFACE_SERVER", address)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["encode", "{folder}", "--out", "x.txt"], "x.txt: can write .npy or .csv"),
        (["encode", "{folder}", "--out", "{file}/x.npy"], "{file}: File exists"),
        (["encode", "{folder}", "--out", "{folder}.npy/"], "{folder}.npy: Is a directory"),
        (["encode", "{empty}", "--out", "{empty}/x.npy"], "{empty}: no images there"),
        (["encode", "{empty}/*.png", "--out", "{empty}/x.npy"], "{empty}/*.png: no images there"),
        (["decode", "{file}", "--out", "{empty}/x.png"], "{file}: not an .npy file"),
        (["decode", "{empty}/no.npy", "--out", "{empty}/x.png"], "{empty}/no.npy: No such file"),
        (["weights", "{folder}", "--out", "{empty}/w.csv", "--histogram", "{file}"], "{file}: not"),
        (["sample", "--count", "0", "--out", "{empty}/x.png"], "count: 0 is below 1"),
        (["sample", "--model", "x", "--out", "{empty}/x.png"], "no model 'x'"),
        (["morph", "{file}", "{empty}/no.png", "--out", "{empty}/x.png"], "images[1] ({empty}/no"),
        (["morph", "{image}", "{image}", "--steps", "1", "--out", "{empty}/x.png"], "steps: 1 is"),
        (["edit", "--set", "a=1", "--out", "{empty}/x.png"], "edit: pass either images or --seed"),
        (
            ["edit", "{image}", "--set", "smiling=1", "bald=2", "--out", "{empty}/x.png"],
            "attributes[0]: 'bald' is unknown; known: smiling",
        ),
        (["traverse", "--out", "{empty}/x.png"], "traverse: pass either an image or --seed"),
        (["traverse", "{image}", "--dimensions", "9", "--out", "{empty}/x.png"], "dimension: 9 is"),
        (["traverse", "{image}", "--steps", "0", "--out", "{empty}/x.png"], "--steps: 0 is below"),
        (["info", "--tls-ca", "{empty}/ca.pem"], "tls.ca ({empty}/ca.pem): No such file"),
        (["info", "--tls-cert", "{file}"], "tls: certificate and key belong together"),
        (["info", "--timeout", "0"], "timeout: 0.0 s is not above 0"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_names_the_thing(
    arguments: list[str],
    problem: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, empty = tmp_path / "file.npz", tmp_path / "empty"
    file.write_bytes(b"nonsense")
    empty.mkdir()
    (tmp_path / "pictures.npy").mkdir()
    names = {"folder": folder, "file": file, "empty": empty, "image": folder / "0.png"}
    if "{folder}.npy/" in arguments:
        names["folder"] = tmp_path / "pictures"
    filled = [argument.format(**names) for argument in arguments]
    assert main(filled) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {problem.format(**names)}")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["sample", "--attribute", "smiling", "--out", "x.png"], "not of the form NAME=VALUE"),
        (["sample", "--attribute", "smiling=very", "--out", "x.png"], "not a number"),
        (["traverse", "--dimensions", "1,x", "--out", "x.png"], "'x' is not a number or range"),
        (["encode"], "required"),
        ([], "required"),
    ],
)
def test_wrong_usage_is_explained(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_model_without_latents_cannot_be_traversed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["traverse", "--seed", "1", "--model", "judge", "--out", str(tmp_path / "x.png")]
    assert main(run) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_server_that_is_down_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, folder: Path
) -> None:
    nobody = "127.0.0.1:9"
    for command in (["info"], ["encode", str(folder), "--out", str(tmp_path / "x.npy")]):
        assert main([*command, "--server", nobody]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {nobody}: ")
        assert said.count("\n") == 1


def test_pictures_without_pillow_say_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert main(["sample", "--out", str(tmp_path / "x.png")]) == 2
    assert capsys.readouterr().err == "error: pictures need Pillow: pip install 'evenface[cli]'\n"
    assert main(["sample", "--out", str(tmp_path / "x.npy")]) == 0


def test_a_reader_that_goes_away_is_no_traceback(folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, "-m", "evenface_client", "classify", str(folder)],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (run.returncode, run.stderr) == (2, "")


@pytest.mark.parametrize("closed", [1, 2])
def test_closed_output_is_no_failure(folder: Path, tmp_path: Path, closed: int) -> None:
    arguments = ["classify", str(folder), "missing.png", "--csv", str(tmp_path / "scores.csv")]
    command = [sys.executable, "-m", "evenface_client", *arguments]
    run = subprocess.run(
        ["sh", "-c", f'"$@" {closed}>&-', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1  # one image is missing
    assert "Traceback" not in run.stderr
    assert (tmp_path / "scores.csv").read_text().count("\n") == 8


def test_what_an_encoding_lacks_is_escaped(folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / "\udcff ü.png"
    odd.write_bytes((folder / "0.png").read_bytes())
    run = subprocess.run(
        [sys.executable, "-m", "evenface_client", "classify", str(odd)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith("\\udcff \\xfc.png\n")


def test_ctrl_c_ends_with_one_line(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVENFACE_SERVER")  # the server would take it for a mistyped setting
    write_tiny_bundle(tmp_path / "models", Tiny(encode_seconds=0.5))
    out = tmp_path / "latents.npy"
    many = [str(folder)] * 60  # 420 images: seconds of work
    with server_process(tmp_path / "models") as server:
        command = ["encode", *many, "--out", str(out), "--server", server.address]
        process = subprocess.Popen(
            [sys.executable, "-m", "evenface_client", *command], stderr=subprocess.PIPE, text=True
        )
        server.wait_for("call")  # ListModels; the stream follows at once and takes long
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (130, "interrupted\n")
    assert not out.exists()
