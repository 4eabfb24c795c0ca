"""The comparison: every subject in every scenario, round after round.

Rounds are interleaved (A, B, C, A, B, C …), so that whatever else the machine does meets all alike.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.serving.floors import Floor, decode_floor, session_floor
from benchmarks.serving.graph import Reference
from benchmarks.serving.h2load import LoadFailed
from benchmarks.serving.measure import Figures, WrongAnswer, running
from benchmarks.serving.processes import ServerFailed, cores
from benchmarks.serving.subjects import Subject
from benchmarks.serving.venvs import NotInstallable
from benchmarks.serving.workloads import PORTRAIT, SMALL, Scenario

SESSION_ROWS = (1, 32, 64)
FILES = {"jpeg": SMALL, "portrait": PORTRAIT}
START = "start"  # in place of a scenario, for a server that did not start


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        rounds: How often all of it.
        seconds: Of each measurement.
        warm_up: Seconds of the same load before it.
    """

    rounds: int
    seconds: float
    warm_up: float


@dataclass(frozen=True)
class Round:
    """All figures of one round.

    Attributes:
        sessions: The bare session by rows in a batch.
        decoding: JPEG decoding alone by scenario.
        figures: By subject and scenario; what a subject does not offer is missing.
        failures: Reasons by subject and scenario, or START.
    """

    sessions: Mapping[int, Floor]
    decoding: Mapping[str, Floor]
    figures: Mapping[str, Mapping[str, Figures]]
    failures: Mapping[str, Mapping[str, str]]


def run_rounds(
    plan: Plan,
    subjects: Sequence[Subject],
    scenarios: Sequence[Scenario],
    reference: Reference,
    say: Callable[[str], None],
) -> list[Round]:
    """Measure everything, several times.

    Args:
        plan: How much.
        subjects: In this order.
        scenarios: In this order.
        reference: What the right answers are.
        say: Told what is going on.
    """
    found = []
    for number in range(1, plan.rounds + 1):
        say(f"round {number}: session and decoding alone")
        found.append(_run_round(plan, subjects, scenarios, reference, say))
    return found


def _run_round(
    plan: Plan,
    subjects: Sequence[Subject],
    scenarios: Sequence[Scenario],
    reference: Reference,
    say: Callable[[str], None],
) -> Round:
    sessions = {
        rows: session_floor(reference.graph, rows, plan.seconds, cores()) for rows in SESSION_ROWS
    }
    decoding = {
        scenario.key: decode_floor(FILES[scenario.key], plan.seconds, cores())
        for scenario in scenarios
        if scenario.key in FILES
    }
    figures: dict[str, dict[str, Figures]] = {}
    failures: dict[str, dict[str, str]] = {}
    for subject in subjects:
        figures[subject.name], failures[subject.name] = measure_subject(
            subject, scenarios, plan, reference, say
        )
    return Round(sessions, decoding, figures, failures)


def measure_subject(
    subject: Subject,
    scenarios: Iterable[Scenario],
    plan: Plan,
    reference: Reference,
    say: Callable[[str], None],
) -> tuple[dict[str, Figures], dict[str, str]]:
    """Start a subject and measure it in some scenarios.

    Returns:
        Figures by scenario, and reasons by scenario where there are none.
    """
    figures: dict[str, Figures] = {}
    failures: dict[str, str] = {}
    try:
        with running(subject, reference) as server:
            for scenario in scenarios:
                try:
                    found = server.measure(scenario, plan.seconds, plan.warm_up)
                except (WrongAnswer, LoadFailed) as error:
                    failures[scenario.key] = str(error)
                    say(f"{subject.name} {scenario.key}: {error}")
                    continue
                if found:
                    figures[scenario.key] = found
                    say(f"{subject.name} {scenario.key}: {_brief(found)}")
    except (NotInstallable, ServerFailed) as error:
        failures[START] = str(error)
        say(f"{subject.name}: {error}")
    return figures, failures


def _brief(figures: Figures) -> str:
    return (
        f"{figures.requests_per_second:,.0f} requests/s, {figures.images_per_second:,.0f} images/s,"
        f" p50 {figures.p50:.1f} ms, p99 {figures.p99:.1f} ms, server {figures.server_cores:.2f}"
        f" and client {figures.client_cores:.2f} cores"
    )
