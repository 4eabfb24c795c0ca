"""As transport.py, but led by what code is reached (atheris, in a virtual environment of its own):

    python -m pip install atheris -e '.[server,dev]'
    python tests/fuzz/transport_guided.py CORPUS -max_total_time=600 -max_len=4000

CORPUS is a folder, filled with inputs of transport.py where it is empty. An input is what a peer
sends after the first words of HTTP/2; a find is written to crash-* and fails the run.
"""

import asyncio
import logging
import random
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["evenface_transport"]):
    from evenface_transport import frames
    from support.fuzzing import Watch, Writer, fuzzed_server, play
    from support.judging import check_said

_SEEDS = 300
_RUNNER = asyncio.Runner()


async def begin() -> Watch:
    """Start the server that all inputs are played to."""
    return Watch(fuzzed_server())


def fill(corpus: Path) -> None:
    """Give the search something to begin with."""
    corpus.mkdir(exist_ok=True)
    if not any(corpus.iterdir()):
        for number in range(_SEEDS):
            data = b"".join(Writer(random.Random(number)).pieces())  # noqa: S311 - made up
            (corpus / f"seed-{number}").write_bytes(data.removeprefix(frames.PREFACE)[:4000])


def main() -> None:
    """Search until told to stop."""
    logging.getLogger("evenface_transport").setLevel(logging.CRITICAL)
    fill(Path(sys.argv[1]))
    watch = _RUNNER.run(begin())

    def one(data: bytes) -> None:
        half = len(data) // 2
        pieces = [frames.PREFACE + data[:half], data[half:]]
        check_said(_RUNNER.run(play(watch.server, pieces)))
        watch.check()

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
