"""What the files of infra/deploy/monitoring ask Prometheus for."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.root import ROOT

__all__ = ["ALERTS", "MONITORING", "alert_rules", "dashboard_queries", "names_in", "promtool"]

MONITORING = ROOT / "infra" / "deploy" / "monitoring"
ALERTS = MONITORING / "alerts.yaml"
_NAME = re.compile(r"\b(?:ray_[a-z0-9_]+|up)(?=\{|\)|\[|\s|$)")


def alert_rules() -> dict[str, dict[str, Any]]:
    """The rules by the names of their alerts."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def dashboard_queries() -> list[str]:
    """Every expression of the dashboard, those of its variables included."""

    def expressions(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("expr", "query") and isinstance(value, str) and value != "prometheus":
                    yield value.removeprefix("label_values(").partition(",")[0] if "label_values" in value else value
                else:
                    yield from expressions(value)
        elif isinstance(node, list):
            for it in node:
                yield from expressions(it)

    return list(expressions(json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))))


def names_in(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    return set(_NAME.findall(expression))


def promtool() -> str | None:
    """Where Prometheus' own checker is, if it is here: on the PATH, or where `infra/setup.sh promtool` puts it."""
    beside = Path(sys.executable).with_name("promtool")
    return str(beside) if beside.exists() else shutil.which("promtool")
