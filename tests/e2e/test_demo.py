"""`make demo` on a tiny bundle."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

DEMO = Path(__file__).parents[2] / "demo" / "demo.py"
RPCS = {
    *("Encode", "Decode", "Sample", "ClassifyFace", "ResampleWeights"),
    *("EncodeStream", "ClassifyFaceStream", "ListModels", "GetModel"),
}


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DEMO), *arguments], capture_output=True, text=True, check=False
    )


def test_the_demo_calls_every_rpc_and_leaves_pictures(tiny_models: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    run = run_demo("--models", str(tiny_models), "--out", str(out))
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {*RPCS, "server", "errors"}
    assert lines[-1].split() == ["server", "stopped"]
    for name in ("samples", "reconstructions", "morph", "traverse", "weights", "non-faces"):
        picture = np.asarray(Image.open(out / f"{name}.png"))
        assert picture.std() > 1, name
    header, *rows = (out / "weights.csv").read_text().splitlines()
    assert header == "face,weight"
    weights = [float(row.split(",")[1]) for row in rows]
    assert len(weights) == 64
    assert abs(sum(weights) - 1) < 1e-6
    assert weights == sorted(weights, reverse=True)


def test_a_demo_without_models_ends_with_one_line_of_its_own(tmp_path: Path) -> None:
    run = run_demo("--models", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert run.stderr.splitlines()[-1] == "error: the server did not start"
