"""Medians of all rounds, the limits that follow from each round, and how near evenface comes."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.serving.floors import Floor
from benchmarks.serving.limits import bulk_limit, file_limit, unary_limit
from benchmarks.serving.measure import Figures
from benchmarks.serving.medians import median
from benchmarks.serving.rounds import BULK, FILES, Round
from benchmarks.serving.subjects import EVENFACE, NOOP, Subject


@dataclass(frozen=True)
class Ratio:
    """How evenface compares with something in the same rounds.

    Attributes:
        scenario: Its key.
        against: What it is compared with.
        unit: Of both figures.
        other: The other's figure, median of the rounds.
        evenface: evenface's, likewise.
        ratio: evenface / other, taken in each round, median.
    """

    scenario: str
    against: str
    unit: str
    other: float
    evenface: float
    ratio: float


@dataclass(frozen=True)
class Summary:
    """What all rounds say together.

    Attributes:
        sessions: The bare session by rows in a batch.
        decoding: JPEG decoding alone by scenario.
        figures: By subject and scenario.
        failures: Subject, scenario (or START) and reason, each once.
        ratios: evenface against limits and peers.
    """

    sessions: dict[int, Floor]
    decoding: dict[str, Floor]
    figures: dict[str, dict[str, Figures]]
    failures: tuple[tuple[str, str, str], ...]
    ratios: tuple[Ratio, ...]


def summarise(rounds: Sequence[Round], subjects: Sequence[Subject], cores: int) -> Summary:
    """Reduce rounds to medians and ratios.

    Args:
        rounds: All rounds.
        subjects: What was measured; their protocols say whom evenface is compared with.
        cores: CPU cores of the machine.
    """
    first = rounds[0]
    failures = (
        (name, key, reason)
        for each in rounds
        for name, reasons in each.failures.items()
        for key, reason in reasons.items()
    )
    return Summary(
        sessions={key: median([each.sessions[key] for each in rounds]) for key in first.sessions},
        decoding={key: median([each.decoding[key] for each in rounds]) for key in first.decoding},
        figures={name: _medians([each.figures[name] for each in rounds]) for name in first.figures},
        failures=tuple(dict.fromkeys(failures)),
        ratios=(*_limit_ratios(rounds, cores), *_peer_ratios(rounds, subjects)),
    )


def _medians(rounds: Sequence[Mapping[str, Figures]]) -> dict[str, Figures]:
    keys = dict.fromkeys(key for each in rounds for key in each)
    return {key: median([each[key] for each in rounds if key in each]) for key in keys}


def _limit_ratios(rounds: Sequence[Round], cores: int) -> list[Ratio]:
    compare = _Comparison(rounds)
    for key in BULK:
        compare.rate(key, "session on the cores that the client leaves", _bulk_limit(cores, key))
        compare.cpu(key, "session", _beside_cpu(key))
    for key in ("single", *BULK):
        for against, client in (("no-op + session", 0), ("no-op + session + client", 1)):
            compare.rate(key, f"cores / CPU of {against}", _call_limit(cores, key, client))
        compare.cpu(key, "no-op + session", _microseconds(_call_limit(1, key, 0)))
    for key in FILES:
        compare.rate(key, "JPEG decoding alone", _decoding(key))
        compare.rate(key, "cores / CPU of no-op + decoding + session", _file_limit(cores, key))
        compare.cpu(key, "no-op + decoding + session", _microseconds(_file_limit(1, key)))
    return compare.found


def _peer_ratios(rounds: Sequence[Round], subjects: Sequence[Subject]) -> list[Ratio]:
    compare = _Comparison(rounds)
    for protocol in ("gRPC", "HTTP"):
        names = [each.name for each in subjects if each.requirements and each.protocol == protocol]
        for key in dict.fromkeys(key for each in rounds for key in each.figures.get(EVENFACE, ())):
            compare.rate(key, f"fastest {protocol} peer", _best_rate(names, key))
            compare.p99(key, f"{protocol} peer of the lowest p99", _best_p99(names, key))
    return compare.found


class _Comparison:
    """Collects ratios; a comparison without figures on both sides is left out."""

    def __init__(self, rounds: Sequence[Round]) -> None:
        self.found: list[Ratio] = []
        self._rounds = rounds

    def rate(self, scenario: str, against: str, other: "_Figure") -> None:
        self._add(scenario, against, "images/s", other, _rate(EVENFACE, scenario))

    def p99(self, scenario: str, against: str, other: "_Figure") -> None:
        self._add(scenario, against, "p99 ms", other, _p99(scenario))

    def cpu(self, scenario: str, against: str, other: "_Figure") -> None:
        self._add(scenario, against, "CPU µs/image", other, _cpu(scenario))

    def _add(
        self, scenario: str, against: str, unit: str, other: "_Figure", own: "_Figure"
    ) -> None:
        pairs = []
        for each in self._rounds:
            try:
                pairs.append((other(each), own(each)))
            except (KeyError, ValueError):  # not measured in this round
                continue
        if pairs:
            theirs, ours = zip(*pairs, strict=True)
            ratio = statistics.median(mine / other for other, mine in pairs)
            medians = statistics.median(theirs), statistics.median(ours)
            self.found.append(Ratio(scenario, against, unit, *medians, ratio))


_Figure = Callable[[Round], float]


def _of(each: Round, name: str, key: str) -> Figures:
    return each.figures[name][key]


def _rate(name: str, key: str) -> _Figure:
    return lambda each: _of(each, name, key).images_per_second


def _p99(key: str) -> _Figure:
    return lambda each: _of(each, EVENFACE, key).p99


def _cpu(key: str) -> _Figure:
    """Microseconds of CPU that an image costs evenface."""

    def cpu(each: Round) -> float:
        found = _of(each, EVENFACE, key)
        return 1e6 * found.server_cpu * found.requests_per_second / found.images_per_second

    return cpu


def _present(each: Round, names: Iterable[str], key: str) -> list[Figures]:
    return [each.figures[name][key] for name in names if key in each.figures.get(name, ())]


def _best_rate(names: Sequence[str], key: str) -> _Figure:
    return lambda each: max(peer.images_per_second for peer in _present(each, names, key))


def _best_p99(names: Sequence[str], key: str) -> _Figure:
    return lambda each: min(peer.p99 for peer in _present(each, names, key))


def _session_cpu(each: Round, key: str) -> float:
    """CPU seconds an image costs the session, measured beside evenface or where a batch is best."""
    floors = (each.beside[key],) if key in BULK else each.sessions.values()
    return min(floor.cpu_per_image for floor in floors)


def _beside_cpu(key: str) -> _Figure:
    return lambda each: 1e6 * _session_cpu(each, key)


def _microseconds(one_core: _Figure) -> _Figure:
    """CPU time of an image, where a limit for one core is known."""
    return lambda each: 1e6 / one_core(each)


def _call_limit(cores: int, key: str, client: int) -> _Figure:
    """Images per second of calls that cost the bare transport, the session and the client."""

    def limit(each: Round) -> float:
        own = _of(each, EVENFACE, key)
        images = own.images_per_second / own.requests_per_second
        noop_cpu, session_cpu = _of(each, NOOP, key).server_cpu, images * _session_cpu(each, key)
        return images * unary_limit(cores, noop_cpu, session_cpu, client * own.client_cpu)

    return limit


def _bulk_limit(cores: int, key: str) -> _Figure:
    return lambda each: bulk_limit(
        each.beside[key].images_per_second,
        cores,
        _of(each, EVENFACE, key).client_cores,
    )


def _decoding(key: str) -> _Figure:
    return lambda each: each.decoding[key].images_per_second


def _file_limit(cores: int, key: str) -> _Figure:
    return lambda each: file_limit(
        cores,
        _of(each, NOOP, key).server_cpu,
        _session_cpu(each, key),
        each.decoding[key].cpu_per_image,
    )
