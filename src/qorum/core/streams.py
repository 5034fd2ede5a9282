"""Streams: the hash-linked contributions of every member, as far as this member holds them.

An item links to an earlier one of its author, most often the last. An author whose items nobody commits restates them
in one that links past them, to its committed head: so its backlog never grows. A stream may also branch if its author
lies and signs two items of one seq; both are evidence. The committed branch is the stream. What a cut cites is looked
up by hash, so members that saw the branches in another order still agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from qorum.core import wire
from qorum.core.columns import MAX_ROWS
from qorum.core.genesis import Genesis
from qorum.core.messages import PLACE_BYTES, Advance, Cut, Head, places
from qorum.core.state import Entry
from qorum.errors import ProtocolError
from qorum.merge.fixed import Ints

KEPT_ROUNDS = 32
"""Rounds whose items are kept for members that lag; further back they get a snapshot."""
WAITING = 3
"""Uncommitted items kept of one member, in rounds' worth: an honest one has one, and what it restated since."""
WAITING_ROWS = 3 * MAX_ROWS
"""Rows in the uncommitted items kept of one member."""
MAX_SEQ = 2**31 - 1  # see `messages.Count`
ALLOWANCE = 4
"""Items of one member taken between two refills, in rounds' worth."""


_PLACE = np.dtype([("member", "<u2"), ("seq", "<u4")])  # see `messages.place`


class Missing(Exception):  # noqa: N818 - not an error: it says what to pull
    """Items that a cut cites and this member does not hold."""

    def __init__(self, hashes: Sequence[bytes] = (), places: Sequence[bytes] = ()) -> None:
        super().__init__(f"{len(hashes) + len(places)} items")
        self.hashes = tuple(hashes)
        self.places = tuple(places)
        """Of items known by place alone."""

    @property
    def names(self) -> list[bytes]:
        """What to pull them by."""
        return [*self.hashes, *self.places]


class Broken(Exception):  # noqa: N818 - a verdict about a peer's cut
    """A cut that no honest leader proposes."""


