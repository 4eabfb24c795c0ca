"""Everything that is measured: evenface, the no-op server and the peers, and how each starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.serving.places import MODELS, ROOT, VENVS, program
from benchmarks.serving.processes import cores
from benchmarks.serving.wires import HOST, EvenfaceWire, HttpWire, KserveWire, NoopWire, Wire

OPEN_INFERENCE = "evenface, Open Inference Protocol"
EVENFACE, NOOP = "evenface", "no-op grpc.aio"
PORTS = 3  # that a subject may use; the first one serves

_PEERS = "benchmarks/serving/peers"


@dataclass(frozen=True)
class Subject:
    """A server under test.

    Attributes:
        name: For tables and options.
        protocol: For tables.
        wire: How to speak to it.
        command: Makes the command line from its ports.
        requirements: Packages of its own environment; none where it runs in this one.
        python: Interpreter that the environment is made with; empty for this one's.
        environment: Variables besides those that all peers get.
    """

    name: str
    protocol: str
    wire: Wire
    command: Callable[[Sequence[int]], list[str]]
    requirements: tuple[str, ...] = ()
    python: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def evenface(options: Sequence[str] = (), models: Path = MODELS, model: str = "") -> Subject:
    """The server as a user starts it.

    Args:
        options: More command line options.
        models: The model directory.
        model: The model that requests name; empty for the default.
    """

    def command(ports: Sequence[int]) -> list[str]:
        serving = ["--port", str(ports[0]), "--metrics-port", str(ports[1])]
        return [program("evenface-server"), "--models", str(models), *serving, *options]

    return Subject(EVENFACE, "gRPC", EvenfaceWire(model), command)


def open_inference(options: Sequence[str] = ()) -> Subject:
    """The same server, spoken to by the protocol that the gRPC peers speak."""
    model = ("faces.encode", "images")
    wire = KserveWire(wrapped=True, raw=model, files=model)
    return replace(evenface(("--open-inference", *options)), name=OPEN_INFERENCE, wire=wire)


def noop() -> Subject:
    """The gRPC server that computes nothing."""

    def command(ports: Sequence[int]) -> list[str]:
        options = ["--port", str(ports[0]), "--workers", str(cores())]
        return [program("python"), "-m", "benchmarks.serving.noop", *options]

    return Subject(NOOP, "gRPC", NoopWire(), command)


def peers() -> tuple[Subject, ...]:
    """The other model servers, each with an adapter in peers/."""
    return (
        # Triton embeds Python and needs its shared library, as Debian's python3 has it.
        _peer("PyTriton", "gRPC", KserveWire(wrapped=True), "nvidia-pytriton==0.7.0",
              python="/usr/bin/python3"),
        _peer("MLServer", "gRPC", KserveWire(wrapped=False), "mlserver==1.7.1"),
        _peer("mosec", "HTTP", HttpWire(), "mosec==0.9.8"),
        _peer("LitServe", "HTTP", HttpWire(), "litserve==0.2.19", "uvloop==0.23.0"),
        _peer("Ray", "HTTP", HttpWire(), "ray[serve]==2.60.0", "uvloop==0.23.0"),
        Subject("BentoML", "HTTP", HttpWire(), _bentoml, ("bentoml==1.4.39", "uvloop==0.23.0")),
    )  # fmt: skip


def peer_environment(graph: str, ports: Sequence[int]) -> dict[str, str]:
    """What an adapter is told.

    Args:
        graph: The encoder's ONNX file.
        ports: Of the subject.
    """
    return {
        "BENCH_GRAPH": str(ROOT / graph),
        "BENCH_PORTS": ",".join(map(str, ports)),
        "BENCH_WORKERS": str(cores()),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'core'}",
    }


def venv_of(name: str) -> str:
    """The folder of a peer's environment, relative to the root."""
    return str(VENVS / name.lower())


def _peer(name: str, protocol: str, wire: Wire, *requirements: str, python: str = "") -> Subject:
    def command(ports: Sequence[int]) -> list[str]:
        del ports  # they are in the environment
        return [f"{venv_of(name)}/bin/python", f"{_PEERS}/{name.lower()}_server.py"]

    return Subject(name, protocol, wire, command, requirements, python)


def _bentoml(ports: Sequence[int]) -> list[str]:
    service = "benchmarks.serving.peers.bentoml_server:Service"
    options = ["--host", HOST, "--port", str(ports[0])]
    return [f"{venv_of('BentoML')}/bin/bentoml", "serve", service, *options]
