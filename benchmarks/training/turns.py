"""A training loop that takes turns: so many steps, then the others. Standard library alone.

On standard input comes one JSON value a line: a number of steps, or null to be measured on the
held-out images. The answer is one line: the CPU and wall seconds of those steps, or the loss.
"""

import json
import sys
import time
from collections.abc import Callable


class Turns:
    """Called after each step, returns when the next step may begin.

    Args:
        validate: Gives the loss on held-out images; its time does not count.
    """

    def __init__(self, validate: Callable[[], float]) -> None:
        self._validate = validate
        self._left = 0
        self._cpu = self._wall = 0.0

    def __call__(self) -> bool:
        """Return False, as a loop that asks whether to stop wants it."""
        self._left -= 1
        if self._left > 0:
            return False
        if self._left == 0:
            cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
            print(json.dumps({"cpu": cpu, "wall": wall}), flush=True)
        self._wait()
        return False

    def _wait(self) -> None:
        for line in sys.stdin:
            steps = json.loads(line)
            if steps is None:
                print(json.dumps({"loss": self._validate()}), flush=True)
                continue
            self._left = steps
            self._cpu, self._wall = time.process_time(), time.perf_counter()
            return
        sys.exit()
