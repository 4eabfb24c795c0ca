"""The comparison: every subject in every scenario, round after round.

Rounds are interleaved (A, B, C, A, B, C …), so that whatever else the machine does meets all alike.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.serving.floors import Floor, decode_floor, session_floor
from benchmarks.serving.graph import Reference
from benchmarks.serving.h2load import LoadFailed
from benchmarks.serving.measure import Figures, Running, WrongAnswer, running
from benchmarks.serving.medians import median
from benchmarks.serving.processes import ServerFailed, cores
from benchmarks.serving.subjects import EVENFACE, Subject
from benchmarks.serving.venvs import NotInstallable
from benchmarks.serving.workloads import PORTRAIT, SMALL, Scenario

SESSION_ROWS = (1, 32, 64)
BESIDE_ROWS = 32
BULK = ("batch", "stream", "stream-1")
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

    def measure(self, server: Running, scenario: Scenario) -> Figures | None:
        """See `Running.measure`."""
        return server.measure(scenario, self.seconds, self.warm_up)


@dataclass(frozen=True)
class Round:
    """All figures of one round.

    Attributes:
        sessions: The bare session by rows in a batch.
        decoding: JPEG decoding alone by scenario.
        beside: The bare session in batches of `BESIDE_ROWS`, just before and just after evenface's
            run of a scenario of `BULK`: a shared machine's speed changes within a round.
        figures: By subject and scenario; what a subject does not offer is missing.
        failures: Reasons by subject and scenario, or START.
    """

    sessions: Mapping[int, Floor]
    decoding: Mapping[str, Floor]
    beside: Mapping[str, Floor]
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
    beside: dict[str, Floor] = {}

    def with_session(server: Running, scenario: Scenario) -> Figures | None:
        if scenario.key not in BULK:
            return plan.measure(server, scenario)
        before = session_floor(reference.graph, BESIDE_ROWS, plan.seconds / 2, cores())
        found = plan.measure(server, scenario)
        after = session_floor(reference.graph, BESIDE_ROWS, plan.seconds / 2, cores())
        beside[scenario.key] = median([before, after])
        return found

    figures: dict[str, dict[str, Figures]] = {}
    failures: dict[str, dict[str, str]] = {}
    for subject in subjects:
        measure = with_session if subject.name == EVENFACE else plan.measure
        figures[subject.name], failures[subject.name] = measure_subject(
            subject, scenarios, measure, reference, say
        )
    return Round(sessions, decoding, beside, figures, failures)


def measure_subject(
    subject: Subject,
    scenarios: Iterable[Scenario],
    measure: Callable[[Running, Scenario], Figures | None],
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
                    found = measure(server, scenario)
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
