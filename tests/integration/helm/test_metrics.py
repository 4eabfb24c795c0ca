"""What alerts, dashboard and scalers ask for, beside what a real server shows."""

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from evenface_client import TLS, Client, InvalidRequest
from evenface_server.access.tokens import digest_of
from prometheus_client.parser import text_string_to_metric_families
from support.bundles import Tiny, images, write_tiny_bundle
from support.certificates import make_certificates
from support.charts import CHART, one, rendered
from support.servers import server_process

FILES = CHART / "files"
RULES = [
    rule
    for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = [rule["record"] for rule in RULES if "record" in rule]
# Given by Prometheus to every target, and "le" by histograms.
_OF_TARGETS = {"namespace", "job", "instance", "pod", "le"}
_RECORDED = re.compile(r"\b\w+(?::\w+)+\b")
_METRIC = re.compile(r"\b(?:evenface|grpc_server|process|python)_[a-z_]+\b")
_SELECTED = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPED = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")
TOKEN = "of-tests"  # noqa: S105


def _expressions() -> Iterator[tuple[str, str]]:
    """All queries, with where they are."""
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} ({panel['id']})", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]["query"]
    for trigger in one(rendered("keda"), "ScaledObject")["spec"]["triggers"]:
        yield f"trigger {trigger['name']}", trigger["metadata"]["query"]


EXPRESSIONS = dict(_expressions())


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Series of a server that has had much to do, and the labels of each."""
    folder = tmp_path_factory.mktemp("metrics")
    models = folder / "models"
    write_tiny_bundle(models)
    write_tiny_bundle(models, Tiny(version="2", broken="run"))
    tokens = folder / "tokens.yaml"
    make_certificates(folder, "localhost")
    tokens.write_text(f"tokens: [{{name: tests, sha256: {digest_of(TOKEN).hex()}}}]")
    tls = (f"--tls-cert={folder / 'server.pem'}", f"--tls-key={folder / 'server.key'}")
    every = ("--metrics", "--metrics-port=0", "--workers=1")
    options = (*every, f"--tokens-file={tokens}", *tls)
    trusting = TLS(ca=folder / "ca.pem", server_name="localhost")
    with server_process(models, *options) as server:
        metrics = str(server.wait_for("serving")["metrics_address"])
        with Client(server.address, token=TOKEN, tls=trusting) as client:
            with pytest.raises(InvalidRequest):
                client.sample(1, temperature=99)
            client.classify(images(2))
            for seed in range(600):
                client.encode(images(250, seed=seed))
                text = _text(metrics)
                if "evenface_latent_drift{" in text:
                    break
    return _series(text)


def _text(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as reply:
        return str(reply.read().decode())


def _series(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_a_query_asks_for_metrics_and_labels_that_there_are(
    where: str, shown: dict[str, set[str]]
) -> None:
    assert set(_RECORDED.findall(EXPRESSIONS[where])) <= set(RECORDED)
    query = _RECORDED.sub("", EXPRESSIONS[where])
    metrics = set(_METRIC.findall(query)) | ({"up"} & set(re.findall(r"\bup\b", query)))
    assert metrics
    assert metrics - {"up"} <= set(shown)
    labels = set(_SELECTED.findall(query))
    for group in _GROUPED.findall(query):
        labels |= {label.strip() for label in group.split(",")}
    known = set().union(*(shown.get(metric, set()) for metric in metrics), _OF_TARGETS)
    assert labels <= known
    legend = set().union(*_legend_labels(query))
    assert legend <= known


def _legend_labels(query: str) -> Iterator[set[str]]:
    """Labels that legends of the dashboard show of a query."""
    for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            if target["expr"] == query:
                yield set(re.findall(r"\{\{([a-z_]+)\}\}", target["legendFormat"]))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_names_labels_that_it_has(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    kept = {label.strip() for group in _GROUPED.findall(rule["expr"]) for label in group.split(",")}
    named = set(re.findall(r"\$labels\.([a-z_]+)", " ".join(rule["annotations"].values())))
    assert named <= kept
    assert len(rule["annotations"]["summary"]) > 20
    assert rule["annotations"]["description"].endswith(".")


def test_the_dashboard_lays_its_panels_out_without_overlap() -> None:
    taken: dict[tuple[int, int], int] = {}
    panels = json.loads((FILES / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert x < 24
                assert taken.setdefault((x, y), panel["id"]) == panel["id"]
