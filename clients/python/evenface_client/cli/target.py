"""The model that a command asks."""

from argparse import Namespace
from typing import TypedDict


class Target(TypedDict):
    """Keyword arguments of the client's methods."""

    model: str
    version: str


def target(args: Namespace) -> Target:
    """The model that the options name."""
    return {"model": args.model, "version": args.version}
