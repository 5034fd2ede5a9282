"""The personal view: what an agent acts on.

The agreed table, together with contributions newer than the cut, gated by the agent's own evidence, with the cells that
only the agent itself knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qorum.core.cells import UNKNOWN
from qorum.core.state import UNKNOWN_SPREAD, Entry, State
from qorum.evidence import Evidence
from qorum.merge.fixed import Ints, to_fixed, to_float
from qorum.merge.gate import gate
from qorum.merge.interval import typical_spread
from qorum.qtable import QTable


def personal_view(state: State, evidence: Evidence, newer: Sequence[Entry] = ()) -> QTable:
    """A member's view of `state`. evidence: its own, computed on the table of `state`.

    Visits in the result are the agreed support where a cell is confirmed, and the agent's own elsewhere: liars may
    claim to have been where hardly anybody was, so that nobody goes to see.
    """
    if newer:
        state = state.apply(newer)
    value = state.merged.value.copy()
    ids = state.cells.find(evidence.state_hash, evidence.action)
    known, own = ids != UNKNOWN, to_fixed(evidence.value)
    spread = to_fixed(np.minimum(evidence.spread, 2.0**20))
    at, visits = ids[known], evidence.visits
    leaning = np.where(state.spread[at] == UNKNOWN_SPREAD, _typical(visits, spread, state), state.spread[at])
    value[at] = gate(value[at], own[known], visits[known], spread[known], leaning, state.rules)
    seen = np.where(state.merged.confirmed, state.merged.support, 0)
    seen[at] = np.where(state.merged.confirmed[at], seen[at], visits[known])
    table = state.table_of(value, seen)
    lone = ~known
    if lone.any():
        table.update(
            evidence.state_hash[lone], evidence.action[lone], to_float(own[lone]), evidence.visits[lone]
        )
    return table


def _typical(visits: Ints, spread: Ints, state: State) -> int:
    """The spread that the agent's own cells have, where the fleet knows none: see `typical_spread`."""
    low, high = state.ground.bounds(state.rules)
    return int(typical_spread(np.zeros_like(visits), visits, spread, 1, high - low)[0])
