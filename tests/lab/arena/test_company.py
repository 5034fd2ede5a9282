"""What every company has in common, whatever its merge."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.arena.company import Company, Liars, joined
from qorum.lab.arena.defended import rules_for
from qorum.lab.attacks import Claims, Scene
from qorum.lab.methods import Setting
from qorum.lab.tasks import Walkers, load
from qorum.lab.tasks.walkers import Steps

LAKE = load("FrozenLake-v1")


class Told(Company):
    """Agrees on nothing and keeps what it was told."""

    def _agree(self, claims: Claims) -> None:
        self.told = claims


def told(attack, liars: tuple[int, ...] = (1,), members: int = 4) -> Told:
    setting = Setting(LAKE, members, 5)
    rules = rules_for(setting, 1)
    return Told(setting, Liars(np.array(liars, dtype=np.int64), attack, np.random.default_rng(0)), rules)


def step(company: Company, count: int) -> None:
    rng = np.random.default_rng(0)
    walkers = Walkers(LAKE, company.setting.agents, rng)
    for _ in range(count):
        actions = rng.integers(LAKE.n_actions, size=company.setting.agents)
        steps = walkers.step(actions)
        company.learn(steps.state * LAKE.n_actions + actions, steps)


def test_the_attack_sees_what_honest_members_state_and_speaks_for_the_liars() -> None:
    scenes: list[Scene] = []

    def shout(scene: Scene) -> Claims:
        scenes.append(scene)
        return Claims.of(np.array([5]), np.array([2]), np.array([0.9]), np.array([7]), np.array([0.0]))

    company = told(shout, liars=(2,))
    step(company, 5)
    company.sync()
    (scene,) = scenes
    assert scene.round == 1
    assert set(scene.honest.member.tolist()) == {0, 1, 3}
    assert set(scene.own.member.tolist()) == {2}
    assert (scene.low, scene.high) == (0.0, 1.0)
    mine = company.told.take(company.told.member == 2)
    assert (mine.cell.tolist(), mine.value.tolist(), mine.visits.tolist()) == ([5], [0.9], [7])
    assert len(company.told) == len(scene.honest) + 1


def test_an_agent_believes_its_own_fresh_estimate_until_the_next_merge() -> None:
    company = told(lambda scene: Claims.empty(), liars=(), members=1)
    won = Steps(np.array([14]), np.array([15]), np.array([1.0]), np.array([True]), np.array([False]))
    lost = Steps(np.array([14]), np.array([13]), np.array([0.0]), np.array([False]), np.array([False]))
    cell = np.array([14 * 4 + 2])
    company.learn(cell, won)
    assert company.q[0, 14, 2] == 1.0
    company.learn(cell, lost)
    assert company.q[0, 14, 2] == 0.5
    company.sync()
    assert (company.q == 0).all()  # nothing was agreed on
    company.learn(cell, won)
    assert company.q[0, 14, 2] == pytest.approx(2 / 3)


def test_joined_claims_are_sorted_and_complete() -> None:
    one = Claims.of(np.array([0, 3]), np.array([1, 0]), np.zeros(2), np.ones(2, np.int64), np.zeros(2))
    two = Claims.of(np.array([3, 0]), np.array([2, 2]), np.ones(2), np.ones(2, np.int64), np.zeros(2))
    both = joined(one, two)
    assert list(zip(both.cell, both.member, both.value, strict=True)) == [(0, 1, 0), (0, 2, 1), (3, 0, 0), (3, 2, 1)]
    assert joined(one, Claims.empty()) is one


@pytest.mark.parametrize("liars", [(4,), (-1, 2), (0, 1, 2, 3)])
def test_liars_must_be_some_of_the_members(liars: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="not all of them"):
        told(lambda scene: Claims.empty(), liars)


def test_a_liar_is_exposed_by_an_untruth_where_more_than_f_honest_members_have_been() -> None:
    def company_of(cell: int, off: float) -> Told:
        def lie(scene: Scene) -> Claims:
            own = scene.own.take(scene.own.cell == cell)
            value = own.value + off if len(own) else np.array([off])
            return Claims.of(np.array([cell]), scene.liars, value, np.array([1]), np.array([0.0]))

        company = told(lie, liars=(3,))
        step(company, 20)
        company.sync()
        return company

    reporters = np.bincount(company_of(0, 0.0).told.cell, minlength=LAKE.n_states * LAKE.n_actions)
    crowded, lonely = int(reporters.argmax()), int(np.flatnonzero(reporters <= 1)[-1])
    assert company_of(crowded, 0.5).exposed.tolist() == [False, False, False, True]
    assert not company_of(crowded, 0.0).exposed.any(), "what it says is what it knows"
    assert not company_of(lonely, 0.5).exposed.any(), "one honest witness at most: it may be the liar"
