"""A fleet's counts give the means that each member's own `Experience` gives."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.experience import Experience
from qorum.lab.methods.transitions import Transitions, solved
from qorum.lab.tasks import Task, Walkers, load
from qorum.qtable import QTable

AGENTS = 5


def _lived(task: Task, steps: int) -> tuple[Transitions, list[Experience]]:
    rng, fleet = np.random.default_rng(1), Transitions(task, AGENTS)
    walkers = Walkers(task, AGENTS, rng)
    alone = [Experience(task.n_actions, task.gamma) for _ in range(AGENTS)]
    for step in range(steps):
        actions = rng.integers(task.n_actions, size=AGENTS)
        one = walkers.step(actions)
        fleet.add(one.state * task.n_actions + actions, np.arange(AGENTS), one)
        for me, own in enumerate(alone):
            own.record(*(column[me].item() for column in (one.state, actions, *one[2:3], one[1], one[3])))
        if step % 7 == 0:
            fleet.fold()
    fleet.fold()
    return fleet, alone


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CellSleep"])
def test_means_are_those_of_each_members_own_experience(name: str) -> None:
    task = load(name)
    fleet, alone = _lived(task, 120)
    q = np.random.default_rng(2).normal(size=(task.n_states, task.n_actions))
    states, actions = np.divmod(np.arange(q.size, dtype=np.uint64), task.n_actions)
    agreed = QTable.from_columns(states, actions.astype(np.uint8), q.ravel(), np.ones(q.size, np.int64))
    means = fleet.means(q)
    for me, own in enumerate(alone):
        rows, said = fleet.agent == me, own.replay(agreed, 0.0)
        cell = said.state_hash.astype(np.int64) * task.n_actions + said.action
        assert np.array_equal(fleet.cell[rows], cell)
        assert np.array_equal(means.visits[rows], said.visits)
        np.testing.assert_allclose(means.value[rows], said.value, atol=1e-12)
        np.testing.assert_allclose(means.spread[rows], said.spread, atol=1e-6)


def test_pooled_counts_are_the_sum_and_their_means_the_weighted_means() -> None:
    task = load("CellSleep")
    fleet, _ = _lived(task, 200)
    pool, q = fleet.pooled(), np.zeros((task.n_states, task.n_actions))
    own, means = fleet.means(q), pool.means(q)
    assert means.visits.sum() == 200 * AGENTS
    cells = task.n_states * task.n_actions
    total, visits = np.bincount(fleet.cell, own.value * own.visits, cells), np.bincount(fleet.cell, own.visits, cells)
    np.testing.assert_allclose(means.value, (total / np.maximum(visits, 1))[pool.cell], atol=1e-9)


def test_solved_is_confirmed_by_its_own_means_and_leaves_the_rest_alone() -> None:
    task = load("FrozenLake-v1")
    pool = _lived(task, 300)[0].pooled()
    start = np.full((task.n_states, task.n_actions), 0.125)
    q = solved(pool, start)
    np.testing.assert_allclose(q.ravel()[pool.cell], pool.means(q).value, atol=1e-8)
    unmet = np.setdiff1d(np.arange(q.size), pool.cell)
    assert unmet.size
    assert (q.ravel()[unmet] == 0.125).all()


def test_nothing_met_is_nothing_known() -> None:
    task = load("FrozenLake-v1")
    empty = Transitions(task, AGENTS)
    empty.fold()
    assert not empty.owner.size
