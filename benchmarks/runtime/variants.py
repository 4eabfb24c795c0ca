"""The ways of running a graph that are compared on each device."""

from dataclasses import dataclass, field, replace

from evenface_core.bundle import Bundle
from evenface_core.manifest import FunctionName
from evenface_runtime.buffers import Memory, cuda_memory, plain_memory
from evenface_runtime.device import Device, GpuOptions
from evenface_runtime.runners import BucketRunner, PlainRunner, Runner
from evenface_runtime.sessions import open_session
from evenface_runtime.signature import signature_of


@dataclass(frozen=True)
class Variant:
    """A way of running a graph.

    Attributes:
        name: What the tables call it.
        is_bound: Whether it goes through buckets and bound buffers, or is a plain run.
        is_page_locked: Whether those buffers are page-locked, on a GPU.
        gpu: How the GPU is used.
        threads: Threads of the session, on a CPU.
    """

    name: str
    is_bound: bool = True
    is_page_locked: bool = True
    gpu: GpuOptions = field(default_factory=GpuOptions)
    threads: int = 1


_PLAIN = Variant("plain run", is_bound=False)
_LOCKED = Variant("bound, page-locked")
_GRAPHS = Variant("CUDA graphs", gpu=GpuOptions(cuda_graphs=True))

# The first is what the others are compared with.
VARIANTS: dict[Device, tuple[Variant, ...]] = {
    "cpu": (_PLAIN, Variant("bound buffers")),
    "cuda": (
        _PLAIN,
        Variant("bound, pageable", is_page_locked=False),
        _LOCKED,
        _GRAPHS,
        Variant("bound, TF32", gpu=GpuOptions(tf32=True)),
        Variant("CUDA graphs, TF32", gpu=GpuOptions(cuda_graphs=True, tf32=True)),
    ),
    "tensorrt": (_PLAIN, _LOCKED),
}

# What is run in several processes at once: (variant, processes) with 0 for one per core.
TOGETHER: dict[Device, tuple[tuple[Variant, int], ...]] = {
    "cpu": ((_PLAIN, 1), (replace(_PLAIN, name="plain run, all cores", threads=0), 1), (_PLAIN, 0)),
    "cuda": tuple((variant, k) for variant in (_LOCKED, _GRAPHS) for k in (1, 2, 4, 8, 0)),
    "tensorrt": tuple((_LOCKED, k) for k in (1, 2, 4, 8, 0)),
}


def open_variant(
    bundle: Bundle, function: FunctionName, device: Device, variant: Variant, max_rows: int
) -> Runner:
    """Open a function of a bundle, ready to run.

    Args:
        bundle: The bundle.
        function: Which of its functions.
        device: Where to run it.
        variant: How.
        max_rows: The largest bucket, where there are buckets.

    Raises:
        BundleError: It cannot be opened there.
        ConfigError: The device cannot be used.
    """
    name = bundle.manifest.functions[function].graph
    digest = bundle.manifest.files[name].sha256
    session = open_session(bundle.read(name), name, digest, device, variant.threads, variant.gpu)
    signature = signature_of(bundle.manifest, function)
    if not variant.is_bound:
        return PlainRunner(session, signature)
    runner = BucketRunner(
        session,
        signature,
        max_rows=max_rows,
        memory=_memory(device, variant),
        graphs=variant.gpu.cuda_graphs,
    )
    runner.warm_up()
    return runner


def _memory(device: Device, variant: Variant) -> Memory:
    if device == "cpu":
        return plain_memory()
    memory = cuda_memory()
    return memory if variant.is_page_locked else replace(memory, allocate=plain_memory().allocate)
