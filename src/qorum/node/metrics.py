"""`Metrics`: all that a node counts, in one place."""

from __future__ import annotations

from qorum.errors import MissingExtra

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
except ImportError as error:
    raise MissingExtra("prometheus-client", "node", "a node") from error

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of `Metrics.text`."""
SYNC_SECONDS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The metrics of one node, in a registry of their own unless one is given."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._make_link_metrics()
        self._make_member_metrics()

    def text(self) -> bytes:
        """All of them, in the text format of Prometheus."""
        return generate_latest(self.registry)

    @property
    def received(self) -> int:
        """Bytes of messages that have come over links."""
        return int(self.registry.get_sample_value("qorum_link_bytes_total", {"direction": "in"}) or 0)

    def _make_link_metrics(self) -> None:
        """Of the links to other nodes; kept by these."""
        self.links = self._gauge("links", "Links to other nodes that are up")
        self.reachable = self._gauge("reachable_members", "Members that are hosted here or at the end of a link")
        self.refused = self._counter("refused", "Connections refused or closed, by reason", "reason")
        self.dropped = self._counter("dropped_frames", "Frames that did not get where they were meant to", "why")
        """why: queue (the peer is slow), unreachable (no link), unproven (sender or recipient), muted (blamed),
        forged (put by others under a key of a connection over Zenoh)."""
        self.bytes = self._counter("link_bytes", "Bytes of messages on links", "direction")
        self.messages = self._counter("link_messages", "Messages on links", "direction")
        self.dials = self._counter("dials", "Attempts to reach other nodes", "outcome")
        self.blames = self._counter("blames", "Broken frames that members sent")
        for direction in ("in", "out"):  # so that they are seen before the first
            self.bytes.labels(direction)
            self.messages.labels(direction)

    def _make_member_metrics(self) -> None:
        """Of the members hosted here; kept by the node."""
        self.members = self._gauge("members", "Members hosted here that take part")
        self.round = self._gauge("round", "Newest agreed round")
        self.rounds = self._counter("rounds", "Rounds agreed on since the start")
        self.sync_seconds = Histogram(
            "qorum_sync_seconds",
            "From a contribution to the commit that holds it, at its author",
            buckets=SYNC_SECONDS,
            registry=self.registry,
        )
        self.excluded = self._gauge("excluded_members", "Members that do not count in the merge")
        self.equivocations = self._counter("equivocations", "Proofs that a member signed two things for one slot")
        self.store_failed = self._gauge("store_failed", "Whether the store has failed: 0 or 1")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"qorum_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(f"qorum_{name}", what, registry=self.registry)
