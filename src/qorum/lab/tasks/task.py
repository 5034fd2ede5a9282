"""`Task`: a finite Markov decision process given by its transition table, and what follows exactly from it.

Every value is the infinite-horizon discounted one: a time limit cuts an episode, it ends no task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qorum.encoding import hash_observation
from qorum.errors import ConfigError
from qorum.lab.tasks.evaluation import SETTLED, state_values
from qorum.lab.tasks.walker import Cell, Walker, cells_of
from qorum.qtable import QTable

if TYPE_CHECKING:
    import gymnasium

GAMMA = 0.95


@dataclass(frozen=True, eq=False)
class Task:
    """A finite Markov decision process with S states, A actions and at most K outcomes of any action.

    Outcomes fewer than K are padded with probability 0. Rewards are in the environment's own units. The arrays become
    read-only.

    Raises:
        ConfigError: the outcomes of a cell are no distribution, or gamma is not in [0, 1): without a discount a policy
            that never ends has no value.
    """

    name: str
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
    time_limit: int | None = None
    """Steps after which the environment truncates an episode; None: never."""
    gamma: float = GAMMA
    dims: tuple[int, ...] | None = None
    """The sizes of an observation's dimensions, if a state shows as several numbers (`observations`); their product
    is S. None: a state shows as its own number."""
    environment: Callable[[], gymnasium.Env[Any, Any]] | None = None
    """Makes the Gymnasium environment that the table was taken from or that goes with it; None: `TableEnv`."""

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < 1:
            raise ConfigError(f"gamma is {self.gamma}, allowed is 0 <= gamma < 1")
        total = self.probability.sum(axis=2)
        if self.probability.min() < 0 or np.abs(total - 1).max() > 1e-9 or abs(self.start.sum() - 1) > 1e-9:
            raise ConfigError(f"{self.name}: the start and the outcomes of each cell must be probabilities, sum 1")
        if self.next_state.min() < 0 or self.next_state.max() >= self.n_states:
            raise ConfigError(f"{self.name}: next states must be 0..{self.n_states - 1}")
        for array in (self.probability, self.next_state, self.reward, self.terminated, self.start):
            array.flags.writeable = False

    @property
    def n_states(self) -> int:
        """S."""
        return len(self.probability)

    @property
    def n_actions(self) -> int:
        """A."""
        return len(self.probability[0])

    @property
    def r_min(self) -> float:
        """The lowest reward that can happen."""
        return float(self.reward[self.probability > 0].min())

    @property
    def r_max(self) -> float:
        """The highest reward that can happen."""
        return float(self.reward[self.probability > 0].max())

    # ---- living in it

    def make_env(self, seed: int | None = None) -> gymnasium.Env[Any, Any]:
        """The real Gymnasium environment, already reset once with `seed`.

        Raises:
            MissingExtra: Gymnasium is not installed.
        """
        env = self.environment() if self.environment else self._table_env()
        env.reset(seed=seed)
        return env

    def walker(self, seed: int | None = None) -> Walker:
        """A light stepping object over the same transitions, start and time limit; about 0.3 us a step."""
        return Walker(self, Random(seed))

    @cached_property
    def start_ends(self) -> NDArray[np.float64]:
        """f64[S]: a uniform draw u from [0, 1) falls to the first state whose end is above u, the start state."""
        return _upper_ends(self.start)

    @cached_property
    def outcome_ends(self) -> NDArray[np.float64]:
        """f64[S,A,K]: a uniform draw u from [0, 1) falls to the first outcome whose end is above u."""
        return _upper_ends(self.probability)

    # ---- exact values

    @cached_property
    def expected_reward(self) -> NDArray[np.float64]:
        """f64[S,A]: the mean reward of an action."""
        return np.asarray((self.probability * self.reward).sum(axis=2))

    @cached_property
    def onward(self) -> NDArray[np.float64]:
        """f64[S,A,K]: gamma times the probability that the episode goes on through an outcome, else 0."""
        return np.where(self.terminated, 0.0, self.gamma * self.probability)

    @cached_property
    def optimal_q(self) -> NDArray[np.float64]:
        """f64[S,A]: optimal action values by value iteration, until no cell moves by more than 1e-14 of the largest."""
        q = self.expected_reward
        while True:
            values = q.max(axis=1)[self.next_state]
            better: NDArray[np.float64] = self.expected_reward + (self.onward * values).sum(axis=2)
            moved = np.abs(better - q).max()
            q = better
            if moved <= SETTLED * np.abs(q).max():
                q.flags.writeable = False
                return q

    @cached_property
    def optimum(self) -> float:
        """The discounted return of an optimal policy, averaged over the start distribution."""
        return self.policy_value(greedy(self.optimal_q))

    @cached_property
    def trivial(self) -> float:
        """The return of the best policy that looks at nothing and is not optimal: uniform, or one action always."""
        uniform = np.full((self.n_states, self.n_actions), 1 / self.n_actions)
        fixed = [np.full(self.n_states, action) for action in range(self.n_actions)]
        values = [self.policy_value(policy) for policy in (uniform, *fixed)]
        below = self.optimum - 1e-9 * max(1.0, abs(self.optimum))
        return max((value for value in values if value < below), default=self.optimum)

    def policy_value(self, policy: NDArray[Any]) -> float:
        """The exact discounted return of a policy, averaged over the start distribution.

        Args:
            policy: int[S], an action for each state, or f64[S,A], probabilities that sum to 1 in each row.

        Raises:
            ConfigError: the policy has another shape, an unknown action, or rows that are no distribution.
        """
        return float(self.start @ state_values(self, self._as_distribution(np.asarray(policy))))

    def normalised_value(self, policy: NDArray[Any]) -> float:
        """`policy_value` on the scale where 0 is `trivial` and 1 is `optimum`; it can be below 0.

        Raises:
            ConfigError: as `policy_value` does, or all actions are equally good, so that there is no scale.
        """
        if self.optimum == self.trivial:
            raise ConfigError(f"in {self.name} all actions are equally good, so there is no scale between them")
        return (self.policy_value(policy) - self.trivial) / (self.optimum - self.trivial)

    @cached_property
    def reachable(self) -> NDArray[np.bool_]:
        """bool[S,A]: cells that some policy can visit from the start distribution.

        Where an episode has ended nothing follows: a state that is only ever entered by ending has no such cell.
        """
        goes_on = (self.probability > 0) & ~self.terminated
        states, before = self.start > 0, 0
        while states.sum() > before:
            before = states.sum()
            states = states.copy()
            states[self.next_state[states][goes_on[states]]] = True
        return np.repeat(states[:, None], self.n_actions, axis=1)

    def relative_sup_error(self, q: NDArray[np.float64]) -> float:
        """max |q - Q*| / max |Q*|, both over the `reachable` cells; q is f64[S,A].

        Raises:
            ConfigError: q has another shape.
        """
        if q.shape != self.optimal_q.shape:
            raise ConfigError(f"Q-values for {self.name} are float{list(self.optimal_q.shape)}, not {list(q.shape)}")
        error, scale = np.abs(q - self.optimal_q)[self.reachable], np.abs(self.optimal_q[self.reachable])
        return float(error.max() / scale.max())

    # ---- Q-tables

    @cached_property
    def observations(self) -> NDArray[np.int64]:
        """i64[S], or i64[S,D] if `dims` has D sizes: what the environment shows of each state."""
        states = np.arange(self.n_states)
        return states if self.dims is None else np.stack(np.unravel_index(states, self.dims), axis=1)

    def state_hashes(self) -> NDArray[np.uint64]:
        """u64[S]: the state_hash of every state, as a QAgent sees it by default."""
        return np.array([hash_observation(seen) for seen in self.observations.tolist()], dtype=np.uint64)

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

    def _table_env(self) -> gymnasium.Env[Any, Any]:
        from qorum.lab.tasks.table_env import TableEnv

        return TableEnv(self)

    @cached_property
    def _hashes(self) -> NDArray[np.uint64]:
        return self.state_hashes()

    @cached_property
    def _cells(self) -> list[list[Cell]]:
        """[state][action]: what every walker draws from."""
        return cells_of(self)

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


def from_transitions(
    name: str,
    transitions: dict[int, dict[int, list[tuple[float, int, float, bool]]]],
    start: NDArray[np.float64],
    time_limit: int | None = None,
    gamma: float = GAMMA,
    environment: Callable[[], gymnasium.Env[Any, Any]] | None = None,
) -> Task:
    """A task from `transitions[state][action]`, lists of (probability, next state, reward, terminated).

    Raises:
        ConfigError: as `Task` does.
    """
    n_states, n_actions = len(transitions), len(transitions[0])
    most = max(len(outcomes) for actions in transitions.values() for outcomes in actions.values())
    columns = np.zeros((n_states, n_actions, most, 4))
    for state, actions in transitions.items():
        for action, outcomes in actions.items():
            columns[state, action, : len(outcomes)] = outcomes
    probability, next_state, reward, terminated = np.moveaxis(columns, -1, 0)
    return Task(
        name, probability, next_state.astype(np.int64), reward, terminated.astype(np.bool_),
        np.array(start, dtype=np.float64), time_limit, gamma, environment=environment,
    )  # fmt: skip


def continuing(
    name: str,
    probability: NDArray[np.float64],
    next_state: NDArray[np.int64],
    reward: NDArray[np.float64],
    **fields: Any,
) -> Task:
    """A task that never terminates and begins in any state, all alike.

    Args:
        probability, next_state, reward: as in `Task`, or of shapes that broadcast to [S,A,K] together.
        fields: `time_limit`, `gamma`, `dims` and `environment` of `Task`.

    Raises:
        ConfigError: as `Task` does.
    """
    chance, after, gain, never = np.broadcast_arrays(probability, next_state, reward, np.False_)
    start = np.full(len(chance), 1 / len(chance))
    return Task(name, chance, after, gain, never, start, **fields)


def greedy(q: NDArray[np.float64]) -> NDArray[np.int64]:
    """int[S]: the best action of each row of q f64[S,A]; the lowest one of equals."""
    return np.asarray(q.argmax(axis=1), dtype=np.int64)


def _upper_ends(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper ends of the shares of [0, 1) that fall to each item of the last axis; a share of 0 is never drawn."""
    ends = probability.cumsum(axis=-1)
    # The sum may be 1 - 1e-16, and a draw above it; so the last share that is not empty ends at 1.
    ends[ends == ends[..., -1:]] = 1.0
    return ends
