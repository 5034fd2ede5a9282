"""Gossip: eager push of small control messages, announce-then-pull of contributions, anti-entropy under both.

`Gossip` knows whom to tell and what is still to be told or fetched. It draws peers from the whole member list each
time: a fixed set of neighbours is fatal when a third of them lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import TypeVar

import msgspec

from qorum.core import wire
from qorum.core.effects import Effect, Send, SetTimer, Timer
from qorum.core.genesis import Genesis
from qorum.core.messages import MAX_PARTS, PLACE_BYTES, Announce, Bundle, Item, Items, Pull, Record
from qorum.core.roster import Roster

T = TypeVar("T")

STRAIGHT = 16
"""Up to this many members control messages go straight to everybody."""
AUTHOR_SHARE = 16
"""To how many times `gossip_fanout` members an author sends its item and a leader its proposal,"""
VOTER_SHARE = 10
"""a voter its vote,"""
OPENER_SHARE = 2
"""and whoever learns from an item that a round has begun that item. More is sooner, and more frames."""
PULL_TICKS = 3
"""Ticks after which an unanswered pull is sent to somebody else."""
NEEDED_PEERS = 2
"""Peers asked at once for what consensus waits for, when nobody is known to have it."""
PULL_LIMIT = 512
"""Names in one pull or announcement."""
HEARD_LIMIT = 4096
"""Announced places remembered as pulled; a flood of others makes a member forget, not grow."""
SOURCES = 3
"""Peers remembered for what is being pulled, should the first not answer."""
ROOM = 1_000
"""Bytes of a frame left for what is around its parts."""

SlotBody = tuple[int, int, int, tuple[bytes, int]]
"""(round, term, step, (value, cited)): what votes in one message have in common."""


class Asked(msgspec.Struct, gc=False):
    """A pull under way."""

    tick: int
    needed: bool
    """Consensus waits for it: it is pulled until it comes."""
    sources: tuple[int, ...] = ()
    """Who else has it, and was not asked yet."""
    named: int = 0
    """How many were, also the same one again: a liar that names itself for ever is not asked for ever."""


class Gossip:
    """Peers, outboxes and outstanding pulls of one member."""

    def __init__(self, genesis: Genesis, me: int | None, random: Random, roster: Roster | None = None) -> None:
        self._config = genesis.config
        self._random = random
        self.meet(roster or genesis.roster, me)
        self._announced: list[bytes] = []
        self._relayed: dict[SlotBody, int] = {}
        self._flushing = False
        self._ticks = 0
        self._asked: dict[bytes, Asked] = {}
        """Name of what is being pulled: a hash, or the place of an item."""
        self._served: Counter[tuple[int, str]] = Counter()
        self._spent: dict[int, int] = {}
        """Peer -> bytes of payload sent to it in this tick."""
        self.effects: list[Effect] = []

    def meet(self, roster: Roster, me: int | None) -> None:
        """Know the members of an epoch, and one's own seat."""
        self._others = [member for member in roster.active if member != me]
        self.frame_limit = wire.frame_limit(roster.members)

    def take_effects(self) -> list[Effect]:
        """What is to be done since the last call."""
        effects, self.effects = self.effects, []
        return effects

    # --- sending ---

    def push(self, record: Record, width: int = 1) -> None:
        """Send a control message at once: to everybody in a small federation, else to `width` fanouts of members."""
        straight = len(self._others) < STRAIGHT
        self.send(self._others if straight else self.sample(width), record)

    def send(self, to: Iterable[int], record: Record) -> None:
        """Send one message to some members."""
        if peers := tuple(to):
            self.effects.append(Send(peers, wire.encode(record)))

    def send_items(self, to: Sequence[int], items: Iterable[Item]) -> None:
        """Send items in as many frames as they need."""
        for batch in self._batches(items, [len(item.body) + 80 for item in items]):
            self.send(to, Items(tuple(batch)))

    def _batches(self, things: Iterable[T], sizes: Iterable[int], most: int | None = None) -> Iterator[list[T]]:
        batch: list[T] = []
        total, room = 0, self.frame_limit - ROOM
        for thing, size in zip(things, sizes, strict=True):
            if batch and (total + size > room or len(batch) == most):
                yield batch
                batch, total = [], 0
            batch.append(thing)
            total += size
        if batch:
            yield batch

    def spread(self, item: Item) -> None:
        """Send an own item on its way."""
        self.push(Items((item,)), AUTHOR_SHARE)

    def announce(self, items: Iterable[bytes]) -> None:
        """Tell some members, with the next flush, that the items at these places are held."""
        self._announced += items
        if self._announced:
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
        """Send what has gathered, in as few frames as it fits in, to a fresh set of members.

        Announcements are small, and go to twice as many as votes do.
        """
        self._flushing = False
        peers, fanout = self.sample(2), self._config.gossip_fanout
        items, self._announced = announcements(self._announced), []
        self._send_together(peers[:fanout], [*votes, *items])
        self._send_together(peers[fanout:], items)

    def _send_together(self, peers: Sequence[int], records: Sequence[Record]) -> None:
        encoded = [wire.encode(record) for record in records] if peers else []
        for batch in self._batches(encoded, list(map(len, encoded)), MAX_PARTS):
            self.effects.append(Send(tuple(peers), batch[0] if len(batch) == 1 else wire.encode(Bundle(tuple(batch)))))

    def sample(self, width: int = 1) -> list[int]:
        """`width` fanouts of members, drawn anew."""
        return self._random.sample(self._others, min(width * self._config.gossip_fanout, len(self._others)))

    def some(self, count: int) -> list[int]:
        """So many members drawn from all the others, or as many as there are."""
        return self._random.sample(self._others, min(count, len(self._others)))

    def among(self, members: Sequence[int], count: int) -> list[int]:
        """So many of these members, or all of them if they are fewer."""
        return self._random.sample(members, min(count, len(members)))

    def any_peer(self) -> int | None:
        """One member drawn from all the others."""
        return self._random.choice(self._others) if self._others else None

    # --- fetching ---

    def want(self, names: Iterable[bytes], source: int | None) -> None:
        """Pull what consensus needs from `source` or anybody, until it comes."""
        self._pull(names, source, needed=True)

    def hint(self, names: Iterable[bytes], sources: Sequence[int]) -> None:
        """Note who has what is being pulled: asked next, should nobody answer. Once: who says so may be a liar."""
        for name in names:
            asked = self._asked.get(name)
            if asked is not None and asked.named == 0:
                asked.sources = (*asked.sources, *sources[:SOURCES])
                asked.named = len(asked.sources)

    def hear(self, names: Iterable[bytes], source: int) -> None:
        """Pull what `source` announced, or note it as a source of what is being pulled."""
        self._pull(names, source, needed=False)
        if len(self._asked) > HEARD_LIMIT:
            heard = [name for name, asked in self._asked.items() if not asked.needed]
            self.got(heard[: len(self._asked) - HEARD_LIMIT])

    def _pull(self, names: Iterable[bytes], source: int | None, *, needed: bool) -> None:
        due = []
        for name in names:
            asked = self._asked.get(name)
            if asked is None:
                self._asked[name] = Asked(self._ticks, needed)
                due.append(name)
                continue
            if needed:
                asked.needed = True
            if asked.named < SOURCES and source is not None:
                asked.sources += (source,)
                asked.named += 1
        self._request(due, self.some(NEEDED_PEERS) if source is None else [source])

    def _request(self, names: Sequence[bytes], peers: Sequence[int]) -> None:
        for start in range(0, len(names), PULL_LIMIT):
            part = names[start : start + PULL_LIMIT]
            items = b"".join(name for name in part if len(name) == PLACE_BYTES)
            self.send(peers, Pull(items, tuple(name for name in part if len(name) != PLACE_BYTES)))

    def wanted(self, name: bytes) -> bool:
        """Whether consensus waits for this."""
        asked = self._asked.get(name)
        return asked is not None and asked.needed

    def got(self, names: Iterable[bytes]) -> None:
        """What was pulled has come."""
        for name in names:
            self._asked.pop(name, None)

    def want_nothing(self) -> None:
        """A new round: what the old one needed is needed no more."""
        self._asked = {name: asked for name, asked in self._asked.items() if not asked.needed}

    # --- the tick ---

    def tick(self, haste: int) -> None:
        """A new tick: allowances are full again, and pulls that went unanswered go to somebody else.

        haste: how many times sooner than else the next one comes, less one.
        """
        self._ticks += 1
        self._served.clear()
        self._spent.clear()
        length = self._config.gossip_tick_ms / 1000 / (1 + haste)
        self.effects.append(SetTimer(Timer.TICK, length * self._random.uniform(0.75, 1.25)))
        self._ask_again()

    def _ask_again(self) -> None:
        again: dict[int, list[bytes]] = {}
        needed: list[bytes] = []
        last = self._ticks - PULL_TICKS
        for name, asked in [(name, asked) for name, asked in self._asked.items() if asked.tick <= last]:
            asked.tick = self._ticks
            if asked.sources:
                again.setdefault(asked.sources[0], []).append(name)
                asked.sources = asked.sources[1:]
            elif asked.needed:
                needed.append(name)
            else:
                del self._asked[name]
        self._request(needed, self.some(NEEDED_PEERS))
        for peer, names in again.items():
            self._request(names, [peer])

    def may_serve(self, peer: int, what: str, times: int = 1) -> bool:
        """Whether `peer` still has an answer of this kind due in this tick, of so many; uses it up."""
        self._served[peer, what] += 1
        return self._served[peer, what] <= times

    def may_spend(self, peer: int, size: int) -> bool:
        """Whether `size` more bytes of payload may go to `peer` in this tick; if so, notes them as sent."""
        spent = self._spent.get(peer, 0) + size
        fits = spent <= 2 * self._config.max_bytes_per_round
        if fits:
            self._spent[peer] = spent
        return fits


def announcements(items: Sequence[bytes]) -> list[Announce]:
    """Announcements of the items at these places, as many as are needed."""
    parts = (items[start : start + PULL_LIMIT] for start in range(0, len(items), PULL_LIMIT))
    return [Announce(b"".join(part)) for part in parts]
