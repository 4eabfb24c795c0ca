"""How many workers and threads to start: from the CPU cores that this process may use."""

import math
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from evenface_server.settings import Settings

_WORKERS_ON_GPU: Final = 2
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")
_CUDA_LIBRARY: Final = "capi/libonnxruntime_providers_cuda.so"


def settle(settings: Settings) -> Settings:
    """Return the settings with numbers in place of the zeros that mean "by the cores"."""
    cores = available_cores()
    workers = settings.workers or (_WORKERS_ON_GPU if _is_on_gpu(settings) else cores)
    threads = settings.session_threads or max(1, cores // workers)
    return settings.model_copy(update={"workers": workers, "session_threads": threads})


def available_cores(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> int:
    """CPU cores that this process may use: those it may run on, or its quota of time if less.

    Args:
        cgroups: Where cgroups (version 2) are mounted.
        own: Names the process's own.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, math.ceil(min(allowed, _quota(cgroups, own))))


def _quota(cgroups: Path, own: Path) -> float:
    """Return what the strictest of the process's cgroups allows; infinity where none limits."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.removeprefix("0::").lstrip("/") for line in lines if line.startswith("0::")]
    folder = cgroups.joinpath(*names)
    levels = [f for f in (folder, *folder.parents) if f.is_relative_to(cgroups)]
    return min((_quota_of(level / "cpu.max") for level in levels), default=math.inf)


def _quota_of(file: Path) -> float:
    try:
        quota, period = file.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return math.inf
    return math.inf if quota == "max" else int(quota) / int(period)


def _is_on_gpu(settings: Settings) -> bool:
    """Whether models will run on a GPU, found out without loading ONNX Runtime."""
    if settings.device != "auto":
        return settings.device != "cpu"
    found = find_spec("onnxruntime")
    folders = found.submodule_search_locations if found is not None else None
    return any((Path(folder) / _CUDA_LIBRARY).exists() for folder in folders or ())