class Streams:
    """What is held of all members' streams, above the committed heads and a little below."""

    def __init__(self, genesis: Genesis, committed: Sequence[Head]) -> None:
        self._config = genesis.config
        self.committed = list(committed)
        self.tips = list(committed)
        """Furthest item of each member that is linked to its committed head; never behind that."""
        self._seqs = _seqs_of(committed)
        """Seqs of the tips, for what looks at all of them at once;"""
        self._floor = self._seqs.copy()
        """and of the committed heads."""
        self._entries: dict[bytes, Entry] = {}
        self._at: dict[bytes, tuple[Entry, ...]] = {}
        """Place -> the items there, in the order seen. Two of one incarnation: it signed two."""
        self._branch: list[tuple[Entry, ...]] = [()] * len(committed)
        """Items from each member's committed head to its tip."""
        self.ahead: set[int] = set()
        """Members whose tip is past their committed head."""
        self._waiting: list[tuple[Entry, ...]] = [()] * len(committed)
        """Each member's items past its committed head, on any branch, in the order seen."""
        self._bases: Counter[int] = Counter()
        """Base -> members whose first item past the committed head has it."""
        self._taken = [0] * len(committed)
        """Items of each member added since the last refill."""
        self.needed: set[bytes] = set()
        """Hashes of items that this round's values cite, as far as known: kept until it is over."""
        self._late: list[bytes] = []
        """Hashes of items that were fetched when the committed stream had passed them: kept for one round."""
        self._retired: dict[int, list[bytes]] = {}
        """Round -> hashes of the items it committed; of the latest rounds."""

    def __contains__(self, hash: bytes) -> bool:
        return hash in self._entries

    def get(self, hash: bytes) -> Entry | None:
        """An item that is held, by hash."""
        return self._entries.get(hash)

    def at(self, place: bytes) -> Entry | None:
        """An item that is held, by place; of several the one on the branch, else of those under the newest key."""
        held = self._at.get(place, ())
        if len(held) < 2:
            return held[0] if held else None
        body = held[0].body
        on_branch = next((entry for entry in self._branch[body.member] if entry.body.seq == body.seq), None)
        return on_branch or max(held, key=lambda entry: entry.body.incarnation)

    def lacking(self, items: bytes) -> list[bytes]:
        """Those of some places whose items would be news."""
        named = np.frombuffer(items, dtype=_PLACE, count=len(items) // PLACE_BYTES)
        beyond = named["seq"] > self._seqs.take(named["member"], mode="clip")
        starts = PLACE_BYTES * np.flatnonzero(beyond & (named["member"] < len(self.tips)))
        places = [items[start : start + PLACE_BYTES] for start in starts.tolist()]
        return [place for place in places if place not in self._at or self._is_replaced(place)]

    def _is_replaced(self, place: bytes) -> bool:
        """Whether what is held at a place is of a key that its author has replaced since."""
        return all(entry.body.incarnation < self.committed[entry.body.member].incarnation for entry in self._at[place])

    def takes(self, member: int) -> bool:
        """Whether one more uncommitted item of a member is to be kept now; see `refill`."""
        return self._taken[member] < ALLOWANCE * self._config.max_items_per_round

    def refill(self) -> None:
        """Time has passed: every member may add items again. So a liar makes nobody relay without end."""
        self._taken = [0] * len(self.tips)
        self._bases = +self._bases  # forgets the zeros

    def add(self, entry: Entry) -> tuple[Entry, Entry] | None:
        """Hold one verified item. Returns it with the item it conflicts with, if its author signed two for one slot."""
        body, there = entry.body, self._at.get(entry.place, ())
        self._at[entry.place] = there + entry.alone
        self._entries[entry.hash] = entry
        start = self.committed[body.member]
        if body.seq > start.seq:
            self._taken[body.member] += 1
            waiting = self._waiting[body.member] = self._waiting[body.member] + entry.alone
            if len(waiting) == 1 and _extends(entry, start):  # as good as always
                self._set_branch(body.member, waiting)
            else:
                self._raise_tip(body.member)
                self._make_room(body.member)
        else:
            self._late.append(entry.hash)
        twin = next((other for other in there if other.body.incarnation == body.incarnation), None)
        return None if twin is None else (twin, entry)

    def _raise_tip(self, member: int) -> None:
        """Move a member's tip to the furthest item linked to its committed head; of equals, the one seen first."""
        waiting = self._waiting[member]
        self._set_branch(member, self._longest(self.committed[member], waiting) if waiting else ())

    @staticmethod
    def _longest(start: Head, waiting: Sequence[Entry]) -> tuple[Entry, ...]:
        paths: dict[bytes, tuple[Entry, ...]] = {start.hash: ()}
        best: tuple[Entry, ...] = ()
        for entry in sorted(waiting, key=lambda entry: entry.body.seq):
            path = paths.get(entry.body.previous or start.hash)
            if path is not None and _extends(entry, path[-1].head if path else start):
                paths[entry.hash] = (*path, entry)
                if not best or entry.body.seq > best[-1].body.seq:
                    best = paths[entry.hash]
        return best

    def _set_branch(self, member: int, best: tuple[Entry, ...]) -> None:
        if before := self._branch[member]:
            self._bases[before[0].body.base] -= 1
        self._branch[member] = best
        if best:
            self._bases[best[0].body.base] += 1
            self.ahead.add(member)
            self.tips[member] = best[-1].head
        else:
            self.ahead.discard(member)
            self.tips[member] = self.committed[member]
        self._seqs[member] = self.tips[member].seq

    def _make_room(self, member: int) -> None:
        """Drop items that lead to no tip, the oldest first, and then the furthest ones, while too many wait."""
        limit = WAITING * self._config.max_items_per_round
        while len(waiting := self._waiting[member]) > 1:
            if len(waiting) <= limit and sum(entry.rows for entry in waiting) <= WAITING_ROWS:
                return
            branch = {entry.hash for entry in self._branch[member]}
            free = [entry for entry in waiting if entry.hash not in self.needed]
            aside = [entry for entry in free if entry.hash not in branch]
            if not free:
                return
            least = min(aside, key=lambda e: e.body.seq) if aside else max(free, key=lambda e: e.body.seq)
            self._waiting[member] = tuple(entry for entry in waiting if entry is not least)
            self._drop([least.hash])
            self._raise_tip(member)

    def waiting(self, member: int) -> int:
        """Items between a member's committed head and its tip."""
        return len(self._branch[member])

    # --- versions ---

    def sketch(self, seqs: Iterable[tuple[int, int]]) -> bytes:
        """A few bytes for the (member, seq) that some members are at, relative to the committed heads."""
        there = self._floor.copy()
        for member, seq in seqs:
            there[member] = seq
        return self._sketch(there)

    def versions(self) -> bytes:
        """Sketch of the tips."""
        return self._sketch(self._seqs)

    def mark(self) -> Ints:
        """i64[n], where the tips are now."""
        return self._seqs.copy()

    def moved_since(self, mark: Ints) -> int:
        """How many members' tips have moved since they were at `mark`; new members have."""
        return int((self._seqs[: len(mark)] != mark[: len(self._seqs)]).sum()) + max(len(self._seqs) - len(mark), 0)

    def _sketch(self, seqs: Ints) -> bytes:
        return wire.pack(wire.planes(seqs - self._floor))

    def read_sketch(self, sketch: bytes) -> Ints:
        """The seq of every member. Raises `ProtocolError` unless there is one for each."""
        data = wire.unpack(sketch, 4 * len(self.tips))
        seqs = self._floor + wire.from_planes(data, len(self.tips), 4, "sketch")
        if seqs.max() > MAX_SEQ:
            raise ProtocolError(f"sketch of a seq beyond {MAX_SEQ}")
        return seqs

    def newer(self, round: int, beyond: Ints | None = None) -> list[Entry]:
        """Items past the committed heads that rest on a table before `round`, in (member, seq) order.

        beyond: of each member only items later than this seq.
        """
        known = self._floor if beyond is None else np.maximum(beyond, self._floor)
        members = np.flatnonzero(self._seqs > known)
        newer = zip(members.tolist(), known[members].tolist(), strict=True)
        return [e for m, seq in newer for e in self._branch[m] if e.body.seq > seq and e.body.base < round]

    # --- cuts ---

    def advanced(self, round: int) -> int:
        """How many members have an item that a cut of `round` can take."""
        return sum(count for base, count in self._bases.items() if base < round)

    def has_advanced(self, member: int, round: int) -> bool:
        """Whether a cut of `round` can take an item of this member."""
        branch = self._branch[member]
        return bool(branch) and branch[0].body.base < round

    def cut(self, round: int) -> tuple[Advance, ...]:
        """The furthest cut that can be proposed for `round` with what is held."""
        takeable = (list(self._takeable(member, round)) for member in sorted(self.ahead))
        return tuple(entries[-1].advance for entries in takeable if entries)

    def _takeable(self, member: int, round: int) -> Iterator[Entry]:
        size = 0
        for entry in self._branch[member][: self._config.max_items_per_round]:
            size += len(entry.item.body)
            if size > self._config.max_bytes_per_round or entry.body.base >= round:
                return
            yield entry

    def rebuild(self, sketch: bytes) -> Cut:
        """The cut that a sketch is of, going by the branches held here; the caller compares hashes.

        Raises `Missing` with the places of items that are not held, `ProtocolError` for a sketch of other members.
        """
        seqs = self.read_sketch(sketch)
        ahead = np.flatnonzero(seqs > self._floor)
        named = np.empty(len(ahead), dtype=_PLACE)
        named["member"], named["seq"] = ahead, seqs[ahead]
        wanted = places(named.tobytes())
        held = list(map(self.at, wanted))
        if None in held:
            raise Missing(places=[name for name, entry in zip(wanted, held, strict=True) if entry is None])
        return Cut(tuple(entry.advance for entry in held if entry is not None))

    def collect(self, cut: Sequence[Advance], round: int) -> list[Entry]:
        """The items between the committed heads and a proposed cut, in (member, seq) order.

        Raises `Missing` with the hashes to pull, `Broken` if the cut is not one an honest leader proposes.
        """
        members = [advance.member for advance in cut]
        if members != sorted(set(members)) or (members and members[-1] >= len(self.tips)):
            raise Broken("cut names members twice, out of order or beyond the last")
        entries: list[Entry] = []
        missing: list[bytes] = []
        for advance in cut:
            try:
                entries += self._checked_path(advance, round)
            except Missing as gap:
                missing += gap.hashes
        if missing:
            raise Missing(missing)
        return entries

    def _checked_path(self, advance: Advance, round: int) -> Sequence[Entry]:
        path = self._path(advance.member, advance.head)
        if sum(len(entry.item.body) for entry in path) > self._config.max_bytes_per_round:
            raise Broken(f"cut takes more than {self._config.max_bytes_per_round} bytes of member {advance.member}")
        if path[-1].head != advance.head or advance.head.base >= round:
            raise Broken(
                f"cut misstates the head of member {advance.member}, or it is based on a later round"
            )
        return path

    def _path(self, member: int, head: Head) -> Sequence[Entry]:
        """Items after the committed head up to `head`. Raises `Missing`, or `Broken` if the chain is not sound."""
        branch = self._branch[member]
        if len(branch) == 1 and branch[0].hash == head.hash:
            return branch
        start, path, hash, limit = self.committed[member], list[Entry](), head.hash, self._config.max_items_per_round
        while hash != start.hash:
            entry = self._entries.get(hash)
            if entry is None:
                raise Missing([hash])
            if len(path) == limit or entry.body.member != member or entry.body.seq <= start.seq:
                raise Broken(f"cut moves member {member} by over {limit} items, by another's or from behind")
            path.append(entry)
            hash = entry.body.previous or start.hash
        path.reverse()
        linked = zip([start, *(entry.head for entry in path)], path, strict=False)
        if not path or not all(_extends(entry, before) for before, entry in linked):
            raise Broken(f"stream of member {member} is not linked")
        return path

    # --- moving on ---

    def commit(self, round: int, entries: Sequence[Entry], heads: Sequence[Head]) -> None:
        """Move the committed heads; items of old rounds are dropped, their registers are in the state."""
        taken = [entry.hash for entry in entries]
        self._drop(self._late)
        self._late = []
        self._retired[round] = taken
        for old in [kept for kept in self._retired if kept <= round - KEPT_ROUNDS]:  # several after a snapshot
            self._drop(self._retired.pop(old))
        self._settle(heads, set(taken))
        self._bases = +self._bases  # forgets the zeros

    def past_cut(self, round: int) -> Cut | None:
        """The cut that a round agreed on, while its items are kept."""
        last = {self._entries[hash].body.member: self._entries[hash].head for hash in self._retired.get(round, ())}
        return Cut(tuple(Advance(member, head) for member, head in sorted(last.items()))) if last else None

    def restart(self, heads: Sequence[Head]) -> None:
        """Take over the heads of a snapshot."""
        self._settle(heads, set())

    def _settle(self, heads: Sequence[Head], taken: set[bytes]) -> None:
        """Move on to `heads`; what they pass and did not take, a lost branch or a gap a snapshot jumped, is dropped."""
        for _ in range(len(heads) - len(self.tips)):  # new seats
            nowhere = Head(0, 0, bytes(32))
            self.committed.append(nowhere)
            self.tips.append(nowhere)
            self._branch.append(())
            self._waiting.append(())
        moved = [member for member, head in enumerate(heads) if head != self.committed[member]]
        self.committed = list(heads)
        self._floor, self._seqs = _seqs_of(heads), _seqs_of(self.tips)
        self.needed.clear()
        self.refill()
        for member in moved:
            left = [entry for entry in self._waiting[member] if entry.hash not in taken]
            if left:
                self._drop([entry.hash for entry in left if not _is_past(entry, heads[member])])
                left = [entry for entry in left if _is_past(entry, heads[member])]
            self._waiting[member] = tuple(left)
            self._raise_tip(member)

    def _drop(self, hashes: Sequence[bytes]) -> None:
        for hash in hashes:
            entry = self._entries.pop(hash, None)
            if entry is None:
                continue
            self._at[entry.place] = tuple(other for other in self._at[entry.place] if other is not entry)
            if not self._at[entry.place]:
                del self._at[entry.place]


def _seqs_of(heads: Sequence[Head]) -> Ints:
    return np.array([head.seq for head in heads], dtype=np.int64)


def _is_past(entry: Entry, head: Head) -> bool:
    """Whether an item lies beyond a committed head."""
    return entry.body.seq > head.seq and entry.body.incarnation == head.incarnation


def _extends(entry: Entry, head: Head) -> bool:
    """Whether an item goes on from `head`, a committed one if it names none; neither seq nor base may fall."""
    body = entry.body
    linked = body.previous in (b"", head.hash) and body.seq > head.seq and body.incarnation == head.incarnation
    return linked and body.base >= head.base
