"""The figures of live updates, as numbers and as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def summary(values: Sequence[float]) -> dict[str, float]:
    """Count, median, 95th percentile and greatest value, in the unit of the values."""
    return {
        "count": len(values),
        "p50": round(float(np.percentile(values, 50)), 1),
        "p95": round(float(np.percentile(values, 95)), 1),
        "max": round(float(max(values)), 1),
    }


def markdown(measured: Mapping[str, Any]) -> str:
    """The page of results."""
    rows = "".join(
        f"| {name} | {one['count']} | {one['p50']} | {one['p95']} | {one['max']} |\n"
        for name, one in (
            ("one step of a slider, by keyboard", measured["step_ms"]),
            ("last move of a drag, by mouse", measured["drag_last_ms"]),
        )
    )
    return f"""# Live updates of the studio

`python -m benchmarks.studio`, {measured["date"]}: {measured["browser"]}, the studio, the service
and its default model on {measured["cores"]} cores and no GPU. The machine's load average was
{measured["load_average_before"]} before; meanwhile {measured["busy_cores"]} cores were busy in all.

From the slider's event to the frame after the one that shows the new face, in milliseconds:

| | n | p50 | p95 | max |
|---|---|---|---|---|
{rows}
The drags made {measured["drag_events"]} events, {measured["drag_requests"]} requests and
{measured["drag_faces"]} faces on the screen: what is overtaken is never asked for, and no request
waits behind another.
"""
