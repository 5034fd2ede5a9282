"""`Refusals`: the book of those whom a node refused: counted, and logged without filling the disk."""

from __future__ import annotations

import logging
import time

from qorum.node.budget import Bucket
from qorum.node.metrics import Metrics
from qorum.node.refused import Reason, Refused

LOGGED = 20
"""Refusals of one reason that are logged in a row; then one every `LOGGED_EVERY_S`. All are counted."""
LOGGED_EVERY_S = 10.0

log = logging.getLogger("qorum.node")


class Refusals:
    """What is counted and said of them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._logged = {reason: Bucket(1 / LOGGED_EVERY_S, LOGGED, time.monotonic()) for reason in Reason}
        self._unlogged = dict.fromkeys(Reason, 0)

    def note(self, peer: str, refused: Refused) -> None:
        """Count it, and say so. peer: where it is."""
        reason = refused.reason
        self._metrics.refused.labels(reason.value).inc()
        if not self._logged[reason].take(1, time.monotonic()):
            self._unlogged[reason] += 1
            return
        facts = {"reason": reason.value, "peer": peer, "why": refused.why, "unlogged": self._unlogged[reason]}
        self._unlogged[reason] = 0
        # Two nodes that dial each other at once are no fault of anybody.
        level = logging.DEBUG if reason is Reason.DUPLICATE else logging.WARNING
        log.log(level, "refused", extra={"facts": facts})
