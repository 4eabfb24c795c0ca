"""What command lines of evenface have in common: errors in one line, exit codes, `--set`."""

import argparse
import sys
from collections.abc import Callable

from evenface_core.errors import EvenfaceError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def add_overrides(parser: argparse.ArgumentParser, explanation: str) -> None:
    """Add `--set KEY=VALUE ...`, which may come several times; its texts are in `overrides`.

    Args:
        parser: Of the command.
        explanation: The option's line in `--help`.
    """
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help=explanation,
    )


def guarded(main: Callable[[], int | None]) -> int:
    """Run a command and turn the errors that a user can mend into one line on stderr.

    Args:
        main: The command; its return value (None counts as 0) is the exit code.

    Returns:
        The exit code: that of `main`, 2 after an error, 130 after Ctrl-C.
    """
    try:
        return main() or 0
    except (EvenfaceError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)  # noqa: T201
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return EXIT_INTERRUPTED


def one_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return " ".join(str(error).split())
