from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st

from qorum.agent import Constant, EvidenceKind, ExponentialDecay, LinearDecay, QAgent
from qorum.encoding import encoder_for
from qorum.encoding import hash_observation as h
from qorum.errors import ConfigError, EncodingError, EvidenceError, StoreError, TableError
from qorum.evidence import REPEATED, Evidence
from qorum.lab.tasks import load
from qorum.qtable import QTable

KINDS: tuple[EvidenceKind, ...] = ("replay", "implied", "q")
NOTHING = QTable.empty()


def table(cells: dict[tuple[int, int], float]) -> QTable:
    """A table of {(observation, action): value}."""
    keys = list(cells)
    return QTable.from_columns(
        [h(s) for s, _ in keys], [a for _, a in keys], list(cells.values()), [7] * len(keys)
    )


def value(agent: QAgent, obs: Any, action: int) -> float:
    """What the agent acts on."""
    cell = agent.table.get(h(obs), action)
    return agent.initial_q if cell is None else cell[0]


def told(evidence: Evidence) -> dict[tuple[int, int], Any]:
    """{(state_hash, action): (value, visits, spread)}."""
    columns = (evidence.state_hash, evidence.action, evidence.value, evidence.visits, evidence.spread)
    return {
        (state, action): tuple(rest)
        for state, action, *rest in zip(*(c.tolist() for c in columns), strict=True)
    }


def agent(kind: EvidenceKind = "replay", **options: Any) -> QAgent:
    return QAgent(**({"n_actions": 2, "alpha": 0.5, "gamma": 0.9, "evidence": kind, "seed": 1} | options))


# ---- learning and evidence


def test_replay_by_hand() -> None:
    a = agent("replay")
    a.learn(1, 0, 4.0, 2, terminated=False)
    assert value(a, 1, 0) == 4.0  # jumps to the mean of its targets, whatever alpha
    a.adopt(table({(2, 1): 10.0}))
    assert value(a, 1, 0) == 4.0  # the fleet says nothing of state 1
    a.learn(1, 0, 4.0, 3, terminated=True)
    assert value(a, 1, 0) == pytest.approx((4 + 0.9 * 10 + 4) / 2)
    # Evidence is valued under the agreed table, not under the one it acts on.
    agreed = table({(2, 0): 20.0})
    spread = 18 / 2**0.5
    assert told(a.evidence(agreed)) == {(h(1), 0): (13.0, 2, pytest.approx(spread))}
    assert told(a.evidence(NOTHING)) == {(h(1), 0): (4.0, 2, 0.0)}


def test_implied_by_hand() -> None:
    a = agent("implied")
    a.adopt(table({(1, 0): 2.0}))
    a.learn(1, 0, 10.0, 9, terminated=True)  # 2 -> 6
    a.learn(1, 0, 4.0, 9, terminated=True)  # 6 -> 5
    assert value(a, 1, 0) == 5.0
    assert told(a.evidence(NOTHING)) == {(h(1), 0): (pytest.approx(6.0), 2, pytest.approx(18**0.5))}
    a.adopt(table({(1, 0): 3.0}))
    assert told(a.evidence(NOTHING)) == {}  # a new round
    a.learn(1, 0, 5.0, 9, terminated=True)
    assert value(a, 1, 0) == 4.0
    assert told(a.evidence(NOTHING)) == {(h(1), 0): (5.0, 1, 0.0)}
    assert a.table.get(h(1), 0) == (4.0, 3)  # but its own visits are those of all rounds


def test_own_q_by_hand() -> None:
    a = agent("q")
    a.learn(1, 0, 8.0, 2, terminated=True)  # 0 -> 4
    a.adopt(table({(1, 0): 10.0, (2, 0): 20.0}))
    a.learn(1, 0, 2.0, 2, terminated=False)  # target 2 + 0.9 * 20 = 20; own 4 -> 12, acts on 10 -> 15
    assert value(a, 1, 0) == 15.0
    assert told(a.evidence(NOTHING)) == {(h(1), 0): (12.0, 2, pytest.approx(72**0.5))}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_follows_a_termination_but_a_truncation_is_no_end(kind: EvidenceKind) -> None:
    ended, cut = agent(kind, alpha=1.0), agent(kind, alpha=1.0)
    for a in (ended, cut):
        a.adopt(table({(2, 1): 10.0}))
    ended.learn(1, 0, 1.0, 2, terminated=True, truncated=True)
    cut.learn(1, 0, 1.0, 2, terminated=False, truncated=True)
    assert value(ended, 1, 0) == 1.0
    assert value(cut, 1, 0) == 10.0


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_cells_count_the_initial_value(kind: EvidenceKind) -> None:
    a = agent(kind, alpha=1.0, initial_q=5.0)
    a.learn(1, 0, 1.0, 2, terminated=False)
    assert value(a, 1, 0) == 5.5
    a.adopt(table({(2, 0): -3.0}))
    a.learn(3, 0, 1.0, 2, terminated=False)
    assert value(a, 3, 0) == 5.5  # action 1 of state 2 is still at 5


