"""Lines of the log that several processes write to one pipe."""

import asyncio
import json
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from evenface_server.lines import Lines
from evenface_server.logs import CallLog, CallRecord, JsonFormatter

PIPE_BYTES = 4096


def _formatted(message: str, extra: Mapping[str, object], worker: int | None = None) -> str:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "created": 0.0, **extra})
    return JsonFormatter(worker).format(record)


@pytest.mark.parametrize("letter", ["a", '"', "ü", "😀", "\n"])
def test_a_line_that_is_too_long_loses_the_middle_of_its_longest_text(letter: str) -> None:
    text = "begin" + letter * 20_000 + "end"
    line = _formatted("failed", {"traceback": text, "bundle": "x" * 500})
    assert PIPE_BYTES // 2 < len(line.encode()) < PIPE_BYTES
    found: dict[str, Any] = json.loads(line)
    assert found["traceback"].startswith("begin")
    assert found["traceback"].endswith("end")
    assert found["bundle"] == "x" * 500


def test_a_line_of_many_long_texts_is_cut_too() -> None:
    line = _formatted("x" * 9000, {f"key{n}": [n] * 3000 for n in range(5)})
    assert len(line.encode()) < PIPE_BYTES
    assert json.loads(line)["level"] == "info"


def test_short_lines_stay_as_they_are() -> None:
    assert json.loads(_formatted("x" * 3000, {}))["event"] == "x" * 3000


async def test_the_lines_of_a_worker_say_which_it_is() -> None:
    assert json.loads(_formatted("draining", {}, worker=3))["worker"] == 3
    assert "worker" not in json.loads(_formatted("draining", {}))
    reader, writer = os.pipe()
    lines = Lines(writer, str)
    CallLog(lines, worker=3).write(CallRecord("id"), "s", "m", "OK", 0.1)
    lines.flush()
    assert json.loads(os.read(reader, PIPE_BYTES))["worker"] == 3
    os.close(reader)
    os.close(writer)


def test_a_reader_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = Lines(writer, str)
    lines.add("x\n")
    lines.flush()
    lines.add("y\n")
    lines.flush()
    os.close(writer)


def read(reader: int) -> bytes:
    """What is there to read, which some has to be soon."""
    assert select.select([reader], [], [], 30)[0]
    return os.read(reader, 2**20)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_nobody_waits_for_a_reader_that_has_stopped_and_it_is_told_what_it_missed(
    kind: str,
) -> None:
    with ExitStack() as opened:
        reader, writer = os.pipe() if kind == "pipe" else _socket_ends(opened)
        lines = Lines(writer, "lost {}".format)
        for number in range(3000):
            lines.add(f"{number}{'x' * 1000}\n")
        lines.flush()
        received, later = b"", 0
        while b"lost" not in received or not received.endswith(b"later\n"):
            received += read(reader)
            lines.add("later\n")
            lines.flush()
            later += 1
        lines.add("last\n")
        lines.drain()
        while not received.endswith(b"last\n"):
            received += read(reader)
        if kind == "pipe":
            os.close(reader)
            os.close(writer)
    seen = received.decode().splitlines()
    numbers = [int(line.rstrip("x")) for line in seen if line.endswith("x")]
    lost = sum(int(line.removeprefix("lost ")) for line in seen if line.startswith("lost"))
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 1000
    assert len(numbers) + seen.count("later") + lost == 3000 + later


def _socket_ends(opened: ExitStack) -> tuple[int, int]:
    """A socket, as the system's journal gives to services."""
    ends = socket.socketpair()
    return tuple(opened.enter_context(end).fileno() for end in ends)  # type: ignore[return-value]


def test_lines_that_wait_for_a_reader_are_written_once_it_goes_on_with_no_line_after_them() -> None:
    reader, writer = os.pipe()
    lines = Lines(writer, str)
    for number in range(200):
        lines.add(f"{number}{'x' * 1000}\n")
    lines.flush()
    received = b""
    while received.count(b"\n") < 200:
        received += read(reader)
    assert [int(line.rstrip("x")) for line in received.decode().splitlines()] == list(range(200))
    os.close(reader)
    os.close(writer)


def test_a_line_that_comes_of_writing_one_is_written_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    lines = Lines(writer, str)
    write = os.write

    def write_and_log(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        lines.add("from a finalizer\n")
        lines.flush()
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", write_and_log)
    lines.add("a line\n")
    lines.flush()
    lines.flush()
    assert read(reader) == b"a line\nfrom a finalizer\n"
    os.close(reader)
    os.close(writer)


async def test_lines_about_calls_are_written_soon() -> None:
    reader, writer = os.pipe()
    CallLog(Lines(writer, str)).write(CallRecord("id"), "service", "m", "OK", 0.1)
    assert json.loads(await asyncio.to_thread(read, reader))["request_id"] == "id"
    os.close(reader)
    os.close(writer)


WRITER = """
import logging, sys
from evenface_server.logs import configure_logging
configure_logging("info", worker=int(sys.argv[1]))
for number in range(100):
    logging.info("x" * (number * 97 % 9000))
"""


def test_lines_of_several_processes_never_run_into_each_other() -> None:
    with subprocess.Popen(
        [
            "/bin/sh",
            "-c",
            'for n in 1 2 3 4; do "$0" -c "$1" $n & done; wait',
            sys.executable,
            WRITER,
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as writers:
        assert writers.stdout is not None
        lines = [json.loads(line) for line in writers.stdout]
    assert sorted(line["worker"] for line in lines) == sorted([1, 2, 3, 4] * 100)
