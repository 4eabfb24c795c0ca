"""Debian's Prometheus and promtool, for tests; skipped where they are not installed."""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from support.charts import CHART, ROOT
from support.patience import PATIENCE

ALERTS: Final = CHART / "files" / "alerts.yaml"
DASHBOARD: Final = CHART / "files" / "dashboard.json"
_SCRAPE: Final = "1s"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def runbooks() -> dict[str, str]:
    """The section of docs/operations.md about each alert."""
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    return dict(found)


def installed(program: str) -> str:
    """Return the path of "prometheus" or "promtool"; skip the test where there is none."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install prometheus)")
    return found


def hastened(rules: str, times: int) -> str:
    """The rules for a world that is so many times faster: all their durations, nothing else.

    These are what alerts have to be true `for`, ranges in brackets, and offsets; from minutes come
    seconds. Rates stay rates by the second, and thresholds what they are.
    """

    def shortened(found: re.Match[str]) -> str:
        seconds = int(found["number"]) * _UNITS[found["unit"]]
        return f"{found['before']}{seconds * 1000 // times}ms"

    return re.sub(
        r"(?P<before>\[|offset |for: )(?P<number>\d+)(?P<unit>[smhd])\b", shortened, rules
    )


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that runs.

    Attributes:
        address: "host:port" of its API.
    """

    address: str

    def ask(self, path: str, **parameters: str | list[str]) -> Any:  # noqa: ANN401 - JSON
        """Return the data that a path of its API gives."""
        asked = urllib.parse.urlencode(parameters, doseq=True)
        url = f"http://{self.address}/api/v1/{path}?{asked}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
            return json.load(reply)["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each element that an expression has now."""
        found = self.ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; where it does not come true, fail and say what alerts there are."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"{what}: not after {PATIENCE} s; {self.ask('alerts')}")
            time.sleep(0.1)


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str], rules: str) -> Iterator[Prometheus]:
    """Run a Prometheus that looks at its targets, and at its rules, every second.

    Args:
        folder: An empty one, for its files.
        targets: "host:port" by job; all are in the namespace "faces".
        rules: Text of a rule file.
    """
    (folder / "rules.yaml").write_text(rules)
    scraped = [
        {
            "job_name": job,
            "static_configs": [{"targets": [target], "labels": {"namespace": "faces"}}],
        }
        for job, target in targets.items()
    ]
    every = {"scrape_interval": _SCRAPE, "scrape_timeout": _SCRAPE, "evaluation_interval": _SCRAPE}
    wanted = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": scraped}
    (folder / "prometheus.yml").write_text(json.dumps(wanted))  # which is YAML
    command = [
        installed("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Prometheus(_address(process))
        finally:
            process.kill()


def _address(process: "subprocess.Popen[str]") -> str:
    """Wait until it is ready, and go on to read what it says."""
    assert process.stderr is not None
    address, said = "", []
    for line in process.stderr:
        said.append(line)
        found = re.search(r'"Listening on" address=(\S+)', line)
        address = found[1] if found else address
        if "Server is ready" in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return address
    pytest.fail("".join(said))
