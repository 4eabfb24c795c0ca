"""Requests without end for the service: made up, spoiled, sent to a real server.

    python tests/fuzz/service.py --inputs 100000 --seed 1

Image files, fields and bytes are spoiled. Each request has to end within a minute with a reply of
its RPC or a status that the API promises, and nothing may be left of it. One in ten is a stream of
requests, each of which has to be answered as it is alone. What fails is written to a file, and sent
again with --file.
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
from collections.abc import Sequence
from pathlib import Path

import grpc
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.asking import ask, ask_together, check_idle
from support.bundles import write_tiny_bundle
from support.servers import running, until
from support.spoiling import Requests

_AT_ONCE = 32
_STREAM_EVERY = 10
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
            data = [bytes.fromhex(request) for request in given["requests"]]
            return runner.run(fuzz_one(models, given["path"], data))
        return runner.run(fuzz(models, options.inputs, options.seed, options.failures))


async def fuzz_one(models: Path, path: str, data: Sequence[bytes]) -> int:
    """Send one request, or a stream of them, and show how it ends."""
    async with running(models) as server:
        if path.startswith("/"):
            print(await ask(server.channel, path, data[0]))  # noqa: T201 - what this is for
        else:
            print(await ask_together(server, path, data))  # noqa: T201
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
                requests = Requests(chance)
                try:
                    if number % _STREAM_EVERY == 0:
                        path, data = requests.together()
                        found = await ask_together(server, path, data)
                        ends.update({f"{end} on a stream": found[end] for end in found})
                    else:
                        path, one = requests.next()
                        data = [one]
                        ends[await ask(server.channel, path, one)] += 1
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


def report(path: Path, rpc: str, data: Sequence[bytes], problem: str) -> None:
    """Keep a request, or a stream of them, that failed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"path": rpc, "requests": [each.hex() for each in data]}))
    print(f"{path}: {problem}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(min(1, main()))
