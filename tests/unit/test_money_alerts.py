"""Alerts about money name metrics that exist, and a section of a runbook that does."""

import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from bloxtr8.telemetry import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/money.rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]


def metrics() -> set[str]:
    names = set()
    for family in REGISTRY.collect():
        names |= {family.name, f"{family.name}_total"}
    return names


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_an_alert_has_its_metric_and_its_runbook(rule: dict[str, dict[str, str]]) -> None:
    named = re.findall(r"bloxtr8_\w+", str(rule["expr"]))
    assert named
    assert set(named) <= metrics()
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    titles = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in titles}
    assert rule["labels"]["severity"] in ("page", "ticket")
