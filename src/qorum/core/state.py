"""`State`: all that a round agrees on, and the pure function that leads from one state to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from qorum.core import wire
from qorum.core.cells import UNKNOWN, Cells
from qorum.core.columns import Columns
from qorum.core.genesis import Genesis
from qorum.core.messages import Advance, Change, Contribution, Head, Item, Join, Kind, Record, Rekey, place
from qorum.core.roster import Roster
from qorum.core.verify import Verify
from qorum.errors import ProtocolError
from qorum.merge.accusation import accuse
from qorum.merge.fixed import Ints, to_float
from qorum.merge.healing import due, harmless
from qorum.merge.interval import agreed_spread
from qorum.merge.outliers import outliers
from qorum.merge.registers import MEMBER_BITS, Registers, Writes
from qorum.merge.rule import Ground, Merged, eligible, merge, unreported
from qorum.merge.rules import Rules
from qorum.merge.standing import Standing, standing
from qorum.qtable import QTable

UNKNOWN_SPREAD = -1
ORIGIN = bytes(32)
"""Hash that the first item of every stream and the first value link to."""


@dataclass(frozen=True)
class Entry:
    """A stream item read and checked: what `State.apply` works on."""

    item: Item
    hash: bytes
    body: Contribution
    columns: Columns

    @classmethod
    def read(cls, item: Item, key: bytes, genesis: Genesis, verify: Verify) -> Entry:
        """An item from the network: size, form, signature by its author's `key`, payload, in this order.

        Raises `ProtocolError`.
        """
        if len(item.body) > genesis.config.max_bytes_per_round:
            limit = genesis.config.max_bytes_per_round
            raise ProtocolError(f"contribution of {len(item.body)} bytes; the limit is {limit}")
        body = wire.contribution(item)
        if not verify(key, contribution_bytes(genesis.federation, body, item.hash), item.signature):
            raise ProtocolError(f"contribution of member {body.member} is not signed by it")
        return cls(item, item.hash, body, Columns.unpack(body.payload, genesis.config.n_actions))

    @property
    def rows(self) -> int:
        """Register writes it carries."""
        return len(self.columns.value)

    @cached_property
    def is_news(self) -> bool:
        """Whether it writes or accuses; an item that only affirms, or is empty, opens no round."""
        return self.columns.is_news

    @cached_property
    def place(self) -> bytes:
        """Where it stands: see `messages.place`."""
        return place(self.body.member, self.body.seq)

    @cached_property
    def alone(self) -> tuple[Entry]:
        """Nothing but this item, as a stream most often is: one object, however many hold it."""
        return (self,)

    @cached_property
    def head(self) -> Head:
        """Where the author's stream stands after this item."""
        return Head(self.body.incarnation, self.body.seq, self.hash, self.body.base)

    @cached_property
    def advance(self) -> Advance:
        """What a cut that ends with this item says of its author."""
        return Advance(self.body.member, self.head)


def contribution_bytes(federation: bytes, body: Contribution, hash: bytes) -> bytes:
    """What the author of a stream item signs. One slot an incarnation and seq: two bodies for one are evidence."""
    return wire.signed_bytes(Kind.CONTRIBUTION, federation, body.incarnation, body.seq, 0, hash)


class _Stored(Record, frozen=True):
    """A state as bytes: what is hashed, and what a snapshot carries."""

    round: int
    since: int
    n_actions: int
    roster: bytes
    heads: tuple[Head, ...]
    columns: tuple[bytes, ...]


_stored = msgspec.msgpack.Decoder(_Stored)

