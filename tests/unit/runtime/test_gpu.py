"""Models on a real GPU, with every option; skipped where there is none."""

import gc
import threading
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from evenface_core.bundle import open_bundle
from evenface_core.errors import BundleError, ConfigError
from evenface_runtime import Device, GpuOptions, choose_device, open_model
from evenface_runtime.buffers import cuda_memory
from support.bundles import Tiny, expected_mean, images, write_tiny_bundle


def _missing() -> str:
    try:
        choose_device("cuda")
    except ConfigError as error:
        return str(error)
    return ""


MISSING = _missing()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

tensorrt = pytest.mark.skipif(
    "TensorrtExecutionProvider" not in ort.get_available_providers()
    or find_library("nvinfer") is None,
    reason="this ONNX Runtime offers no TensorRT provider, or TensorRT is not installed",
)

VARIANTS = {
    "as it comes": (GpuOptions(), 1e-4),
    "graphs": (GpuOptions(cuda_graphs=True), 1e-4),
    "graphs in small buckets": (GpuOptions(cuda_graphs=True, max_rows=6), 1e-4),
    "small buckets": (GpuOptions(max_rows=6), 1e-4),
    "memory limit": (GpuOptions(memory_limit=2**28), 1e-4),
    "tf32": (GpuOptions(tf32=True), 1e-2),
}


def _same_as_on_the_cpu(folder: Path, device: Device, gpu: GpuOptions, tolerance: float) -> None:
    bundle = open_bundle(write_tiny_bundle(folder))
    on_gpu, on_cpu = open_model(bundle, device, gpu=gpu), open_model(bundle, "cpu")
    for rows in (33, 1, 6, 7, 64, 200):  # down and up, to the largest bucket and beyond
        pictures = images(rows, seed=rows)
        for got, wanted in zip(on_gpu.encode(pictures), on_cpu.encode(pictures), strict=True):
            np.testing.assert_allclose(got, wanted, atol=tolerance)
        logits = on_gpu.classify(pictures)
        np.testing.assert_allclose(logits, on_cpu.classify(pictures), atol=10 * tolerance)
        latents = on_cpu.encode(pictures)[0]
        difference = on_gpu.decode(latents).astype(int) - on_cpu.decode(latents)
        assert abs(difference).max() <= 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_cuda_gives_what_the_cpu_gives(tmp_path: Path, variant: str) -> None:
    _same_as_on_the_cpu(tmp_path, choose_device("cuda"), *VARIANTS[variant])


@tensorrt
def test_tensorrt_gives_what_the_cpu_gives_and_keeps_its_engines(tmp_path: Path) -> None:
    gpu = GpuOptions(tensorrt_cache=tmp_path / "engines")
    _same_as_on_the_cpu(tmp_path / "models", choose_device("tensorrt"), gpu, 1e-4)
    assert list((tmp_path / "engines").glob("*/*"))


def test_graphs_are_captured_for_every_thread_and_function_while_others_run(tmp_path: Path) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path))
    model = open_model(bundle, "cuda", gpu=GpuOptions(cuda_graphs=True, max_rows=16))
    pictures = images(11)
    latents = expected_mean(pictures)
    failures: list[str] = []

    def work(number: int) -> None:
        for _ in range(20):
            try:
                if number % 2:
                    model.decode(latents)
                elif not np.allclose(model.encode(pictures)[0], latents, atol=1e-4):
                    failures.append("wrong latents")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
                failures.append(str(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_graph_that_cannot_be_captured_is_refused_with_the_reason(tmp_path: Path) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path, Tiny(encode_seconds=1e-6)))
    with pytest.raises(BundleError, match="graph capture"):
        open_model(bundle, "cuda", gpu=GpuOptions(cuda_graphs=True))


def test_a_memory_limit_below_what_the_weights_need_is_refused(tmp_path: Path) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path))
    with pytest.raises(BundleError, match=r"onnx"):
        open_model(bundle, "cuda", gpu=GpuOptions(memory_limit=1))


def test_page_locked_memory_is_zero_and_copies_to_the_gpu_and_back() -> None:
    memory = cuda_memory()
    host, back = memory.allocate(10_000), memory.allocate(10_000)
    assert not host.any()
    host[:] = np.arange(10_000, dtype=np.uint32).astype(np.uint8)
    device = ort.OrtValue.ortvalue_from_shape_and_type((10_000,), np.uint8, "cuda")
    memory.copy(device.data_ptr(), host.ctypes.data, 10_000)
    memory.copy(back.ctypes.data, device.data_ptr(), 10_000)
    np.testing.assert_array_equal(back, host)
    part = host[:100]
    del host, back
    gc.collect()
    assert part.sum() == sum(range(100))  # lives as long as any view of it
