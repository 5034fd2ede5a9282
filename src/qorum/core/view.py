"""The personal view: what an agent acts on.

The agreed table, merged again without the members this one accuses itself, together with contributions newer than the
cut, gated by the agent's own evidence, with the cells that only the agent itself knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qorum.core.cells import UNKNOWN
from qorum.core.state import Entry, State
from qorum.evidence import Evidence
from qorum.merge.fixed import to_fixed, to_float
from qorum.merge.gate import gate
from qorum.qtable import QTable


def personal_view(
    state: State, accused: NDArray[np.bool_], evidence: Evidence, newer: Sequence[Entry] = ()
) -> QTable:
    """A member's view of `state`. accused: bool[n]; evidence: its own, computed on the table of `state`.

    Visits in the result are the agreed support, or the agent's own where it alone knows the cell.
    """
    if newer:
        state = state.apply(newer)
    value = state.merged_without(accused).value.copy()
    ids = state.cells.find(evidence.state_hash, evidence.action)
    known, own = ids != UNKNOWN, to_fixed(evidence.value)
    at = ids[known]
    spread = to_fixed(np.minimum(evidence.spread, 2.0**20))[known]
    value[at] = gate(value[at], own[known], evidence.visits[known], spread, state.spread[at], state.rules)
    table = state.table_of(value)
    lone = ~known
    if lone.any():
        table.update(
            evidence.state_hash[lone], evidence.action[lone], to_float(own[lone]), evidence.visits[lone]
        )
    return table
