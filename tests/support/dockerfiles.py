"""docker/Dockerfile, read: its stages and what each does."""

import json
import re
import shlex
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FILE = Path(__file__).parents[2] / "docker" / "Dockerfile"


@dataclass
class Stage:
    """One stage.

    Attributes:
        base: What it is made from: another stage, or an image.
        steps: Instruction and the rest of its line, in order, without ENV and comments.
    """

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)


@cache
def stages() -> dict[str, Stage]:
    """The stages by name; an ARG before the first is put in its place."""
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", FILE.read_text(), flags=re.MULTILINE))
    arguments: dict[str, str] = {}
    found: dict[str, Stage] = {}
    for line in filter(None, text.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "ARG" and not found:
            name, _, arguments[name] = rest.partition("=")
        elif instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            for argument, value in arguments.items():
                base = base.replace(f"${{{argument}}}", value)
            found[name] = Stage(base)
        else:
            next(reversed(found.values())).steps.append((instruction, " ".join(rest.split())))
    return found


def lineage(name: str) -> list[Stage]:
    """A stage after those that it is made from."""
    stage = stages()[name]
    return [*(lineage(stage.base) if stage.base in stages() else []), stage]


def last(name: str, instruction: str) -> str:
    """The rest of the last such line of a stage or of those that it is made from."""
    lines = [rest for stage in lineage(name) for kind, rest in stage.steps if kind == instruction]
    return lines[-1]


def command(name: str, instruction: str) -> list[str]:
    """The command of an ENTRYPOINT or HEALTHCHECK, in its JSON form."""
    line = last(name, instruction)
    return [str(part) for part in json.loads(line[line.index("[") :])]


def variables(name: str) -> dict[str, str]:
    """All ENV of a stage and of those that it is made from."""
    found: dict[str, str] = {}
    for stage in lineage(name):
        for kind, rest in stage.steps:
            if kind == "ENV":
                found |= dict(part.split("=", 1) for part in shlex.split(rest))
    return found
