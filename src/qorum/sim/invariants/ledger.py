"""`Ledger`: what the honest hosts of a run have agreed on and signed. The one place where invariants read the core."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec

from qorum.core import wire
from qorum.core.consensus import Durable, vote_bytes
from qorum.core.effects import Committed, Effect, Sign
from qorum.core.messages import NIL, Change, Commit, Contribution, Head, Kind, Value, Votes
from qorum.core.roster import Roster
from qorum.core.state import ORIGIN, Entry, State
from qorum.core.votes import well_formed
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Scene

ROUNDS_KEPT = 64
"""States kept; nobody honest stays further behind and is asked about it."""

durable_of = lru_cache(256)(msgspec.msgpack.Decoder(Durable).decode)
"""A persisted record, read."""

message_of = lru_cache(256)(wire.decode)
"""A message, read: the body of a signature or of a piece of evidence."""


@lru_cache(256)
def value_of(commit: Commit) -> Value:
    """The value that a commit proves."""
    return wire.decode_body(Value, commit.value)


def change_of(commit: Commit) -> Change | None:
    """How a committed value changes the membership."""
    petition = value_of(commit).change
    return None if petition is None else petition.change


class Ledger:
    """Shared by the invariants of one run, and brought up to date before they are called."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.genesis = scene.genesis
        self.liars = frozenset(host.key for host in scene.hosts if not host.honest)
        """Keys of those that need not keep the protocol; theirs never change."""
        self.states: dict[int, State] = {0: State.initial(scene.genesis)}
        """Round -> the state that the first honest host to commit it came to."""
        self.values: dict[int, bytes] = {0: ORIGIN}
        """Round -> hash of the value that the first honest host committed."""
        self.rosters: dict[int, Roster] = {1: scene.genesis.roster}
        """Round -> who decides it."""
        self.by_epoch: dict[int, Roster] = {0: scene.genesis.roster}
        """Epoch -> who the members are in it."""
        self.furthest = 0
        """Newest round that an honest host committed."""
        self.furthest_term = 0
        """Highest term in which one did."""
        self.items: dict[bytes, dict[tuple[int, int], bytes]] = {}
        """Honest key -> (seat, seq) -> hash of the item it signed last there."""
        self._proven: set[Votes] = set()
        self._read = (0, b"")
        """(round, hash of its state) whose items were read last."""
        self._taken: list[Entry] | None = None

    def note(self, host: Host, effect: Effect) -> None:
        """Take down an effect of an honest host."""
        if isinstance(effect, Committed):
            round, roster = effect.state.round, effect.state.roster
            self.states.setdefault(round, effect.state)
            self.values.setdefault(round, effect.commit.certificate.value)
            self.rosters.setdefault(round + 1, roster)
            self.by_epoch.setdefault(roster.epoch, roster)
            self.furthest = max(self.furthest, round)
            self.furthest_term = max(self.furthest_term, effect.term)
            self.states.pop(round - ROUNDS_KEPT, None)
        elif isinstance(effect, Sign) and effect.kind is Kind.CONTRIBUTION:
            body = wire.decode_body(Contribution, effect.body)
            self.items.setdefault(host.key, {})[body.member, body.seq] = hash_of(effect.body)

    # --- who the members are, round by round ---

    def roster(self, round: int) -> Roster:
        """Who decides `round`; of a round to come, as far as is known."""
        return self.rosters.get(round) or self.rosters[self.furthest + 1]

    def signed(self, roster: Roster, head: Head, seat: int) -> bool:
        """Whether the author signed the item that its stream stands at, if it is honest."""
        if head.seq == 0 or head.incarnation >= len(roster.seats[seat].keys):
            return head.seq == 0
        key = roster.seats[seat].keys[head.incarnation]
        return key in self.liars or self.items.get(key, {}).get((seat, head.seq)) == head.hash

    def proves(self, votes: Votes, step: int) -> bool:
        """Whether votes are a certificate for a value: a quorum of distinct members that had a seat in that round, each
        signature verified under the key then in force."""
        if votes in self._proven:
            return votes.step == step
        roster = self.roster(votes.round)
        enough = votes.mask.bit_count() >= roster.quorum.size and not votes.mask & ~roster.active_mask
        if not (enough and well_formed(votes, roster.active_mask) and votes.step == step and votes.value != NIL):
            return False
        data, verify = vote_bytes(roster.federation, roster.epoch, votes), self.scene.keys.verify
        holds = all(verify(roster.key(seat), data, signature) for seat, signature in votes.by_voter.items())
        if holds:
            self._proven.add(votes)
        return holds

    # --- what a round took ---

    def entries(self, effect: Committed) -> list[Entry] | None:
        """The items that a committed round took, in (member, seq) order, read and verified afresh once for all
        invariants; None where a snapshot jumped there."""
        if effect.cut is None:
            return None
        if self._read != (effect.state.round, effect.state.hash):
            roster, verify = self.roster(effect.state.round), self.scene.keys.verify
            self._taken = [
                Entry.read(entry.item, roster.key(entry.body.member), self.genesis, verify) for entry in effect.entries
            ]
            self._read = effect.state.round, effect.state.hash
        return self._taken


def hash_of(data: bytes) -> bytes:
    """32 bytes that name a body."""
    return hashlib.sha256(data).digest()