@given(
    alpha=st.floats(0.01, 1),
    start=st.floats(-100, 100),
    reward=st.floats(-100, 100),
    visits=st.integers(1, 40),
)
def test_implied_evidence_undoes_the_td_steps(alpha: float, start: float, reward: float, visits: int) -> None:
    a = agent("implied", alpha=alpha)
    a.adopt(table({(1, 0): start}))
    for _ in range(visits):
        a.learn(1, 0, reward, 2, terminated=True)
    assert told(a.evidence(NOTHING)) == {(h(1), 0): (reward, visits, 0.0)}
    moved = value(a, 1, 0)
    inverted = start + (moved - start) / (1 - (1 - alpha) ** visits)
    assert inverted == pytest.approx(reward, rel=1e-6, abs=1e-6)


# ---- what it acts on


@pytest.mark.parametrize("kind", KINDS)
def test_only_who_keeps_its_transitions_can_tell_a_world_without_chance(kind: EvidenceKind) -> None:
    a = agent(kind)
    for _ in range(2):
        assert not a.steady
        for state in range(REPEATED):
            a.learn(state, 0, 1.0, state + 1, terminated=False)
    assert a.steady == (kind == "replay")


def test_adopting_replaces_known_states_and_keeps_unknown_ones() -> None:
    a, implied = agent("replay"), agent("implied")
    for one in (a, implied):
        one.learn(1, 0, 3.0, 9, terminated=True)
        one.learn(2, 0, 3.0, 9, terminated=True)
        one.adopt(table({(1, 1): 7.0}))
    assert [value(a, 1, 0), value(a, 1, 1), value(a, 2, 0)] == [0.0, 7.0, 3.0]
    # The next round of `implied` starts from what was agreed.
    assert [value(implied, 1, 0), value(implied, 1, 1), value(implied, 2, 0)] == [0.0, 7.0, 0.0]


def test_the_table_has_own_visits_and_survives_a_round_trip() -> None:
    a = agent("replay")
    a.adopt(table({(1, 0): 2.0, (2, 1): -1.0}))
    a.learn(1, 0, 3.0, 9, terminated=True)
    a.learn(3, 1, 0.0, 9, terminated=True)
    cells = {(1, 0): (3.0, 1), (2, 1): (-1.0, 0), (3, 1): (0.0, 1)}
    assert len(a.table) == 3
    for (obs, action), wanted in cells.items():
        assert a.table.get(h(obs), action) == wanted
    copy = agent("replay")
    copy.adopt(a.table)
    assert [copy.greedy(obs) for obs in (1, 2, 3)] == [a.greedy(obs) for obs in (1, 2, 3)]
    assert len(agent().table) == 0


def test_a_table_of_more_actions_is_not_adopted() -> None:
    a = agent("implied")
    a.learn(1, 0, 3.0, 9, terminated=True)
    with pytest.raises(TableError, match="action 5"):
        a.adopt(table({(1, 5): 1.0}))
    assert value(a, 1, 0) == 1.5
    assert len(a.evidence(NOTHING)) == 1


# ---- acting


def test_acting_is_greedy_but_for_epsilon() -> None:
    best = table({(1, 2): 1.0})
    greedy, half = agent(n_actions=4, epsilon=0.0), agent(n_actions=4, epsilon=0.5)
    for a in (greedy, half):
        a.adopt(best)
    assert {greedy.act(1) for _ in range(50)} == {2}
    taken = np.bincount([half.act(1) for _ in range(4000)], minlength=4) / 4000
    np.testing.assert_allclose(taken, [0.125, 0.125, 0.625, 0.125], atol=0.04)


