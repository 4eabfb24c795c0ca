"""A client that sends calls when they are due, whether or not earlier ones have been answered.

Users do not wait for each other, so this is what shows a server past its capacity. Calls arrive
at random (Poisson) at a given mean rate; times count from when a call was due, and a call is
cancelled at its deadline. Runs as a process of its own, so that its CPU time is known.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.serving.connection import Connection, Offer, Tally
from benchmarks.serving.h2load import percentile
from benchmarks.serving.places import PAYLOADS, ROOT, program
from benchmarks.serving.processes import busy_seconds
from benchmarks.serving.wires import HOST, Request

_MODULE = "benchmarks.serving.openloop"
_TICK_SECONDS = 0.001
_CONNECT_SECONDS = 5
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """What became of all calls, rates in calls per second.

    Attributes:
        offered: Calls that were due.
        good: Calls answered rightly before their deadline.
        refused: Calls refused before their deadline.
        expired: Calls cancelled at their deadline.
        lost: Calls whose connection or stream was closed by the server.
        p50: Milliseconds of the good ones.
        p99: Likewise.
        refused_p50: Milliseconds until a refusal; NaN where there is none.
        client_lag: Milliseconds that the client was late itself, the 99th percentile.
        client_cores: CPU seconds per second of the client.
        busy_cores: Likewise of the whole machine.
    """

    offered: float
    good: float
    refused: float
    expired: float
    lost: float
    p50: float
    p99: float
    refused_p50: float
    client_lag: float
    client_cores: float
    busy_cores: float


def run_offer(offer: Offer) -> Outcome:
    """Offer calls from a process of its own.

    Raises:
        subprocess.SubprocessError: It failed or hung.
    """
    given = json.dumps(dataclasses.asdict(offer), default=str)
    done = subprocess.run(
        [program("python"), "-m", _MODULE, given],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
        timeout=offer.seconds + offer.deadline + _PATIENCE_SECONDS,
    )
    return Outcome(**json.loads(done.stdout))


def write_body(request: Request) -> Path:
    """Write a request where the client reads it."""
    path = ROOT / PAYLOADS / f"open{request.path.replace('/', '-')}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(request.framed)
    return path


async def offer_calls(offer: Offer) -> Outcome:
    """Send all calls when they are due and wait until each has ended."""
    tally = Tally()
    connections = [await _connect(offer, tally) for _ in range(offer.connections)]
    rng = np.random.default_rng(0)
    gaps = rng.exponential(1 / offer.rate, int(offer.rate * offer.seconds * 1.5) + 100)
    times = np.cumsum(gaps)
    due: Sequence[float] = times[times < offer.seconds].tolist()
    start, cpu, busy = time.perf_counter(), time.process_time(), busy_seconds()
    sent = 0
    while sent < len(due) or not all(each.idle for each in connections):
        now = time.perf_counter()
        while sent < len(due) and start + due[sent] <= now:
            connections[sent % len(connections)].call(start + due[sent])
            tally.lags.append(1000 * (now - start - due[sent]))
            sent += 1
        for each in connections:
            each.expire(now)
        await asyncio.sleep(_TICK_SECONDS)
    for each in connections:
        each.close()
    elapsed = time.perf_counter() - start
    shares = (time.process_time() - cpu) / elapsed, (busy_seconds() - busy) / elapsed
    return summarise(offer, tally, *shares)


async def _connect(offer: Offer, tally: Tally) -> Connection:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_SECONDS):
        _, connection = await loop.create_connection(
            lambda: Connection(offer, tally), HOST, offer.port
        )
        await connection.settled
    return connection


def summarise(offer: Offer, tally: Tally, client_cores: float, busy_cores: float) -> Outcome:
    """Counts as rates."""
    good, refused = np.array(tally.good), np.array(tally.refused)
    return Outcome(
        offered=len(tally.lags) / offer.seconds,
        good=len(good) / offer.seconds,
        refused=len(refused) / offer.seconds,
        expired=tally.expired / offer.seconds,
        lost=tally.lost / offer.seconds,
        p50=percentile(good, 50),
        p99=percentile(good, 99),
        refused_p50=percentile(refused, 50),
        client_lag=percentile(np.array(tally.lags), 99),
        client_cores=client_cores,
        busy_cores=busy_cores,
    )


def _take_precedence() -> None:
    """Run before the server where this is allowed: real clients do not wait for its cores.

    Linux shares the cores among sessions first (autogroups), among processes then.
    """
    with contextlib.suppress(OSError):
        os.nice(-10)
        Path("/proc/self/autogroup").write_text("-15")


def main() -> None:
    """Be the client: take an offer as JSON, print the outcome as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("offer", help="JSON")
    values = json.loads(parser.parse_args().offer)
    offer = Offer(**{**values, "body": Path(values["body"])})
    _take_precedence()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(offer_calls(offer))
    print(json.dumps(dataclasses.asdict(outcome)))


if __name__ == "__main__":
    main()
