"""Nothing leaves the machine: ONNX Runtime's own reports are off before they begin."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("package", ["evenface_runtime", "evenface_export.sessions"])
def test_onnx_runtime_keeps_no_record_of_its_use(package: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-c", f"import {package}, onnxruntime"]
    subprocess.run(command, check=True, env=environment)
    assert not (tmp_path / ".ses").exists()