def test_equals_are_drawn_at_random_when_acting_and_lowest_when_greedy() -> None:
    a = agent(n_actions=4, epsilon=0.0)
    a.adopt(table({(1, 0): -1.0, (1, 1): 3.0, (1, 3): 3.0}))
    taken = np.bincount([a.act(1) for _ in range(2000)], minlength=4)
    assert taken[0] == taken[2] == 0
    assert abs(taken[1] - taken[3]) < 250
    assert a.greedy(1) == 1
    assert a.greedy("never seen") == 0
    assert {a.act("never seen") for _ in range(100)} == {0, 1, 2, 3}


def walk(seed: int) -> list[int]:
    task = load("FrozenLake-v1")
    a, walker = QAgent(4, seed=seed), task.walker(1)
    obs, actions = walker.reset(), []
    for _ in range(300):
        action = a.act(obs)
        after, reward, terminated, truncated = walker.step(action)
        a.learn(obs, action, reward, after, terminated, truncated)
        actions.append(action)
        obs = walker.reset() if terminated or truncated else after
    return actions


def test_the_bonus_leads_to_what_the_fleet_has_rarely_visited() -> None:
    agent = QAgent(3, epsilon=0.0, bonus=2.0, seed=0)
    agent.adopt(QTable.from_dict({7: [1.0, 0.5, 0.0]}, visits={7: [99, 3, 63]}))
    assert {agent.act(7) for _ in range(20)} == {1}  # 1.2, 1.5, 0.25
    agent.learn(7, 1, 0.5, 7, terminated=True)
    assert agent.act(7) == 1  # 0.5 + 2 / sqrt(5) is still above 1.2
    for _ in range(12):
        agent.learn(7, 1, 0.5, 7, terminated=True)
    assert agent.act(7) == 0
    assert agent.greedy(7) == 0


def test_the_bonus_is_no_part_of_what_is_known() -> None:
    plain, curious = QAgent(2, seed=0), QAgent(2, bonus=5.0, seed=0)
    for agent in (plain, curious):
        agent.learn(1, 0, 1.0, 2, terminated=False)
    assert plain.table == curious.table
    assert curious.act(3) in (0, 1)


def test_a_seed_fixes_the_actions() -> None:
    assert walk(5) == walk(5)
    assert walk(5) != walk(6)


def test_schedules() -> None:
    assert Constant(0.3)(10**9) == 0.3
    linear, halving = LinearDecay(1.0, 0.1, 100), ExponentialDecay(1.0, 0.1, half_life=10)
    assert [linear(0), linear(50), linear(100), linear(1000)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert [halving(0), halving(10), halving(20)] == pytest.approx([1.0, 0.55, 0.325])


def test_a_schedule_runs_on_the_interactions() -> None:
    a = agent(n_actions=4, epsilon=lambda interactions: 1.0 if interactions < 1 else 0.0)
    a.adopt(table({(1, 2): 1.0}))
    assert {a.act(1) for _ in range(100)} == {0, 1, 2, 3}
    a.learn(5, 0, 0.0, 6, terminated=False)
    assert a.interactions == 1
    assert {a.act(1) for _ in range(100)} == {2}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QAgent(0), r"n_actions is 0, allowed is 1\.\.256"),
        (lambda: QAgent(257), "n_actions is 257"),
        (lambda: QAgent(2, alpha=0.0), "alpha is 0.0"),
        (lambda: QAgent(2, gamma=1.5), "gamma is 1.5"),
        (lambda: QAgent(2, gamma=float("nan")), "gamma is nan"),
        (lambda: QAgent(2, initial_q=float("inf")), "initial_q is inf"),
        (lambda: QAgent(2, epsilon=-0.1), "epsilon is -0.1"),
        (lambda: QAgent(2, evidence="hearsay"), "'hearsay', allowed are replay, implied, q"),  # type: ignore[arg-type]
        (lambda: LinearDecay(1.0, 0.1, 0), "interactions of the decay is 0"),
        (lambda: ExponentialDecay(1.0, 2.0, 5), "epsilon end is 2.0"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("action", "reward"),
    [
        (2, 0.0),
        (-1, 0.0),
        (0.5, 0.0),
        (0, float("nan")),
        (1, float("-inf")),
        (0, 2.0**21),
        (0, 2.0**20 - 1),  # with 0.9 * 100 on top it leaves the range
        (0, None),
    ],
)
def test_bad_steps_are_refused_and_change_nothing(kind: EvidenceKind, action: Any, reward: Any) -> None:
    a = agent(kind)
    a.adopt(table({(2, 0): 100.0}))
    a.learn(1, 0, 1.0, 2, terminated=False)
    before, evidence = a.table, a.evidence(NOTHING)
    with pytest.raises(EvidenceError, match=f"action {action} with reward {reward}, nothing was changed"):
        a.learn(5, action, reward, 2, terminated=False)
    assert (a.table, a.evidence(NOTHING), a.interactions) == (before, evidence, 1)


