"""`Liars`: what scripted liars know and can sign. They see all that is said, and sign anything with their own keys.

They have no other key, but those of a foreign epoch: members that left may have sold theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from qorum.core import wire
from qorum.core.antientropy import digest_of
from qorum.core.consensus import proposal_bytes, vote_bytes
from qorum.core.effects import Effect, Sign
from qorum.core.member import Member
from qorum.core.messages import NIL, NO_TERM, Items, Kind, Message, Proposal, Votes, bits
from qorum.core.roster import Roster
from qorum.core.votes import FIRST
from qorum.sim.host import Host
from qorum.sim.script import NEWEST, NIL_VOTE, Boast, Certify, Lie, Propose, Say

if TYPE_CHECKING:
    from qorum.sim.stage import Stage

FOREIGN_EPOCH = 1_000
"""No federation comes as far as this."""


class Slot(NamedTuple):
    """What a lie is about, as its hearer sees it."""

    roster: Roster
    """Who decides the round."""
    round: int
    term: int
    step: int

    @classmethod
    def of(cls, hearer: Member, step: int, ahead: int = 0) -> Slot:
        """So many terms ahead of the one that the hearer is in."""
        place = hearer.consensus
        return cls(hearer.roster, place.round, place.term + ahead, step)


class Liars:
    """All liars of a stage, colluding. A `Witness`: what honest hosts sign is known to them at once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.values: dict[int, list[bytes]] = {}
        """Round -> encoded values, in the order in which they were first proposed."""
        self._voters: dict[tuple[int, int, int, bytes], set[int]] = {}
        """(round, term, step, value) -> who has voted so."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Note what was proposed and voted."""
        if isinstance(effect, Sign) and effect.kind is not Kind.CONTRIBUTION:
            message = wire.decode(effect.body)
            if isinstance(message, Proposal):
                self._note_value(message.round, message.value)
            elif isinstance(message, Votes):
                self._note_voter(message, host.seat)

    def _note_value(self, round: int, value: bytes) -> None:
        known = self.values.setdefault(round, [])
        if value not in known:
            known.append(value)

    def _note_voter(self, votes: Votes, seat: int) -> None:
        if votes.cited == NO_TERM:
            self._voters.setdefault((votes.round, votes.term, votes.step, votes.value), set()).add(seat)

    def number_of(self, round: int, value_hash: bytes) -> int | None:
        """The number by which a script names a value; None if it was never proposed."""
        hashes = [_hash(value) for value in self.values.get(round, [])]
        return hashes.index(value_hash) if value_hash in hashes else None

    # --- telling ---

    def tell(self, lie: Lie) -> None:
        """Make a lie up for every hearer, in the round and term it is in, and let it arrive at once."""
        liar = self._stage.hosts[lie.liar]
        values: dict[int, bytes | None] = {}
        for address in lie.to:
            hearer = self._stage.hosts[address].member
            round = hearer.consensus.round
            if not isinstance(lie, Boast) and round not in values:
                values[round] = self._value(lie, liar, round)
            for message in self._messages(lie, liar, hearer, values.get(round)):
                self._stage.deliver(address, liar.address, wire.encode(message))

    def _messages(self, lie: Lie, liar: Host, hearer: Member, value: bytes | None) -> list[Message]:
        if isinstance(lie, Boast):
            return self._boast(lie, liar, hearer)
        if value is None:
            return []
        match lie:
            case Say():
                return self._say(lie, liar.seat, Slot.of(hearer, lie.step, lie.ahead), value)
            case Propose():
                return self._propose(lie, liar, Slot.of(hearer, FIRST, lie.ahead), value)
            case Certify():
                return [*self._certificate(lie.kind, Slot.of(hearer, lie.step), _hash(value))]

    def _say(self, lie: Say, seat: int, slot: Slot, value: bytes) -> list[Message]:
        said = self._votes([seat], slot, _hash(value) if value else NIL)
        self._note_voter(said, seat)
        return [said] * lie.times

    def _propose(self, lie: Propose, liar: Host, slot: Slot, value: bytes) -> list[Message]:
        before = slot._replace(term=slot.term - 1)
        cited = next(iter(self._certificate(lie.cited, before, _hash(value))), None)
        self._note_value(slot.round, value)
        unsigned = Proposal(slot.round, slot.term, value, liar.member.sketch(value), cited, bytes(64))
        data = proposal_bytes(slot.roster.federation, slot.roster.epoch, unsigned)
        items = [entry.item for entry in liar.member.streams.newer(slot.round)]
        return [Items(tuple(items)), unsigned.signed(self._stage.keys.sign(liar.seat, data))]

    def _boast(self, lie: Boast, liar: Host, hearer: Member) -> list[Message]:
        streams, digest = hearer.streams, digest_of(liar.member.streams, liar.member.consensus, answer=False)
        seqs = streams.sketch((member, tip.seq + lie.versions) for member, tip in enumerate(streams.tips))
        return [msgspec.structs.replace(digest, round=hearer.consensus.round, seqs=seqs)]

    # --- values ---

    def _value(self, lie: Say | Propose | Certify, liar: Host, round: int) -> bytes | None:
        """The value a lie is about, `NIL` for none; to propose, a fresh one of the liar's if there are not so many."""
        known = self.values.get(round, [])
        at = len(known) - 1 if lie.value == NEWEST else lie.value
        if lie.value == NIL_VOTE:
            return NIL
        if 0 <= at < len(known):
            return known[at]
        if not isinstance(lie, Say) and liar.up and liar.member.consensus.round == round:
            self._stage.write(liar)
            return liar.member.fresh_value()
        return None

    # --- votes and certificates ---

    def _certificate(self, kind: str, slot: Slot, value: bytes) -> list[Votes]:
        """Votes for `value` that look like a certificate of this slot or, if they are true ones, of a term there was.
        None if there are no such votes, or none were asked for."""
        if slot.term < 0 or not kind:
            return []
        lying = self._lying(slot)
        match kind:
            case "true" | "stale":
                return self._true(slot, value, oldest=kind == "stale")
            case "few":
                return [self._votes(sorted(lying), slot, value)] if lying else []
        signers = sorted({*lying, *slot.roster.active[: slot.roster.quorum.size]})
        if kind == "foreign":
            return [self._votes(signers, slot, value, FOREIGN_EPOCH)]
        forged = self._votes(signers, slot, value)
        return [msgspec.structs.replace(forged, signatures=bytes(len(forged.signatures)))]

    def _lying(self, slot: Slot) -> set[int]:
        """The liars that still have a seat."""
        return {*self._stage.setup.lying} & {*slot.roster.active}

    def _true(self, slot: Slot, value: bytes, *, oldest: bool) -> list[Votes]:
        """What honest members have signed, with the liars' votes added."""
        lying, quorum = self._lying(slot), slot.roster.quorum.size
        about = (slot.round, slot.step, value)
        signers = {place[1]: sorted(seats | lying) for place, seats in self._voters.items()
                   if (place[0], *place[2:]) == about and len(seats | lying) >= quorum}  # fmt: skip
        if not signers:
            return []
        term = min(signers) if oldest else max(signers)
        return [self._votes(signers[term], slot._replace(term=term), value)]

    def _votes(self, seats: Sequence[int], slot: Slot, value: bytes, epoch: int | None = None) -> Votes:
        """Votes signed by `seats`, liars or members that have signed this very vote; in the true epoch unless given."""
        roster = slot.roster
        mask = sum(1 << seat for seat in seats).to_bytes(-(-roster.members // 8), "little")
        unsigned = Votes(slot.step, slot.round, slot.term, value, NO_TERM, mask, b"")
        data = vote_bytes(roster.federation, roster.epoch if epoch is None else epoch, unsigned)
        return unsigned.signed(b"".join(self._stage.keys.sign(seat, data) for seat in bits(unsigned.mask)))


def _hash(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
