"""The gate: what an agent accepts of the agreed table.

An agreed value is accepted only within the agent's own interval for that cell, so no honest agent that knows
a cell can be talked out of it.
"""

from __future__ import annotations

import numpy as np

from qorum.merge.fixed import Ints
from qorum.merge.interval import half_width, pooled_spread
from qorum.merge.rules import Rules


def gate(values: Ints, own: Ints, visits: Ints, spread: Ints, agreed_spread: Ints, rules: Rules) -> Ints:
    """Agreed values clipped into the agent's own intervals, cell by cell; int64 in units of 2^-20.

    own, visits (>= 1) and spread are the agent's evidence for these cells; agreed_spread is that of
    `interval.agreed_spread`.
    """
    width = half_width(rules.gate_factor, pooled_spread(spread, visits, agreed_spread), visits)
    width = width + rules.rewrite_threshold
    return np.clip(values, own - width, own + width)
