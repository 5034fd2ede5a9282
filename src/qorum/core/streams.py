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
from qorum.core.messages import PLACE_BYTES, Advance, Cut, Head, place
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

    def __init__(self, hashes: Sequence[bytes] = (), places: Sequence[tuple[int, int]] = ()) -> None:
        super().__init__(f"{len(hashes) + len(places)} items")
        self.hashes = tuple(hashes)
        self.places = tuple(places)
        """(member, seq) of items known by place alone."""

    @property
    def names(self) -> list[bytes]:
        """What to pull them by."""
        return [*self.hashes, *(place(*at) for at in self.places)]


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
        self._at: dict[tuple[int, int], list[bytes]] = {}
        """(member, seq) -> hashes of the items there, in the order seen. Two of one incarnation: it signed two."""
        self._branch: list[list[Entry]] = [[] for _ in committed]
        """Items from each member's committed head to its tip."""
        self.ahead: set[int] = set()
        """Members whose tip is past their committed head."""
        self._waiting: list[list[Entry]] = [[] for _ in committed]
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

    def at(self, member: int, seq: int) -> Entry | None:
        """An item that is held, by place; of several the one on the branch, else of those under the newest key."""
        if member >= len(self._branch):
            return None
        branch = self._branch[member]
        if branch and branch[-1].body.seq == seq:
            return branch[-1]
        on_branch = next((entry for entry in branch if entry.body.seq == seq), None)
        held = (self._entries[hash] for hash in self._at.get((member, seq), ()))
        return on_branch or max(held, key=lambda entry: entry.body.incarnation, default=None)

    def lacks(self, member: int, seq: int) -> bool:
        """Whether an item said to be at this place would be news."""
        if member >= len(self.tips) or seq <= self.tips[member].seq:
            return False
        if (member, seq) not in self._at:
            return True
        entry = self.at(member, seq)
        return entry is None or entry.body.incarnation < self.committed[member].incarnation

    def lacking(self, items: bytes) -> list[bytes]:
        """Those of some places whose items would be news."""
        named = np.frombuffer(items, dtype=_PLACE, count=len(items) // PLACE_BYTES)
        beyond = np.flatnonzero(named["seq"] > self._seqs.take(named["member"], mode="clip"))
        starts = (PLACE_BYTES * beyond).tolist()
        there = zip(starts, named[beyond].tolist(), strict=True)
        return [items[at : at + PLACE_BYTES] for at, it in there if self.lacks(*it)]

    def takes(self, member: int) -> bool:
        """Whether one more uncommitted item of a member is to be kept now; see `refill`."""
        return self._taken[member] < ALLOWANCE * self._config.max_items_per_round

    def refill(self) -> None:
        """Time has passed: every member may add items again. So a liar makes nobody relay without end."""
        self._taken = [0] * len(self.tips)
        self._bases = +self._bases  # forgets the zeros

    def add(self, entry: Entry) -> tuple[Entry, Entry] | None:
        """Hold one verified item. Returns it with the item it conflicts with, if its author signed two for one slot."""
        body = entry.body
        there = self._at.setdefault((body.member, body.seq), [])
        twins = [self._entries[hash] for hash in there if self._entries[hash].body.incarnation == body.incarnation]
        there.append(entry.hash)
        self._entries[entry.hash] = entry
        if body.seq > self.committed[body.member].seq:
            self._taken[body.member] += 1
            self._waiting[body.member].append(entry)
            self._raise_tip(body.member)
            self._make_room(body.member)
        else:
            self._late.append(entry.hash)
        return (twins[0], entry) if twins else None

    def _raise_tip(self, member: int) -> None:
        """Move a member's tip to the furthest item linked to its committed head; of equals, the one seen first."""
        start, waiting = self.committed[member], self._waiting[member]
        if len(waiting) == 1 and _extends(waiting[0], start):  # as good as always
            self._set_branch(member, waiting[:])
        elif waiting or self._branch[member]:
            self._set_branch(member, self._longest(start, waiting) if waiting else [])
        else:
            self.tips[member] = start
            self._seqs[member] = start.seq

    @staticmethod
    def _longest(start: Head, waiting: Sequence[Entry]) -> list[Entry]:
        paths: dict[bytes, list[Entry]] = {start.hash: []}
        best: list[Entry] = []
        for entry in sorted(waiting, key=lambda entry: entry.body.seq):
            path = paths.get(entry.body.previous or start.hash)
            if path is not None and _extends(entry, path[-1].head if path else start):
                paths[entry.hash] = [*path, entry]
                if not best or entry.body.seq > best[-1].body.seq:
                    best = paths[entry.hash]
        return best

    def _set_branch(self, member: int, best: list[Entry]) -> None:
        if before := self._branch[member]:
            self._bases[before[0].body.base] -= 1
        if best:
            self._bases[best[0].body.base] += 1
        self._branch[member] = best
        tip = self.tips[member] = best[-1].head if best else self.committed[member]
        self._seqs[member] = tip.seq
        (self.ahead.add if best else self.ahead.discard)(member)

    def _make_room(self, member: int) -> None:
        """Drop items that lead to no tip, the oldest first, and then the furthest ones, while too many wait."""
        waiting, limit = self._waiting[member], WAITING * self._config.max_items_per_round
        if len(waiting) == 1:
            return
        while len(waiting) > limit or (sum(entry.rows for entry in waiting) > WAITING_ROWS and len(waiting) > 1):
            branch = {entry.hash for entry in self._branch[member]}
            free = [entry for entry in waiting if entry.hash not in self.needed]
            aside = [entry for entry in free if entry.hash not in branch]
            if not free:
                return
            entry = min(aside, key=lambda e: e.body.seq) if aside else max(free, key=lambda e: e.body.seq)
            waiting.remove(entry)
            self._drop([entry.hash])
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
        members = np.flatnonzero(self._seqs > known).tolist()
        return [e for m in members for e in self._branch[m] if e.body.seq > known[m] and e.body.base < round]

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
        wanted = list(zip(ahead.tolist(), seqs[ahead].tolist(), strict=True))
        held = [self.at(member, seq) for member, seq in wanted]
        if None in held:
            raise Missing(places=[place for place, entry in zip(wanted, held, strict=True) if entry is None])
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

    def _checked_path(self, advance: Advance, round: int) -> list[Entry]:
        path = self._path(advance.member, advance.head)
        if sum(len(entry.item.body) for entry in path) > self._config.max_bytes_per_round:
            raise Broken(f"cut takes more than {self._config.max_bytes_per_round} bytes of member {advance.member}")
        if path[-1].head != advance.head or advance.head.base >= round:
            raise Broken(
                f"cut misstates the head of member {advance.member}, or it is based on a later round"
            )
        return path

    def _path(self, member: int, head: Head) -> list[Entry]:
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
            self._branch.append([])
            self._waiting.append([])
        moved = [member for member, head in enumerate(heads) if head != self.committed[member]]
        self.committed = list(heads)
        self._floor, self._seqs = _seqs_of(heads), _seqs_of(self.tips)
        self.needed.clear()
        self.refill()
        for member in moved:
            waiting = self._waiting[member]
            left = [entry for entry in waiting if entry.hash not in taken]
            self._waiting[member] = [entry for entry in left if _is_past(entry, heads[member])] if left else left
            if len(left) > len(self._waiting[member]):
                self._drop([entry.hash for entry in left if not _is_past(entry, heads[member])])
            self._raise_tip(member)

    def _drop(self, hashes: Sequence[bytes]) -> None:
        for hash in hashes:
            entry = self._entries.pop(hash, None)
            if entry is None:
                continue
            place = (entry.body.member, entry.body.seq)
            self._at[place].remove(hash)
            if not self._at[place]:
                del self._at[place]


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
