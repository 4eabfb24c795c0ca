"""The command `evenface`: one line an error, exit codes, no traceback.

0: done. 1: done, but some files could not be used. 2: not done. 130: Ctrl-C.
"""

import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from evenface_core.errors import EvenfaceError

from evenface_client import Client, EvenfaceClientError, Unavailable
from evenface_client.cli import arguments
from evenface_client.cli.errors import CommandError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments; None for those of the process.

    Returns:
        The exit code.
    """
    _prepare_output()
    args = arguments.parser().parse_args(argv)
    try:
        return _run(args)
    except Unavailable as error:
        return _fail(f"{args.server}: {error}")
    except (CommandError, EvenfaceClientError, EvenfaceError) as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; flushing at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except OSError as error:
        return _fail(": ".join(filter(None, (error.filename, error.strerror or str(error)))))
    except KeyboardInterrupt:
        _tell("interrupted")
        return EXIT_INTERRUPTED


def _prepare_output() -> None:
    """See to it that every line can be said, wherever output goes."""
    # None where the caller has closed them, as `>&-` does.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # An encoding without "×", or a file's name that is no UTF-8, must not end the command.
        sys.stdout.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _run(args: Namespace) -> int:
    with Client(
        args.server, timeout=args.timeout, tls=arguments.tls(args), token=args.token
    ) as client:
        code: int = args.run(client, args)
    sys.stdout.flush()
    return code


def _fail(message: str) -> int:
    _tell(f"error: {' '.join(message.split())}")
    return EXIT_ERROR


def _tell(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201
