"""The tally of one round: who voted what in which term. Signers are counted, never messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from qorum.core.messages import NIL, NO_TERM, Votes, bits, mask_of
from qorum.core.wire import vote_body

TERMS_AHEAD = 8
"""Votes of terms further ahead are not kept: a liar could name any number; their round trip comes by gossip."""
TERMS_KEPT = 64
LEAST_SHARE = 8
"""Whoever asks for votes is given those of one member in so many, even if it seems to need fewer."""

FIRST, SECOND = 1, 2


def well_formed(votes: Votes, members: int) -> bool:
    """Whether voters are among `members` (a mask), each with a signature, and only second votes for nil cite a term.

    That is below their own.
    """
    may_cite = votes.step == SECOND and votes.value == NIL
    cites = votes.cited == NO_TERM or (may_cite and votes.cited < votes.term)
    whole = len(votes.value) in (0, 32) and len(votes.signatures) == 64 * votes.mask.bit_count()
    return cites and whole and votes.mask != 0 and not votes.mask & ~members


@dataclass(slots=True)
class Slot:
    """All votes of one step in one term."""

    seen: int = 0
    """Mask of everybody who voted here, for anything."""
    twice: int = 0
    """Mask of those who voted here for more than one body."""
    bodies: dict[tuple[bytes, int], dict[int, bytes]] = field(default_factory=dict)
    """(value, cited) -> voter -> signature."""
    masks: dict[tuple[bytes, int], int] = field(default_factory=dict)


class Counted(NamedTuple):
    """What counting some votes came to."""

    fresh: int
    """Mask of the votes that were new."""
    twice: list[int]
    """Members that voted for a second body in this slot."""
    turning: bool
    """Whether a quorum was reached or a later term seen: only then can a rule of consensus fire."""


class Tally:
    """Votes of one round, all terms that matter. Of a voter and slot two bodies are kept, and those in certificates."""

    def __init__(self, round: int, members: int, quorum: int) -> None:
        self.round = round
        self._members = members
        self._quorum = quorum
        self._slots: dict[tuple[int, int], Slot] = {}
        self.reached: dict[int, int] = {}
        """Term -> mask of the members that were seen in it and in none beyond it."""
        self._twice: list[tuple[Votes, int]] = []

    def slot(self, term: int, step: int) -> Slot:
        """The votes of one step of a term, perhaps none."""
        return self._slots.get((term, step), _EMPTY)

    def news(self, votes: Votes) -> int:
        """Mask of the voters whose vote for this body is not yet known, and would be kept."""
        slot = self.slot(votes.term, votes.step)
        full = 0 if votes.mask.bit_count() >= self._quorum else slot.twice
        return votes.mask & ~slot.masks.get(vote_body(votes), 0) & ~full

    def add(self, votes: Votes, current: int) -> Counted:
        """Count verified votes while in term `current`."""
        turning = votes.term > current
        body = vote_body(votes)
        known = self.slot(votes.term, votes.step).masks.get(body, 0)
        unknown = votes.mask & ~known
        self.note(unknown, votes.term)
        if not current - TERMS_KEPT <= votes.term <= current + TERMS_AHEAD:
            return Counted(0, [], turning)
        slot = self._slots.get((votes.term, votes.step)) or self._open(votes, current)
        # A certificate counts whole, whatever else its signers signed: others have acted on it.
        fresh = unknown if votes.mask.bit_count() >= self._quorum else unknown & ~slot.twice
        if not fresh:
            return Counted(0, [], turning)
        by_voter = votes.by_voter
        slot.bodies.setdefault(body, {}).update({voter: by_voter[voter] for voter in bits(fresh)})
        again = bits(fresh & slot.seen)
        slot.twice |= fresh & slot.seen
        self._twice += [(votes, voter) for voter in again]
        done = slot.seen | self.seen_from(votes.term + 1)
        turning |= self._crosses(known, known | fresh) or self._crosses(slot.seen, slot.seen | fresh)
        turning |= self._crosses(done, done | fresh)
        slot.masks[body] = known | fresh
        slot.seen |= fresh
        return Counted(fresh, again, turning)

    def note(self, members: int, term: int) -> None:
        """Members, a mask, were seen in a term."""
        if news := members & ~self.seen_from(term):
            self.reached = {before: left for before, mask in self.reached.items() if (left := mask & ~news)}
            self.reached[term] = self.reached.get(term, 0) | news

    def seen_from(self, term: int) -> int:
        """Mask of the members that were seen in this term or a later one."""
        seen = 0
        for reached, members in self.reached.items():
            if reached >= term:
                seen |= members
        return seen

    def _open(self, votes: Votes, current: int) -> Slot:
        """A new slot; those of terms long past make room for it."""
        self._slots = {place: slot for place, slot in self._slots.items() if place[0] >= current - TERMS_KEPT}
        return self._slots.setdefault((votes.term, votes.step), Slot())

    def _crosses(self, before: int, after: int) -> bool:
        return before.bit_count() < self._quorum <= after.bit_count()

    def certificate(self, term: int, step: int, *, nil: bool = False) -> Votes | None:
        """A quorum for one value (or for nil) in this slot, with exactly the votes held now."""
        slot = self.slot(term, step)
        for body, mask in slot.masks.items() if slot.seen.bit_count() >= self._quorum else ():
            if (body[0] == NIL) == nil and mask.bit_count() >= self._quorum:
                return self.votes(term, step, body, mask)
        return None

    def newest_first(self, above: int) -> Votes | None:
        """The first certificate of the highest term beyond `above`, if there is one."""
        for term, step in sorted(self._slots, reverse=True):
            if step == FIRST and term > above and (found := self.certificate(term, FIRST)) is not None:
                return found
        return None

    def decided(self) -> Votes | None:
        """A quorum of second votes for one value, in any term."""
        for term, step in self._slots:
            if step == SECOND and (found := self.certificate(term, step)) is not None:
                return found
        return None

    def holds(self, votes: Votes) -> bool:
        """Whether these very votes, signatures included, are all held."""
        held = self.slot(votes.term, votes.step).bodies.get(vote_body(votes), {})
        return all(held.get(voter) == signature for voter, signature in votes.by_voter.items())

    def has_certificate(self, votes: Votes) -> bool:
        """Whether a quorum for the body of these votes is held."""
        mask = self.slot(votes.term, votes.step).masks.get(vote_body(votes), 0)
        return mask.bit_count() >= self._quorum

    def has_quorum(self, term: int, step: int) -> bool:
        """Whether a quorum voted here, for anything."""
        return self.slot(term, step).seen.bit_count() >= self._quorum

    def is_done(self, term: int, step: int) -> bool:
        """Whether a quorum voted here or never will, being in a later term already: hardly more is to be waited for."""
        return (self.slot(term, step).seen | self.seen_from(term + 1)).bit_count() >= self._quorum

    def nil_quorum(self, term: int, step: int) -> bool:
        """Whether a quorum voted for nil, whatever they cite."""
        nil = 0
        for (value, _), mask in self.slot(term, step).masks.items():
            nil |= mask if value == NIL else 0
        return nil.bit_count() >= self._quorum

    def cited(self, term: int) -> int:
        """Newest term of which second votes of `term` show that their voters hold a first certificate.

        One for nil cites it; one for a value was cast on that of its own term.
        """
        return max((_shown(body, term) for body in self.slot(term, SECOND).masks), default=NO_TERM)

    def citers(self, term: int, above: int) -> list[int]:
        """The members whose second votes of `term` show a first certificate newer than that of term `above`."""
        masks = self.slot(term, SECOND).masks
        return sorted({m for body, mask in masks.items() if _shown(body, term) > above for m in bits(mask)})

    def take_twice(self) -> list[tuple[Votes, int]]:
        """Votes that came second from a voter in their slot, with that voter, since the last call."""
        if not self._twice:
            return []
        twice, self._twice = self._twice, []
        return twice

    def votes(self, term: int, step: int, body: tuple[bytes, int], mask: int) -> Votes:
        """Votes for one body by the members of `mask`, as a message."""
        held = self.slot(term, step).bodies[body]
        voters = mask.to_bytes(-(-self._members // 8), "little")
        return Votes(step, self.round, term, *body, voters, b"".join([held[m] for m in bits(mask)]))

    def known(self, term: int, step: int) -> int:
        """Mask of the voters whose vote in a slot is of no use any more: all of them past a quorum for one body."""
        slot = self.slot(term, step)
        settled = any(mask.bit_count() >= self._quorum for mask in slot.masks.values())
        return (1 << self._members) - 1 if settled else slot.seen

    def votes_beyond(self, term: int, step: int, known: int) -> Iterator[Votes]:
        """Votes of a slot by others than the voters in mask `known`, a message for each body.

        Of one body no more than make a quorum with those known: who needs more asks again.
        """
        limit = max(self._quorum - known.bit_count(), self._members // LEAST_SHARE, 1)
        for body, mask in self.slot(term, step).masks.items():
            if news := mask & ~known:
                yield self.votes(term, step, body, _first(news, limit))

    def terms_above(self, count: int) -> int:
        """The last term that `count` members have reached; NO_TERM if so many were not seen in any."""
        members = 0
        for term in sorted(self.reached, reverse=True):
            members += self.reached[term].bit_count()
            if members >= count:
                return term
        return NO_TERM


def _shown(body: tuple[bytes, int], term: int) -> int:
    value, cited = body
    return cited if value == NIL else term


def _first(mask: int, count: int) -> int:
    """The lowest `count` bits of a mask."""
    return mask if mask.bit_count() <= count else mask_of(bits(mask)[:count])


_EMPTY = Slot()
