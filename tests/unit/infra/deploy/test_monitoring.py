"""Alerts and dashboard ask for what there is; tests/integration/infra/ray/test_metrics.py compares with a real node."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from infra.metrics import METRICS, Histogram
from tests.helpers.monitoring import ALERTS, MONITORING, alert_rules, dashboard_queries, names_in, promtool

PARTS = ("_bucket", "_count", "_sum")
OURS = {it.exported for it in METRICS if not isinstance(it, Histogram)} | {
    it.exported + part for it in METRICS if isinstance(it, Histogram) for part in PARTS
}


def asked() -> dict[str, set[str]]:
    return {
        "alerts": set().union(*(names_in(rule["expr"]) for rule in alert_rules().values())),
        "dashboard": set().union(*map(names_in, dashboard_queries())),
    }


@pytest.mark.parametrize("where", ["alerts", "dashboard"])
def test_what_is_asked_for_is_there(where: str) -> None:
    names = asked()[where]
    assert len(names) > 10
    assert {name for name in names if "nightreel" in name} <= OURS


def test_all_there_is_can_be_looked_at() -> None:
    shown = asked()["dashboard"]
    assert {it.exported for it in METRICS if not shown & {it.exported, f"{it.exported}_bucket"}} == set()


def test_each_panel_says_what_it_shows() -> None:
    board = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 15
    assert all(panel["description"] and panel["targets"] for panel in board["panels"])


def test_each_alert_is_documented_and_has_a_case_that_fires_and_one_that_does_not() -> None:
    cases: dict[str, set[bool]] = {}
    for case in yaml.safe_load((MONITORING / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]:
        for test in case["alert_rule_test"]:
            cases.setdefault(test["alertname"], set()).add(bool(test["exp_alerts"]))
    assert cases == {name: {True, False} for name in alert_rules()}
    page = (MONITORING.parents[1] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert [name for name in alert_rules() if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", ALERTS.name), ("check", "config", "prometheus.yaml"), ("test", "rules", "alerts.test.yaml")],
    ids=" ".join,
)
def test_prometheus_own_checker_is_content(arguments: tuple[Any, ...]) -> None:
    tool = promtool()
    if tool is None:
        pytest.skip("no promtool here: `infra/setup.sh promtool` gets it out of Debian's package prometheus")
    done = subprocess.run([tool, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
