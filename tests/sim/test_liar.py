"""A liar keeps the protocol and lies about what it learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qorum.config import FederationConfig
from qorum.core.table import FederatedQTable
from qorum.evidence import REPEATED, Evidence
from qorum.lab.attacks.sign_flip import sign_flip
from qorum.sim.liar import liar_with
from qorum.sim.swarm import Swarm


def test_a_liar_states_the_attack_and_takes_part_in_agreement() -> None:
    config = FederationConfig(n_actions=2, r_min=-10, r_max=10)
    swarm = Swarm.of(config, 4, make_table=lambda me: liar_with(sign_flip) if me == 0 else FederatedQTable)
    swarm.tables[0].agent.learn(1, 0, 5.0, 2, True)
    assert swarm.tables[0].sync().agreed
    swarm.run(swarm.timeline.now + 5, lambda: swarm.tables[1].member.state.round == 1)
    [entry] = swarm.tables[1].agreed_table
    assert entry.value == -5.0
    assert not swarm.tables[0].member.state.accusations(0, steady=True).any()


@pytest.mark.parametrize("off", [5.0, -5.0])
def test_who_saw_a_steady_world_stakes_its_standing_against_a_liar_that_promises_too_much(off: float) -> None:
    def moved(evidence: Evidence) -> Evidence:
        return replace(evidence, value=evidence.value + off)

    config = FederationConfig(n_actions=2, r_min=-10, r_max=10)
    swarm = Swarm.of(config, 7, make_table=lambda me: liar_with(moved) if me == 0 else FederatedQTable)
    for table in swarm.tables[:2]:
        for step in range(2 * REPEATED):
            table.agent.learn(step % REPEATED, 0, 1.0, 0, True)
    assert swarm.tables[1].agent.steady
    for table in (swarm.tables[0], swarm.tables[1], swarm.tables[1]):  # the last has nothing new to say if one round
        table.sync()  # took both claims
    assert swarm.run(swarm.timeline.now + 5, lambda: all(table.member.state.masks.any() for table in swarm.tables))
    state = swarm.tables[2].member.state
    assert np.argwhere(state.masks).tolist() == [[1, 0]]
    assert np.argwhere(state.stakes).tolist() == ([[1, 0]] if off > 0 else [])
    assert np.flatnonzero(state.standing.out).tolist() == ([0, 1] if off > 0 else [])
    assert len({table.member.state.hash for table in swarm.tables}) == 1
