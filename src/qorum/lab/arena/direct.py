"""`Direct`: the arena's merge, fed with the contributions that a federation has agreed on, round by round.

No member, no gossip and no votes: registers are filled in as contributions say, and merged by the code that `Defended`
merges with. What it comes to must be what the members hold, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from qorum.core.cells import Cells
from qorum.core.roster import Roster
from qorum.core.state import Entry, State
from qorum.lab.arena.company import Bools, Liars
from qorum.lab.arena.defence import Defence
from qorum.lab.arena.defended import Defended
from qorum.lab.methods.method import Setting
from qorum.merge.registers import MEMBER_BITS, Registers
from qorum.merge.rule import Merged, merge, unreported
from qorum.merge.standing import Standing

MERGED = tuple(field.name for field in fields(Merged))


class Direct(Defended):
    """A company whose claims and accusations are read from contributions; its agents do nothing.

    Its cells have the numbers that the federation gives them: where members are scored, their order matters.
    """

    def __init__(self, setting: Setting, tolerated: int) -> None:
        super().__init__(setting, Liars.none(), tolerated, Defence().without("accusations"))
        self._merged = unreported(setting.cells, self.rules)
        self._active, self._epoch = np.ones(setting.agents, dtype=bool), 0
        self._columns = np.zeros((5, setting.cells * setting.agents), dtype=np.int64)
        """Value, visits, spread, base and version of every register, at cell * n + member; version 0: never written."""

    def fold(self, entries: Sequence[Entry], cells: Cells, roster: Roster) -> None:
        """Merge the next round. cells: those that the federation knows after it; roster: who is a member after it."""
        self.rounds += 1
        for entry in entries:
            self._write(entry, cells)
            self._stand_by(entry)
            self._hear(entry)
        registers = self._registers()
        before, ground = Standing(self.excluded, self.paired), self._judged(registers)
        self._merged = self._healed(registers, merge(registers, ground, self.rules), ground, before)
        moved = int(np.abs(self._merged.value - self._values).max(initial=0))
        self._moves, self._values = np.append(moved, self._moves[:-1]), self._merged.value
        self._change(roster)

    def differs(self, state: State) -> list[str]:
        """What is not the same in the state that members agreed on."""
        known = len(state.cells)
        pairs: dict[str, tuple[Any, Any]] = {
            name: (getattr(self._merged, name)[:known], getattr(state.merged, name)) for name in MERGED
        }
        pairs |= {
            "excluded": (self.excluded, state.excluded),
            "paired": (self.paired, state.standing.paired),
            "begun anew": (self._since, state.since),
            "registers": (self._registers().columns(), state.registers.columns()),
        }
        return [name for name, (ours, theirs) in pairs.items() if not np.array_equal(ours, theirs)]

    def _write(self, entry: Entry, cells: Cells) -> None:
        """Set what a contribution sets; of registers that it adds, as many as its author may hold."""
        body, columns, n = entry.body, entry.columns, len(self.excluded)
        cell = np.concatenate([columns.known, cells.find(columns.states, columns.actions)])
        version = self._columns[4].reshape(-1, n)
        new = version[cell, body.member] == 0
        room = int(self.rules.visit_budget(self.rounds)) - int((version[:, body.member] > 0).sum())
        kept = ~new | (np.cumsum(new) <= room)
        said = np.stack([columns.value, columns.visits, columns.spread])[:, kept]
        at = cell[kept] * n + body.member
        self._columns[:3, at] = said
        self._columns[3:, at] = [[body.base], [body.incarnation << 32 | body.seq]]

    def _stand_by(self, entry: Entry) -> None:
        """Raise the base of the registers that the author still stands by."""
        base = self._columns[3].reshape(-1, len(self.excluded))[:, entry.body.member]
        for low, high in entry.columns.affirmed:
            base[low:high] = np.maximum(base[low:high], entry.body.base)

    def _hear(self, entry: Entry) -> None:
        """Take whom the author accuses from now on, and whom it stakes its standing against."""
        me, columns = entry.body.member, entry.columns
        if columns.accused is not None:
            self._masks[me] = _unpacked(columns.accused, len(self.excluded)) & self._active
            self._masks[me, me] = False
            self._stakes[me] = _unpacked(columns.staked, len(self.excluded)) & self._masks[me]

    def _change(self, roster: Roster) -> None:
        """Forget members that are gone, and go on with the numbers of those that are left."""
        if roster.epoch == self._epoch:
            return
        self._epoch, self.rules = roster.epoch, roster.rules
        self._active = np.isin(self._everyone, roster.active)
        for mask in (self._masks, self._stakes):
            mask &= self._active & self._active[:, None]
        self._outliers = self._outliers & self._active
        self._columns[4].reshape(-1, len(self._active))[:, ~self._active] = 0
        after = self._out()
        self.excluded, self.paired = after.excluded, after.paired

    def _registers(self) -> Registers:
        held = np.flatnonzero(self._columns[4])
        cell, member = np.divmod(held, len(self.excluded))
        return Registers(cell << MEMBER_BITS | member, *self._columns[:, held])


def _unpacked(mask: bytes, members: int) -> Bools:
    """bool[n], of a bit mask that may be shorter or longer."""
    bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")[:members]
    return np.pad(bits, (0, members - len(bits))).astype(bool)
