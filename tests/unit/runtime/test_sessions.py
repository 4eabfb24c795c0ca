"""Sessions and the options with which a device's provider is asked for."""

import stat
from pathlib import Path

import pytest
from evenface_core.errors import ConfigError
from evenface_runtime.device import GpuOptions
from evenface_runtime.sessions import providers_of

DIGEST = "ab" * 32


def test_the_cpu_takes_no_options_of_a_gpu() -> None:
    gpu = GpuOptions(cuda_graphs=True, memory_limit=1)
    assert providers_of("cpu", gpu, DIGEST, halves=True) == [("CPUExecutionProvider", {})]


@pytest.mark.parametrize(
    ("gpu", "option", "value"),
    [
        (GpuOptions(), "enable_cuda_graph", "0"),
        (GpuOptions(cuda_graphs=True), "enable_cuda_graph", "1"),
        (GpuOptions(), "use_tf32", "0"),
        (GpuOptions(tf32=True), "use_tf32", "1"),
        (GpuOptions(), "gpu_mem_limit", None),
        (GpuOptions(memory_limit=2**30), "gpu_mem_limit", "1073741824"),
    ],
)
def test_cuda_is_told_how_to_use_the_gpu(gpu: GpuOptions, option: str, value: str | None) -> None:
    ((name, options),) = providers_of("cuda", gpu, DIGEST, halves=False)
    assert name == "CUDAExecutionProvider"
    assert options.get(option) == value


def test_tensorrt_leaves_to_cuda_what_it_does_not_take() -> None:
    names = [name for name, _ in providers_of("tensorrt", GpuOptions(), DIGEST, halves=False)]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]


def test_tensorrt_computes_in_float16_where_the_graph_does() -> None:
    for halves, flag in [(True, "1"), (False, "0")]:
        (_, options), _ = providers_of("tensorrt", GpuOptions(), DIGEST, halves=halves)
        assert options["trt_fp16_enable"] == flag


def test_engines_are_kept_by_the_digest_of_their_graph_where_nobody_else_writes(
    tmp_path: Path,
) -> None:
    gpu = GpuOptions(tensorrt_cache=tmp_path / "engines")
    (_, options), _ = providers_of("tensorrt", gpu, DIGEST, halves=False)
    folder = tmp_path / "engines" / DIGEST
    assert options["trt_engine_cache_enable"] == "1"
    assert options["trt_engine_cache_path"] == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_folder_for_engines_none_are_kept() -> None:
    (_, options), _ = providers_of("tensorrt", GpuOptions(), DIGEST, halves=False)
    assert not [option for option in options if "cache" in option]


def test_a_folder_for_engines_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("a file")
    gpu = GpuOptions(tensorrt_cache=tmp_path / "engines")
    with pytest.raises(ConfigError, match=r"tensorrt_cache: .*/engines/abab.*: Not a directory"):
        providers_of("tensorrt", gpu, DIGEST, halves=False)
