"""Words for what members say and do: the one place where interactions look into messages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import get_args

import msgspec

from qorum.core import wire
from qorum.core.consensus import proposal_bytes, vote_bytes
from qorum.core.effects import Sign
from qorum.core.membership import consent_bytes, endorsement_bytes
from qorum.core.messages import (
    NIL,
    NO_TERM,
    Bundle,
    Change,
    Evidence,
    Join,
    Kind,
    Message,
    Petition,
    Proposal,
    Value,
    Votes,
)
from qorum.core.roster import Roster
from qorum.core.votes import FIRST, SECOND
from qorum.sim.keys import Keys
from tests.core.builders import mask_of

STEPS = {"first-vote": FIRST, "second-vote": SECOND}
ORDINAL = {FIRST: "first", SECOND: "second"}
KINDS = {cls.__name__.lower() for cls in get_args(Message)} - {"votes", "bundle"} | set(STEPS)
"""What a frame can carry."""
Slot = tuple[int, int, int, bytes, int]
"""(round, term, step, value, cited): what votes in one certificate have in common."""


class Names:
    """Short names of values, in order of appearance: v1, v2, ..."""

    def __init__(self) -> None:
        self._hashes = [NIL]

    def of(self, value: bytes) -> str:
        """The name of a value's hash; a new one if it was not seen before."""
        if value not in self._hashes:
            self._hashes.append(value)
        return f"v{self._hashes.index(value)}" if value else "nil"

    def hash(self, name: str) -> bytes:
        """The hash behind a name."""
        return NIL if name == "nil" else self._hashes[int(name.removeprefix("v"))]


def kinds_of(frame: bytes) -> frozenset[str]:
    """What a frame carries: `first-vote`, `proposal`, `items`, ...; of a bundle, everything in it."""
    message = wire.decode(frame)
    if isinstance(message, Bundle):
        return frozenset().union(*map(kinds_of, message.parts))
    if isinstance(message, Votes):
        return frozenset({f"{ORDINAL[message.step]}-vote"})
    return frozenset({type(message).__name__.lower()})


def proof_of(evidence: Evidence) -> str:
    """What an equivocation was: two messages of one slot."""
    what = evidence.kind.name.lower().replace("_", " ")
    where = f"of seq {evidence.round}" if evidence.kind is Kind.CONTRIBUTION else f"in {evidence.round}.{evidence.term}"
    return f"two {what}s {where}"


class Book:
    """Every signature given in an interaction: whoever acts as a liar may use all of them, and forge none."""

    def __init__(self, keys: Keys, rosters: Mapping[int, Roster]) -> None:
        """rosters: who decides each round."""
        self.names = Names()
        self._keys, self._rosters = keys, rosters
        self._votes: dict[Slot, dict[int, bytes]] = {}
        self._proposals: dict[str, Proposal] = {}

    def phrase(self, seat: int, request: Sign, origins: int | None) -> str:
        """Note a vote or proposal that a member signs, and say it. origins: of a fresh value; None if signed again."""
        message, again = wire.decode(request.body), " again" if origins is None else ""
        if isinstance(message, Votes):
            self._note(seat, message)
            cites = "" if message.cited == NO_TERM else f" citing {message.round}.{message.cited}"
            return f"vote {ORDINAL[message.step]} {self.names.of(message.value)}{cites}{again}"
        assert isinstance(message, Proposal)
        name, cited = self.names.of(_value_hash(message)), message.cited
        self._proposals[name] = message
        about = f" citing {cited.round}.{cited.term}" if cited else f" of {origins} origins"
        petition = wire.decode_body(Value, message.value).change
        purpose = f" to {_purpose_of(petition.change)}" if petition else ""
        return f"propose {name}{again or about + purpose}"

    def vote(self, seat: int, step: int, value: str, round: int, term: int, cited: int) -> bytes:
        """A frame with a vote that a liar casts."""
        unsigned = self._unsigned((round, term, step, self.names.hash(value), cited), [seat])
        return wire.encode(unsigned.signed(self._note(seat, unsigned)))

    def proposal(self, seat: int, value: str, round: int, term: int, cited: int) -> bytes:
        """A frame in which a liar proposes a value that was proposed before, citing its first certificate of a term."""
        cites = None if cited == NO_TERM else self._certificate((round, cited, FIRST, self.names.hash(value), NO_TERM))
        unsigned = msgspec.structs.replace(self._proposals[value], round=round, term=term, cited=cites)
        roster = self._rosters[round]
        data = proposal_bytes(roster.federation, roster.epoch, unsigned)
        return wire.encode(unsigned.signed(self._keys.sign(seat, data)))

    def petition(self, newcomer: int, endorsers: Sequence[int]) -> Petition:
        """A newcomer's petition for a seat, with its own consent and the endorsements of members' operators."""
        federation, join = self._rosters[1].federation, Join(self._keys.public[newcomer])
        consent = self._keys.sign(newcomer, consent_bytes(federation, join))
        signed = [self._keys.sign(seat, endorsement_bytes(federation, join)) for seat in sorted(endorsers)]
        return Petition(join, consent, mask_of(*endorsers), b"".join(signed))

    def _note(self, seat: int, vote: Votes) -> bytes:
        slot, roster = (vote.round, vote.term, vote.step, vote.value, vote.cited), self._rosters[vote.round]
        signature = self._keys.sign(seat, vote_bytes(roster.federation, roster.epoch, vote))
        self._votes.setdefault(slot, {})[seat] = signature
        return signature

    def _certificate(self, slot: Slot) -> Votes:
        held = self._votes[slot]
        return self._unsigned(slot, list(held)).signed(b"".join(held[seat] for seat in sorted(held)))

    def _unsigned(self, slot: Slot, seats: Sequence[int]) -> Votes:
        round, term, step, value, cited = slot
        mask = mask_of(*seats, size=self._rosters[round].members)
        return Votes(step, round, term, value, cited, mask, b"")


def _purpose_of(change: Change) -> str:
    return "admit a newcomer" if isinstance(change, Join) else f"{type(change).__name__.lower()} {change.member}"


def _value_hash(proposal: Proposal) -> bytes:
    return hashlib.sha256(proposal.value).digest()
