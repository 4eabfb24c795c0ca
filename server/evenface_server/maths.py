"""Arithmetic between requests and sessions, on arrays alone. Transport-free."""

from typing import Any

import numpy as np
from evenface_core.errors import FunctionUnsupported, InvalidInput
from evenface_core.latents import require_finite, standard_normal
from evenface_core.manifest import AggregatePosterior, Manifest
from evenface_core.resampling import DEFAULT_RULE, LatentHistogram, Weights, check_options, weigh
from evenface_core.rules import RULES
from numpy.typing import NDArray

from evenface_server.calls import Given, HistogramParts, Prior, SampleCall, WeightsCall

Float32 = NDArray[np.float32]

_MAX_TEMPERATURE = 10.0
_LAST_ITEM = 2**64 - 1


def check_latents(latents: NDArray[Any], manifest: Manifest) -> NDArray[Any]:
    """Check that latents are those of a model.

    Raises:
        FunctionUnsupported: The model has no latents.
        InvalidInput: They are not [N, D] or not finite.
    """
    size = manifest.latent_size
    if size == 0:
        raise FunctionUnsupported(f"model '{manifest.name}' has no latents")
    if latents.ndim != 2 or latents.shape[1] != size:  # noqa: PLR2004
        shown = "×".join(map(str, latents.shape))
        raise InvalidInput(
            "latents", f"shape {shown} is not N×{size}", value=list(latents.shape), limit=size
        )
    require_finite(latents, field="latents")
    return latents


def check_given(given: Given, rule: str, manifest: Manifest) -> NDArray[Any]:
    """Check what was sent in place of images, and return it as rows [N, D].

    Raises:
        FunctionUnsupported: The model has no latents.
        InvalidInput: The rule reads something else, or the shape or a number is wrong.
    """
    reads = RULES[rule].reads
    if given.what != reads:
        problem = f"rule '{rule}' reads {reads}: send these or images"
        raise InvalidInput(given.what, problem, value=rule)
    if reads == "latents":
        return check_latents(given.values, manifest)
    rows = given.values[:, None]
    require_finite(rows, field="logits")
    return rows


def check_items(first_item: int, count: int) -> None:
    """Check that the numbers of items fit 64 bits.

    Raises:
        InvalidInput: They do not.
    """
    last = _LAST_ITEM - count + 1
    if first_item > last:
        raise InvalidInput(
            "first_item",
            f"{first_item} and the items after it do not fit 64 bits",
            value=first_item,
            limit=last,
        )


def draw_latents(call: SampleCall, manifest: Manifest) -> Float32:
    """Draw the latents of a call from temperature · ε, float32 [count, D].

    Raises:
        InvalidInput: The temperature is out of range.
        FunctionUnsupported: The model lacks the aggregate posterior asked for.
    """
    if not 0 <= call.temperature <= _MAX_TEMPERATURE:
        raise InvalidInput(
            "temperature",
            f"{call.temperature} is outside 0 to {_MAX_TEMPERATURE:g}",
            value=call.temperature,
            limit=_MAX_TEMPERATURE,
        )
    posterior = _posterior(call.prior, manifest)
    items = range(call.first_item, call.first_item + call.count)
    noise = standard_normal(call.seed, items, manifest.latent_size)
    scaled: Float32 = np.float32(call.temperature) * noise
    return scaled if posterior is None else posterior.draw(scaled)


def _posterior(prior: Prior, manifest: Manifest) -> AggregatePosterior | None:
    if prior is Prior.STANDARD_NORMAL:
        return None
    if prior is Prior.AGGREGATE_POSTERIOR and manifest.aggregate_posterior is None:
        raise FunctionUnsupported(f"model '{manifest.name}' has no aggregate posterior")
    return manifest.aggregate_posterior


def pick_threshold(asked: float | None, manifest: Manifest) -> np.float32:
    """Return the threshold asked for, or the model's.

    Raises:
        InvalidInput: It is no probability.
    """
    if asked is None:
        return np.float32(manifest.decision_threshold)
    if not 0 <= asked <= 1:
        raise InvalidInput("threshold", f"{asked} is outside 0 to 1", value=asked, limit=1)
    return np.float32(asked)


def logistic(logits: Float32) -> Float32:
    """Return 1 / (1 + exp(-x)), float32 [N], without overflow."""
    small = np.exp(-np.abs(logits))
    probabilities: Float32 = np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
    return probabilities


def weighing_options(call: WeightsCall) -> dict[str, Any]:
    """Return a call's options for `evenface_core.resampling.weigh`, checked before any work.

    Raises:
        InvalidInput: Names the one that cannot be used.
    """
    options: dict[str, Any] = {
        "bins": call.bins,
        "rule": call.rule or DEFAULT_RULE,
        "smoothing": call.smoothing,
        "min_effective_sample_size": call.min_effective_sample_size,
    }
    check_options(**options)
    return options


def bins_of(call: WeightsCall) -> tuple[str, int]:
    """Return the number of bins that a call asks for, and the field that says so."""
    if isinstance(call.reference, HistogramParts):
        return "histogram", call.reference.counts.shape[1]
    if call.reference is not None:
        return "edges", call.reference.shape[1] - 1
    return "bins", call.bins or RULES[call.rule or DEFAULT_RULE].bins


def weigh_rows(
    rows: NDArray[Any], call: WeightsCall, options: dict[str, Any]
) -> tuple[LatentHistogram, Weights]:
    """Weight items as a call asks for; its histogram is checked only here, as it may be large.

    Raises:
        InvalidInput: The histogram or edges cannot be used.
    """
    given = call.reference
    reference = LatentHistogram(*given) if isinstance(given, HistogramParts) else given
    return weigh(rows, reference, **options)
