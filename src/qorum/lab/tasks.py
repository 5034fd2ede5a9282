"""Tasks with exactly known optimal values, from the transition tables of Gymnasium's toy_text environments.

Every value here is the infinite-horizon discounted one: a time limit cuts an episode, it ends no task.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import inf
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qorum.encoding import hash_observation
from qorum.errors import ConfigError, MissingExtra
from qorum.qtable import QTable

if TYPE_CHECKING:
    import gymnasium

GAMMA = 0.95
TOLERANCE = 1e-12

KNOWN = MappingProxyType(
    {
        "Taxi-v4": ("Taxi-v4", {}),
        "FrozenLake-v1": ("FrozenLake-v1", {}),
        "FrozenLake-v1-deterministic": ("FrozenLake-v1", {"is_slippery": False}),
        "FrozenLake8x8-v1": ("FrozenLake8x8-v1", {}),
        "CliffWalking-v1": ("CliffWalking-v1", {}),
        "CliffWalkingSlippery-v1": ("CliffWalkingSlippery-v1", {}),
    }
)
"""Task name -> (Gymnasium id, keyword arguments of gymnasium.make)."""

_Outcome = tuple[float, int, float, bool]


@dataclass(frozen=True, eq=False)
class Task:
    """A finite Markov decision process with S states, A actions and at most K outcomes of any action.

    Outcomes fewer than K are padded with probability 0. Rewards are in the environment's own units.
    """

    name: str
    n_states: int
    n_actions: int
    gamma: float
    probability: NDArray[np.float64]
    """f64[S,A,K], sums to 1 over K."""
    next_state: NDArray[np.int64]
    """i64[S,A,K], 0..S-1."""
    reward: NDArray[np.float64]
    """f64[S,A,K]."""
    terminated: NDArray[np.bool_]
    """bool[S,A,K]: the outcome ends the episode, so nothing follows it."""
    start: NDArray[np.float64]
    """f64[S], the distribution of the first state."""
    time_limit: int | None
    """Steps after which the environment truncates an episode; None: never."""

    @property
    def r_min(self) -> float:
        """The lowest reward that can happen."""
        return float(self.reward[self.probability > 0].min())

    @property
    def r_max(self) -> float:
        """The highest reward that can happen."""
        return float(self.reward[self.probability > 0].max())

    def make_env(self, seed: int | None = None) -> gymnasium.Env[Any, Any]:
        """The real Gymnasium environment, already reset once with `seed`."""
        gym_id, options = KNOWN[self.name]
        env: gymnasium.Env[Any, Any] = _gymnasium().make(gym_id, disable_env_checker=True, **options)
        env.reset(seed=seed)
        return env

    def walker(self, seed: int | None = None) -> Walker:
        """A light stepping object over the same transitions, start and time limit; about 0.3 us a step."""
        return Walker(self, seed)

    # ---- exact values

    @cached_property
    def optimal_q(self) -> NDArray[np.float64]:
        """f64[S,A]: optimal action values by value iteration, until no cell moves by more than 1e-12."""
        q: NDArray[np.float64] = np.zeros((self.n_states, self.n_actions))
        while True:
            values = q.max(axis=1)[self.next_state]
            better: NDArray[np.float64] = self._expected_reward + (self._onward * values).sum(axis=2)
            moved = np.abs(better - q).max()
            q = better
            if moved <= TOLERANCE:
                q.flags.writeable = False
                return q

    @cached_property
    def optimum(self) -> float:
        """The discounted return of an optimal policy, averaged over the start distribution."""
        return self.policy_value(greedy(self.optimal_q))

    @cached_property
    def trivial(self) -> float:
        """The return of the best policy that looks at nothing: uniform, or one fixed action always."""
        uniform = np.full((self.n_states, self.n_actions), 1 / self.n_actions)
        fixed = [np.full(self.n_states, action) for action in range(self.n_actions)]
        return max(self.policy_value(policy) for policy in (uniform, *fixed))

    def policy_value(self, policy: NDArray[Any]) -> float:
        """The exact discounted return of a policy, averaged over the start distribution.

        Args:
            policy: int[S], an action for each state, or f64[S,A], probabilities that sum to 1 in each row.

        Raises:
            ConfigError: the policy has another shape, an unknown action, or rows that are no distribution.
        """
        weights = self._as_distribution(np.asarray(policy))
        if self._certain and weights.max(axis=1).min() == 1.0:
            return self._followed(weights.argmax(axis=1))
        onward = np.zeros((self.n_states, self.n_states))
        source = np.broadcast_to(np.arange(self.n_states)[:, None, None], self.next_state.shape)
        np.add.at(onward, (source, self.next_state), weights[:, :, None] * self._onward)
        rewards = (weights * self._expected_reward).sum(axis=1)
        values = np.linalg.solve(np.eye(self.n_states) - onward, rewards)
        return float(self.start @ values)

    def normalised_value(self, policy: NDArray[Any]) -> float:
        """`policy_value` on the scale where 0 is `trivial` and 1 is `optimum`; it can be below 0."""
        return (self.policy_value(policy) - self.trivial) / (self.optimum - self.trivial)

    # ---- Q-tables

    def state_hashes(self) -> NDArray[np.uint64]:
        """u64[S]: the state_hash of every state, as a QAgent sees it by default."""
        return np.array([hash_observation(state) for state in range(self.n_states)], dtype=np.uint64)

    def evaluate(self, table: QTable, initial_q: float) -> float:
        """The normalised value of acting greedily on a table; a cell it lacks counts `initial_q`."""
        states, rows = table.matrix(self.n_actions, initial_q)
        q = np.full((self.n_states, self.n_actions), initial_q)
        if len(states):
            slot = np.minimum(np.searchsorted(states, self._hashes), len(states) - 1)
            known = states[slot] == self._hashes
            q[known] = rows[slot[known]]
        return self.normalised_value(greedy(q))

    # ---- internal

    @cached_property
    def _hashes(self) -> NDArray[np.uint64]:
        return self.state_hashes()

    @cached_property
    def _certain(self) -> bool:
        return bool((self.probability[:, :, 0] == 1.0).all())

    def _followed(self, policy: NDArray[np.int64]) -> float:
        """`policy_value` where nothing is random: paths doubled until no weight is left; 20 times faster."""
        chosen = np.arange(self.n_states), policy, 0
        value, weight, state = self.reward[chosen], self._onward[chosen], self.next_state[chosen]
        while weight.any():
            value = value + weight * value[state]
            weight, state = weight * weight[state], state[state]
        return float(self.start @ value)

    @cached_property
    def _expected_reward(self) -> NDArray[np.float64]:
        expected: NDArray[np.float64] = (self.probability * self.reward).sum(axis=2)
        return expected

    @cached_property
    def _onward(self) -> NDArray[np.float64]:
        """Discounted probability that the episode goes on through an outcome."""
        return np.where(self.terminated, 0.0, self.gamma * self.probability)

    @cached_property
    def _walker_outcomes(self) -> list[list[list[_Outcome]]]:
        """[state][action] -> possible (cumulative probability, next state, reward, terminated)."""
        columns = (self.probability, self.next_state, self.reward, self.terminated)
        return [
            [_cumulated(list(zip(*cell, strict=True))) for cell in zip(*actions, strict=True)]
            for actions in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _as_distribution(self, policy: NDArray[Any]) -> NDArray[np.float64]:
        shape = (self.n_states, self.n_actions)
        if policy.shape == shape:
            if policy.min() >= 0 and np.allclose(policy.sum(axis=1), 1):
                return np.asarray(policy, np.float64)
            raise ConfigError(f"each row of a policy for {self.name} must be probabilities that sum to 1")
        if policy.shape != shape[:1] or not np.issubdtype(policy.dtype, np.integer):
            raise ConfigError(
                f"a policy for {self.name} is int[{shape[0]}] or float{list(shape)}, "
                f"not {policy.dtype}{list(policy.shape)}"
            )
        if policy.min() < 0 or policy.max() >= self.n_actions:
            raise ConfigError(
                f"a policy for {self.name} has actions {policy.min()}..{policy.max()}, "
                f"allowed are 0..{self.n_actions - 1}"
            )
        return np.asarray(np.eye(self.n_actions)[policy])


class Walker:
    """Steps through a task without Gymnasium's checks and rendering; for big simulations.

    Same transitions, start distribution and time limit as the real environment, its own random numbers.
    """

    __slots__ = ("_limit", "_outcomes", "_random", "_starts", "_state", "_steps")

    def __init__(self, task: Task, seed: int | None = None) -> None:
        self._outcomes = task._walker_outcomes
        self._starts = list(accumulate(task.start.tolist()))
        self._random: Callable[[], float] = Random(seed).random
        self._limit = task.time_limit or inf
        self._steps = 0
        self._state = 0

    def reset(self) -> int:
        """Start an episode; returns its first state."""
        # The last sum may be 1 - 1e-16, hence a draw scaled to it.
        self._state = bisect_right(self._starts, self._random() * self._starts[-1])
        self._steps = 0
        return self._state

    def step(self, action: int) -> tuple[int, float, bool, bool]:
        """Take an action; returns (next state, reward, terminated, truncated)."""
        outcomes = self._outcomes[self._state][action]
        outcome = outcomes[0]
        if len(outcomes) > 1:
            draw = self._random()
            for outcome in outcomes:
                if draw < outcome[0]:
                    break
        self._state = outcome[1]
        self._steps += 1
        return outcome[1], outcome[2], outcome[3], self._steps >= self._limit


def load(name: str) -> Task:
    """The task of that name, with its transitions read from the Gymnasium environment.

    Raises:
        ConfigError: no such task; the message lists the known ones.
        MissingExtra: Gymnasium is not installed.
    """
    if name not in KNOWN:
        raise ConfigError(f"unknown task {name!r}; known tasks: {', '.join(KNOWN)}")
    gym_id, options = KNOWN[name]
    env = _gymnasium().make(gym_id, **options)
    time_limit = None if env.spec is None else env.spec.max_episode_steps
    return from_transitions(name, env.unwrapped.P, env.unwrapped.initial_state_distrib, time_limit)


def from_transitions(
    name: str,
    transitions: dict[int, dict[int, list[_Outcome]]],
    start: NDArray[np.float64],
    time_limit: int | None = None,
    gamma: float = GAMMA,
) -> Task:
    """A task from `transitions[state][action]`, lists of (probability, next state, reward, terminated).

    Raises:
        ConfigError: gamma is not in [0, 1): without a discount a policy that never ends has no value.
    """
    if not 0 <= gamma < 1:
        raise ConfigError(f"gamma is {gamma}, allowed is 0 <= gamma < 1")
    n_states, n_actions = len(transitions), len(transitions[0])
    most = max(len(outcomes) for actions in transitions.values() for outcomes in actions.values())
    columns = np.zeros((n_states, n_actions, most, 4))
    for state, actions in transitions.items():
        for action, outcomes in actions.items():
            columns[state, action, : len(outcomes)] = outcomes
    probability, next_state, reward, terminated = np.moveaxis(columns, -1, 0)
    return Task(
        name, n_states, n_actions, gamma,
        probability, next_state.astype(np.int64), reward, terminated.astype(np.bool_),
        np.array(start, dtype=np.float64), time_limit,
    )  # fmt: skip


def greedy(q: NDArray[np.float64]) -> NDArray[np.int64]:
    """int[S]: the best action of each row of q f64[S,A]; the lowest one of equals."""
    return np.asarray(q.argmax(axis=1), dtype=np.int64)


def _cumulated(outcomes: list[_Outcome]) -> list[_Outcome]:
    possible = [outcome for outcome in outcomes if outcome[0] > 0]
    bounds = accumulate(outcome[0] for outcome in possible)
    return [(bound, *outcome[1:]) for bound, outcome in zip(bounds, possible, strict=True)]


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ImportError as missing:
        raise MissingExtra("gymnasium", "gym", "a lab task") from missing
    return gymnasium
