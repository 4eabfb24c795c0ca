"""The page's modules, as Node reads them."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "clients" / "studio" / "evenface_studio" / "static"
CHECK = ROOT / "tests" / "support" / "modules.mjs"
OLDEST = 20


def node_problem() -> str | None:
    """Why the modules cannot be checked here, if they cannot."""
    node = shutil.which("node")
    if node is None:
        return "no node on the PATH, which checks the page's modules"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(said.strip().lstrip("v").split(".")[0]) < OLDEST:
        return f"the page's modules are checked by node {OLDEST} or newer; this is {said.strip()}"
    return None


PROBLEM = node_problem()
pytestmark = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))


def problems_of(folder: Path) -> list[str]:
    """What is wrong with the modules of a folder."""
    command = ["node", "--no-warnings", "--experimental-vm-modules", str(CHECK), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_every_module_of_the_page_parses_and_its_imports_are_there_and_used() -> None:
    assert problems_of(PAGE) == [f"{len(list(PAGE.rglob('*.js')))} modules"]


def test_modules_that_are_wrong_are_named(tmp_path: Path) -> None:
    modules = {
        "good.js": "export const one = 1; // two",
        "broken.js": "const = 1;",
        "lost.js": 'import { one } from "./nowhere.js";\none();',
        "missing.js": 'import { two } from "./good.js";\ntwo();',
        "unused.js": 'import { one } from "./good.js";\n/** one */',
    }
    for name, text in modules.items():
        (tmp_path / name).write_text(text)
    count, *problems = problems_of(tmp_path)
    assert count == "5 modules"
    named = dict(problem.split(": ", 1) for problem in sorted(problems))
    assert set(named) == {"broken.js", "lost.js", "missing.js", "unused.js"}
    assert "two" in named["missing.js"]
    assert named["unused.js"] == "one is not used"
