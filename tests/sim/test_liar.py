"""A liar keeps the protocol and lies about what it learned."""

from __future__ import annotations

from qorum.config import FederationConfig
from qorum.core.table import FederatedQTable
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
    assert not swarm.tables[0].member.state.accusations(0).any()
