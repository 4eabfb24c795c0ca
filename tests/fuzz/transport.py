"""Inputs without end for the transport: made up, spoiled, played against a real server.

    python tests/fuzz/transport.py --inputs 100000 --seed 1

Each has to end in a clean goodbye or in well-formed answers, with nothing held, no task left, and
no exception that nobody caught. What fails is written to a file, and played again with --file.
"""

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from collections import Counter
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from evenface_transport import frames
from support.fuzzing import Watch, Writer, fuzzed_server, play
from support.judging import check_said, check_windows


def main() -> int:
    """Run as many inputs as asked for; return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--file", type=Path, help="play this one again")
    options = parser.parse_args()
    logging.getLogger("evenface_transport").setLevel(logging.CRITICAL)
    factory = uvloop.new_event_loop if options.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        if options.file is not None:
            pieces = [bytes.fromhex(piece) for piece in json.loads(options.file.read_text())]
            return runner.run(fuzz_one(pieces))
        return runner.run(fuzz(options.inputs, options.seed, options.failures))


async def fuzz_one(pieces: list[bytes]) -> int:
    """Play one input, and show what was said."""
    server = fuzzed_server()
    watch = Watch(server)
    said = await play(server, pieces)
    for found in check_said(said):
        print(found)  # noqa: T201 - what this is for
    await watch.close()
    return 0


async def fuzz(inputs: int, seed: int, folder: Path) -> int:
    """Play inputs; count how they end and show that as JSON."""
    server = fuzzed_server()
    watch = Watch(server)
    ends: Counter[str] = Counter()
    failures, began = 0, time.monotonic()
    for number in range(inputs):
        writer = Writer(random.Random(f"{seed} {number}"))  # noqa: S311 - made up
        pieces = writer.pieces()
        try:
            said = await play(server, pieces)
            found = check_said(said)
            if writer.is_honest:
                check_windows(b"".join(pieces), said)
            watch.check()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a find
            failures += 1
            report(folder / f"{seed}-{number}.json", pieces, f"{error!r} {watch.faults}")
            server = fuzzed_server()
            watch = Watch(server)
            continue
        ends["goodbye" if any(f[0] == frames.GOAWAY for f in found) else "quiet"] += 1
        ends["answers"] += sum("grpc-status" in fields for *_, fields in found)
        ends["resets"] += sum(kind == frames.RST_STREAM for kind, *_ in found)
    await watch.close()
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"inputs": inputs, "failures": failures, "seconds": seconds, **ends}))  # noqa: T201
    return failures


def report(path: Path, pieces: list[bytes], problem: str) -> None:
    """Keep an input that failed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([piece.hex() for piece in pieces]))
    print(f"{path}: {problem}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(min(1, main()))
