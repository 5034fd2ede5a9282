"""`Refusals`: the book of those whom a node refused: counted, and logged without filling the disk."""

from __future__ import annotations

import logging

from qorum.node.counts import Counts
from qorum.node.logs import Sampled
from qorum.node.refused import Reason, Refused

log = logging.getLogger("qorum.node")


class Refusals:
    """What is counted and said of them."""

    def __init__(self, metrics: Counts) -> None:
        self._metrics = metrics
        self._logs = {reason: Sampled(log) for reason in Reason}

    def note(self, peer: str, refused: Refused) -> None:
        """Count it, and say so. peer: where it is."""
        reason = refused.reason
        self._metrics.refused.labels(reason.value).inc()
        # Two nodes that dial each other at once are no fault of anybody.
        level = logging.DEBUG if reason is Reason.DUPLICATE else logging.WARNING
        self._logs[reason](level, "refused", {"reason": reason.value, "peer": peer, "why": refused.why})
