"""`Refused`: why a node has no dealings with whoever is on the other end."""

from __future__ import annotations

from enum import StrEnum

from qorum.errors import QorumError


class Reason(StrEnum):
    """Why; also the label of the metric, and what the other end is told."""

    UNKNOWN_MEMBER = "unknown_member"
    """It claims a seat that there is not, or has none and there is no room for guests."""
    WRONG_FEDERATION = "wrong_federation"
    WRONG_KEY = "wrong_key"
    """Its claim is not signed by the key in force of that seat."""
    WRONG_CERTIFICATE = "wrong_certificate"
    """The two ends see different certificates: somebody is in between."""
    NO_CERTIFICATE = "no_certificate"
    """It shows none, and this node takes those of its authority only."""
    REPLAYED = "replayed"
    """A greeting that was used before."""
    VERSION = "version"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    TOO_FAST = "too_fast"
    ERRORS = "errors"
    """Its members were blamed too often, a while ago or now."""
    NOT_TLS = "not_tls"
    """Plain text where TLS is spoken, or none spoken where others could listen in."""
    BAD_TLS = "bad_tls"
    TOO_SLOW = "too_slow"
    """No handshake in time."""
    BUSY = "busy"
    """It is slow to shake hands, and too many others are waiting."""
    DUPLICATE = "duplicate"
    """Another link leads to the same node."""
    TWIN = "twin"
    """It hosts a member that is hosted here."""


class Refused(QorumError):  # noqa: N818 - says what happened
    """No dealings with this one."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(f"{reason}: {why}")
        self.reason = reason
        self.why = why
