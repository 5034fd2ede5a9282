"""Learning alone: what a perfect network would give."""

from __future__ import annotations

from qorum.lab.attacks.extreme_high import extreme_high
from qorum.lab.fleet import Fleet, config_for, mean_value
from qorum.lab.tasks import load

CLIFF = load("CliffWalking-v1")


def test_a_fleet_solves_what_one_agent_does_not_in_the_same_steps() -> None:
    fleet = Fleet(CLIFF, config_for(CLIFF), 32, steps=400, seed=0)
    alone = Fleet(CLIFF, config_for(CLIFF), 1, steps=400, seed=0)
    for _ in range(20):
        fleet.round(20)
        alone.round(20)
    assert CLIFF.evaluate(fleet.state.table, 0.0) > 0.99
    assert CLIFF.evaluate(alone.state.table, 0.0) < 0.5
    assert mean_value(CLIFF, [resident.agent for resident in fleet.residents])[1] > 0.9


def test_equal_seeds_give_equal_states() -> None:
    def state(seed: int) -> bytes:
        fleet = Fleet(CLIFF, config_for(CLIFF), 4, steps=40, seed=seed)
        fleet.round(20)
        fleet.round(20)
        return fleet.state.hash

    assert state(1) == state(1)
    assert state(1) != state(2)


def test_liars_are_excluded_and_the_table_heals() -> None:
    fleet = Fleet(CLIFF, config_for(CLIFF), 16, steps=800, seed=0, attacks=dict.fromkeys(range(5), extreme_high))
    for _ in range(40):
        fleet.round(20)
    assert fleet.state.excluded.tolist() == [True] * 5 + [False] * 11
    assert CLIFF.evaluate(fleet.state.table, 0.0) > 0.9
