"""Requests without end for the service: made up, spoiled, sent to a real server.

    python tests/fuzz/service.py --inputs 100000 --seed 1

Image files, fields and bytes are spoiled. Each request has to end within a minute with a reply of
its RPC or a status that the API promises, and nothing may be left of it. What fails is written to a
file, and sent again with --file.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import grpc
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.asking import ask, check_idle
from support.bundles import write_tiny_bundle
from support.servers import running, until
from support.spoiling import Requests

_AT_ONCE = 32
_SAID_EVERY = 10_000


def main() -> int:
    """Send as many requests as asked for; return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--file", type=Path, help="send this one again")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow warns of much that is wrong with files
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        models = Path(folder)
        write_tiny_bundle(models)
        if options.file is not None:
            given = json.loads(options.file.read_text())
            return runner.run(fuzz_one(models, given["path"], bytes.fromhex(given["request"])))
        return runner.run(fuzz(models, options.inputs, options.seed, options.failures))


async def fuzz_one(models: Path, path: str, data: bytes) -> int:
    """Send one request, and show its status."""
    async with running(models) as server:
        print(await ask(server.channel, path, data))  # noqa: T201 - what this is for
    return 0


async def fuzz(models: Path, inputs: int, seed: int, folder: Path) -> int:
    """Send requests; count how they end and show that as JSON."""
    ends: Counter[str] = Counter()
    failures, began = 0, time.monotonic()
    numbers = iter(range(inputs))
    async with running(models) as server:

        async def caller() -> None:
            nonlocal failures
            for number in numbers:
                chance = random.Random(f"{seed} {number}")  # noqa: S311 - made up
                path, data = Requests(chance).next()
                try:
                    ends[await ask(server.channel, path, data)] += 1
                except (AssertionError, TimeoutError, grpc.aio.AioRpcError) as error:
                    failures += 1
                    report(folder / f"request-{seed}-{number}.json", path, data, repr(error))
                if sum(ends.values()) % _SAID_EVERY == 0:
                    print(f"{sum(ends.values())} answered", file=sys.stderr)  # noqa: T201

        await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
        await until(lambda: server.app.held_bytes == 0)
        check_idle(server)
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"inputs": inputs, "failures": failures, "seconds": seconds, **ends}))  # noqa: T201
    return failures


def report(path: Path, rpc: str, data: bytes, problem: str) -> None:
    """Keep a request that failed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"path": rpc, "request": data.hex()}))
    print(f"{path}: {problem}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(min(1, main()))
