"""Streams: the hash-linked contributions of every member, as far as this member holds them.

A stream may branch if its author lies. Both branches are kept as evidence; the committed branch is the stream. What a
cut cites is looked up by hash, so members that saw the branches in another order still agree.
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
        self._children: dict[tuple[int, bytes], list[bytes]] = {}
        """(author, hash) -> hashes of its items that link to that one. Two of them: it signed two branches."""
        self._branch: list[list[Entry]] = [[] for _ in committed]
        """Items from each member's committed head to its tip."""
        self.ahead: set[int] = set()
        """Members whose tip is past their committed head."""
        self._waiting: list[set[bytes]] = [set() for _ in committed]
        """Hashes of each member's items past its committed head, on any branch."""
        self._retired: list[list[bytes]] = [[]]
        """Hashes of the committed items still kept, round by round."""

    def __contains__(self, hash: bytes) -> bool:
        return hash in self._entries

    def get(self, hash: bytes) -> Entry | None:
        """An item that is held, by hash."""
        return self._entries.get(hash)

    def accepts(self, entry: Entry) -> bool:
        """Whether there is room for one more uncommitted item of its author."""
        limit = BACKLOG * self._genesis.config.max_items_per_round
        return entry.hash not in self._entries and len(self._waiting[entry.body.member]) < limit

    def add(self, entry: Entry) -> tuple[Entry, Entry] | None:
        """Hold one verified item. Returns it with the item it conflicts with, if its author signed two branches."""
        siblings = self._children.setdefault((entry.body.member, entry.body.previous), [])
        siblings.append(entry.hash)
        self._entries[entry.hash] = entry
        if entry.body.seq > self.committed[entry.body.member].seq:
            self._waiting[entry.body.member].add(entry.hash)
        else:
            self._retired[-1].append(entry.hash)  # cited, and too late: it goes with the items of the newest round
        self._raise_tip(entry.body.member)
        return (self._entries[siblings[0]], entry) if len(siblings) > 1 else None

    def _raise_tip(self, member: int) -> None:
        """Move a member's tip along its items as far as they are linked; of two branches, along the one seen first."""
        tip = self.tips[member]
        while link := self._children.get((member, tip.hash)):
            entry = next((e for e in map(self._entries.__getitem__, link) if _extends(e, tip)), None)
            if entry is None:
                break
            tip = entry.head
            self._branch[member].append(entry)
        self.tips[member] = tip
        if tip.seq > self.committed[member].seq:
            self.ahead.add(member)

    def newer(self, round: int, beyond: Sequence[int] | None = None) -> list[Entry]:
        """Items past the committed heads that rest on a table before `round`, in (member, seq) order.

        beyond: of each member only items later than this seq.
        """
        known = beyond or [head.seq for head in self.committed]
        members = [member for member in sorted(self.ahead) if self.tips[member].seq > known[member]]
        return [e for m in members for e in self._branch[m] if e.body.seq > known[m] and e.body.base < round]

    def advanced(self, round: int) -> int:
        """How many members have an item that a cut of `round` can take."""
        return sum(self._branch[member][0].body.base < round for member in self.ahead)

    def cut(self, round: int) -> tuple[Advance, ...]:
        """The furthest cut that can be proposed for `round` with what is held."""
        heads = ((member, list(self._takeable(member, round))) for member in sorted(self.ahead))
        return tuple(Advance(member, entries[-1].head) for member, entries in heads if entries)

    def _takeable(self, member: int, round: int) -> Iterator[Entry]:
        size = 0
        for entry in self._branch[member][: self._genesis.config.max_items_per_round]:
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
        branch = self._branch[member][: head.seq - start.seq]
        if branch and branch[-1].hash == hash:
            return branch
        for seq in range(head.seq, start.seq, -1):
            entry = self._entries.get(hash)
            if entry is None:
                raise Missing([hash])
            if (entry.body.member, entry.body.seq) != (member, seq):
                raise Broken(f"cut misnumbers the stream of member {member}")
            path.append(entry)
            hash = entry.body.previous
        path.reverse()
        for before, entry in zip([start, *(entry.head for entry in path)], path, strict=False):
            if not _extends(entry, before):
                raise Broken(f"stream of member {member} is not linked")
        return path

    def commit(self, entries: Sequence[Entry], heads: Sequence[Head]) -> None:
        """Move the committed heads; items of old rounds are dropped, their registers are in the state."""
        taken = [entry.hash for entry in entries]
        self._retired.append(taken)
        if len(self._retired) > KEPT_ROUNDS:
            self._drop(self._retired.pop(0))
        self._settle(heads, set(taken))

    def restart(self, heads: Sequence[Head]) -> None:
        """Take over the heads of a snapshot."""
        self._settle(heads, set())

    def _settle(self, heads: Sequence[Head], taken: set[bytes]) -> None:
        """Move on to `heads`; what they pass and did not take, a lost branch or a gap a snapshot jumped, is dropped."""
        moved = [member for member, head in enumerate(heads) if head != self.committed[member]]
        self.committed = list(heads)
        for member in moved:
            passed = [h for h in self._waiting[member] if self._entries[h].body.seq <= heads[member].seq]
            self._waiting[member].difference_update(passed)
            self._drop([hash for hash in passed if hash not in taken])
            self.ahead.discard(member)
            self._rebase(member, heads[member])
            self._raise_tip(member)

    def _rebase(self, member: int, head: Head) -> None:
        """Keep of a member's branch what lies beyond its new committed head; nothing if it is another branch."""
        branch = self._branch[member]
        passed = next((i + 1 for i, entry in enumerate(branch) if entry.hash == head.hash), None)
        self._branch[member] = [] if passed is None else branch[passed:]
        if not self._branch[member]:
            self.tips[member] = head

    def _drop(self, hashes: Sequence[bytes]) -> None:
        for hash in hashes:
            entry = self._entries.pop(hash)
            link = (entry.body.member, entry.body.previous)
            self._children[link].remove(hash)
            if not self._children[link]:
                del self._children[link]


def _extends(entry: Entry, head: Head) -> bool:
    """Whether an item is the next of a stream that stands at `head`; its base may not fall."""
    body = entry.body
    linked = body.previous == head.hash and body.seq == head.seq + 1 and body.incarnation == head.incarnation
    return linked and body.base >= head.base
