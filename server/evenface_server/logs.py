"""JSON lines on stdout, and the record of the call at hand. Never any image content.

Transport-free.
"""

import json
import logging
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


@dataclass(eq=False)
class CallRecord:
    """What the log line of a call will say; filled in on the call's way.

    Attributes:
        request_id: The caller's, or one made up for the call.
        model: The last model that served, as "name/version".
        rows: Images or latents so far.
    """

    request_id: str
    model: str = ""
    rows: int = 0


CURRENT_CALL: ContextVar[CallRecord | None] = ContextVar("current_call", default=None)


def note_rows(model: str, version: str, rows: int) -> None:
    """Note in the current call's record which model works on how many rows."""
    record = CURRENT_CALL.get()
    if record is not None:
        record.model = f"{model}/{version}"
        record.rows += rows


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, what `extra` held, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        call = CURRENT_CALL.get()
        if call is not None:
            line.setdefault("request_id", call.request_id)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Send all logging, and Python's warnings, to stdout as JSON lines from a level on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
