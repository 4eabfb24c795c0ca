"""One subject in one scenario: is the answer right, how fast does it come, what does it cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import numpy as np

from benchmarks.serving.graph import Float32, Reference
from benchmarks.serving.h2load import Summary, percentile, run_load
from benchmarks.serving.processes import Server, ServerFailed, busy_seconds, free_ports, serve
from benchmarks.serving.subjects import PORTS, Subject, peer_environment
from benchmarks.serving.venvs import ensure_environment
from benchmarks.serving.wires import Answer, Request, right_answer
from benchmarks.serving.workloads import SCENARIOS, Scenario

_PATIENCE = 120.0
_TOLERANCE = 1e-3  # between batch sizes and between versions of a decoder; latents are about 1
_LENGTH_TOLERANCE = 0.01  # a reply may hold an id of another length


class WrongAnswer(Exception):
    """A server answered something else than the session; the message says what."""


@dataclass(frozen=True)
class Figures:
    """What was measured in one run of a scenario.

    Attributes:
        requests_per_second: Answers, all checked to have the right length.
        images_per_second: Images in them.
        p50: Milliseconds from request to the end of its answer, the median.
        p99: Likewise, the 99th percentile.
        server_cores: CPU seconds per second of all the server's processes.
        client_cores: Likewise of the client.
        other_cores: Likewise of everything else on the machine; noise.
        server_cpu: CPU seconds a request costs the server.
        client_cpu: CPU seconds a request costs the client.
        command: How the load was made.
    """

    requests_per_second: float
    images_per_second: float
    p50: float
    p99: float
    server_cores: float
    client_cores: float
    other_cores: float
    server_cpu: float
    client_cpu: float
    command: str


@dataclass(frozen=True)
class Running:
    """A subject that answers."""

    subject: Subject
    server: Server
    port: int
    reference: Reference

    def measure(self, scenario: Scenario, seconds: float, warm_up: float) -> Figures | None:
        """Check, warm up, measure, check again.

        Args:
            scenario: What to ask.
            seconds: How long to measure.
            warm_up: How long to send the same load before.

        Returns:
            The figures; None where the subject has nothing of the kind.

        Raises:
            LoadFailed: h2load is missing or fails.
            WrongAnswer: An answer before, in or after the run was wrong or an error.
        """
        request = self.subject.wire.request(scenario)
        if request is None:
            return None
        answer = self.check(scenario, request)
        http1 = self.subject.wire.http1
        if warm_up:
            run_load(self.port, request, scenario, warm_up, http1=http1)
        busy, before = busy_seconds(), self.server.cpu_seconds()
        load = run_load(self.port, request, scenario, seconds, http1=http1)
        server_cpu = self.server.cpu_seconds() - before
        others = busy_seconds() - busy - server_cpu - load.client_cpu
        check_lengths(load.summary, answer.body_bytes, scenario.in_flight)
        self.check(scenario, request)
        done, took = load.summary.succeeded, load.summary.seconds
        return Figures(
            requests_per_second=done / took,
            images_per_second=done / took * scenario.images_per_request,
            p50=percentile(load.milliseconds, 50),
            p99=percentile(load.milliseconds, 99),
            server_cores=server_cpu / took,
            client_cores=load.client_cpu / took,
            other_cores=max(0.0, others / took),
            server_cpu=server_cpu / done,
            client_cpu=load.client_cpu / done,
            command=load.command,
        )

    def check(self, scenario: Scenario, request: Request) -> Answer:
        """Compare what a real client gets with what the session says.

        Raises:
            WrongAnswer: They differ, or there is no answer.
        """
        try:
            answer = self.subject.wire.call(self.port, request)
        except (grpc.RpcError, OSError, ValueError, KeyError) as error:
            raise WrongAnswer(f"{scenario.key}: {_one_line(error)}") from error
        if answer.latents is not None:
            _compare(answer.latents, right_answer(self.reference, scenario), scenario)
        return answer


@contextmanager
def running(subject: Subject, reference: Reference) -> Iterator[Running]:
    """Start a subject, wait until it answers rightly, stop it at the end.

    Raises:
        NotInstallable: Its packages cannot be installed.
        ServerFailed: It does not start.
    """
    ensure_environment(subject)
    ports = free_ports(PORTS)
    environment = dict(subject.environment)
    if subject.requirements:
        environment |= peer_environment(str(reference.graph), ports)
    with serve(subject.name.replace(" ", "-"), subject.command(ports), environment) as server:
        found = Running(subject, server, ports[0], reference)
        said = ""

        def ready() -> bool:
            nonlocal said
            try:
                return all(_answers(found, scenario) for scenario in _FIRST)
            except WrongAnswer as error:
                said = str(error)
                return False

        try:
            server.wait_until(ready, _PATIENCE)
        except ServerFailed as error:
            raise ServerFailed(f"{error} ({said})" if said else str(error)) from error
        yield found


def check_lengths(summary: Summary, body_bytes: int, in_flight: int) -> None:
    """Compare the bytes that came back with those of right answers.

    Args:
        summary: Of the run.
        body_bytes: Of one right answer.
        in_flight: Requests that may have been answered in part when the run ended.

    Raises:
        WrongAnswer: Requests failed, or answers were shorter or longer than right ones.
    """
    if summary.failed:
        raise WrongAnswer(f"{summary.failed} requests failed, {summary.succeeded} succeeded")
    if not summary.succeeded:
        raise WrongAnswer(f"no request was answered in {summary.seconds:g} s")
    least = summary.succeeded * body_bytes * (1 - _LENGTH_TOLERANCE)
    most = (summary.succeeded + in_flight) * body_bytes * (1 + _LENGTH_TOLERANCE)
    if not least <= summary.body_bytes <= most:
        mean = summary.body_bytes / summary.succeeded
        raise WrongAnswer(f"answers had {mean:.0f} bytes on average, right ones have {body_bytes}")


def _compare(found: Float32, expected: Float32, scenario: Scenario) -> None:
    if found.shape != expected.shape:
        raise WrongAnswer(f"{scenario.key}: latents {found.shape} instead of {expected.shape}")
    error = float(np.abs(found - expected).max())
    if not error <= _TOLERANCE:
        raise WrongAnswer(f"{scenario.key}: latents differ by up to {error:.3g}")


_FIRST = tuple(scenario for scenario in SCENARIOS if scenario.key in ("single", "jpeg"))


def _answers(found: Running, scenario: Scenario) -> bool:
    request = found.subject.wire.request(scenario)
    if request is not None:
        found.check(scenario, request)
    return True


def _one_line(error: Exception) -> str:
    if isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"[:200]
    return (f"{type(error).__name__}: {error}".splitlines() or [""])[0][:200]
