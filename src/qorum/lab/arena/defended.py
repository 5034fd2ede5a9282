"""`Defended`: a company that agrees on tables as a federation does, with the whole of qorum's defence or parts of it.

What `State.apply` makes of the contributions of a round, member by member, here for all at once: the same numbers, bit
for bit (a test compares them).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qorum.config import FederationConfig
from qorum.evidence import REPEATED
from qorum.lab.arena.company import Bools, Company, Liars
from qorum.lab.arena.defence import Defence
from qorum.lab.attacks import Claims
from qorum.lab.fleet import config_for
from qorum.lab.methods.agreed import registers_of
from qorum.lab.methods.method import Ints, Setting
from qorum.merge.accusation import accuse
from qorum.merge.fixed import VALUE_LIMIT, to_fixed, to_float
from qorum.merge.gate import gate
from qorum.merge.healing import due, harmless
from qorum.merge.interval import agreed_spread, typical_spread
from qorum.merge.outliers import outliers
from qorum.merge.registers import Registers
from qorum.merge.rule import Ground, Merged, eligible, merge, unreported
from qorum.merge.rules import Rules
from qorum.merge.standing import Standing, standing

NEVER = 1 << 60
"""The value of a register that was never written: everything is far from it."""
NOBODY_KNOWS = -1
"""Spread of a cell that nobody who counts has visited again."""


def rules_for(setting: Setting, tolerated: int, defence: Defence | None = None) -> Rules:
    """The rules of a federation of `setting.agents` members; merges so rare that the budget would bind do not bind."""
    per_round = max(FederationConfig().visit_budget_per_round, setting.sync_every)
    changed = (defence or Defence()).config
    config = FederationConfig.of(config_for(setting.task, visit_budget_per_round=per_round), **changed)
    return Rules.of(config, setting.agents, tolerated)


class Defended(Company):
    """qorum's merge of registers, accusations, disputes, outliers, healing and gate."""

    def __init__(
        self, setting: Setting, liars: Liars, tolerated: int, defence: Defence | None = None, accusing: bool = False
    ) -> None:
        """A company that tolerates so many liars; 0 expects none, and stands against none.

        accusing: every liar accuses all honest members from the start, and stakes its standing against them.
        """
        rules = rules_for(setting, tolerated, defence)
        super().__init__(setting, liars, rules)
        members, cells = setting.agents, setting.cells
        self._defence = defence or Defence()
        self._values: Ints = np.full(cells, rules.initial_q, dtype=np.int64)
        self._moves: Ints = np.zeros(rules.base_window + 1, dtype=np.int64)
        self._masks = np.zeros((members, members), dtype=bool)
        if accusing:
            self._masks[np.ix_(liars.members, self.honest)] = True
        self._stakes = self._masks.copy()
        self._outliers, self._convicted = np.zeros((2, members), dtype=bool)
        self._since = 0
        self._said = np.zeros((3, cells * members), dtype=np.int64)
        """Value, visits and spread of every register as last written, at cell * n + member."""
        self._said[0] = NEVER
        self.agreed = to_float(self._values).reshape(self.agreed.shape)
        self.q[:] = self.agreed

    def _written(self, honest: Claims) -> Claims:
        """What registers hold: written again where it moved by more than the threshold, or visits have doubled."""
        now, rules = _fixed(honest, self.rules), self.rules
        at = honest.cell * len(self.q) + honest.member
        before = [column.take(at) for column in self._said]
        changed = np.flatnonzero((np.abs(now[0] - before[0]) > rules.rewrite_threshold) | (now[1] >= 2 * before[1]))
        for column, new, old in zip(self._said, now, before, strict=True):
            old[changed] = column[at[changed]] = new[changed]
        value, visits, spread = before
        return Claims(honest.cell, honest.member, to_float(value), visits, to_float(spread))

    def _agree(self, claims: Claims) -> None:
        registers = registers_of(claims.cell, claims.member, _fixed(claims, self.rules), self.rounds - 1)
        before, ground = Standing(self.excluded, self.paired), self._judged(registers)
        merged = self._healed(registers, merge(registers, ground, self.rules), ground, before)
        moved = int(np.abs(merged.value - self._values).max(initial=0))
        self._moves, self._values = np.append(moved, self._moves[:-1]), merged.value
        self._publish(merged)
        ground = replace(ground, since=self._since)
        self._spread = agreed_spread(eligible(registers, ground, self.rules), len(self._values), NOBODY_KNOWS)
        self._span = int(np.subtract(*ground.bounds(self.rules)[::-1]))
        if self._defence.accusations:
            self._accuse(registers, ground)

    def _judged(self, registers: Registers) -> Ground:
        """What this round is merged on: with those out that accusations, disputes and leaning put out by now."""
        ground = Ground(self.rounds, self._values, self._moves[:-1], self._out().excluded, self._since)
        if self._defence.outliers:
            self._outliers = self._outliers | outliers(registers, ground, self.rules)
        after = self._out()
        self.excluded, self.paired = after.excluded, after.paired
        return replace(ground, excluded=after.excluded, paired=after.paired)

    def _out(self) -> Standing:
        return standing(self._masks, self._stakes, self._outliers, self.rules.tolerated)

    def _healed(self, registers: Registers, merged: Merged, ground: Ground, before: Standing) -> Merged:
        """What was merged, or a new beginning where that is due and would change something."""
        if not self._defence.healing:
            return merged
        self._convicted = self._convicted & ground.out | harmless(registers, merged, ground, before, self.rules)
        if not (due(self.rounds, self._since) and (ground.out & ~self._convicted).any()):
            return merged
        self._since, self._convicted = self.rounds, self._convicted | ground.out
        return unreported(len(self._values), self.rules)

    def _publish(self, merged: Merged) -> None:
        self.agreed = to_float(merged.value).reshape(self.agreed.shape)
        seen = self._own_visits.copy()
        seen[:, merged.confirmed] = merged.support[merged.confirmed]  # as `personal_view` has it
        self.visits = seen.reshape(self.q.shape)
        self.confirmed, self.reporters = merged.confirmed, merged.reporters

    def _accuse(self, registers: Registers, ground: Ground) -> None:
        accused, staked = accuse(registers, self.honest, self._steady(), ground, self.rules)
        self._masks[self.honest] |= accused
        if self._defence.pairs:
            self._stakes[self.honest] |= staked

    def _steady(self) -> Bools:
        """bool[H]: honest members that visited cells again and met nothing new there, as `Experience.steady` has it."""
        repeated, varied = (np.bincount(who, minlength=len(self.q)) for who in self._transitions.repeated())
        return np.asarray(((repeated >= REPEATED) & (varied == 0))[self.honest])

    def _reviewed(self, known: Claims) -> None:
        """Gate the agreed table by what each agent knows itself, as `personal_view` does."""
        super()._reviewed(known)
        if not self._defence.gate:
            return
        own, spread = to_fixed(known.value), to_fixed(np.minimum(known.spread, VALUE_LIMIT >> 20))
        leaning = self._spread[known.cell]
        alone = np.flatnonzero(leaning == NOBODY_KNOWS)
        if len(alone):
            typical = typical_spread(known.member, known.visits, spread, len(self.q), self._span)
            leaning[alone] = typical[known.member[alone]]
        value = gate(self._values[known.cell], own, known.visits, spread, leaning, self.rules)
        self.q.reshape(len(self.q), -1)[known.member, known.cell] = to_float(value)


def _fixed(claims: Claims, rules: Rules) -> tuple[Ints, Ints, Ints]:
    """Value, visits and spread as registers carry them."""
    visits = np.minimum(claims.visits, rules.visit_cap)
    return to_fixed(claims.value), visits, to_fixed(np.minimum(claims.spread, VALUE_LIMIT >> 20))
