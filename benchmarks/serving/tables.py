"""Results as Markdown tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.serving.floors import Floor
from benchmarks.serving.measure import Figures
from benchmarks.serving.rounds import SESSION_ROWS
from benchmarks.serving.subjects import Subject
from benchmarks.serving.summary import Summary
from benchmarks.serving.workloads import Scenario

_HEAD = (
    "server",
    "speaks",
    "requests/s",
    "images/s",
    "p50 ms",
    "p99 ms",
    "server cores",
    "client cores",
    "others' cores",
    "server CPU µs/request",
)
_NOTE = """\
Ratios are evenface's figure over the other's in the same round, medians. More is better for
images/s, less for p99 and CPU. CPU ratios hold where others take part of the cores, too."""


def write_tables(
    summary: Summary, subjects: Sequence[Subject], scenarios: Sequence[Scenario]
) -> str:
    """All tables of a comparison."""
    protocols = {subject.name: subject.protocol for subject in subjects}
    parts = [
        f"### {scenario.title}\n\n{_scenario(summary, scenario, protocols)}"
        for scenario in scenarios
    ]
    parts.append(
        f"### evenface against limits and peers\n\n{_NOTE}\n\n{_ratios(summary, scenarios)}"
    )
    if summary.failures:
        head = ("server", "scenario", "reason")
        parts.append(f"### What could not be measured\n\n{table(head, summary.failures)}")
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)


def _scenario(summary: Summary, scenario: Scenario, protocols: Mapping[str, str]) -> str:
    rows = [
        _floor_row(f"session alone, batch {count}", summary.sessions[count])
        for count in _session_rows(scenario)
    ]
    if scenario.key in summary.decoding:
        rows.append(_floor_row("decoding alone", summary.decoding[scenario.key]))
    failed = {name: key for name, key, _ in summary.failures}
    for name, found in summary.figures.items():
        if scenario.key in found:
            rows.append(_figures_row(name, protocols[name], found[scenario.key]))
        else:
            why = "failed, see below" if name in failed else "has no such call"
            rows.append([name, protocols[name], why, *[""] * (len(_HEAD) - 3)])
    return table(_HEAD, rows)


def _session_rows(scenario: Scenario) -> Sequence[int]:
    if scenario.file:
        return SESSION_ROWS[1:2]
    return SESSION_ROWS if scenario.images_per_request == 1 else SESSION_ROWS[1:]


def _figures_row(name: str, protocol: str, figures: Figures) -> list[str]:
    return [
        name,
        protocol,
        _count(figures.requests_per_second),
        _count(figures.images_per_second),
        f"{figures.p50:.1f}",
        f"{figures.p99:.1f}",
        f"{figures.server_cores:.2f}",
        f"{figures.client_cores:.2f}",
        f"{figures.other_cores:.2f}",
        _count(figures.server_cpu * 1e6),
    ]


def _floor_row(name: str, floor: Floor) -> list[str]:
    return [
        name,
        "–",
        "",
        _count(floor.images_per_second),
        f"{floor.p50:.2f}",
        f"{floor.p99:.2f}",
        f"{floor.cores:.2f}",
        "",
        f"{floor.other_cores:.2f}",
        f"{_count(floor.cpu_per_image * 1e6)} an image",
    ]


def _ratios(summary: Summary, scenarios: Sequence[Scenario]) -> str:
    titles = {scenario.key: scenario.title for scenario in scenarios}
    number: dict[str, Callable[[float], str]] = {
        "images/s": _count,
        "p99 ms": "{:.1f}".format,
        "CPU µs/image": _count,
    }
    rows = [
        [
            titles[each.scenario],
            each.against,
            each.unit,
            number[each.unit](each.other),
            number[each.unit](each.evenface),
            f"{each.ratio:.2f}",
        ]
        for key in titles
        for each in summary.ratios
        if each.scenario == key
    ]
    return table(("scenario", "against", "unit", "its", "evenface's", "ratio"), rows)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
