"""What the page is told: JSON that browsers read, of what the service says and can be so."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from evenface_studio.problems import StudioError


def told(what: Mapping[str, Any]) -> web.Response:
    """A reply in JSON.

    Raises:
        StudioError: A number in it is none, which browsers do not read.
    """
    try:
        return web.json_response(text=json.dumps(what, allow_nan=False))
    except ValueError as error:
        raise nonsense("a number that is not finite") from error


def nonsense(what: str) -> StudioError:
    """The error of a service that answers what cannot be."""
    return StudioError(
        "The service made a mistake",
        f"Its answer has {what}.",
        "Choose another model at the top of the page, or look at the service's log.",
        status=502,
        kind="fault",
    )