_COLUMNS = (
    ("<u8", "state_hash"), ("|u1", "action"), ("<i8", "value"), ("<i8", "before"), ("<i8", "support"),
    ("<i8", "reporters"), ("|u1", "confirmed"), ("<i8", "moves"), ("|u1", "masks"), ("|u1", "stakes"),
    ("|u1", "outliers"), ("|u1", "convicted"), ("|u1", "origins"),
    ("<i8", "key"), ("<i8", "register value"), ("<i4", "visits"), ("<i8", "spread"), ("<i4", "base"),
    ("<i8", "version"),
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """The outcome of a round. Immutable and shared; every column is the same at every honest member."""

    roster: Roster
    """Who decides the next round."""
    round: int
    cells: Cells
    merged: Merged
    before: Ints
    """int64[C], the values agreed in the round before; initial_q for cells that were new."""
    moves: Ints
    """int64[base_window + 1]: largest change of any value in this round, in the one before, ..."""
    registers: Registers
    masks: NDArray[np.bool_]
    """bool[n, n]: masks[i, j] = member i has caught member j."""
    stakes: NDArray[np.bool_]
    """bool[n, n]: stakes[i, j] = member i stakes its own standing against member j's; see `merge.standing`."""
    outliers: NDArray[np.bool_]
    """bool[n], members whose claims were found to lean away from all others, at any time."""
    heads: tuple[Head, ...]
    origins: NDArray[np.bool_]
    """bool[n], members whose stream advanced in this round; all of them before the first."""
    convicted: NDArray[np.bool_]
    """bool[n], members that are out and of whom the table holds nothing that matters: see `merge.healing`."""
    since: int
    """Round at which the table was last begun anew because of liars: see `merge.healing`."""

    @classmethod
    def initial(cls, genesis: Genesis) -> State:
        """Round 0: nothing is known."""
        n, none = genesis.members, np.zeros(0, dtype=np.int64)
        return cls(
            roster=genesis.roster,
            round=0,
            cells=Cells.empty(genesis.config.n_actions),
            merged=Merged(none, none, none, none.astype(bool)),
            before=none,
            moves=np.zeros(genesis.config.base_window + 1, dtype=np.int64),
            registers=Registers.empty(),
            masks=np.zeros((n, n), dtype=bool),
            stakes=np.zeros((n, n), dtype=bool),
            outliers=np.zeros(n, dtype=bool),
            heads=(Head(0, 0, ORIGIN),) * n,
            origins=np.ones(n, dtype=bool),
            convicted=np.zeros(n, dtype=bool),
            since=0,
        )

    @property
    def rules(self) -> Rules:
        """The numbers of the merge."""
        return self.roster.rules

    def apply(self, entries: Sequence[Entry], change: Change | None = None) -> State:
        """The state after the next round, whose cut adds `entries`: those of each member in stream order.

        A change of membership comes last: the members of the old roster made this round.
        """
        rules = self.rules
        entries = self._affordable(entries)
        cells = self._extended(entries)
        masks, stakes = self._accused(entries)
        writes = [_writes(entry, cells, len(self.cells)) for entry in entries]
        grown = len(cells) - len(self.cells)
        before = standing(masks, stakes, self.outliers, rules.tolerated)
        ground = Ground(
            round=self.round + 1,
            previous=np.append(self.merged.value, np.full(grown, rules.initial_q, dtype=np.int64)),
            moves=self.moves[:-1],
            excluded=before.excluded,
            since=self.since,
            joined=self._joined,
        )
        registers = self.registers.absorb(writes)
        lean = self.outliers | outliers(registers, ground, rules)
        after = standing(masks, stakes, lean, rules.tolerated)
        ground = replace(ground, excluded=after.excluded, paired=after.paired)
        merged = merge(registers, ground, rules)
        convicted = self.convicted & ground.out | harmless(registers, merged, ground, self.standing, rules)
        heals = rules.evidence == "replay" and due(ground.round, self.since) and bool((ground.out & ~convicted).any())
        if heals:
            convicted, merged = convicted | ground.out, unreported(len(cells), rules)
        moved = int(np.abs(merged.value - ground.previous).max(initial=0))
        heads = list(self.heads)
        for entry in entries:
            heads[entry.body.member] = entry.head
        origins = np.zeros(len(heads), dtype=bool)
        origins[[entry.body.member for entry in entries]] = True
        state = State(
            roster=self.roster, round=self.round + 1, cells=cells, merged=merged, before=ground.previous,
            moves=np.append(moved, self.moves[:-1]), registers=registers, masks=masks, stakes=stakes, outliers=lean,
            heads=tuple(heads), origins=origins,
            convicted=convicted, since=ground.round if heals else self.since,
        )  # fmt: skip
        return state if change is None else state._changed(change)

    def _changed(self, change: Change) -> State:
        """This state with another roster: who is gone counts and accuses no more, and is accused no more."""
        roster, heads = self.roster.after(change, self.round), list(self.heads)
        grown = roster.members - len(heads)
        heads += [Head(0, 0, ORIGIN, self.round)] * grown
        if not isinstance(change, Join):  # nothing under the old key goes on; who is gone has no other
            incarnation = change.incarnation + (not isinstance(change, Rekey))
            heads[change.member] = Head(incarnation, 0, ORIGIN, self.round)
        active = np.array([seat.active for seat in roster.seats])
        masks, stakes = (
            np.pad(mask, ((0, grown), (0, grown))) & active & active[:, None] for mask in (self.masks, self.stakes)
        )
        return replace(
            self, roster=roster, heads=tuple(heads), masks=masks, stakes=stakes,
            outliers=np.pad(self.outliers, (0, grown)) & active,
            registers=self.registers.take(active[self.registers.member]),
            origins=np.pad(self.origins, (0, grown)), convicted=np.pad(self.convicted, (0, grown)),
        )  # fmt: skip

    def _affordable(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries without rows that their author has no room for, in (seq, row) order.

        A register costs everybody memory for ever. An honest one carries a visit, so an author may hold as many
        registers as its visit budget, and a new cell counts only if it was visited.
        """
        n = len(self.heads)
        budget = self.rules.visit_budget(self.round + 1, self._joined)
        room = budget - np.bincount(self.registers.member, minlength=n)
        rows = np.zeros(n, dtype=np.int64)
        for entry in entries:
            rows[entry.body.member] += entry.rows
        tight = rows > room
        return [self._trimmed(entry, room, bool(tight[entry.body.member])) for entry in entries]

    def _trimmed(self, entry: Entry, room: Ints, tight: bool) -> Entry:
        """An entry without unvisited new cells and, where room is tight, without the new registers past it."""
        columns, author = entry.columns, entry.body.member
        keep = np.ones(entry.rows, dtype=bool)
        keep[len(columns.known) :] = columns.visits[len(columns.known) :] > 0
        if tight:
            new = self._new_registers(entry) & keep
            keep &= ~new | (np.cumsum(new) <= room[author])
            room[author] -= (new & keep).sum()
        return entry if keep.all() else replace(entry, columns=columns.take(keep))

    def _new_registers(self, entry: Entry) -> NDArray[np.bool_]:
        """Whether each row of an entry sets a register that its author does not hold yet."""
        columns, held = entry.columns, self.registers.key
        cell = np.concatenate([columns.known, self.cells.find(columns.states, columns.actions)])
        key = cell << MEMBER_BITS | entry.body.member
        at = np.minimum(np.searchsorted(held, key), max(len(held) - 1, 0))
        return (held[at] != key) | (cell == UNKNOWN) if len(held) else np.ones(len(key), dtype=bool)

    def _extended(self, entries: Iterable[Entry]) -> Cells:
        new = [entry.columns for entry in entries if len(entry.columns.states)]
        if not new:
            return self.cells
        return self.cells.extend(
            np.concatenate([c.states for c in new]), np.concatenate([c.actions for c in new])
        )

    def _accused(self, entries: Iterable[Entry]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Masks and stakes as they are after `entries`."""
        changes = [(entry.body.member, entry.columns) for entry in entries if entry.columns.accused is not None]
        if not changes:
            return self.masks, self.stakes
        masks, stakes = self.masks.copy(), self.stakes.copy()
        active = np.array([seat.active for seat in self.roster.seats])
        for member, columns in changes:
            masks[member] = _unpacked(columns.accused or b"", len(active)) & active
            masks[member, member] = False
            stakes[member] = _unpacked(columns.staked, len(active)) & masks[member]
        return masks, stakes

    @cached_property
    def hash(self) -> bytes:
        """32 bytes; equal if and only if every column is. The hash of the hashes of its chunks."""
        return hashlib.sha256(self.chunk_hashes).digest()

    @cached_property
    def chunk_hashes(self) -> bytes:
        """32 bytes for each chunk of the canonical bytes, so that any peer can be asked for any chunk."""
        view = memoryview(self.to_bytes())
        return b"".join(hashlib.sha256(view[at : at + wire.CHUNK]).digest() for at in range(0, len(view), wire.CHUNK))

    def to_bytes(self) -> bytes:
        """Canonical bytes."""
        m = self.merged
        columns: tuple[NDArray[Any], ...] = (
            self.cells.state_hash, self.cells.action, m.value, self.before, m.support, m.reporters, m.confirmed,
            self.moves, np.packbits(self.masks, axis=None), np.packbits(self.stakes, axis=None),
            np.packbits(self.outliers), np.packbits(self.convicted), np.packbits(self.origins),
            *self.registers.columns(),
        )  # fmt: skip
        raw = tuple(c.astype(kind).tobytes() for c, (kind, _) in zip(columns, _COLUMNS, strict=True))
        roster = self.roster.to_bytes()
        return wire.encode(_Stored(self.round, self.since, self.cells.n_actions, roster, self.heads, raw))

    @classmethod
    def from_bytes(cls, data: bytes, genesis: Genesis) -> State:
        """Undo `to_bytes`. The caller checks the hash; raises `ProtocolError` if the form is broken."""
        try:
            stored = _stored.decode(data)
            roster = genesis.roster.decode(stored.roster)
            wide = [np.frombuffer(raw, kind) for raw, (kind, _) in zip(stored.columns, _COLUMNS, strict=True)]
            ints = [c.astype(np.int64) for c in wide]
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"bytes are not a state: {error}") from error
        n, sizes = roster.members, [len(column) for column in wide]
        row, table = -(-n // 8), -(-n * n // 8)
        expected = [sizes[0]] * 7 + [genesis.config.base_window + 1, table, table, row, row, row] + [sizes[13]] * 6
        if sizes != expected or len(stored.heads) != n or stored.n_actions != genesis.config.n_actions:
            raise ProtocolError("bytes are a state of another federation, or columns of it are cut short")
        masks, stakes = (np.unpackbits(bits, count=n * n).reshape(n, n).astype(bool) for bits in wide[8:10])
        flags = [np.unpackbits(bits, count=n).astype(bool) for bits in wide[10:13]]
        return cls(
            roster=roster,
            round=stored.round,
            cells=Cells(wide[0], wide[1], stored.n_actions),
            merged=Merged(ints[2], ints[4], ints[5], ints[6].astype(bool)),
            before=ints[3],
            moves=ints[7],
            registers=Registers(*ints[13:]),
            outliers=flags[0],
            convicted=flags[1],
            origins=flags[2],
            masks=masks,
            stakes=stakes,
            heads=stored.heads,
            since=stored.since,
        )

    # --- what follows from it ---

    @cached_property
    def leaders(self) -> tuple[int, ...]:
        """Who leads the terms of the next round, in turn: those first who had a part in this one.

        So a member that is away costs the others one term, once, and not one in every round that it is drawn for.
        """
        order = self.roster.order(self.round + 1)
        return tuple(sorted(order, key=lambda member: not self.origins[member]))

    @cached_property
    def _joined(self) -> Ints:
        """int64[n], what visit budgets are counted from."""
        return np.array([seat.joined for seat in self.roster.seats], dtype=np.int64)

    @cached_property
    def standing(self) -> Standing:
        """Whose registers count in the merge."""
        return standing(self.masks, self.stakes, self.outliers, self.rules.tolerated)

    @property
    def excluded(self) -> NDArray[np.bool_]:
        """bool[n], members found lying: they do not count in the merge."""
        return self.standing.excluded

    @cached_property
    def ground(self) -> Ground:
        """What this round was merged on."""
        who = self.standing
        return Ground(
            self.round, self.before, self.moves[1:], who.excluded, self.since, paired=who.paired, joined=self._joined
        )

    @cached_property
    def spread(self) -> Ints:
        """int64[C], agreed spread of each cell; -1 where nobody who counts has visited it again."""
        return agreed_spread(eligible(self.registers, self.ground, self.rules), len(self.cells), UNKNOWN_SPREAD)

    def accusations(self, me: int, *, steady: bool) -> NDArray[np.bool_]:
        """bool[2, n]: whom member `me` accuses by the claims in this state, and against whom it stakes its standing.

        steady: see `accuse`.
        """
        found = accuse(self.registers, np.array([me], dtype=np.int64), np.array([steady]), self.ground, self.rules)
        return np.concatenate(found)

    def written_since(self, heads: Sequence[Head], but_by: int) -> int:
        """Registers that others than `but_by` wrote after these stream heads, of which new members have none yet."""
        known = np.zeros(len(self.heads), dtype=np.int64)
        known[: len(heads)] = [head.incarnation << 32 | head.seq for head in heads]
        author = self.registers.member
        return int(((self.registers.version > known[author]) & (author != but_by)).sum())

    @cached_property
    def conflicts(self) -> int:
        """Cells that members report different values for."""
        visited = self.registers.take(self.registers.visits > 0)
        first = np.flatnonzero(np.diff(visited.cell, prepend=-1))
        if not len(first):
            return 0
        low, high = (ufunc.reduceat(visited.value, first) for ufunc in (np.minimum, np.maximum))
        return int((low != high).sum())

    @cached_property
    def table(self) -> QTable:
        """The agreed table: values as float64, visits = support, sorted by (state_hash, action)."""
        return self.table_of(self.merged.value, self.merged.support)

    def table_of(self, value: Ints, visits: Ints) -> QTable:
        """Other values and visits of the same cells as a table: int64[C] each."""
        order = self.cells.order
        return QTable.from_columns(
            self.cells.state_hash[order],
            self.cells.action[order],
            to_float(value[order]),
            np.minimum(visits[order], 2**32 - 1),
        )


def _unpacked(mask: bytes, members: int) -> NDArray[np.bool_]:
    """bool[n]; what a mask leaves out is False. (`np.unpackbits` itself pads with whatever memory held before.)"""
    whole = mask.ljust(-(-members // 8), b"\0")
    return np.unpackbits(np.frombuffer(whole, np.uint8), count=members, bitorder="little").astype(bool)


def _writes(entry: Entry, cells: Cells, agreed: int) -> Writes:
    """An entry's rows with every cell as an id. Rows of ids not agreed on yet mean nothing and are left out."""
    body, columns = entry.body, entry.columns
    known = columns.known < agreed
    cell = np.concatenate([columns.known[known], cells.find(columns.states, columns.actions)])
    rows = np.concatenate([np.flatnonzero(known), len(known) + np.arange(len(columns.states))])
    cell, first = np.unique(cell, return_index=True)  # a liar may name one cell both ways
    rows = rows[first]
    return Writes(
        member=body.member,
        version=body.incarnation << 32 | body.seq,
        base=body.base,
        cell=cell,
        value=columns.value[rows],
        visits=columns.visits[rows],
        spread=columns.spread[rows],
        affirmed=columns.affirmed,
    )
