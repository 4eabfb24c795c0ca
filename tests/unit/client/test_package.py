"""What importing the client needs, and what it says while it works."""

import inspect
import io
import subprocess
import sys
from collections.abc import Iterator

import evenface_client
from evenface_client.cli.report import Progress

NEVER = ("PIL", "pydantic", "yaml", "torch", "onnxruntime", "grpc_health", "evenface_server")


def test_the_client_imports_without_what_the_bare_install_lacks() -> None:
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({NEVER!r}))\n"
        "import evenface_client, evenface_client.cli, evenface_client.__main__\n"
        "core = sorted(name for name in sys.modules if name.startswith('evenface_core.'))\n"
        "print(' '.join(core))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    allowed = {"binning", "bins", "blocks", "errors", "exact_sum", "histogram_files", "latents"}
    allowed |= {"packing", "quantiles", "resampling", "rules", "tensors", "weights"}
    assert {name.split(".")[1] for name in run.stdout.split()} <= allowed


def test_everything_public_is_named_and_documented() -> None:
    for name in evenface_client.__all__:
        thing = getattr(evenface_client, name)
        assert not isinstance(thing, type) or thing.__doc__, name
    assert sorted(evenface_client.__all__) == sorted(set(evenface_client.__all__))


def test_both_clients_have_the_same_methods_and_arguments() -> None:
    def methods(client: type) -> dict[str, list[str]]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {n: list(inspect.signature(f).parameters) for n, f in found if n[0] != "_"}

    assert methods(evenface_client.Client) == methods(evenface_client.AsyncClient)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ticking(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_progress_rewrites_a_line_on_a_terminal_and_clears_it() -> None:
    stream, clock = Terminal(), ticking(0.06)
    with Progress(100, stream=stream, clock=lambda: next(clock)) as progress:
        for count in range(1, 5):
            progress.at(count)
        progress.note("skipped x.png")
    assert stream.getvalue() == ("\r2/100 images\r4/100 images\r\x1b[Kskipped x.png\n")


def test_progress_is_a_line_now_and_then_in_a_log() -> None:
    stream, clock = io.StringIO(), ticking(4.0)
    with Progress(9, stream=stream, clock=lambda: next(clock)) as progress:
        for count in range(1, 7):
            progress.at(count)
    assert stream.getvalue() == "3/9 images\n6/9 images\n"
