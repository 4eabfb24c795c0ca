"""Triton's own client against the server: in a process and an environment of its own."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evenface.oip import inference_pb2
from evenface_client import Client
from support.bundles import Tiny, expected_mean, images, write_tiny_bundle
from support.servers import server_process
from support.triton import triton_python

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "open-inference.md").read_text()
(PAGE,) = re.findall(r"^```python\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)
CALLER = ROOT / "tests" / "support" / "triton_caller.py"


@dataclass(frozen=True)
class Answers:
    """What tritonclient was told, what our client was, and what the code of the page shows."""

    found: dict[str, Any]
    outputs: dict[str, Any]
    own: dict[str, Any]
    said: str


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    python = triton_python()
    folder, models = tmp_path_factory.mktemp("triton"), tmp_path_factory.mktemp("models")
    (models / "faces").symlink_to(ROOT / "models" / "faces")
    write_tiny_bundle(models, Tiny(name="bearded", conditions=("beard",)))
    write_tiny_bundle(models, Tiny(name="bearded", version="2", conditions=("beard",), shift=0.5))
    write_tiny_bundle(models, Tiny(name="judge", functions=("classify",), attribute_vectors=()))
    with server_process(models, "--workers", "1", "--open-inference") as server:
        with Client(server.address) as client:
            faces = client.sample(3, seed=1, model="faces").images
            inputs = {"faces images": faces, "faces latents": client.encode(faces).mean}
            for name in ("bearded", "judge"):
                inputs |= {f"{name} images": images(3), f"{name} latents": expected_mean(images(3))}
            own = own_answers(client, inputs)
        np.savez(folder / "inputs.npz", **inputs)  # type: ignore[arg-type]
        (folder / "inference.bin").write_bytes(inference_pb2.DESCRIPTOR.serialized_pb)
        command = [str(python), str(CALLER), str(folder), server.address]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        page = [str(python), "-c", PAGE.replace("127.0.0.1:50051", server.address)]
        said = subprocess.run(page, capture_output=True, text=True, check=True)
    found = json.loads((folder / "found.json").read_text())
    return Answers(found, dict(np.load(folder / "outputs.npz")), own, said.stdout)


def own_answers(client: Client, inputs: dict[str, Any]) -> dict[str, Any]:
    """What our client gets from every function of every model, as the caller names it."""
    own: dict[str, Any] = {}
    for model in client.models():
        which: dict[str, Any] = {"model": model.name, "version": model.version}
        given, latents = inputs[f"{model.name} images"], inputs[f"{model.name} latents"]
        if "encode" in model.functions:
            found = client.encode(given, **which)
            key = f"{model.name}.encode {model.version}"
            own |= {f"{key} mean": found.mean, f"{key} log_variance": found.log_variance}
        if "decode" in model.functions:
            decoded = client.decode(latents, **which).images
            own[f"{model.name}.decode {model.version} images"] = decoded
        verdict, key = client.classify(given, **which), f"{model.name}.classify {model.version}"
        own |= {f"{key} logits": verdict.logits, f"{key} probabilities": verdict.probabilities}
        own[f"{key} is_face"] = verdict.is_face
    return own


def test_it_lists_every_function_of_every_version(answers: Answers) -> None:
    assert answers.found["live"] is answers.found["ready"] is True
    assert answers.found["server"]["name"] == "evenface"
    listed = {(model["name"], model["version"]) for model in answers.found["index"]}
    assert listed == {tuple(key.split()[:2]) for key in answers.own}
    assert answers.found["configured"]["bearded.decode"] == ["latents", "conditions"]
    assert answers.found["metadata"]["bearded.encode"]["versions"] == ["1", "2"]


def test_every_output_is_that_of_our_own_client(answers: Answers) -> None:
    outputs = {key: value for key, value in answers.outputs.items() if " " in key}
    assert set(outputs) == set(answers.own)
    for key, value in answers.own.items():
        assert outputs[key].dtype == value.dtype, key
        if outputs[key].dtype == np.uint8:
            assert abs(outputs[key].astype(int) - value).max() <= 1, key
        else:
            assert np.allclose(outputs[key], value, atol=1e-5), key


def test_streams_and_chosen_outputs_give_the_same(answers: Answers) -> None:
    mean, log_variance = (
        answers.own[f"faces.encode 1 {name}"] for name in ("mean", "log_variance")
    )
    assert np.allclose(answers.outputs["streamed"], mean, atol=1e-5)
    assert np.allclose(answers.outputs["chosen"], log_variance, atol=1e-5)


def test_the_code_of_the_page_runs(answers: Answers) -> None:
    assert "bearded.decode 2 READY\n" in answers.said
    assert "(2, 100) [False False]" in answers.said


def test_it_is_told_what_is_wrong(answers: Answers) -> None:
    bad, missing = answers.found["errors"]
    assert bad == [
        "StatusCode.INVALID_ARGUMENT",
        "images.datatype: FP32, expected UINT8 or BYTES",
    ]
    assert missing[0] == "StatusCode.NOT_FOUND"
    assert "there are: bearded.encode" in missing[1]


def test_its_statistics_count_what_both_clients_had_run(answers: Answers) -> None:
    (counted,) = answers.found["runs"]["model_stats"]
    assert int(counted["inference_count"]) == 9  # two requests of ours and one of its own


def test_all_numbers_and_types_of_our_proto_are_those_of_triton_s(answers: Answers) -> None:
    assert answers.found["differences"] == []
