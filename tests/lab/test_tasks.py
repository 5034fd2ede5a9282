import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.errors import ConfigError
from qorum.lab.tasks import KNOWN, Task, from_transitions, greedy, load
from qorum.qtable import QTable

TASKS = {name: load(name) for name in KNOWN}


@pytest.fixture(params=list(KNOWN))
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


def by_iteration(task: Task, policy: np.ndarray) -> float:
    """The value of a deterministic policy, by simply iterating its Bellman equation."""
    value = np.zeros(task.n_states)
    rows = np.arange(task.n_states)
    for _ in range(1000):
        onward = np.where(task.terminated, 0.0, value[task.next_state])
        value = (task.probability * (task.reward + task.gamma * onward)).sum(axis=2)[rows, policy]
    return float(task.start @ value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'Pong'.*Taxi-v4, FrozenLake-v1"):
        load("Pong")


def test_known_optima() -> None:
    # Thirteen steps of -1 along the cliff; the sixth move reaches the goal; a much published figure on ice.
    assert TASKS["CliffWalking-v1"].optimum == pytest.approx(-(1 - 0.95**13) / 0.05)
    assert TASKS["FrozenLake-v1-deterministic"].optimum == pytest.approx(0.95**5)
    assert TASKS["FrozenLake-v1"].optimum == pytest.approx(0.180472, abs=1e-6)
    assert TASKS["CliffWalking-v1"].trivial == pytest.approx(-20)  # bump into a wall for ever


def test_shapes_and_reward_range(task: Task) -> None:
    outcomes = (task.n_states, task.n_actions, task.probability.shape[2])
    assert task.next_state.shape == task.reward.shape == task.terminated.shape == outcomes
    np.testing.assert_allclose(task.probability.sum(axis=2), 1)
    assert task.start.sum() == pytest.approx(1)
    assert task.gamma == 0.95
    assert (TASKS["Taxi-v4"].r_min, TASKS["Taxi-v4"].r_max) == (-10, 20)
    assert (TASKS["CliffWalking-v1"].r_min, TASKS["CliffWalking-v1"].r_max) == (-100, -1)


def test_optimal_q_solves_the_bellman_equation(task: Task) -> None:
    onward = np.where(task.terminated, 0.0, task.optimal_q.max(axis=1)[task.next_state])
    backup = (task.probability * (task.reward + task.gamma * onward)).sum(axis=2)
    np.testing.assert_allclose(task.optimal_q, backup, rtol=0, atol=2e-12)
    value = task.start @ task.optimal_q.max(axis=1)
    assert task.optimum == pytest.approx(value, abs=1e-9)


def test_the_scale_runs_from_trivial_to_optimum(task: Task) -> None:
    best = greedy(task.optimal_q)
    assert task.normalised_value(best) == pytest.approx(1)
    fixed = [task.normalised_value(np.full(task.n_states, a)) for a in range(task.n_actions)]
    uniform = task.normalised_value(np.full(task.optimal_q.shape, 1 / task.n_actions))
    assert max(*fixed, uniform) == pytest.approx(0, abs=1e-9)


def test_policy_values_agree_with_iteration(task: Task) -> None:
    policy = np.random.default_rng(3).integers(task.n_actions, size=task.n_states)
    expected = by_iteration(task, policy)
    assert task.policy_value(policy) == pytest.approx(expected, rel=1e-9)
    # A mixture so close to the policy that only the general solution can give it.
    mixed = np.eye(task.n_actions)[policy] * (1 - 1e-13) + 1e-13 / task.n_actions
    assert task.policy_value(mixed) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_task_by_hand() -> None:
    # State 0: action 0 stays for 1; action 1 ends with 5 or goes on to state 1. State 1: ends with 2 or 0.
    moves = {
        0: {0: [(1.0, 0, 1.0, False)], 1: [(0.5, 1, 5.0, True), (0.5, 1, 0.0, False)]},
        1: {0: [(1.0, 0, 2.0, True)], 1: [(1.0, 0, 0.0, True)]},
    }
    task = from_transitions("by hand", moves, np.array([0.75, 0.25]), gamma=0.5)
    # Leaving is worth 0.5 * 5 + 0.5 * 0.5 * 2 = 3, staying once first 1 + 0.5 * 3 = 2.5.
    np.testing.assert_allclose(task.optimal_q, [[2.5, 3.0], [2.0, 0.0]])
    assert task.optimum == pytest.approx(0.75 * 3 + 0.25 * 2)
    assert task.policy_value(np.array([0, 0])) == pytest.approx(0.75 * 2 + 0.25 * 2)
    with pytest.raises(ConfigError, match=r"gamma is 1\.0"):
        from_transitions("endless", moves, np.array([1.0, 0.0]), gamma=1.0)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.zeros(3, int), r"int\[16\]"),
        (np.zeros(16), r"float64\[16\]"),
        (np.full(16, 4), r"4\.\.4"),
        (np.full((16, 4), 0.3), "sum to 1"),
        (np.tile([1.5, -0.5, 0, 0], (16, 1)), "sum to 1"),
    ],
)
def test_impossible_policies_are_refused(policy: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TASKS["FrozenLake-v1"].policy_value(policy)


def test_greedy_takes_the_lowest_of_equals() -> None:
    assert greedy(np.array([[0.0, 2.0, 2.0], [1.0, 1.0, 1.0]])).tolist() == [1, 0]


def test_a_table_is_evaluated_through_the_hashes_of_its_states(task: Task) -> None:
    assert task.evaluate(QTable.from_dense(task.optimal_q), 0.0) == pytest.approx(1)
    assert len(set(task.state_hashes().tolist())) == task.n_states
    # An empty table takes action 0 everywhere.
    lowest = task.normalised_value(np.zeros(task.n_states, int))
    assert task.evaluate(QTable.empty(), 0.0) == pytest.approx(lowest)


def test_cells_a_table_lacks_count_the_initial_value() -> None:
    task = TASKS["CliffWalking-v1"]
    best = greedy(task.optimal_q)
    known = QTable.from_columns(
        task.state_hashes(), best, np.full(48, -5.0), np.ones(48, int)
    )  # every other cell looks better at 0, worse at -9
    assert task.evaluate(known, -9.0) == pytest.approx(1)
    assert task.evaluate(known, 0.0) < 0.5


def test_the_walker_takes_the_transitions_of_the_real_environment(task: Task) -> None:
    env, walker = task.make_env(seed=4), task.walker(seed=4)
    rng = np.random.default_rng(5)
    env.reset()
    walker.reset()
    state = int(env.unwrapped.s)  # type: ignore[attr-defined]
    walker._state = state
    for _ in range(500):
        action = int(rng.integers(task.n_actions))
        seen, reward, terminated, truncated, _ = env.step(action)
        moved = walker.step(action)
        possible = task.probability[state, action] > 0
        outcomes = zip(
            task.next_state[state, action][possible],
            task.reward[state, action][possible],
            task.terminated[state, action][possible],
            strict=True,
        )
        allowed = {(int(s), float(r), bool(t)) for s, r, t in outcomes}
        assert (int(seen), float(reward), bool(terminated)) in allowed
        assert moved[:3] in allowed
        assert moved[3] == truncated  # same clock
        if len(allowed) == 1:
            assert moved[:3] == (seen, reward, terminated)
        if terminated or truncated or moved[2]:
            env.reset()
            walker.reset()
        state = walker._state = int(env.unwrapped.s)  # type: ignore[attr-defined]


def test_the_walker_has_the_start_distribution_and_time_limit() -> None:
    task = TASKS["Taxi-v4"]
    walker = task.walker(seed=1)
    starts = np.bincount([walker.reset() for _ in range(30_000)], minlength=task.n_states)
    assert not starts[task.start == 0].any()
    expected = 30_000 * task.start
    chi2 = ((starts - expected)[task.start > 0] ** 2 / expected[task.start > 0]).sum()
    assert chi2 < 400  # 299 degrees of freedom: chance of more is below 1e-4
    walker.reset()
    steps = [walker.step(0)[3] for _ in range(200)]
    assert steps == [False] * 199 + [True]
    walker.reset()
    assert walker.step(0)[3] is False


def test_the_walker_draws_outcomes_as_often_as_the_table_says() -> None:
    task = TASKS["FrozenLake-v1"]
    walker = task.walker(seed=2)
    walker.reset()
    seen = np.zeros(task.n_states)
    for _ in range(9000):
        walker._state = 6
        seen[walker.step(0)[0]] += 1
    assert set(np.flatnonzero(seen)) == {2, 5, 10}
    np.testing.assert_allclose(seen[[2, 5, 10]], 3000, atol=200)


@given(st.integers(0, 2**32))
def test_walkers_of_one_seed_walk_alike(seed: int) -> None:
    paths = []
    for _ in range(2):
        walker = TASKS["FrozenLake8x8-v1"].walker(seed)
        paths.append([walker.reset(), *(walker.step(k % 4) for k in range(20))])
    assert paths[0] == paths[1]


def test_environments_of_one_seed_start_alike() -> None:
    first, second = (TASKS["Taxi-v4"].make_env(seed=9) for _ in range(2))
    assert [first.reset()[0] for _ in range(5)] == [second.reset()[0] for _ in range(5)]
