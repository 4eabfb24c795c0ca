"""How long rows take, learned from what they took. Transport-free."""

from collections.abc import Callable

Clock = Callable[[], float]

_FORGETTING = 0.8  # weight of the past with each new measurement: about the last five count
_MILD = 1.5  # times the expected: no surprise yet
_DOUBT = 0.9
_TINY = 1e-9
# Of sizes whose variance is less than this share of their mean's square, one size is known.
_LEAST_SPREAD = 1e-3


class Pace:
    """Seconds for a number of rows: a fixed part for each run and a part for each row.

    Both come from a line through the latest measurements (weighted least squares). What took much
    longer than expected counts in full only if the run before it did, too: a single pause of the
    machine changes little, and a lasting change is followed from its second measurement on.

    Attributes:
        fixed: Seconds of a run, whatever its rows; 0 before anything was measured.
        per_row: Seconds of each row.
        is_line: Whether the latest runs were of several sizes, which tell the two apart.
    """

    def __init__(self) -> None:
        self._weight = self._rows = self._seconds = self._squares = self._products = 0.0
        self._surprise = 1.0  # measured / expected, of the last run
        self.fixed = 0.0
        self.per_row = 0.0
        self.is_line = False

    def seconds(self, rows: float, runs: int = 1) -> float:
        """Predict how long rows take in a number of runs; 0 before anything was measured."""
        return runs * self.fixed + rows * self.per_row

    def note(self, rows: int, seconds: float) -> None:
        """Learn that a run of so many rows, ≥ 1, took so long."""
        expected = self.seconds(rows)
        if expected > _TINY:
            before, self._surprise = self._surprise, seconds / expected
            seconds = expected * min(self._surprise, max(before, _MILD))
        self._weight = _FORGETTING * self._weight + 1
        self._rows = _FORGETTING * self._rows + rows
        self._seconds = _FORGETTING * self._seconds + seconds
        self._squares = _FORGETTING * self._squares + rows * rows
        self._products = _FORGETTING * self._products + rows * seconds
        self._draw_line()

    def doubt(self) -> None:
        """Predict a little less from now on, as what is never tried is never measured again."""
        self._seconds *= _DOUBT
        self._products *= _DOUBT
        self._draw_line()

    def _draw_line(self) -> None:
        rows, seconds = self._rows / self._weight, self._seconds / self._weight
        spread = self._squares / self._weight - rows * rows
        shared = self._products / self._weight - rows * seconds
        most = seconds / rows
        self.is_line = spread > _LEAST_SPREAD * rows * rows
        slope = shared / spread if self.is_line else most
        self.per_row = min(max(slope, 0.0), most)  # neither part can be less than nothing
        self.fixed = max(seconds - self.per_row * rows, 0.0)
