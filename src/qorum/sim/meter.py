"""`Meter`: counts what a measured run costs: bytes by kind, copies, hops, latencies, and how news spreads.

A `Witness` of a cluster that also looks at every frame on its way to a host. A frame is read once, however many
members it goes to, by the decoder that the members share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from qorum.core import wire
from qorum.core.effects import Committed, Effect, Sign
from qorum.core.messages import (
    Bundle,
    Commit,
    Contribution,
    Epochs,
    Item,
    Items,
    Kind,
    Manifest,
    Message,
    Proposal,
    Votes,
)
from qorum.core.votes import FIRST
from qorum.errors import ProtocolError
from qorum.sim.cluster import Cluster
from qorum.sim.host import Host

NEVER = 255
"""In place of the hops of an item that has not arrived."""
BIN_S = 0.005
"""Width of a bin of the propagation curves [s]."""
ROUNDS_KEPT = 4
"""Rounds after which copies of old items and votes are counted no more."""
KINDS: dict[type[Message], str] = {
    Items: "payload", Item: "payload", Commit: "certificates", Epochs: "certificates", Manifest: "certificates"
}  # fmt: skip
"""What bytes count as, but for votes, of which a quorum is a certificate."""
STAGES = ("items", "first votes", "second votes", "commits")
"""What spreads in a round, in this order."""


@dataclass(slots=True)
class Copies:
    """Where one item has arrived."""

    round: int
    """The one it was written for."""
    hops: bytearray
    """Address -> links it crossed until it first arrived there; `NEVER` if it has not."""


@dataclass(slots=True)
class Slot:
    """Where votes for one value, or a proposal, have arrived."""

    round: int
    stage: str
    held: list[int]
    """Address -> mask of the voters whose signature is there; of a proposal 1 or 0."""


class Read(NamedTuple):
    """What a frame carries."""

    sizes: tuple[tuple[str, int], ...]
    """Bytes of each kind that is in it."""
    items: tuple[Copies, ...]
    signed: tuple[tuple[Slot, int], ...]
    """Votes and proposals, each with the mask of its signers."""


@dataclass
class Agreed:
    """What is known of a round that was agreed on."""

    taken: tuple[tuple[int, int], ...] = ()
    """(member, seq) of the items it took."""
    exchange: int = 0
    """Bytes of the largest contribution of one member to it: all its items as they travel."""
    times: dict[int, float] = field(default_factory=dict)
    """Address -> when it committed, of honest hosts that were never restarted."""


class Meter:
    """What was counted so far. Put it among the witnesses of the cluster it is made for."""

    def __init__(self, cluster: Cluster, decode: Callable[[bytes], Message]) -> None:
        """decode: the one that the members use, with its memory."""
        self._cluster, self._decode = cluster, decode
        hosts = len(cluster.hosts)
        self._quorum = cluster.genesis.quorum.size
        self._items: dict[bytes, Copies] = {}
        self._slots: dict[tuple[object, ...], Slot] = {}
        self._read = lru_cache(64 * hosts + 1024)(self._read_afresh)
        self._deliver, cluster.network.deliver = cluster.network.deliver, self._arrived
        self.frames = 0
        """That arrived at honest hosts that are up; all else counts these only."""
        self.received = [0] * hosts
        """Bytes by address."""
        self.kinds: Counter[str] = Counter()
        """Bytes by kind: votes, payload, certificates, other."""
        self.largest_frame = 0
        self.hops: Counter[int] = Counter()
        """Links crossed -> first arrivals of an item."""
        self.control, self.payload = [0, 0], [0, 0]
        """First arrivals and further copies: of vote signatures and proposals, and of items."""
        self.signed: dict[tuple[int, int], float] = {}
        """(member, seq) of the contributions of honest members that say anything -> when it was signed."""
        self.agreed: dict[int, Agreed] = {}
        self.spread: dict[int, dict[str, Counter[int]]] = {}
        """Round -> stage -> bin of time -> first arrivals; their author's own are among them."""
        self.cast: Counter[tuple[int, str]] = Counter()
        """(round, stage) -> items or votes that there are."""

    # --- frames ---

    def _arrived(self, to: int, sender: int, frame: bytes) -> None:
        host = self._cluster.hosts[to]
        if host.honest and host.up:
            self._count(to, sender, frame)
        self._deliver(to, sender, frame)

    def _count(self, to: int, sender: int, frame: bytes) -> None:
        read = self._read(frame)
        self.frames += 1
        self.received[to] += len(frame)
        if len(frame) > self.largest_frame:
            self.largest_frame = len(frame)
        for kind, size in read.sizes:
            self.kinds[kind] += size
        if read.items:
            self._count_items(to, sender, read.items)
        for slot, mask in read.signed:
            held = slot.held[to]
            news = (mask & ~held).bit_count()
            self.control[0] += news
            self.control[1] += mask.bit_count() - news
            if news:
                slot.held[to] = held | mask
                self._spreads(slot.round, slot.stage, news)

    def _count_items(self, to: int, sender: int, items: tuple[Copies, ...]) -> None:
        news = 0
        for copies in items:
            hops = copies.hops
            if hops[to] == NEVER:
                crossed = 1 if hops[sender] == NEVER else min(hops[sender] + 1, NEVER - 1)
                hops[to] = crossed
                self.hops[crossed] += 1
                news += 1
        self.payload[0] += news
        self.payload[1] += len(items) - news
        if news:
            self._spreads(items[0].round, "items", news)

    def _spreads(self, round: int, stage: str, news: int) -> None:
        stages = self.spread.get(round)
        if stages is None:
            stages = self.spread[round] = {stage: Counter() for stage in STAGES}
        if stage in stages:
            stages[stage][int(self._cluster.now / BIN_S)] += news

    # --- reading ---

    def _read_afresh(self, frame: bytes) -> Read:
        sizes: Counter[str] = Counter()
        items: list[Copies] = []
        signed: list[tuple[Slot, int]] = []
        for size, message in self._parts(frame):
            sizes[self._kind(message)] += size
            if isinstance(message, Items):
                items += map(self._copies, message.items)
            elif isinstance(message, Item):
                items.append(self._copies(message))
            elif isinstance(message, Votes | Proposal):
                signed.append(self._slot(message))
        sizes["other"] += len(frame) - sizes.total()
        return Read(tuple((kind, size) for kind, size in sizes.items() if size), tuple(items), tuple(signed))

    def _parts(self, frame: bytes) -> Iterator[tuple[int, Message]]:
        """(bytes, message) of each message of a frame; nothing of what no honest member sends."""
        try:
            message = self._decode(frame)
            parts = message.parts if isinstance(message, Bundle) else (frame,)
            yield from [(len(part), self._decode(part)) for part in parts]
        except ProtocolError:
            return

    def _kind(self, message: Message) -> str:
        if isinstance(message, Votes):
            return "certificates" if message.mask.bit_count() >= self._quorum else "votes"
        return KINDS.get(type(message), "other")

    def _copies(self, item: Item) -> Copies:
        copies = self._items.get(item.hash)
        if copies is None:
            try:
                round = wire.contribution(item).base + 1
            except ProtocolError:
                round = 0
            copies = self._items[item.hash] = Copies(round, bytearray([NEVER]) * len(self.received))
        return copies

    def _slot(self, message: Votes | Proposal) -> tuple[Slot, int]:
        if isinstance(message, Votes):
            name: tuple[object, ...] = (message.round, message.term, message.step, *wire.vote_body(message))
            mask, stage = message.mask, "first votes" if message.step == FIRST else "second votes"
        else:
            name, mask, stage = (message.round, message.term, message.signature), 1, "proposals"
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = Slot(message.round, stage, [0] * len(self.received))
        return slot, mask

    # --- effects ---

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Note what is signed and committed."""
        if isinstance(effect, Sign):
            self._note_signed(host, effect)
        elif isinstance(effect, Committed) and host.honest:
            self._note_committed(host, effect)

    def _note_signed(self, host: Host, effect: Sign) -> None:
        """What a member signs it holds, before anything arrives."""
        if effect.kind is Kind.CONTRIBUTION:
            body = wire.decode_body(Contribution, effect.body)
            if host.honest and body.payload:
                self.signed.setdefault((body.member, body.seq), self._cluster.now)
            self._casts(host, body.base + 1, "items")
            self._copies(Item(effect.body, bytes(64))).hops[host.address] = 0
        elif effect.kind in (Kind.FIRST_VOTE, Kind.SECOND_VOTE, Kind.PROPOSAL):
            message = wire.decode(effect.body)
            assert isinstance(message, Votes | Proposal)
            slot, mask = self._slot(message)
            slot.held[host.address] |= mask
            self._casts(host, slot.round, slot.stage)

    def _casts(self, host: Host, round: int, stage: str) -> None:
        self.cast[round, stage] += 1
        if host.honest:
            self._spreads(round, stage, 1)

    def _note_committed(self, host: Host, effect: Committed) -> None:
        newest = effect.state.round
        for round in range(newest - effect.skipped, newest + 1):
            agreed = self.agreed.get(round)
            if agreed is None:
                agreed = self.agreed[round] = Agreed()
                self._forget(round - ROUNDS_KEPT)
            if host.life == 0:
                agreed.times[host.address] = self._cluster.now
                self._spreads(round, "commits", 1)
        agreed = self.agreed[newest]
        if effect.entries and not agreed.taken:
            agreed.taken = tuple((entry.body.member, entry.body.seq) for entry in effect.entries)
            agreed.exchange = _largest_exchange(effect)

    def _forget(self, round: int) -> None:
        self._items = {hash: copies for hash, copies in self._items.items() if copies.round > round}
        self._slots = {name: slot for name, slot in self._slots.items() if slot.round > round}

    # --- results ---

    def latencies(self) -> list[float]:
        """Seconds from each contribution of an honest member that a round took to the commit of that round at the last
        honest member that was never restarted; ascending."""
        found = []
        for agreed in self.agreed.values():
            last = max(agreed.times.values(), default=None)
            if last is not None:
                found += [last - self.signed[place] for place in agreed.taken if place in self.signed]
        return sorted(found)


def _largest_exchange(effect: Committed) -> int:
    sizes: Counter[int] = Counter()
    for entry in effect.entries:
        sizes[entry.body.member] += len(wire.encode(entry.item))
    return max(sizes.values())
