"""The ids that calls have in the log and in their trailers."""

import re
import secrets
from itertools import count
from typing import Final

from evenface_transport import Call

KEY: Final = "x-request-id"

_USABLE: Final = re.compile(r"[\x21-\x7e]{1,128}")
_PROCESS: Final = secrets.token_hex(8)
_NUMBERS: Final = count()


def request_id(call: Call) -> str:
    """Return the id that the caller chose, if it can be used, or one that no other call has."""
    for key, value in call.metadata:
        if key == KEY and isinstance(value, str) and _USABLE.fullmatch(value):
            return value
    return f"{_PROCESS}{next(_NUMBERS):016x}"
