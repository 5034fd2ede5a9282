"""Catch-up: how a member that is far behind, or new, gets to an agreed state that it can check.

It knows the roster of some epoch. Commits that changed the membership lead from each roster to the next, each proven by
a quorum of the one before; then a manifest, proven by a quorum of the newest, names the chunks of a state, and any peer
can be asked for any chunk. A newcomer begins from a checkpoint: the hash of a value that it was told to trust.

All members keep the states of the same rounds for this, so that a download goes on while rounds do; the rounds since
are shown commit by commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from qorum.core import membership, wire
from qorum.core.genesis import Genesis
from qorum.core.gossip import ROOM, Gossip
from qorum.core.messages import (
    Behind,
    Chunk,
    Commit,
    Epochs,
    Fetch,
    Manifest,
    Origin,
    Value,
)
from qorum.core.roster import Roster
from qorum.core.state import State
from qorum.core.verify import Verify
from qorum.errors import ProtocolError

SNAPSHOT_ROUNDS = 16
"""Every so many rounds each member keeps the state for those who are behind; half of `streams.KEPT_ROUNDS`."""
SNAPSHOTS = 2
"""States kept for them."""
FETCHED_AT_ONCE = 16
"""Chunks asked for and not yet come; each from one peer, all from many."""
PATIENCE = 8
"""Ticks after which a chunk is asked for again, from somebody else."""
SURRENDER = 100
"""Ticks without a chunk after which a download is given up, and a newer manifest asked for."""
ASK_TICKS = 5
"""Ticks between two questions of a member that is behind."""

CheckCertificate = Callable[[Commit, Roster], Value]
"""Returns the value of a commit after checking that a quorum of a roster agreed on it; raises `ProtocolError`."""


class Library:
    """What a member keeps for those who are behind it."""

    def __init__(self, genesis: Genesis, epochs: Iterable[Commit]) -> None:
        self._genesis = genesis
        self.epochs = list(epochs)
        """Commits that changed the membership, oldest first, since the founding."""
        self._states: dict[bytes, tuple[State, Commit]] = {}
        self._admitting: dict[bytes, tuple[State, Commit]] = {}
        """The newest state that a change of membership led to."""
        self._open: dict[bytes, bytes] = {}
        """Hash -> bytes of the kept states that were asked for."""

    def keep(self, state: State, commit: Commit, *, restarted: bool = False) -> None:
        """Take note of a newly agreed round; after a restart of the newest: it may be the only one anybody has.

        The newest that changed the membership is kept too: it is what a member that it admitted is told to trust.
        """
        if restarted or state.round % SNAPSHOT_ROUNDS == 0:
            self._states[state.hash] = state, commit
            if len(self._states) > SNAPSHOTS:
                del self._states[next(iter(self._states))]
        if wire.decode_body(Value, commit.value).change is not None:
            self._admitting = {state.hash: (state, commit)}
        self._open = {hash: data for hash, data in self._open.items() if hash in self._kept}

    @property
    def _kept(self) -> dict[bytes, tuple[State, Commit]]:
        return self._admitting | self._states

    def answer(self, behind: Behind) -> Epochs | Manifest | None:
        """The next thing that a member at this place needs to know; None if there is nothing."""
        trusted = next((kept for kept in self._kept.values() if kept[1].certificate.value == behind.checkpoint), None)
        if trusted is not None and trusted[0].round >= behind.round:
            return Manifest(trusted[1], trusted[0].chunk_hashes)
        newest = next(reversed(self._kept.values()), None)
        start, end = behind.epoch - self._first_epoch, len(self.epochs)
        if newest is not None:  # a manifest is proven by the roster of its own epoch, so no further than to that
            end = _epoch(newest[1]) - self._first_epoch
        if 0 <= start < min(end, len(self.epochs)):
            return Epochs(tuple(self._page(self.epochs[start:end])))
        if newest is None or newest[0].round < behind.round:
            return None
        return Manifest(newest[1], newest[0].chunk_hashes)

    @property
    def _first_epoch(self) -> int:
        """The one that the oldest commit ended: not 0 where a newcomer began from a checkpoint."""
        return _epoch(self.epochs[0]) if self.epochs else 0

    def _page(self, commits: Iterable[Commit]) -> Iterable[Commit]:
        """As many as fit into a frame, and one at least."""
        size = 0
        for number, commit in enumerate(commits):
            size += len(wire.encode(commit))
            if number and size > wire.frame_limit(self._genesis.members) - ROOM:
                return
            yield commit

    def origin(self, checkpoint: bytes) -> Origin | None:
        """What a checkpoint stands for: the value of a commit that changed the membership, or that a state is of."""
        roster = self._genesis.roster
        for commit in self.epochs if self._first_epoch == 0 else ():
            value = wire.decode_body(Value, commit.value)
            assert value.change is not None
            roster = roster.after(value.change.change, value.round)
            if commit.certificate.value == checkpoint:
                return Origin(commit.value, roster.to_bytes())
        for state, commit in self._kept.values():
            if commit.certificate.value == checkpoint:
                return Origin(commit.value, state.roster.to_bytes())
        return None

    def chunk(self, hash: bytes, number: int) -> Chunk | None:
        """One chunk of a state that is kept."""
        if hash not in self._kept:
            return None
        if hash not in self._open:
            self._open[hash] = self._kept[hash][0].to_bytes()
        data = self._open[hash][number * wire.CHUNK : (number + 1) * wire.CHUNK]
        return Chunk(hash, number, wire.pack(data)) if data else None


@dataclass
class Download:
    """A state on its way."""

    manifest: Manifest
    value: Value
    proven: bool
    """Whether its certificate was checked: that of a checkpoint is only trusted, and never shown on."""
    idle: int = 0
    """Ticks since the last chunk."""
    chunks: dict[int, bytes] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)
    """Number of a chunk -> ticks since it was asked for."""

    @property
    def size(self) -> int:
        """Chunks there are."""
        return len(self.manifest.chunks) // 32

    def hash(self, number: int) -> bytes:
        """What chunk `number` must hash to."""
        return self.manifest.chunks[32 * number : 32 * number + 32]

    @property
    def lacking(self) -> list[int]:
        """Chunks neither here nor asked for."""
        return [number for number in range(self.size) if number not in self.chunks and number not in self.asked]


class CatchUp:
    """What one member fetches in order to catch up."""

    def __init__(
        self, genesis: Genesis, gossip: Gossip, verify: Verify, check: CheckCertificate, checkpoint: bytes | None
    ) -> None:
        self._genesis = genesis
        self._gossip = gossip
        self._verify = verify
        self._check = check
        self._checkpoint = checkpoint
        self._checkpoint_round = 0
        self.roster: Roster | None = None if checkpoint else genesis.roster
        """The newest that is proven; None for a newcomer that has not heard what its checkpoint stands for."""
        self.epochs: list[Commit] = []
        """Commits that led to it from the agreed state."""
        self.download: Download | None = None
        self._round = 1
        self._asked = -ASK_TICKS
        self._ticks = 0

    def enter(self, state: State) -> None:
        """The member's own agreed state has moved on."""
        self._round = state.round + 1
        founding = state.round == 0 and self._checkpoint is not None  # a newcomer's, that it was told not to trust
        if not founding and (self.roster is None or self.roster.epoch <= state.roster.epoch):
            self.roster = state.roster
        self.epochs = [commit for commit in self.epochs if _epoch(commit) >= state.roster.epoch]
        if self.download is not None and self.download.value.round <= state.round:
            self.download = None

    def contradicts(self, round: int, value_hash: bytes) -> bool:
        """Whether a commit tells another history than the checkpoint, or none can be told from it yet."""
        if self._checkpoint is None:
            return False
        begins = self.roster is None or self._round == 1  # it is handed a state, and goes on from there
        return begins or (round == self._checkpoint_round and value_hash != self._checkpoint)

    def epochs_before(self, epoch: int) -> tuple[Commit, ...]:
        """Commits that lead from the agreed state's roster to that of a later epoch."""
        return tuple(commit for commit in self.epochs if _epoch(commit) < epoch)

    # --- asking ---

    def ask(self, peer: int) -> None:
        """Tell a peer that is ahead how far behind this member is."""
        if self.download is None and self._ticks - self._asked >= ASK_TICKS:
            self._asked = self._ticks
            self._send_behind(peer)

    def _send_behind(self, peer: int) -> None:
        epoch = -1 if self.roster is None else self.roster.epoch
        self._gossip.send([peer], Behind(self._round, epoch, self._checkpoint or b""))

    def tick(self) -> None:
        """A tick has passed: a newcomer asks somebody, unanswered chunks are asked of others."""
        self._ticks += 1
        peer = self._gossip.any_peer()
        if peer is not None and self.roster is None:
            self.ask(peer)
        if self.download is not None:
            self.download.idle += 1
            self.download.asked = {n: age + 1 for n, age in self.download.asked.items() if age < PATIENCE}
            self._fetch(self.download)
            if self.download.idle > SURRENDER:
                self.download = None

    def _fetch(self, download: Download) -> None:
        for number in download.lacking[: FETCHED_AT_ONCE - len(download.asked)]:
            peer = self._gossip.any_peer()
            if peer is not None:
                download.asked[number] = 0
                self._gossip.send([peer], Fetch(download.value.result, (number,)))

    # --- hearing; each raises `ProtocolError` for what no honest member sends ---

    def on_origin(self, peer: int, origin: Origin) -> None:
        """What the checkpoint stands for."""
        if self.roster is not None:
            return
        if _hash(origin.value) != self._checkpoint:
            raise ProtocolError("a value that is not the checkpoint's")
        if _hash(origin.roster) != wire.decode_body(Value, origin.value).roster:
            raise ProtocolError("a roster that the checkpoint does not name")
        self.roster = self._genesis.roster.decode(origin.roster)
        self._checkpoint_round = wire.decode_body(Value, origin.value).round
        self._send_behind(peer)

    def on_epochs(self, peer: int, epochs: Epochs) -> None:
        """Changes of membership, from the newest roster known."""
        for commit in epochs.commits:
            value = self._next_epoch(commit)
            if value is not None and value.change is not None and self.roster is not None:
                self.roster = self.roster.after(value.change.change, value.round)
                self.epochs.append(commit)
        if epochs.commits:
            self._send_behind(peer)

    def _next_epoch(self, commit: Commit) -> Value | None:
        """The value of a commit that ends the epoch of the newest roster; None if it is of an older one."""
        if self.roster is None or wire.decode_body(Value, commit.value).epoch < self.roster.epoch:
            return None
        value = self._check(commit, self.roster)
        if value.change is None:
            raise ProtocolError(f"commit of round {value.round} ends no epoch")
        membership.check(value.change, self.roster, self._verify)
        return value

    def on_manifest(self, peer: int, manifest: Manifest) -> None:
        """The offer of a state."""
        if self.roster is None or self.download is not None:
            return
        value = wire.decode_body(Value, manifest.commit.value)
        trusted = _hash(manifest.commit.value) == self._checkpoint
        if value.round < self._round or (value.epoch < self.roster.epoch and not trusted):
            return
        if value.round == self._checkpoint_round and not trusted:
            return
        if value.epoch > self.roster.epoch:
            self._send_behind(peer)
            return
        if not trusted:
            self._check(manifest.commit, self.roster)
        if _hash(manifest.chunks) != value.result or not manifest.chunks or len(manifest.chunks) % 32:
            raise ProtocolError("manifest is not of the state that its certificate proves")
        self.download = Download(manifest, value, proven=not trusted)
        self._fetch(self.download)

    def on_chunk(self, chunk: Chunk) -> State | None:
        """A part of the state; the state itself when it was the last."""
        download = self.download
        if download is None or chunk.state != download.value.result or chunk.number not in download.asked:
            return None
        data = wire.unpack(chunk.data, wire.CHUNK)
        if _hash(data) != download.hash(chunk.number):
            raise ProtocolError(f"chunk {chunk.number} is not the one its manifest names")
        del download.asked[chunk.number]
        download.chunks[chunk.number], download.idle = data, 0
        if len(download.chunks) < download.size:
            self._fetch(download)
            return None
        self.download = None
        return State.from_bytes(b"".join(download.chunks[n] for n in range(download.size)), self._genesis)


def _epoch(commit: Commit) -> int:
    return wire.decode_body(Value, commit.value).epoch


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
