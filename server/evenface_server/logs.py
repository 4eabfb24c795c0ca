"""JSON lines on stdout, and the record of the call at hand. Never any image content.

Transport-free. The line about a call is made by hand, as it is made for every call; all others go
through `logging`.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring_ascii as _quoted
from typing import Final

from evenface_server.lines import MAX_WRITE_BYTES, Lines

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}
_GAP_BYTES: Final = 32
_GATHER_SECONDS: Final = 0.05


@dataclass(eq=False, slots=True)
class CallRecord:
    """What the log line of a call will say; filled in on the call's way.

    Attributes:
        request_id: The caller's, or one made up for the call.
        model: The last model that served, as "name/version".
        rows: Images or latents so far.
        caller: Name of who calls, where callers are told apart.
        charge: Counts rows against what the caller may have, where that has a limit.
    """

    request_id: str
    model: str = ""
    rows: int = 0
    caller: str = ""
    charge: Callable[[int], None] | None = None


CURRENT_CALL: ContextVar[CallRecord | None] = ContextVar("current_call", default=None)


def note_rows(model: str, version: str, rows: int) -> None:
    """Note in the current call's record which model works on how many rows.

    Raises:
        RateLimited: The caller may not have as many rows now.
    """
    record = CURRENT_CALL.get()
    if record is not None:
        record.model = f"{model}/{version}"
        record.rows += rows
        if record.charge is not None:
            record.charge(rows)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, what `extra` held, and a traceback if any.

    Args:
        worker: The place of this process among the workers, for every line; None for no worker.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._fixed: dict[str, object] = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **self._fixed,
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        call = CURRENT_CALL.get()
        if call is not None:
            line.setdefault("request_id", call.request_id)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _fitting(line)


def _fitting(line: dict[str, object]) -> str:
    """Return a line as JSON, the middle of its longest texts left out where it is too long."""
    text = json.dumps(line, default=str)
    for _ in range(len(line)):
        excess = len(text) + 1 - MAX_WRITE_BYTES
        if excess <= 0:
            break
        sizes = {key: len(json.dumps(value, default=str)) for key, value in line.items()}
        longest = max(sizes, key=sizes.__getitem__)
        value = str(line[longest])
        # A character may take several bytes in JSON: take out as large a part as is too much.
        kept = int(len(value) * max(0.0, 1 - (excess + _GAP_BYTES) / sizes[longest])) // 2
        line[longest] = f"{value[:kept]} … {value[len(value) - kept :]}"
        text = json.dumps(line, default=str)
    return text


class _Handler(logging.Handler):
    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.add(self.format(record) + "\n")
        self.lines.flush()

    def flush(self) -> None:
        self.lines.drain()


class CallLog:
    """Writes a line about each call.

    Args:
        lines: Where to; None writes none.
        worker: The place of this process among the workers, for every line; None for no worker.
    """

    def __init__(self, lines: Lines | None, worker: int | None = None) -> None:
        self._lines = lines
        self._fixed = "" if worker is None else f'"worker": {worker}, '
        self._second = 0
        self._stamp = ""
        self._is_due = False

    def write(
        self,
        record: CallRecord,
        service: str,
        method: str,
        code: str,
        seconds: float,
        calls: int = 1,
    ) -> None:
        """Write a line.

        Args:
            record: Of the call.
            service: "package.Service".
            method: Of the service.
            code: Name of the status.
            seconds: That the call took.
            calls: How many were like it, itself included; they share its request id.
        """
        if self._lines is None:
            return
        line = (
            f'{{"time": "{self._now()}", "level": "info", "event": "call", {self._fixed}'
            f'"service": "{service}", "method": "{method}", "code": "{code}", '
            f'"seconds": {seconds:.6f}, '
            f'"rows": {record.rows}, "model": "{record.model}", {_more(record, calls)}'
            f'"request_id": {_quoted(record.request_id)}}}\n'
        )
        self._lines.add(line)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._flush)

    def _flush(self) -> None:
        self._is_due = False
        if self._lines is not None:
            self._lines.flush()

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._stamp = second, _stamp(second)[:-4]
        return f"{self._stamp}{int(1000 * (now - second)):03d}Z"


def _more(record: CallRecord, calls: int) -> str:
    caller = f'"caller": {_quoted(record.caller)}, ' if record.caller else ""
    return caller if calls == 1 else f'{caller}"calls": {calls}, '


def _describe_lost(formatter: JsonFormatter, lines: int) -> str:
    said = {"msg": "log lines were lost", "levelname": "WARNING", "lines": lines}
    # Of no call, though it may be one's line that finds it out.
    return Context().run(formatter.format, logging.makeLogRecord(said))


def _stamp(seconds: float) -> str:
    whole = int(seconds)
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{date}.{int(1000 * (seconds - whole)):03d}Z"


def configure_logging(level: str, worker: int | None = None) -> CallLog:
    """Send all logging, and Python's warnings, to stdout as JSON lines from a level on.

    Args:
        level: The least that is logged.
        worker: The place of this process among the workers; None for no worker.

    Returns:
        The log of calls, which is silent where the level is above info.
    """
    formatter = JsonFormatter(worker)
    lines = Lines(sys.stdout.fileno(), partial(_describe_lost, formatter))
    handler = _Handler(lines)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    return CallLog(lines if logging.getLogger().isEnabledFor(logging.INFO) else None, worker)
