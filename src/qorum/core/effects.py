"""What the core wants done. Whoever runs it carries the effects out in order, each finished before the next begins.

An event returns at most one `Persist`. Everything it signs or sends comes after it; a `Committed` comes before it, so
that a restarted member is given a state at least as new as the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from qorum.core.messages import Advance, Commit, Evidence, Item, Kind
from qorum.core.state import Entry, State


class Timer(Enum):
    """Names of timers. Setting one again replaces it; a timer whose reason has passed is ignored when it fires."""

    TICK = "gossip tick"
    FLUSH = "gossip flush"
    COLLECT = "collection window"
    PROPOSE = "wait for a proposal"
    FIRST = "wait for first votes"
    SECOND = "wait for second votes"
    GATHER = "wait for a cited certificate"


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame to some members."""

    to: tuple[int, ...]
    frame: bytes


@dataclass(frozen=True, slots=True)
class Persist:
    """Make this record durable, in place of the one before, ahead of any later effect."""

    record: bytes


@dataclass(frozen=True, slots=True)
class Keep:
    """Make the payload of a value durable, ahead of any later effect and until the next `Committed`.

    The member is about to vote for the value. Were all who voted for it to lose what it stands for, nobody could ever
    apply it, and no other value could take its place.
    """

    cut: bytes
    """An encoded `Cut`."""
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign `data` with this member's key and hand the signature to `Member.signed` with this request."""

    kind: Kind
    round: int
    term: int
    body: bytes
    """What the message will carry; kept so that the answer needs no state."""
    data: bytes


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call `Member.timer` with this effect after `delay` seconds of local, monotonic time."""

    name: Timer
    delay: float
    round: int = 0
    term: int = 0


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """The collection window of the next round is open: contribute within the jitter, even if nothing is new."""

    round: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A round is agreed, or a snapshot of it was taken over. Keep state and commit together: a restart takes both."""

    state: State
    term: int
    skipped: int
    """Rounds that a snapshot jumped over."""
    commit: Commit
    """Proof of the round."""
    cut: tuple[Advance, ...] | None
    """What the round took; None where a snapshot jumped here."""
    entries: tuple[Entry, ...]
    """The items it took, in (member, seq) order; none where a snapshot jumped here."""
    epochs: tuple[Commit, ...]
    """Commits that changed the membership, new with this one. Keep all there ever were, in order, for a restart."""


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Proof that a member signed two bodies for one slot."""

    evidence: Evidence

    @property
    def member(self) -> int:
        """Who did."""
        return self.evidence.member


@dataclass(frozen=True, slots=True)
class Blame:
    """A peer sent what no honest member sends; the caller charges it to the peer's budget."""

    peer: int
    reason: str


Effect = Send | Persist | Keep | Sign | SetTimer | WindowOpened | Committed | Equivocation | Blame
