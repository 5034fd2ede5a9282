"""What the dashboard for Grafana and the alerts for Prometheus name is what nodes have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qorum.node.metrics import Metrics

FILES = Path(__file__).parents[2] / "examples" / "operating"
NAME = re.compile(r"\bqorum_[a-z_]+")
LABEL = re.compile(r'\b(direction|reason|why|outcome)\b(?:[!=~]+"|\))')


def metrics() -> dict[str, set[str]]:
    """Name of each sample that a node has -> its labels."""
    one = Metrics()
    for family, label in ((one.refused, "duplicate"), (one.dropped, "queue"), (one.dials, "failed")):
        family.labels(label)
    samples = (sample for metric in one.registry.collect() for sample in metric.samples)
    found: dict[str, set[str]] = {}
    for sample in samples:
        found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions(name: str) -> list[str]:
    if name == "alerts.yml":
        return re.findall(r"^ +expr: (.+)$", (FILES / name).read_text("utf-8"), re.MULTILINE)
    dashboard = json.loads((FILES / name).read_text("utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize(("name", "least"), [("alerts.yml", 8), ("grafana.json", 15)])
def test_every_metric_and_label_that_is_named_exists(name: str, least: int) -> None:
    known, named = metrics(), expressions(name)
    assert len(named) >= least
    for expression in named:
        metrics_of = set(NAME.findall(expression))
        assert metrics_of, expression
        assert metrics_of <= set(known), metrics_of - set(known)
        labels = set().union(*(known[metric] for metric in metrics_of))
        assert set(LABEL.findall(expression)) <= labels, expression
        assert expression.count("(") == expression.count(")")


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for expression in expressions("grafana.json") for name in NAME.findall(expression)}
    hidden = {name for name in metrics() if not name.endswith(("_created", "_sum", "_count"))} - shown
    assert hidden == set()


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((FILES / "grafana.json").read_text("utf-8"))["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
