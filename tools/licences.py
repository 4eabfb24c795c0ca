"""Makes docs/licences.md from what is installed: `python tools/licences.py > docs/licences.md`."""

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]

_HEAD = """# Licences of dependencies

Made by `python tools/licences.py` from the metadata of the packages in
[constraints.txt](../constraints.txt), all extras and the tools of developers included; a test
compares names and versions. It is what each package says of itself: the libraries that some wheels
bundle (NumPy, Pillow, PyTorch, ONNX Runtime) have licences of their own, which lie in the wheels.
CUDA and cuDNN, in `docker/cuda-constraints.txt`, come under NVIDIA's terms. Evenface itself is
under [Apache-2.0](../LICENSE).

| package | version | licence |
|---|---|---|
"""
# Of what is no part of an environment for tests: build tools, and the twin of onnxruntime; and of
# what names none in its metadata: this wrapper (MIT) brings axe-core (MPL-2.0).
_ELSEWHERE = {
    "axe-playwright-python": "MIT AND MPL-2.0",
    "hatchling": "MIT",
    "onnxruntime-gpu": "MIT License",
    "trove-classifiers": "Apache Software License",
}
_LONGEST_NAME = 60  # of a licence; what is longer is its text


def render() -> str:
    """Return the page as Markdown.

    Raises:
        LookupError: A package is not installed in its pinned version, or names no licence.
    """
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = sorted(
        (line.split("==") for line in lines if "==" in line), key=lambda pin: pin[0].lower()
    )
    rows = (f"| {name} | {version} | {_licence(name, version)} |\n" for name, version in pins)
    return _HEAD + "".join(rows)


def _licence(package: str, version: str) -> str:
    if package in _ELSEWHERE:
        return _ELSEWHERE[package]
    said = metadata.metadata(package).json
    found = str(said["version"]).split("+")[0]  # without the build tag of torch
    if found != version:
        raise LookupError(f"{package} is {found} here, {version} in constraints.txt")
    if "license_expression" in said:
        return str(said["license_expression"])
    named = str(said.get("license", ""))
    if named and len(named) <= _LONGEST_NAME and "\n" not in named:
        return named
    classes = [one for one in said.get("classifier", ()) if one.startswith("License ::")]
    return " or ".join(re.sub(r".* :: ", "", one) for one in classes) or _heading(package, version)


def _heading(package: str, version: str) -> str:
    """The first line of a package's licence, where its metadata has nothing but that file."""
    files = metadata.metadata(package).get_all("License-File") or []
    texts = (metadata.distribution(package).read_text(f"licenses/{file}") for file in files)
    heading = next((text.splitlines()[0].strip() for text in texts if text), "")
    if not heading or len(heading) > _LONGEST_NAME:
        raise LookupError(f"{package} {version} names no licence")
    return heading


if __name__ == "__main__":
    print(render(), end="")
