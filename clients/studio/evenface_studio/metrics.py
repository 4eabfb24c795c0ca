"""The service's metrics: what matters of their text, how it grows, and quantiles of histograms."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]

GROWING = (
    "grpc_server_handled_total",
    "grpc_server_handling_seconds_bucket",
    "evenface_rejections_total",
    "evenface_images_total",
    "evenface_queue_wait_seconds_bucket",
    "evenface_inference_seconds_bucket",
    "evenface_batch_rows_sum",
    "evenface_batch_rows_count",
)
GAUGES = (
    "evenface_queue_rows",
    "evenface_latent_drift",
    "evenface_latent_drift_rows",
    "evenface_workers",
    "evenface_worker_connections",
    "evenface_held_bytes",
)
_MOST_SERIES = 20_000


class NotOurs(ValueError):
    """The text is no metrics of this service."""


@dataclass(frozen=True)
class Scrape:
    """The metrics at one moment.

    Attributes:
        at: By a clock that only ever grows, in seconds.
        counters: Values of what only grows, by series.
        gauges: Values of the rest.
    """

    at: float
    counters: Mapping[Series, float] = field(repr=False)
    gauges: Mapping[Series, float] = field(repr=False)


def read(text: str, at: float) -> Scrape:
    """Read metrics in Prometheus's text format.

    Args:
        text: Of the page.
        at: When it was fetched.

    Raises:
        NotOurs: It is something else.
    """
    found: dict[Series, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                ours = sample.name in GROWING or sample.name in GAUGES
                if ours and math.isfinite(sample.value):
                    series = (sample.name, tuple(sorted(sample.labels.items())))
                    found[series] = float(sample.value)
    except Exception as error:  # the parser raises whatever its slices and numbers raise
        raise NotOurs("this is no text of Prometheus") from error
    if not found or len(found) > _MOST_SERIES:
        known = f"more than {_MOST_SERIES:,} series" if found else "no metrics of evenface-server"
        raise NotOurs(f"there are {known}")
    return Scrape(
        at,
        {series: value for series, value in found.items() if series[0] in GROWING},
        {series: value for series, value in found.items() if series[0] in GAUGES},
    )


def growth(before: Scrape | None, now: Scrape) -> dict[Series, float]:
    """How much each counter has grown, where it has.

    A counter that is lower than before tells that the service has begun anew: all that there is has
    grown since then. So has all of a series that was not there. With nothing before, nothing is
    known to have grown. Of a histogram that has grown all buckets are there.
    """
    if before is None:
        return {}
    begun = any(now.counters.get(series, 0.0) < then for series, then in before.counters.items())
    earlier = {} if begun else before.counters
    change = {series: value - earlier.get(series, 0.0) for series, value in now.counters.items()}
    busy = {_whole(series) for series, value in change.items() if value > 0}
    return {
        series: value for series, value in change.items() if value > 0 or _whole(series) in busy
    }


def _whole(series: Series) -> Series:
    """A series, or the histogram that it is a bucket of."""
    name, labels = series
    return name, tuple(label for label in labels if label[0] != "le")


def quantile(share: float, buckets: Iterable[tuple[float, float]]) -> float | None:
    """The value that a share of what a histogram has counted lies below.

    Within a bucket values are taken to lie evenly, as `histogram_quantile` of Prometheus does.

    Args:
        share: 0 to 1.
        buckets: Upper bounds, the last infinite, and how many values are at most that.

    Returns:
        None where nothing was counted; the greatest finite bound where the value is above that.
    """
    ordered = sorted(buckets)
    if not ordered or not ordered[-1][1]:
        return None
    rank = share * ordered[-1][1]
    low = below = 0.0
    for bound, count in ordered:
        if count >= rank and count > below:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (rank - below) / (count - below)
        if not math.isinf(bound):
            low, below = bound, count
    return low
