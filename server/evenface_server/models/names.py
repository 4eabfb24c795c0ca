"""Names and versions of models: their order, the default among them, and how they are listed."""

import difflib
import re
from collections.abc import Collection, Iterable

from evenface_core.errors import ConfigError

_FALLBACK_NAME = "faces"
_MAX_LISTED = 20


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order versions by their numbers: 1.9 < 1.10, 2-rc1 < 2-rc2."""
    parts = re.findall(r"\d+|[^\d]+", version)
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


def choose_default(wanted: str | None, names: Collection[str]) -> str | None:
    """Choose the model for requests that name none.

    Args:
        wanted: What the settings say; None for the only model, or for 'faces'.
        names: What there is, at least one.

    Returns:
        Its name; None where requests must name a model.

    Raises:
        ConfigError: `wanted` is not among them.
    """
    if wanted is not None and wanted not in names:
        near = difflib.get_close_matches(wanted, names, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise ConfigError(f"default_model: no model '{wanted}' is served{hint}; {listing(names)}")
    if wanted is not None:
        return wanted
    if len(names) == 1:
        return next(iter(names))
    return _FALLBACK_NAME if _FALLBACK_NAME in names else None


def listing(names: Iterable[str]) -> str:
    """Say what there is, for the message of an error."""
    known = list(names)
    more = f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
    return f"there are: {', '.join(known[:_MAX_LISTED])}{more}"
