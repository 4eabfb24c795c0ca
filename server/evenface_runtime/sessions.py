"""Opens ONNX Runtime sessions with the options that each device wants."""

import onnxruntime as ort
from evenface_core.errors import BundleError, ConfigError

from evenface_runtime.cuda import load_libraries
from evenface_runtime.device import PROVIDERS, Device, GpuOptions
from evenface_runtime.onnx_file import holds_float16

Provider = tuple[str, dict[str, str]]


def open_session(
    data: bytes, name: str, digest: str, device: Device, threads: int, gpu: GpuOptions
) -> ort.InferenceSession:
    """Open a graph.

    Args:
        data: The ONNX file.
        name: Its name, for errors.
        digest: Its SHA-256, hexadecimal.
        device: Where to run.
        threads: Threads within one run on the CPU; 0 for one per core.
        gpu: How to use a GPU.

    Raises:
        BundleError: ONNX Runtime refuses the graph, or the device does not answer.
        ConfigError: The folder for engines cannot be made.
    """
    said = "" if device == "cpu" else load_libraries()
    providers = providers_of(device, gpu, digest, halves=holds_float16(data))
    # On a GPU hardly anything is left to the CPU.
    options = _options(threads if device == "cpu" else 1)
    try:
        # Without its fallback, which prints to stdout and hides the reason.
        session = ort.InferenceSession(data, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise BundleError(f"{name}: ONNX Runtime cannot open it: {first_line(error)}") from error
    if PROVIDERS[device] not in session.get_providers():
        why = said or "is a GPU there?"
        raise BundleError(f"{name}: ONNX Runtime fell back from {PROVIDERS[device]}: {why}")
    return session


def first_line(error: Exception) -> str:
    """What an exception of ONNX Runtime says, without its stack."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def providers_of(device: Device, gpu: GpuOptions, digest: str, *, halves: bool) -> list[Provider]:
    """Name the device's provider and, behind TensorRT, CUDA for what it does not take.

    Args:
        device: Where to run.
        gpu: How to use a GPU.
        digest: As in `open_session`.
        halves: Whether the graph has weights in float16.

    Returns:
        ONNX Runtime's names and options, the first choice first.

    Raises:
        ConfigError: The folder for engines cannot be made.
    """
    if device == "cpu":
        return [(PROVIDERS["cpu"], {})]
    cuda = (PROVIDERS["cuda"], _cuda_options(gpu))
    if device == "cuda":
        return [cuda]
    return [(PROVIDERS["tensorrt"], _tensorrt_options(gpu, digest, halves=halves)), cuda]


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised; the rest is noise
    # Threads that spin between runs would take the cores from image decoding and gRPC.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _cuda_options(gpu: GpuOptions) -> dict[str, str]:
    options = {
        "arena_extend_strategy": "kSameAsRequested",  # buckets repeat: nothing to grow ahead for
        "cudnn_conv_algo_search": "HEURISTIC",  # exhaustive search takes seconds for each bucket
        "use_tf32": _flag(gpu.tf32),
        "enable_cuda_graph": _flag(gpu.cuda_graphs),
    }
    if gpu.memory_limit is not None:
        options["gpu_mem_limit"] = str(gpu.memory_limit)
    return options


def _tensorrt_options(gpu: GpuOptions, digest: str, *, halves: bool) -> dict[str, str]:
    # TensorRT computes in float16 only where it is allowed to, whatever the graph says.
    options = {"trt_fp16_enable": _flag(halves)}
    if gpu.memory_limit is not None:
        options["trt_max_workspace_size"] = str(gpu.memory_limit)
    if gpu.tensorrt_cache is not None:
        # By digest, so that no engine outlives its graph under the same name.
        folder = gpu.tensorrt_cache / digest
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"tensorrt_cache: {folder}: {error.strerror}") from error
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
    return options


def _flag(value: bool) -> str:
    return "1" if value else "0"
