"""Bundles opened for use, with real graphs."""

import threading
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from evenface_core.bundle import open_bundle
from evenface_core.errors import BundleError, ConfigError, FunctionUnsupported
from evenface_runtime import choose_device, open_model
from evenface_runtime.signature import signature_of
from numpy.typing import NDArray
from support.bundles import (
    LATENT,
    SIZE,
    Tiny,
    expected_images,
    expected_log_variance,
    expected_logits,
    expected_mean,
    images,
    tiny_manifest,
    write_tiny_bundle,
)


@pytest.mark.parametrize("rows", [1, 2, 7, 65])
def test_every_function_computes_its_graph(tmp_path: Path, rows: int) -> None:
    model = open_model(open_bundle(write_tiny_bundle(tmp_path)), "cpu", threads=1)
    pictures = images(rows)
    mean, log_variance = model.encode(pictures)
    np.testing.assert_allclose(mean, expected_mean(pictures), atol=1e-5)
    np.testing.assert_allclose(log_variance, expected_log_variance(pictures), atol=1e-5)
    np.testing.assert_allclose(model.classify(pictures), expected_logits(pictures), atol=1e-5)
    assert abs(model.decode(mean).astype(int) - expected_images(mean)).max() <= 1


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 22])
def test_with_a_tiny_bundle_a_row_has_the_same_bits_in_every_batch(
    tmp_path: Path, rows: int
) -> None:
    model = open_model(open_bundle(write_tiny_bundle(tmp_path, Tiny(joint=True))), "cpu", threads=1)
    pictures = images(23)

    def everything(some: NDArray[np.uint8]) -> list[Any]:
        mean, log_variance, logits = model.encode_and_classify(some)
        return [mean, log_variance, logits, model.decode(mean)]

    parts = [everything(pictures[start : start + rows]) for start in range(0, 23, rows)]
    for number, values in enumerate(everything(pictures)):
        np.testing.assert_array_equal(np.concatenate([part[number] for part in parts]), values)


@pytest.mark.parametrize("joint", [True, False])
def test_images_are_encoded_and_classified_in_one_call(tmp_path: Path, *, joint: bool) -> None:
    model = open_model(open_bundle(write_tiny_bundle(tmp_path, Tiny(joint=joint))), "cpu")
    pictures = images(5)
    assert len(model.run("encode", (pictures,))) == 2 + joint
    mean, log_variance, logits = model.encode_and_classify(pictures)
    np.testing.assert_array_equal(mean, model.encode(pictures)[0])
    np.testing.assert_array_equal(log_variance, model.encode(pictures)[1])
    np.testing.assert_allclose(logits, expected_logits(pictures), atol=1e-5)


def test_encode_classifies_only_for_a_model_that_does() -> None:
    with pytest.raises(ValueError, match="encode gives logits, but functions has no 'classify'"):
        tiny_manifest(Tiny(functions=("encode", "decode"), joint=True))


def test_a_conditional_decoder_takes_conditions(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path, Tiny(conditions=("beard",)))
    model = open_model(open_bundle(bundle), "cpu", threads=1)
    latents, conditions = np.zeros((3, LATENT), np.float32), np.full((3, 1), 2, np.float32)
    found = model.decode(latents, conditions)
    assert abs(found.astype(int) - expected_images(latents, conditions)).max() <= 1


def test_a_missing_function_is_named_with_those_there_are(tmp_path: Path) -> None:
    tiny = Tiny(functions=("encode",), attribute_vectors=())
    model = open_model(open_bundle(write_tiny_bundle(tmp_path, tiny)), "cpu", threads=1)
    with pytest.raises(FunctionUnsupported, match="cannot decode; it can encode"):
        model.decode(np.zeros((1, LATENT), np.float32))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("domain", "encode.onnx: operator domain 'com.microsoft'"),
        ("shape", r"encode.onnx: input 'images' uint8\[1, 16, 16, 3\], expected"),
        ("manifest", r"encode: manifest: output 'mean' float32\[batch, 5\], expected"),
        ("external", "encode.onnx: weights outside of the file"),
        ("name", "encode.onnx: outputs are log_variance, other, expected log_variance, mean"),
        ("dtype", r"encode.onnx: output 'mean' float16\[batch, 4\], expected"),
        ("rows", "encode.onnx: 'mean' has shape"),
        ("run", "encode.onnx: fails on 3 rows"),
        ("bytes", "encode.onnx: not an ONNX model"),
        ("graph", "encode.onnx: ONNX Runtime cannot open it"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_with_its_reason(
    tmp_path: Path, broken: str, reason: str
) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path, Tiny(broken=broken)))
    with pytest.raises(BundleError, match=reason):
        open_model(bundle, "cpu", threads=1)


def test_a_model_answers_several_threads_at_once(tmp_path: Path) -> None:
    model = open_model(open_bundle(write_tiny_bundle(tmp_path)), "cpu", threads=1)
    batches = [images(5, seed=seed) for seed in range(4)]
    found: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {}

    def work(number: int) -> None:
        for _ in range(50):
            found[number] = model.encode(batches[number])[0]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, batch in enumerate(batches):
        np.testing.assert_allclose(found[number], expected_mean(batch), atol=1e-5)


def test_the_signature_follows_from_the_models_sizes() -> None:
    manifest = tiny_manifest(Tiny(conditions=("beard", "glasses")))
    signature = signature_of(manifest, "decode")
    assert [spec.shape for spec in signature.inputs] == [("batch", LATENT), ("batch", 2)]
    assert signature.outputs[0].shape == ("batch", SIZE, SIZE, 3)


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_without_a_gpu_auto_is_the_cpu_and_a_gpu_an_error(
    device: Literal["cuda", "tensorrt"],
) -> None:
    if choose_device("auto") == "cuda":
        pytest.skip("a GPU answers")
    reason = rf"'{device}' is not available: .*CPUExecutionProvider|no GPU can be used: CUDA error"
    with pytest.raises(ConfigError, match=reason):
        choose_device(device)


def test_the_cpu_can_always_be_chosen() -> None:
    assert choose_device("cpu") == "cpu"
