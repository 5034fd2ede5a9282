"""`questions`: which signatures the core will ask about, so that somebody may look at them before.

The core asks whether a signature holds in the middle of an event, and needs the answer there and then. Where checking
one takes a wait, as in browsers, whoever hosts a member looks first at what a frame will make it ask. Nothing is
written down twice: the core's own checks are run with a `Verify` that believes everything and takes notes.

Now and then the core asks something else: a frame that came early is read under another membership than the one in
force when it came. Whoever hosts the member must be ready for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from qorum.core import membership, wire
from qorum.core.consensus import forged, proposal_bytes
from qorum.core.effects import Keep
from qorum.core.member import Member
from qorum.core.messages import (
    Bundle,
    Commit,
    Epochs,
    Evidence,
    Item,
    Items,
    Manifest,
    Message,
    Petition,
    Proposal,
    Value,
    ValueBody,
    Votes,
)
from qorum.core.roster import Roster
from qorum.core.state import contribution_bytes
from qorum.core.votes import well_formed
from qorum.errors import ProtocolError


class Question(NamedTuple):
    """Whether a signature holds; the arguments of `Verify`."""

    public_key: bytes
    message: bytes
    signature: bytes


def questions(member: Member, frame: bytes) -> list[Question]:
    """What `member` may ask when it receives this frame. What is malformed is asked nothing about; never raises."""
    asks = _Asks(member.roster, member)
    if len(frame) <= wire.MAX_FRAME:
        with suppress(ProtocolError):
            asks.about(wire.decode(frame))
    return asks.asked


def questions_at_start(roster: Roster, commit: Commit | None, payloads: Iterable[Keep]) -> list[Question]:
    """What a member may ask while it is made anew from these. roster: of its state."""
    asks = _Asks(roster)
    for item in (item for payload in payloads for item in payload.items):
        asks.about(item)
    if commit is not None:
        asks.about(commit)
    return asks.asked


class _Asks:
    """Questions, as they gather."""

    def __init__(self, roster: Roster, member: Member | None = None) -> None:
        self._roster, self._member = roster, member
        self.asked: list[Question] = []

    def _note(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """A `Verify` that takes notes."""
        self.asked.append(Question(public_key, message, signature))
        return True

    def about(self, message: Message) -> None:
        """A message from a peer. Raises `ProtocolError` where the core would."""
        match message:
            case Votes():
                self._votes(message, self._roster)
            case Item():
                self._item(message)
            case Items():
                for item in message.items:
                    self._item(item)
            case Bundle():
                self._bundle(message)
            case Proposal():
                self._proposal(message)
            case ValueBody():
                self._value(message.value)
            case Commit():
                self._commit(message, self._roster)
            case Petition():
                membership.check(message, self._roster, self._note)
            case Evidence():
                membership.check_evidence(message, self._roster, self._note)
            case Epochs():
                self._epochs(message)
            case Manifest():
                self._commit(message.commit, self._newest_roster)

    def _bundle(self, bundle: Bundle) -> None:
        for part in bundle.parts:
            inner = wire.decode(part)
            if not isinstance(inner, Bundle):
                with suppress(ProtocolError):  # of what is known already the core asks nothing, and goes on
                    self.about(inner)

    @property
    def _newest_roster(self) -> Roster:
        """The newest that is proven to the member."""
        proven = None if self._member is None else self._member.catchup.roster
        return proven or self._roster

    def _votes(self, votes: Votes, roster: Roster) -> None:
        if well_formed(votes, roster.active_mask):
            forged(votes, votes.mask, roster, self._note)

    def _item(self, item: Item) -> None:
        body = wire.contribution(item)
        known = self._member is not None and item.hash in self._member.streams
        if body.member < self._roster.members and not known:
            data = contribution_bytes(self._roster.federation, body, item.hash)
            self._note(self._roster.key(body.member), data, item.signature)

    def _proposal(self, proposal: Proposal) -> None:
        roster, leaders = self._roster, self._roster.active
        # Who leads the next round follows from the result of this one.
        if self._member is not None and proposal.round == self._member.consensus.round:
            leaders = (self._member.consensus.leader(proposal.term),)
        data = proposal_bytes(roster.federation, roster.epoch, proposal)
        for leader in leaders:
            self._note(roster.key(leader), data, proposal.signature)
        if proposal.cited is not None:
            self._votes(proposal.cited, roster)
        self._value(proposal.value)

    def _value(self, encoded: bytes) -> None:
        change = wire.decode_body(Value, encoded).change
        if change is not None:
            membership.check(change, self._roster, self._note)

    def _commit(self, commit: Commit, roster: Roster) -> None:
        self._votes(commit.certificate, roster)
        self._value(commit.value)

    def _epochs(self, epochs: Epochs) -> None:
        """Each is proven by the membership that the one before has led to."""
        roster = self._newest_roster
        for commit in epochs.commits:
            value = wire.decode_body(Value, commit.value)
            if value.epoch != roster.epoch or value.change is None:
                continue
            self._votes(commit.certificate, roster)
            membership.check(value.change, roster, self._note)
            roster = roster.after(value.change.change, value.round)
