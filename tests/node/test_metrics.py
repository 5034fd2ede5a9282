"""Metrics: a registry a node, in the text format of Prometheus."""

from __future__ import annotations

from qorum.node.metrics import Metrics


def test_two_nodes_of_one_process_count_apart() -> None:
    one, two = Metrics(), Metrics()
    one.refused.labels("too_fast").inc()
    one.sync_seconds.observe(0.4)
    assert 'qorum_refused_total{reason="too_fast"} 1.0' in one.text().decode()
    assert 'qorum_sync_seconds_bucket{le="0.5"} 1.0' in one.text().decode()
    assert "too_fast" not in two.text().decode()
