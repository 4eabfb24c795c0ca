"""`python -m evenface_server.access new-token NAME`: make a token and its entry for the file."""

import argparse
import sys
from collections.abc import Sequence

from evenface_core.cli import guarded
from evenface_core.config import parse

from evenface_server.access.tokens import TokenEntry, digest_of, new_token


def main(arguments: Sequence[str]) -> None:
    """Print a new token, which is kept nowhere, and the entry that lets it in.

    Raises:
        ConfigError: The name cannot be used.
    """
    parser = argparse.ArgumentParser("python -m evenface_server.access")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("new-token", help="make a token and its entry for the file")
    command.add_argument("name", help="of the caller, for logs and metrics")
    name = parser.parse_args(arguments).name
    token = new_token()
    digest = digest_of(token).hex()
    parse(TokenEntry, {"name": name, "sha256": digest}, source="new-token")
    print(  # noqa: T201 - what the command is for
        f"The token, for its bearer alone; it is not kept and cannot be shown again:\n\n{token}\n\n"
        f'Its entry in the tokens file:\n\n  - name: "{name}"\n    sha256: "{digest}"'
    )


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
