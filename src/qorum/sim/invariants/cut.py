"""What a round may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from qorum.core import wire
from qorum.core.effects import Committed, Effect
from qorum.core.messages import Advance, Change, Cut, Head, Join, Rekey
from qorum.core.state import ORIGIN, Entry, State
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import Ledger, change_of, hash_of, value_of


class CutValidity(Invariant):
    """For all cuts k: hash(cut(k)) = value(k).cut; >= q(k) origins, each with a seat in roster(k); of each 1 to
    max_items_per_round items, <= max_bytes_per_round bytes together; from head(k-1) on each item cites the hash of the
    one before, its seq is higher (by more than one only past items that it restates), its base is < k and never falls;
    head(k) is the last of them; the heads of all others stay, but for those that value(k).change begins anew."""

    name = "cut-validity"
    watches = (Committed,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._checked: set[int] = set()

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Check the cut of one commit, each round once."""
        assert isinstance(effect, Committed)
        round, cut, entries = effect.state.round, effect.cut, self.ledger.entries(effect)
        before = self.ledger.states.get(round - 1)
        if cut is None or entries is None or before is None or round in self._checked:
            return
        self._checked.add(round)
        if hash_of(wire.encode(Cut(tuple(cut)))) != value_of(effect.commit).cut:
            self.violated(f"cut of round {round}, committed by {named(host)}, is not the one its value names")
        for fault in self._faults(before, cut, entries, change_of(effect.commit), effect.state.heads):
            self.violated(f"cut of round {round}, committed by {named(host)}: {fault}")

    def _faults(
        self, before: State, cut: Sequence[Advance], entries: Sequence[Entry], change: Change | None,
        new: Sequence[Head],
    ) -> Iterator[str]:  # fmt: skip
        old, round, roster = before.heads, before.round + 1, before.roster
        origins = [advance.member for advance in cut]
        paths = {member: list(path) for member, path in groupby(entries, lambda entry: entry.body.member)}
        if len(set(origins)) < roster.quorum.size or origins != sorted(set(origins)):
            yield f"{len(set(origins))} origins"
        if not set(origins) <= set(roster.active):
            yield f"an origin without a seat among {origins}"
            return
        if set(paths) != set(origins) or sum(map(len, paths.values())) != len(entries):
            yield "its items are of other members than its origins"
        for advance in cut:
            yield from self._faults_of(advance, paths.get(advance.member, []), old[advance.member], round)
        heads = list(old)
        for advance in cut:
            heads[advance.member] = advance.head
        if _begun_anew(heads, change, round) != [*new]:
            yield "it does not lead to the heads of the state"

    def _faults_of(self, advance: Advance, path: Sequence[Entry], start: Head, round: int) -> Iterator[str]:
        config, who = self.ledger.genesis.config, f"member {advance.member}"
        if not 1 <= len(path) <= config.max_items_per_round:
            yield f"{len(path)} items of {who}"
        if sum(len(entry.item.body) for entry in path) > config.max_bytes_per_round:
            yield f"too many bytes of {who}"
        head = start
        for entry in path:
            body = entry.body
            names = body.previous == head.hash or (not body.previous and head is start)
            linked = names and body.incarnation == head.incarnation and body.seq > head.seq
            if not linked or not head.base <= body.base < round:
                yield f"item {body.seq} of {who} does not follow item {head.seq}"
            head = entry.head
        if head != advance.head:
            yield f"it misstates the head of {who}"


def _begun_anew(heads: Sequence[Head], change: Change | None, round: int) -> list[Head]:
    """Heads after a change of membership: a new seat or key starts a stream, who leaves has none that goes on."""
    after = [*heads]
    if isinstance(change, Join):
        after.append(Head(0, 0, ORIGIN, round))
    elif isinstance(change, Rekey):
        after[change.member] = Head(change.incarnation, 0, ORIGIN, round)
    elif change is not None:
        after[change.member] = Head(change.incarnation + 1, 0, ORIGIN, round)
    return after
