"""The alerts, as promtool and a reader see them: docs/operations.md has a section for each."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.charts import one, render, values_of
from support.commands import succeed
from support.prometheus import ALERTS, installed, runbooks

TESTS = Path(__file__).with_name("alerts.yaml")
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
NAMES = [rule["alert"] for rule in RULES if "alert" in rule]
SECTIONS = runbooks()


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    told = succeed([installed("promtool"), "check", "rules", "--lint=all", "--lint-fatal", ALERTS])
    assert f"SUCCESS: {len(RULES)} rules found" in told


def test_alerts_fire_on_their_faults_alone_and_clear() -> None:
    assert "SUCCESS" in succeed([installed("promtool"), "test", "rules", TESTS])


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_is_seen_silent_before_its_fault_firing_and_silent_after_it(name: str) -> None:
    answers = [
        [name in str(asked.get("exp_samples")) for asked in test["promql_expr_test"]]
        for test in yaml.safe_load(TESTS.read_text())["tests"]
    ]
    assert any(not seen[0] and True in seen and not seen[-1] for seen in answers if len(seen) > 2)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_s_section_says_what_it_means_what_to_look_at_and_what_to_do(name: str) -> None:
    (rule,) = [rule for rule in RULES if rule.get("alert") == name]
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
    parts = ("**It means**", "**Look at**", "**Do**", "**Do not**")
    assert [part for part in parts if part not in SECTIONS[name]] == []
    assert "```" in SECTIONS[name]


def test_no_section_is_about_an_alert_that_there_is_not() -> None:
    assert list(SECTIONS) == NAMES


@pytest.mark.parametrize(
    ("docs", "start"),
    [
        ("", "docs/"),
        ("https://wiki.example/evenface/docs", "https://wiki.example/evenface/docs/"),
        ("https://wiki.example/evenface/docs/", "https://wiki.example/evenface/docs/"),
    ],
)
def test_runbooks_are_where_the_values_say_that_the_docs_are(docs: str, start: str) -> None:
    monitoring = {**values_of("monitoring")["monitoring"], "docsUrl": docs}
    groups = one(render({"monitoring": monitoring}), "PrometheusRule")["spec"]["groups"]
    assert _runbooks(groups) == [f"{start}operations.md#{name.lower()}" for name in NAMES]


def _runbooks(groups: list[dict[str, Any]]) -> list[str]:
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return [rule["annotations"]["runbook_url"] for rule in rules]
