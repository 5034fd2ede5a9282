"""Gossip: eager push of small control messages, announce-then-pull of contributions, anti-entropy under both.

`Gossip` knows whom to tell and what is still to be told or fetched. It draws peers from the whole member list each
time: a fixed set of neighbours is fatal when a third of them lie.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from qorum.core import wire
from qorum.core.effects import Effect, Send, SetTimer, Timer
from qorum.core.genesis import Genesis
from qorum.core.messages import Announce, Bundle, Pull, Record

STRAIGHT = 16
"""Up to this many members control messages go straight to everybody."""
PULL_TICKS = 2
"""Ticks after which an unanswered pull is sent to somebody else."""
SNAPSHOT_TICKS = 25
"""Ticks before a peer that is still far behind is sent another snapshot."""
PULL_LIMIT = 512
"""Hashes in one pull or announcement."""
HEARD_LIMIT = 4096
"""Announced hashes remembered as pulled; a flood of others makes a member forget, not grow."""

SlotBody = tuple[int, int, int, tuple[bytes, int]]
"""(round, term, step, (value, cited)): what votes in one message have in common."""


class Gossip:
    """Peers, outboxes and outstanding pulls of one member."""

    def __init__(self, genesis: Genesis, me: int, random: Random) -> None:
        self._config = genesis.config
        self._others = [member for member in range(genesis.members) if member != me]
        self._random = random
        self._announced: list[bytes] = []
        self._relayed: dict[SlotBody, int] = {}
        self._flushing = False
        self._ticks = 0
        self._wanted: dict[bytes, int] = {}
        """Hash of what consensus needs -> tick of the last pull for it; pulled until it comes."""
        self._heard: dict[bytes, int] = {}
        """Hash of what was announced -> tick of the pull for it; anti-entropy brings what does not come."""
        self._served: set[tuple[int, str]] = set()
        self._spent: dict[int, int] = {}
        """Peer -> bytes of payload sent to it in this tick."""
        self._snapshots: dict[int, int] = {}
        """Peer -> tick at which it was last sent a snapshot; at most one entry a member."""
        self.effects: list[Effect] = []

    # --- sending ---

    def push(self, record: Record) -> None:
        """Send a control message at once: to everybody in a small federation, else to `gossip_fanout` members."""
        straight = len(self._others) < STRAIGHT
        self.send(self._others if straight else self._sample(), record)

    def send(self, to: Iterable[int], record: Record) -> None:
        """Send one message to some members."""
        if peers := tuple(to):
            self.effects.append(Send(peers, wire.encode(record)))

    def announce(self, item: bytes) -> None:
        """Tell some members, with the next flush, that an item is held."""
        self._announced.append(item)
        self._start_flush()

    def relay(self, slot: SlotBody, mask: int) -> None:
        """Pass on, with the next flush, votes that were news. The caller turns slots into messages."""
        self._relayed[slot] = self._relayed.get(slot, 0) | mask
        self._start_flush()

    def _start_flush(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.effects.append(SetTimer(Timer.FLUSH, self._config.gossip_flush_ms / 1000))

    def take_relayed(self) -> dict[SlotBody, int]:
        """Slots and masks queued by `relay`; the queue is then empty."""
        relayed, self._relayed = self._relayed, {}
        return relayed

    def flush(self, votes: Iterable[Record]) -> None:
        """Send what has gathered, in one frame to each of a fresh set of members."""
        self._flushing = False
        parts: list[Record] = list(votes)
        for start in range(0, len(self._announced), PULL_LIMIT):
            parts.append(Announce(tuple(self._announced[start : start + PULL_LIMIT])))
        self._announced = []
        if parts:
            record = parts[0] if len(parts) == 1 else Bundle(tuple(wire.encode(part) for part in parts))
            self.send(self._sample(), record)

    def _sample(self) -> list[int]:
        return self._random.sample(self._others, min(self._config.gossip_fanout, len(self._others)))

    def any_peer(self) -> int | None:
        """One member drawn from all the others."""
        return self._random.choice(self._others) if self._others else None

    # --- fetching ---

    def want(self, hashes: Iterable[bytes], source: int | None) -> None:
        """Pull what consensus needs and is not already being pulled, from `source` or anybody, until it comes."""
        self._pull(hashes, self._wanted, source)

    def hear(self, hashes: Iterable[bytes], source: int) -> None:
        """Pull what `source` announced and was not pulled lately."""
        self._pull(hashes, self._heard, source)
        while len(self._heard) > HEARD_LIMIT:
            del self._heard[next(iter(self._heard))]

    def _pull(self, hashes: Iterable[bytes], asked: dict[bytes, int], source: int | None) -> None:
        due = [h for h in hashes if self._ticks - asked.get(h, -PULL_TICKS) >= PULL_TICKS]
        peer = self.any_peer() if source is None else source
        if due and peer is not None:
            asked.update(dict.fromkeys(due, self._ticks))
            for start in range(0, len(due), PULL_LIMIT):
                self.send([peer], Pull(tuple(due[start : start + PULL_LIMIT])))

    def wanted(self, hash: bytes) -> bool:
        """Whether consensus waits for this."""
        return hash in self._wanted

    def got(self, hash: bytes) -> None:
        """What was pulled has come."""
        self._wanted.pop(hash, None)
        self._heard.pop(hash, None)

    def want_nothing(self) -> None:
        """A new round: what the old one needed is needed no more."""
        self._wanted.clear()

    # --- the tick ---

    def tick(self) -> None:
        """A new tick: allowances are full again, and pulls that went unanswered go to somebody else."""
        self._ticks += 1
        self._served.clear()
        self._spent.clear()
        self.effects.append(
            SetTimer(Timer.TICK, self._config.gossip_tick_ms / 1000 * self._random.uniform(0.75, 1.25))
        )
        overdue = [hash for hash, asked in self._wanted.items() if self._ticks - asked >= PULL_TICKS]
        self.want(overdue[:PULL_LIMIT], None)
        unanswered = [hash for hash, asked in self._heard.items() if self._ticks - asked >= PULL_TICKS]
        self._pull(unanswered[:PULL_LIMIT], {}, None)
        for hash in unanswered:
            del self._heard[hash]

    def may_serve(self, peer: int, what: str) -> bool:
        """Whether `peer` still has an answer of this kind due in this tick; uses it up."""
        due = (peer, what) not in self._served
        self._served.add((peer, what))
        return due

    def may_send_snapshot(self, peer: int) -> bool:
        """Whether `peer` may be sent a whole state again; if so, notes that it was. Asking costs it next to nothing."""
        due = self._ticks - self._snapshots.get(peer, -SNAPSHOT_TICKS) >= SNAPSHOT_TICKS
        if due:
            self._snapshots[peer] = self._ticks
        return due

    def may_spend(self, peer: int, size: int) -> bool:
        """Whether `size` more bytes of payload may go to `peer` in this tick; if so, notes them as sent."""
        spent = self._spent.get(peer, 0) + size
        fits = spent <= 2 * self._config.max_bytes_per_round
        if fits:
            self._spent[peer] = spent
        return fits