def test_an_encoder_must_give_64_bits() -> None:
    a = agent(encode=lambda obs: -1)
    with pytest.raises(EncodingError, match=r"-1.*0\.\.2\*\*64-1"):
        a.learn(1, 0, 1.0, 2, terminated=False)
    assert len(a.table) == 0


def test_any_encoder_will_do() -> None:
    space = gym.spaces.Box(0.0, 1.0, (1,))
    a = agent(encode=encoder_for(space, bins=4))
    a.learn(np.array([0.1]), 1, 5.0, np.array([0.9]), terminated=True)
    assert a.greedy(np.array([0.2])) == 1
    assert a.greedy(np.array([0.3])) == 0


# ---- many environments at once


class Corridor(gym.Env[Any, Any]):
    """States 0..3 in a row; action 1 goes on for reward 1 and terminates in 3; action 0 stays."""

    observation_space = gym.spaces.Discrete(4)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.at += int(action)
        return self.at, float(action), self.at == 3, False, {}


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_resets_of_vector_environments_are_no_transitions(mode: AutoresetMode) -> None:
    def make() -> gym.Env[Any, Any]:
        return gym.wrappers.TimeLimit(Corridor(), 4)

    envs = SyncVectorEnv([make, make], autoreset_mode=mode)
    a = agent(gamma=1.0)
    obs, _ = envs.reset(seed=1)
    learned = 0
    for _ in range(20):
        actions = np.array([1, 0])  # the first terminates after three steps, the second is cut after four
        after, *rest, infos = envs.step(actions)
        learned += a.learn_many(obs, actions, rest[0], after, rest[1], rest[2], infos)
        obs = after
    seen = told(a.evidence(NOTHING))
    # Nothing but the four true transitions: no step out of state 3, none back to 0 for a reward of 0.
    assert set(seen) == {(h(0), 0), (h(0), 1), (h(1), 1), (h(2), 1)}
    assert all(spread == 0 for *_, spread in seen.values())
    assert [value(a, obs, 1) for obs in (2, 1, 0)] == [1.0, 2.0, 3.0]
    # Episodes of 3 and 4 steps: NEXT_STEP spends one more step of each on its reset. 15 = 3 * 5, 16 = 4 * 4.
    assert learned == a.interactions == (15 + 16 if mode == AutoresetMode.NEXT_STEP else 40)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_vector_transitions_are_those_of_the_task(mode: AutoresetMode) -> None:
    task = load("FrozenLake-v1")
    envs = gym.make_vec("FrozenLake-v1", num_envs=4, vector_kwargs={"autoreset_mode": mode})
    a = QAgent(4, seed=3, epsilon=1.0)
    obs, _ = envs.reset(seed=3)
    for _ in range(500):
        actions = a.act_many(obs)
        assert actions.shape == (4,)
        assert actions.dtype == np.int64
        after, rewards, terminated, truncated, infos = envs.step(actions)
        a.learn_many(obs, actions, rewards, after, terminated, truncated, infos)
        obs = after
    own = a._own
    states = {h(s): s for s in range(16)}
    for state, action, after, terminated in own._index:  # type: ignore[union-attr]
        s, possible = states[state], task.probability[states[state], action] > 0
        outcomes = zip(task.next_state[s, action], task.terminated[s, action], possible, strict=True)
        assert (states[after], terminated) in {(int(to), bool(end)) for to, end, p in outcomes if p}


