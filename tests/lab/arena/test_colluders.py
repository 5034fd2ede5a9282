"""Liars in a swarm know everything, decide together once a round, and leave in the registers what they decided."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qorum.core.genesis import Genesis
from qorum.core.table import FederatedQTable
from qorum.identity import Identity
from qorum.lab.arena.colluders import Colluders
from qorum.lab.arena.company import Liars
from qorum.lab.arena.places import Places
from qorum.lab.arena.protocol import federation_config
from qorum.lab.attacks import Claims, Scene
from qorum.lab.attacks.equivocation import Equivocation
from qorum.lab.rollout import Rollout
from qorum.lab.tasks import load
from qorum.merge.fixed import to_float
from qorum.sim.keys import keys_of
from qorum.sim.network import Links
from qorum.sim.swarm import Swarm

MEMBERS, LIARS = 7, np.array([2, 5])
TASK = load("FrozenLake-v1")


@dataclass
class Wandering:
    """Claims other cells in every round, and remembers what it was told and what it answered."""

    scenes: list[Scene] = field(default_factory=list)
    answers: list[Claims] = field(default_factory=list)

    def __call__(self, scene: Scene) -> Claims:
        cells = np.arange(10) + 3 * scene.round
        rows = np.tile(cells, len(scene.liars)), np.repeat(scene.liars, len(cells))
        value = scene.rng.random(len(rows[0]))
        self.scenes.append(scene)
        self.answers.append(Claims.of(*rows, value, 2 + rows[1], value / 8))
        return self.answers[-1]


def swarm_with(attack, rounds: int, **given) -> tuple[Swarm, Colluders]:
    identities = [Identity.from_seed(bytes([me]) * 32) for me in range(MEMBERS)]
    genesis = Genesis(tuple(one.public_key for one in identities), federation_config(TASK, 10))
    colluders = Colluders(TASK, Liars(LIARS, attack, np.random.default_rng(0)), identities, **given)
    keys = keys_of(identities.__getitem__, MEMBERS)
    swarm = Swarm(genesis, keys, 0, Links(), lambda me: colluders.table if me in LIARS else FederatedQTable, {})
    colluders.watch(swarm)
    swarm.settle(
        {
            me: Rollout(TASK.make_env(me), swarm.tables[me].agent, seed=me, steps=10 * rounds, rate=5)
            for me in range(MEMBERS)
        }
    )
    swarm.run(60.0, done=lambda: all(table.member.state.round >= rounds for table in swarm.tables))
    assert swarm.tables[0].member.state.round == rounds
    return swarm, colluders


def test_registers_of_liars_hold_what_was_decided_once_a_round_and_no_more() -> None:
    attack, places = Wandering(), Places(TASK)
    swarm, _ = swarm_with(attack, 3)
    assert [scene.round for scene in attack.scenes] == [1, 2, 3]
    state = swarm.tables[0].member.state
    rows = np.flatnonzero(np.isin(state.registers.member, LIARS) & (state.registers.visits > 0))
    cell = places.cells(state.cells.state_hash, state.cells.action)[state.registers.cell[rows]]
    held = Claims.of(
        cell, state.registers.member[rows], to_float(state.registers.value[rows]), state.registers.visits[rows],
        to_float(state.registers.spread[rows]),
    )  # fmt: skip
    told = attack.answers[-1]
    assert (held.cell == told.cell).all()
    assert (held.member == told.member).all()
    assert (held.visits == told.visits).all()
    assert np.abs(held.value - told.value).max() <= 2.0**-20


def test_they_know_what_every_honest_member_knows_on_the_agreed_table() -> None:
    attack = Wandering()
    swarm, _ = swarm_with(attack, 3)
    first, last = attack.scenes[0], attack.scenes[-1]
    assert (first.agreed == 0).all()
    assert last.agreed.any()
    for scene in attack.scenes:
        assert sorted(set(scene.honest.member.tolist())) == [0, 1, 3, 4, 6]
        assert sorted(set(scene.own.member.tolist())) == LIARS.tolist()
        assert (scene.liars == LIARS).all()
        assert scene.honest.visits.sum() >= 10 * 5 * (scene.round - 1)
    assert last.budget == swarm.genesis.rules.visit_budget(3)
    assert last.low <= last.agreed.min()
    assert last.high >= last.agreed.max()


def test_they_accuse_all_the_honest_or_nobody() -> None:
    for accusing in (False, True):
        swarm, _ = swarm_with(Wandering(), 2, accusing=accusing)
        masks = swarm.tables[0].member.state.masks
        honest = np.setdiff1d(np.arange(MEMBERS), LIARS)
        assert (masks[np.ix_(LIARS, honest)] == accusing).all()
        assert not masks[np.ix_(LIARS, LIARS)].any()


def test_those_that_equivocate_sign_two_contributions_for_one_slot_and_are_evicted() -> None:
    swarm, colluders = swarm_with(Equivocation(), 3)
    assert colluders.equivocating
    assert {proof.member for proof in swarm.log.equivocations} == set(LIARS.tolist())
    gone = set(range(MEMBERS)) - set(swarm.tables[0].member.roster.active)
    assert gone
    assert gone <= set(LIARS.tolist())
