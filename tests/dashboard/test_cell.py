"""The merge of one cell, told: the story ends where the merge did."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.dashboard.cell import rows, story
from qorum.errors import TableError
from qorum.merge.fixed import ONE
from tests.js.cases import state_of


@pytest.mark.parametrize("seed", range(12))
def test_what_counts_averages_to_what_was_agreed(seed: int) -> None:
    state = state_of(seed)
    if state.since == state.round or state.roster.config.evidence == "implied":
        pytest.skip("begun anew, or a step and no average")
    for row in rows(state)[:12]:
        told = story(state, int(row.state), row.action)
        counting = [claim for claim in told.claims if claim.counts and claim.visits]
        if not counting:
            assert "stays as it was" in told.steps[2]
            continue
        low, high = state.rules.bounds(int(state.before.min()), int(state.before.max()))
        clip = state.roster.config.evidence == "replay"
        values = [min(max(one.value * ONE, low), high) if clip else one.value * ONE for one in counting]
        visits = [min(one.visits, state.rules.visit_cap) for one in counting]
        assert sum(visits) == row.visits
        assert np.average(values, weights=visits) / ONE == pytest.approx(row.value, abs=2e-6)


def test_each_claim_says_why_it_does_not_count() -> None:
    states = [state_of(seed) for seed in range(60)]
    stories = [story(state, int(row.state), row.action) for state in states for row in rows(state)[:8]]
    whys = {claim.why for told in stories for claim in told.claims if not claim.counts}
    for part in ("contradict", "found lying", "too old"):
        assert any(part in why for why in whys), (part, whys)


def test_cells_come_in_the_order_asked_for() -> None:
    state = state_of(3)
    values = [row.value for row in rows(state)]
    assert values == sorted(values, reverse=True)
    visits = [row.visits for row in rows(state, order="visits")]
    assert visits == sorted(visits, reverse=True)
    assert rows(state, first=len(values)) == []
    with pytest.raises(TableError, match="allowed: value, visits, reporters, moved"):
        rows(state, order="beauty")


@pytest.mark.parametrize("action", [0, 300])
def test_a_cell_that_nobody_reported_is_refused(action: int) -> None:
    with pytest.raises(TableError, match="nobody has reported"):
        story(state_of(3), 2**63, action)
