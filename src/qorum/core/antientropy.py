"""Anti-entropy: what two members of the same round tell each other until both know the same.

First a root hash, then a digest of versions and vote masks, then what the other lacks: control messages at once, items
by place, to be pulled. A digest is a hint: a version moves only with a verified signed item, a vote only with its
signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from qorum.core.consensus import Consensus
from qorum.core.gossip import announcements
from qorum.core.messages import Digest, Record, Root
from qorum.core.streams import Streams
from qorum.core.votes import FIRST, SECOND

MASK_BYTES = 512
ROOT_BYTES = 8
NEWS_SHARE = 4
"""Gossip has run dry when a tick brings no more news than one member in so many would make."""


@dataclass(slots=True)
class Drought:
    """For how long gossip has brought hardly any news: what anti-entropy waits for while a round is under way."""

    ticks: int = 0
    news: int = 0
    """Votes and items that were new since the last tick."""
    _place: tuple[int, int, int] = (0, 0, 0)
    """Round, term and step at the last tick."""

    def tick(self, consensus: Consensus, members: int, *, busy: bool) -> bool:
        """A tick has passed, among so many members; whether it brought nothing. busy: a round is under way."""
        durable, before = consensus.durable, self._place
        self._place = (durable.round, durable.term, durable.step)
        runs_dry = self._place == before and self.news <= members // NEWS_SHARE
        self.ticks, self.news = self.ticks + 1 if busy and runs_dry else 0, 0
        return runs_dry


def root_of(streams: Streams, consensus: Consensus) -> Root:
    """A hash over all that a member could tell a peer in the same round."""
    term = consensus.term
    parts = [streams.tips[member].hash for member in sorted(streams.ahead)]
    parts += [consensus.tally.slot(term, step).seen.to_bytes(MASK_BYTES, "little") for step in (FIRST, SECOND)]
    parts.append(bytes([term in consensus.proposals]))
    parts.append(consensus.best_term.to_bytes(8, "big", signed=True))
    return Root(consensus.round, term, hashlib.sha256(b"".join(parts)).digest()[:ROOT_BYTES])


def digest_of(streams: Streams, consensus: Consensus, *, answer: bool) -> Digest:
    """Versions, vote masks and the best certificate's term; `answer` asks for the peer's digest in return."""
    masks = (consensus.tally.known(consensus.term, step) for step in (FIRST, SECOND))
    first, second = (mask.to_bytes(-(-mask.bit_length() // 8), "little") for mask in masks)
    return Digest(
        round=consensus.round,
        term=consensus.term,
        seqs=streams.versions(),
        first=first,
        second=second,
        holds_proposal=consensus.term in consensus.proposals,
        answer=answer,
        best=consensus.best_term,
    )


def delta_for(peer: int, digest: Digest, streams: Streams, consensus: Consensus) -> Iterator[Record]:
    """What a peer in the same round lacks: places of items, the best certificate, the proposal and votes.

    Raises `ProtocolError` for a digest of other members.
    """
    newer = streams.newer(digest.round, beyond=streams.read_sketch(digest.seqs))
    yield from announcements([entry.place for entry in newer])
    best, term = consensus.durable.best, consensus.term
    if best is not None and best.term > digest.best:
        yield best
    if digest.term > term:
        return
    holds_proposal = digest.term == term and digest.holds_proposal
    if term in consensus.proposals and not holds_proposal:
        yield consensus.proposals[term]
    for step, mask in ((FIRST, digest.first), (SECOND, digest.second)):
        yield from consensus.tally.votes_beyond(term, step, _known(mask) if digest.term == term else 0)
    if digest.term < term:
        yield from consensus.tally.votes_beyond(term - 1, FIRST, 0)
    elected = consensus.leader(term) == peer and not holds_proposal
    if digest.term < term or elected:  # the second votes of the term before are what elects a leader
        yield from consensus.tally.votes_beyond(term - 1, SECOND, 0)


def _known(mask: bytes) -> int:
    return int.from_bytes(mask, "little")
