"""`Actor`: a table that tells the truth or, for whoever wants to see what becomes of liars, the opposite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qorum.core.state import State
from qorum.core.table import FederatedQTable
from qorum.evidence import Evidence


class Actor(FederatedQTable):
    """Keeps the protocol to the letter, whatever it says."""

    lies = False
    """Whether it claims that what is good is bad, and accuses nobody."""

    def _stated(self, evidence: Evidence) -> Evidence:
        values = evidence.value
        return replace(evidence, value=values.max() + values.min() - values) if self.lies and len(values) else evidence

    def _caught(self, state: State) -> NDArray[np.bool_]:
        return np.zeros((2, state.roster.members), dtype=bool) if self.lies else super()._caught(state)
