"""`Author`: turns a member's own evidence into the register writes that its next contribution carries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qorum.core.cells import UNKNOWN, Cells
from qorum.core.columns import MAX_ROWS, Columns
from qorum.core.genesis import Genesis
from qorum.core.state import State
from qorum.evidence import Evidence
from qorum.merge.fixed import ONE, VALUE_LIMIT, Ints, to_fixed

PACKED_ROW_BYTES = 28  # a row that does not compress at all: id or hash, value, visits, spread


class Author:
    """Remembers what one member has written, and writes a cell again only when that changes something."""

    def __init__(self, genesis: Genesis, me: int) -> None:
        self._me = me
        self._rules = genesis.rules
        self._joined = 0
        self._row_limit = min(MAX_ROWS, genesis.config.max_bytes_per_round // PACKED_ROW_BYTES)
        self._cells = Cells.empty(genesis.config.n_actions)
        self._value = np.zeros(0, dtype=np.int64)
        self._visits = np.zeros(0, dtype=np.int64)
        self._stated = np.zeros((2, genesis.members), dtype=bool)
        self._caught = np.zeros((2, genesis.members), dtype=bool)
        """Members this one accuses, and of those the ones against whom it stakes its standing."""

    def write(self, evidence: Evidence, state: State, *, afresh: bool = False) -> Columns:
        """The columns of the next contribution, which the caller signs: what is written counts as said.

        afresh: say again all that differs from what is agreed on, because what was said since may never be.
        `evidence` was computed on the table of `state`. Where not everything fits, the cells that moved most go
        first and the rest is not affirmed. Raises `TableError` if a value is beyond the fixed point.
        """
        self._rules = state.rules
        self._joined = state.roster.seats[self._me].joined
        self._caught = _grown(self._caught, state.roster.members)
        if afresh:
            self._recall(state)
        value = to_fixed(evidence.value)
        spread = to_fixed(np.minimum(evidence.spread, VALUE_LIMIT / ONE))
        visits = self._within_budget(evidence, state.round + 1)
        rows, complete = self._select(evidence, value, visits)
        ids = state.cells.find(evidence.state_hash[rows], evidence.action[rows])
        order = np.concatenate([np.flatnonzero(ids != UNKNOWN)[np.argsort(ids[ids != UNKNOWN])],
                                np.flatnonzero(ids == UNKNOWN)])  # fmt: skip
        known, fresh = np.sort(ids[ids != UNKNOWN]), rows[ids == UNKNOWN]
        stands = complete and self._rules.evidence != "implied" and len(state.cells) > 0
        return Columns(
            known=known,
            states=evidence.state_hash[fresh],
            actions=evidence.action[fresh],
            value=value[rows][order],
            visits=visits[rows][order],
            spread=spread[rows][order],
            affirmed=((0, len(state.cells)),) if stands else (),
            **self._masks(),
        )

    def resume(self, state: State) -> None:
        """Go on after a restart: what is agreed on counts as said, and nothing else."""
        self._recall(state)
        self._caught = self._stated

    def _recall(self, state: State) -> None:
        """Remember as written what the agreed state holds of this member, and nothing else."""
        own = state.registers.take(state.registers.member == self._me)
        self._cells = Cells.empty(state.cells.n_actions).extend(
            state.cells.state_hash[own.cell], state.cells.action[own.cell]
        )
        at = self._cells.find(state.cells.state_hash[own.cell], state.cells.action[own.cell])
        self._value, self._visits = np.zeros(len(at), dtype=np.int64), np.zeros(len(at), dtype=np.int64)
        self._value[at], self._visits[at] = own.value, own.visits
        self._stated = np.stack([state.masks[self._me], state.stakes[self._me]])

    def changed(self, evidence: Evidence, state: State) -> Ints:
        """Rows of `evidence`, ascending, that the next contribution would write."""
        value, visits = to_fixed(evidence.value), self._within_budget(evidence, state.round + 1)
        return self._changed(evidence, value, visits)[0]

    def _changed(self, evidence: Evidence, value: Ints, visits: Ints) -> tuple[Ints, Ints]:
        """Rows worth writing, ascending, and by how much each moved; new cells moved the most.

        A cell whose value stands is written again only when its visits have doubled, or when it must say fewer than it
        did to stay within the budget.
        """
        at = self._cells.find(evidence.state_hash, evidence.action)
        new = at == UNKNOWN
        old_value, old_visits = np.append(self._value, 0)[at], np.append(self._visits, 0)[at]
        moved = np.where(new, 2 * VALUE_LIMIT, np.abs(value - old_value))
        changed = (moved > self._rules.rewrite_threshold) | (visits >= 2 * old_visits) | (visits < old_visits)
        rows = np.flatnonzero((changed | (self._rules.evidence == "implied")) & (visits > 0))
        return rows, moved[rows]

    def _select(self, evidence: Evidence, value: Ints, visits: Ints) -> tuple[Ints, bool]:
        """Note as written those changed rows that fit, those that moved most first; and whether all did."""
        rows, moved = self._changed(evidence, value, visits)
        complete = len(rows) <= self._row_limit
        if not complete:
            rows = np.sort(rows[np.argsort(-moved, kind="stable")[: self._row_limit]])
        self._cells = self._cells.extend(evidence.state_hash[rows], evidence.action[rows])
        grown = np.zeros(len(self._cells) - len(self._value), dtype=np.int64)
        self._value, self._visits = np.append(self._value, grown), np.append(self._visits, grown)
        at = self._cells.find(evidence.state_hash[rows], evidence.action[rows])
        self._value[at], self._visits[at] = value[rows], visits[rows]
        return rows, complete

    def _within_budget(self, evidence: Evidence, round: int) -> Ints:
        """Visits lowered to a common level where their sum would exceed the budget.

        What is held back are repeated visits to the cells known best: the least informative ones. What is left of the
        budget gives some cells one visit more, those first that have said so before, so that few are written again.
        """
        capped = np.minimum(evidence.visits, self._rules.visit_cap)
        budget = int(self._rules.visit_budget(round, self._joined))
        if int(capped.sum()) <= budget:
            return capped
        level, high = 0, self._rules.visit_cap
        while level < high:
            middle = (level + high + 1) // 2
            fits = int(np.minimum(capped, middle).sum()) <= budget
            level, high = (middle, high) if fits else (level, middle - 1)
        lowered = np.minimum(capped, level)
        stated = np.append(self._visits, 0)[self._cells.find(evidence.state_hash, evidence.action)]
        above = np.flatnonzero(capped > level)
        above = above[np.argsort(stated[above] <= level, kind="stable")]
        lowered[above[: budget - int(lowered.sum())]] += 1
        return lowered

    def accuse(self, caught: NDArray[np.bool_]) -> None:
        """Add to those accused, and staked against. caught: bool[2, n], of a federation that may have grown."""
        self._caught = _grown(self._caught, caught.shape[1]) | caught
        self._caught[:, self._me] = False

    def _masks(self) -> dict[str, bytes]:
        if (self._caught == _grown(self._stated, self._caught.shape[1])).all():
            return {}
        self._stated = self._caught
        accused, staked = (np.packbits(mask, bitorder="little").tobytes() for mask in self._caught)
        return {"accused": accused, "staked": staked.rstrip(b"\x00")}


def _grown(masks: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    return np.pad(masks, ((0, 0), (0, max(0, size - masks.shape[1]))))