def test_a_reset_by_hand_is_noticed() -> None:
    a = agent()
    no, yes = np.array([False]), np.array([True])
    a.learn_many(np.array([1]), [0], [1.0], np.array([2]), yes, no, {})
    # Not from state 2, where the episode ended, so it is a step like any other.
    assert a.learn_many(np.array([0]), [1], [1.0], np.array([1]), no, no, {}) == 1


def test_one_bad_step_of_many_and_none_is_learned() -> None:
    a = agent()
    no = np.zeros(2, bool)
    with pytest.raises(EvidenceError, match="nan"):
        a.learn_many(np.array([0, 1]), [0, 0], [1.0, float("nan")], np.array([1, 2]), no, no, {})
    assert (len(a.table), a.interactions) == (0, 0)


def test_batches_of_dict_and_tuple_observations() -> None:
    a = agent(epsilon=0.0)
    one = {"at": 3, "has": (1, 0)}
    a.learn(one, 1, 1.0, one, terminated=True)
    batch = {"at": np.array([3, 3]), "has": (np.array([1, 0]), np.array([0, 1]))}
    assert a.act_many(batch)[0] == 1
    no = np.zeros(2, bool)
    a.learn_many(batch, [0, 1], [0.0, 2.0], batch, ~no, no, {})
    assert a.table.get(h(one), 0) == (0.0, 1)
    assert a.greedy({"at": 3, "has": (0, 1)}) == 1


# ---- end to end


@pytest.mark.parametrize("name", ["FrozenLake-v1-deterministic", "CliffWalking-v1"])
def test_one_agent_alone_learns_the_optimum_by_replay(name: str) -> None:
    task = load(name)
    a = QAgent(task.n_actions, seed=2, epsilon=LinearDecay(1.0, 0.2, 4000))
    env, agreed = task.make_env(seed=2), NOTHING
    obs, _ = env.reset()
    for step in range(1, 8001):
        action = a.act(obs)
        after, reward, terminated, truncated, _ = env.step(action)
        a.learn(obs, action, float(reward), after, terminated, truncated)
        obs = env.reset()[0] if terminated or truncated else after
        if step % 100 == 0:  # a federation of one: the agreed table is its evidence
            own = a.evidence(agreed)
            agreed = QTable.from_columns(own.state_hash, own.action, own.value, own.visits)
            a.adopt(agreed)
    assert task.evaluate(a.table, 0.0) == pytest.approx(1.0)
    assert a.interactions == 8000


@pytest.mark.parametrize("kind", ["implied", "q"])
def test_one_agent_alone_learns_by_td(kind: EvidenceKind) -> None:
    task = load("CliffWalking-v1")
    a, walker = QAgent(4, seed=2, evidence=kind, alpha=0.5), task.walker(2)
    obs = walker.reset()
    for _ in range(8000):
        action = a.act(obs)
        after, reward, terminated, truncated = walker.step(action)
        a.learn(obs, action, reward, after, terminated, truncated)
        obs = walker.reset() if terminated or truncated else after
    assert task.evaluate(a.table, 0.0) == pytest.approx(1.0)


# ---- what survives a restart


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_goes_on_with_the_experience_that_was_dumped(kind: EvidenceKind) -> None:
    agent, agreed = QAgent(3, evidence=kind, seed=1), QTable.from_columns([h(2)], [1], [4.0], [1])
    for step in range(200):
        agent.learn(step % 7, step % 3, (step % 5) / 2, (step * step) % 7, step % 13 == 0)
    again = QAgent(3, evidence=kind, seed=2)
    again.restore(agent.dump())
    assert again.interactions == 200
    assert again.steady == agent.steady
    before, after = agent.evidence(agreed), again.evidence(agreed)
    for column in ("state_hash", "action", "value", "visits", "spread"):
        np.testing.assert_array_equal(getattr(before, column), getattr(after, column))
    assert again.dump() == agent.dump()


@pytest.mark.parametrize("other", [QAgent(4), QAgent(3, evidence="q")])
def test_experience_of_another_kind_of_agent_is_refused(other: QAgent) -> None:
    agent = QAgent(3)
    agent.learn(1, 1, 1.0, 2, False)
    with pytest.raises(StoreError, match="cannot go on"):
        other.restore(agent.dump())
    assert other.interactions == 0
    with pytest.raises(StoreError, match="1 steps behind it"):
        agent.restore(QAgent(3).dump())
    with pytest.raises(StoreError, match="no experience"):
        QAgent(3).restore(b"\xff")
