"""How cost grows: with the load offered, with images in a request, and with models loaded."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.serving.connection import Offer
from benchmarks.serving.floors import Floor, session_floor
from benchmarks.serving.graph import Reference, ensure_bundle
from benchmarks.serving.h2load import Load, percentile, run_load
from benchmarks.serving.measure import Figures, Running, check_lengths, running
from benchmarks.serving.openloop import Outcome, run_offer, write_body
from benchmarks.serving.places import CACHE, ROOT
from benchmarks.serving.processes import busy_seconds, cores
from benchmarks.serving.rounds import Plan
from benchmarks.serving.subjects import evenface
from benchmarks.serving.wires import EvenfaceWire
from benchmarks.serving.workloads import SCENARIOS, SMALL, Scenario

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MODELS = (1, 2, 4, 8, 16)
TURNS = 5

_IN_FLIGHT = 32
_SINGLE = next(each for each in SCENARIOS if each.key == "single")
# The cheapest call there is, beside which refusing one costs most; a photograph; and many files.
OFFERED = (
    _SINGLE,
    next(each for each in SCENARIOS if each.key == "portrait"),
    Scenario("files", "32 JPEG 64×64 in a call", images=32, connections=8, file=SMALL),
)


@dataclass(frozen=True)
class LoadPoint:
    """What becomes of calls at one load.

    Attributes:
        share: Of the capacity.
        outcome: Of the calls.
        server_cores: CPU seconds per second of the server.
        other_cores: Likewise of everything but server and client; noise.
    """

    share: float
    outcome: Outcome
    server_cores: float
    other_cores: float


@dataclass(frozen=True)
class LoadCurve:
    """What becomes of calls of one kind.

    Attributes:
        title: Of the calls.
        deadline: Of each call, seconds.
        capacity: Calls per second with 32 in flight; what the loads are shares of.
        points: By load.
        goodput: At the greatest load, over that at the one of the others where it had been
            highest; both measured anew, in turns, one figure for each, as a machine's pace changes
            by more from minute to minute than is to be told here.
    """

    title: str
    deadline: float
    capacity: float
    points: tuple[LoadPoint, ...]
    goodput: tuple[float, ...]


@dataclass(frozen=True)
class RowsPoint:
    """Speed at one number of images in a request, four requests in flight.

    Attributes:
        rows: Images in a request.
        figures: evenface's.
        session: The bare session on batches of as many.
    """

    rows: int
    figures: Figures
    session: Floor


@dataclass(frozen=True)
class ModelsPoint:
    """Speed and memory with some models loaded, 32 single images in flight over all of them.

    Attributes:
        models: Models loaded.
        requests_per_second: Of all models together.
        p50: Milliseconds.
        p99: Likewise.
        server_cores: CPU seconds per second of the server.
        other_cores: Likewise of everything but server and clients; noise.
        memory_mib: Memory of the server after the load.
        start_seconds: From the start to the first right answer.
    """

    models: int
    requests_per_second: float
    p50: float
    p99: float
    server_cores: float
    other_cores: float
    memory_mib: float
    start_seconds: float


def measure_load(
    plan: Plan,
    own: Sequence[str],
    deadline: float,
    reference: Reference,
    scenario: Scenario,
    say: Callable[[str], None],
) -> LoadCurve:
    """Offer calls at shares of the capacity, which is measured first; at two of them in turns.

    Args:
        plan: How much.
        own: More options of the server.
        deadline: Of each call, seconds.
        reference: What the right answers are.
        scenario: What is called.
        say: Told what is going on.

    Raises:
        LoadFailed: h2load fails.
        ServerFailed: The server does not start.
        WrongAnswer: The server answers wrongly.
    """
    with running(evenface(own), reference) as server:
        figures = server.measure(scenario, plan.seconds, plan.warm_up)
        assert figures  # noqa: S101 - evenface answers all scenarios
        capacity = figures.requests_per_second
        say(f"{scenario.title}: capacity {capacity:,.0f} requests/s")

        def offer(share: float) -> LoadPoint:
            point = _offer(server, scenario, share, capacity, plan, deadline)
            outcome = point.outcome
            say(f"load {share:.0%}: {outcome.good:,.0f} of {outcome.offered:,.0f} calls/s in time")
            return point

        points = tuple(map(offer, SHARES))
        peak, most = best(points[:-1]).share, SHARES[-1]
        goodput = []
        for turn in range(TURNS):
            pair = (peak, most) if turn % 2 else (most, peak)
            good = {share: offer(share).outcome.good for share in pair}
            goodput.append(good[most] / good[peak] if good[peak] else math.nan)
        return LoadCurve(scenario.title, deadline, capacity, points, tuple(goodput))


def _offer(
    server: Running,
    scenario: Scenario,
    share: float,
    capacity: float,
    plan: Plan,
    deadline: float,
) -> LoadPoint:
    request = EvenfaceWire().request(scenario)
    answer = server.check(scenario, request)
    offer = Offer(
        port=server.port,
        path=request.path,
        body=write_body(request),
        answer_bytes=answer.body_bytes,
        rate=share * capacity,
        seconds=plan.seconds,
        deadline=deadline,
        connections=scenario.connections,
    )
    before = server.server.cpu_seconds()
    outcome = run_offer(offer)
    cores_used = (server.server.cpu_seconds() - before) / plan.seconds
    others = max(0.0, outcome.busy_cores - outcome.client_cores - cores_used)
    return LoadPoint(share, outcome, cores_used, others)


def measure_rows(
    plan: Plan, own: Sequence[str], reference: Reference, say: Callable[[str], None]
) -> tuple[RowsPoint, ...]:
    """Send requests of 1 to 256 images, four in flight.

    Raises:
        LoadFailed: h2load fails.
        ServerFailed: The server does not start.
        WrongAnswer: The server answers wrongly.
    """
    points = []
    with running(evenface(own), reference) as server:
        for rows in ROWS:
            scenario = Scenario(f"rows-{rows}", f"{rows} images", images=rows)
            figures = server.measure(scenario, plan.seconds, plan.warm_up)
            assert figures  # noqa: S101 - evenface answers all scenarios
            floor = session_floor(reference.graph, rows, plan.seconds, cores())
            points.append(RowsPoint(rows, figures, floor))
            say(f"{rows} images a request: {figures.images_per_second:,.0f} images/s")
    return tuple(points)


def measure_models(
    plan: Plan, own: Sequence[str], reference: Reference, say: Callable[[str], None]
) -> tuple[ModelsPoint, ...]:
    """Load 1 to 16 models and spread single images over them.

    Raises:
        LoadFailed: h2load fails.
        ServerFailed: The server does not start.
        WrongAnswer: The server answers wrongly.
    """
    points = []
    for count in MODELS:
        names = [f"faces-{number}" for number in range(1, count + 1)]
        folder = CACHE / f"models-{count}"
        for name in names:
            ensure_bundle(ROOT / folder, name)
        start = time.monotonic()
        with running(evenface(own, folder, names[0]), reference) as server:
            started = time.monotonic() - start
            points.append(_models_point(server, names, plan, started))
        say(f"{count} models: {points[-1].requests_per_second:,.0f} requests/s")
    return tuple(points)


def _models_point(server: Running, names: Sequence[str], plan: Plan, started: float) -> ModelsPoint:
    _load_models(server, names, plan.warm_up)
    busy, before = busy_seconds(), server.server.cpu_seconds()
    loads = _load_models(server, names, plan.seconds)
    cpu = server.server.cpu_seconds() - before
    others = busy_seconds() - busy - cpu - sum(load.client_cpu for load in loads)
    times = np.concatenate([load.milliseconds for load in loads])
    return ModelsPoint(
        models=len(names),
        requests_per_second=sum(each.summary.succeeded / each.summary.seconds for each in loads),
        p50=percentile(times, 50),
        p99=percentile(times, 99),
        server_cores=cpu / loads[0].summary.seconds,
        other_cores=max(0.0, others / loads[0].summary.seconds),
        memory_mib=server.server.memory_mib(),
        start_seconds=started,
    )


def _load_models(server: Running, names: Sequence[str], seconds: float) -> list[Load]:
    """Keep 32 requests in flight, as many to each model, by one client for each."""
    share = _IN_FLIGHT // len(names)
    streams = min(share, _SINGLE.streams)

    def load(name: str) -> Load:
        scenario = replace(_SINGLE, key=f"of-{name}", connections=share // streams, streams=streams)
        request = EvenfaceWire(name).request(scenario)
        answer = server.check(scenario, request)
        found = run_load(server.port, request, scenario, seconds, http1=False)
        check_lengths(found.summary, answer.body_bytes, share)
        return found

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(load, names))


def best(points: Sequence[LoadPoint]) -> LoadPoint:
    """The load at which most calls per second were answered in time."""
    return max(points, key=lambda point: point.outcome.good)
