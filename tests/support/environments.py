"""Virtual environments that hold what one extra needs, and nothing else.

The packages in them are links to those of this environment. An installer would fetch and unpack the
same versions of them anew, which takes a minute where there is PyTorch; and what has been compiled
here need not be again. What is required by whom is taken from the packages, as installers do.
"""

import sys
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from sysconfig import get_path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.commands import succeed

ROOT: Final = Path(__file__).parents[2]
_PIP: Final = (sys.executable, "-m", "pip")
_SECONDS: Final = 280.0


def build_wheel(folder: Path) -> Path:
    """Build evenface's wheel in a folder; return its path."""
    succeed([*_PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT], seconds=_SECONDS)
    (built,) = folder.glob("evenface-*.whl")
    return built


class Environment:
    """A fresh virtual environment.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._site = Path(get_path("purelib", "venv", {"base": str(folder)}))
        succeed([sys.executable, "-m", "venv", "--without-pip", folder])

    def program(self, name: str) -> Path:
        """The path of one of its commands."""
        return self._folder / "bin" / name

    def python(self, code: str) -> str:
        """Run code; what it printed."""
        return succeed([self.program("python"), "-I", "-c", code])

    def packages(self) -> set[str]:
        """The names of what is installed."""
        return {canonicalize_name(one.name) for one in distributions(path=[str(self._site)])}

    def install(self, *arguments: str | Path) -> None:
        """Have pip install something."""
        options = ("--quiet", "--no-compile", "--constraint", ROOT / "constraints.txt")
        pip = (*_PIP, "--python", self.program("python"), "install")
        succeed([*pip, *options, *arguments], seconds=_SECONDS)

    def install_extra(self, wheel: Path, extra: str) -> None:
        """Have pip install a wheel alone, and link what it requires for one of its extras."""
        self.install("--no-deps", wheel)
        (own,) = distributions(path=[str(self._site)])
        for one in _required(own, extra).values():
            self._link(one)

    def _link(self, one: Distribution) -> None:
        made: set[Path] = set()
        assert one.files is not None, f"{one.name} does not say which files it has"
        for file in one.files:
            if ".." in file.parts:  # commands, and what belongs to others than Python
                continue
            target = self._site / file
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            target.symlink_to(str(one.locate_file(file)))


def _required(own: Distribution, extra: str) -> dict[str, Distribution]:
    """All that an extra requires, directly or not, by name: as it is here.

    Raises:
        PackageNotFoundError: Something is not here.
        AssertionError: It is, in a version that is not allowed.
    """
    found: dict[str, Distribution] = {canonicalize_name(own.name): own}
    left = [(own, extra)]
    seen: set[tuple[str, str]] = set()
    while left:
        one, extra = left.pop()
        for requirement in map(Requirement, one.requires or ()):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            name = canonicalize_name(requirement.name)
            needed = found.get(name) or distribution(name)
            found[name] = needed
            assert requirement.specifier.contains(needed.version, prereleases=True), requirement
            asked = {(name, more) for more in requirement.extras or {""}} - seen
            seen |= asked
            left += [(needed, more) for _, more in asked]
    del found[canonicalize_name(own.name)]
    return found
