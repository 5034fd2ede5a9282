"""`Ring`: the liars of a run, who know each other's keys and all that any of them knows, and play one game."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from qorum.core.columns import Columns
from qorum.core.consensus import proposal_bytes, vote_bytes
from qorum.core.messages import NIL, NO_TERM, Proposal, Votes
from qorum.core.roster import Roster
from qorum.sim.behaviours.behaviour import Behaviour, frame_of, parts_of
from qorum.sim.cluster import Cluster
from qorum.sim.host import Host

PERIOD = 2.0
"""Seconds for which a liar keeps to a choice of peers."""
ROUNDS_KEPT = 4


class Ring:
    """What colluding liars share. Signs for liars only."""

    def __init__(self, cluster: Cluster, seed: str) -> None:
        self.cluster = cluster
        self.seed = seed
        self.seats = frozenset(host.seat for host in cluster.hosts if not host.honest)
        self.proposals: dict[tuple[int, int], dict[int, Proposal]] = {}
        """(round, term) -> side -> the proposal of a lying leader for that side."""
        self.values: dict[int, list[bytes]] = {}
        """Round -> hashes of the values that any liar has heard or spoken of."""

    @property
    def now(self) -> float:
        """Virtual time [s]."""
        return self.cluster.now

    def draw(self, *what: object) -> int:
        """A number of 64 bits that depends on the seed and `what` alone: the same for all liars."""
        text = " ".join(map(str, (self.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def side(self, address: int, round: int, term: int) -> int:
        """The story, 0 or 1, that this peer is told in a term: the halves change from round to round."""
        return self.draw("side", address, round, term // 3) % 2

    def period(self) -> int:
        """Number of the current period."""
        return int(self.now / PERIOD)

    def note(self, round: int, value: bytes) -> None:
        """Remember a value that is talked about."""
        known = self.values.setdefault(round, [])
        if value != NIL and value not in known:
            known.append(value)
        self.values.pop(round - ROUNDS_KEPT, None)

    def sign(self, seat: int, data: bytes) -> bytes:
        """A liar's signature."""
        assert seat in self.seats, "liars know no honest key"
        return self.cluster.keys.sign(seat, data)

    def vote(self, seat: int, step: int, round: int, term: int, value: bytes, cited: int = NO_TERM) -> Votes:
        """A vote of a liar for whatever it likes."""
        roster = self.roster(seat)
        voter = (1 << seat).to_bytes(-(-roster.members // 8), "little")
        unsigned = Votes(step, round, term, value, cited, voter, bytes(64))
        return unsigned.signed(self.sign(seat, vote_bytes(roster.federation, roster.epoch, unsigned)))

    def propose(self, seat: int, proposal: Proposal) -> Proposal:
        """The same proposal under a liar's signature."""
        roster = self.roster(seat)
        return proposal.signed(self.sign(seat, proposal_bytes(roster.federation, roster.epoch, proposal)))

    def roster(self, seat: int) -> Roster:
        """The membership as a liar knows it: that of the round it is in."""
        return self.cluster.at[seat][0].member.roster

    def send(self, host: Host, to: int, frame: bytes) -> None:
        """Put a frame on a link, if the liar is up."""
        if host.up:
            self.cluster.network.send(host.address, [to], frame)


class Liar:
    """The conduct of one lying host: its behaviours, one after the other."""

    def __init__(self, host: Host, ring: Ring, kinds: Sequence[type[Behaviour]]) -> None:
        self.host = host
        self.ring = ring
        self.behaviours = [kind(host, ring) for kind in kinds]

    def send(self, to: Sequence[int], frame: bytes) -> None:
        """Say to each peer what it is to hear."""
        said = parts_of(frame)
        for message in said:
            self._note(message)
        for peer in to:
            messages = list(said)
            for behaviour in self.behaviours:
                messages = [said for message in messages for said in behaviour.says(peer, message)]
            frames = [frame if messages == said else frame_of(messages)] if messages else []
            for behaviour in self.behaviours:
                frames = [sent for frame in frames for sent in behaviour.sends(peer, frame)]
            for sent in frames:
                self.ring.send(self.host, peer, sent)

    def _note(self, message: object) -> None:
        if isinstance(message, Votes):
            self.ring.note(message.round, message.value)

    def hears(self, sender: int, frame: bytes) -> bool:
        """Whether all behaviours let a frame through."""
        heard = [behaviour.hears(sender, frame) for behaviour in self.behaviours]  # each has to know of it
        return all(heard)

    def write(self, columns: Columns) -> Columns:
        """What all behaviours make of a contribution."""
        for behaviour in self.behaviours:
            columns = behaviour.write(columns)
        return columns
