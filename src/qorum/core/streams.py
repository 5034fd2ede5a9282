"""Streams: the hash-linked contributions of every member, as far as this member holds them.

A stream may branch if its author lies. Both branches are kept as evidence; the committed branch is the stream. What a cut
cites is looked up by hash, so members that saw the branches in another order still agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qorum.core.genesis import Genesis
from qorum.core.messages import Advance, Head
from qorum.core.state import Entry

KEPT_ROUNDS = 8
"""Rounds whose items are kept for members that lag; further back they get a snapshot."""
BACKLOG = 4
"""Uncommitted items kept of one member, in rounds' worth; an honest member waits before it has more."""


class Missing(Exception):  # noqa: N818 - not an error: it says what to pull
    """Items that a cut cites and this member does not hold."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        super().__init__(f"{len(hashes)} items")
        self.hashes = tuple(hashes)


class Broken(Exception):  # noqa: N818 - a verdict about a peer's cut
    """A cut that no honest leader proposes."""


class Streams:
    """What is held of all members' streams, above the committed heads and a little below."""

    def __init__(self, genesis: Genesis, committed: Sequence[Head]) -> None:
        self._genesis = genesis
        self.committed = list(committed)
        self.tips = list(committed)
        """Newest contiguous item held of each member, on the branch seen first; never behind `committed`."""
        self._entries: dict[bytes, Entry] = {}
        self._children: dict[bytes, list[bytes]] = {}
        """Hash -> hashes of the items that link to it. Two of them: the author signed two branches."""
        self.ahead: set[int] = set()
        """Members whose tip is past their committed head."""
        self._pending = [0] * genesis.members
        self._retired: list[list[bytes]] = []

    def __contains__(self, hash: bytes) -> bool:
        return hash in self._entries

    def get(self, hash: bytes) -> Entry | None:
        """An item that is held, by hash."""
        return self._entries.get(hash)

    def accepts(self, entry: Entry) -> bool:
        """Whether there is room for one more uncommitted item of its author."""
        limit = BACKLOG * self._genesis.config.max_items_per_round
        return entry.hash not in self._entries and self._pending[entry.body.member] < limit

    def add(self, entry: Entry) -> tuple[Entry, Entry] | None:
        """Hold one verified item. Returns it with the item it conflicts with, if its author signed two branches."""
        siblings = self._children.setdefault(entry.body.previous, [])
        siblings.append(entry.hash)
        self._entries[entry.hash] = entry
        self._pending[entry.body.member] += 1
        self._raise_tip(entry.body.member)
        for other in siblings[:-1]:
            rival = self._entries.get(other)
            if rival is not None and rival.body.member == entry.body.member:
                return rival, entry
        return None

    def _raise_tip(self, member: int) -> None:
        while (entry := self._child(member)) is not None:
            self.tips[member] = entry.head
        if self.tips[member].seq > self.committed[member].seq:
            self.ahead.add(member)

    def _child(self, member: int) -> Entry | None:
        """The item that extends a member's tip, if it is held."""
        tip = self.tips[member]
        for hash in self._children.get(tip.hash, ()):
            entry = self._entries[hash]
            if entry.body.member == member and _extends(entry, tip):
                return entry
        return None

    def newer(self, round: int) -> list[Entry]:
        """All items past the committed heads that a cut of `round` could take, in (member, seq) order."""
        return [entry for member in sorted(self.ahead) for entry in self._takeable(member, round)]

    def cut(self, round: int) -> tuple[Advance, ...]:
        """The furthest cut that can be proposed for `round` with what is held."""
        heads = ((member, list(self._takeable(member, round))) for member in sorted(self.ahead))
        return tuple(Advance(member, entries[-1].head) for member, entries in heads if entries)

    def _takeable(self, member: int, round: int) -> Iterator[Entry]:
        size = 0
        for entry in self._path(member, self.tips[member])[: self._genesis.config.max_items_per_round]:
            size += len(entry.item.body)
            if size > self._genesis.config.max_bytes_per_round or entry.body.base >= round:
                return
            yield entry

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
        config, start = self._genesis.config, self.committed[advance.member]
        steps = advance.head.seq - start.seq
        if advance.head.incarnation != start.incarnation or not 1 <= steps <= config.max_items_per_round:
            raise Broken(f"cut moves member {advance.member} by {steps} items")
        path = self._path(advance.member, advance.head)
        if sum(len(entry.item.body) for entry in path) > config.max_bytes_per_round:
            raise Broken(f"cut takes more than {config.max_bytes_per_round} bytes of member {advance.member}")
        if path[-1].head != advance.head or advance.head.base >= round:
            raise Broken(
                f"cut misstates the head of member {advance.member}, or it is based on a later round"
            )
        return path

    def _path(self, member: int, head: Head) -> list[Entry]:
        """Items after the committed head up to `head`. Raises `Missing`, or `Broken` if the chain is not sound."""
        start, path, hash = self.committed[member], list[Entry](), head.hash
        for _ in range(head.seq - start.seq):
            entry = self._entries.get(hash)
            if entry is None:
                raise Missing([hash])
            path.append(entry)
            hash = entry.body.previous
        path.reverse()
        for before, entry in zip([start, *(entry.head for entry in path)], path, strict=False):
            if entry.body.member != member or not _extends(entry, before):
                raise Broken(f"stream of member {member} is not linked")
        return path

    def commit(self, entries: Sequence[Entry], heads: Sequence[Head]) -> None:
        """Move the committed heads; items of old rounds are dropped, their registers are in the state."""
        self._retired.append([entry.hash for entry in entries])
        if len(self._retired) > KEPT_ROUNDS:
            self._drop(self._retired.pop(0))
        self._settle(heads)

    def restart(self, heads: Sequence[Head]) -> None:
        """Take over the heads of a snapshot."""
        self._settle(heads)

    def _settle(self, heads: Sequence[Head]) -> None:
        self.committed = list(heads)
        self.ahead.clear()
        for member, head in enumerate(heads):
            if not self._reaches(member, head):
                self.tips[member] = head
            self._raise_tip(member)
        self._drop(self._stale())
        self._pending = [0] * len(heads)
        for entry in self._entries.values():
            self._pending[entry.body.member] += entry.body.seq > heads[entry.body.member].seq

    def _reaches(self, member: int, head: Head) -> bool:
        """Whether this member's tip descends from `head`."""
        hash, steps = self.tips[member].hash, self.tips[member].seq - head.seq
        for _ in range(steps):
            entry = self._entries.get(hash)
            if entry is None:
                return False
            hash = entry.body.previous
        return steps >= 0 and hash == head.hash

    def _stale(self) -> list[bytes]:
        """Items at or below the committed heads that no kept round took: lost branches, and what a snapshot passed."""
        kept = {hash for hashes in self._retired for hash in hashes}
        below = (e for e in self._entries.values() if e.body.seq <= self.committed[e.body.member].seq)
        return [entry.hash for entry in below if entry.hash not in kept]

    def _drop(self, hashes: Sequence[bytes]) -> None:
        for hash in hashes:
            entry = self._entries.pop(hash, None)
            if entry is None:
                continue
            siblings = self._children[entry.body.previous]
            siblings.remove(hash)
            if not siblings:
                del self._children[entry.body.previous]


def _extends(entry: Entry, head: Head) -> bool:
    """Whether an item is the next of a stream that stands at `head`; its base may not fall."""
    body = entry.body
    linked = body.previous == head.hash and body.seq == head.seq + 1 and body.incarnation == head.incarnation
    return linked and body.base >= head.base
