"""What a policy is worth: the exact discounted return from every state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from qorum.lab.tasks.task import Task

DENSE = 500
"""States up to which one dense system is solved faster than the values are swept until they settle."""
SETTLED = 1e-14
"""Sweeps end when no value moves by more than this share of the largest: a few roundings."""


def state_values(task: Task, policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """f64[S]: the discounted return from each state; policy f64[S,A] holds probabilities, rows sum to 1."""
    if (policy.max(axis=1) == 1.0).all():
        chosen = np.arange(task.n_states), policy.argmax(axis=1)
        reward, onward, after = task.expected_reward[chosen], task.onward[chosen], task.next_state[chosen]
    else:
        reward = (policy * task.expected_reward).sum(axis=1)
        onward = (policy[:, :, None] * task.onward).reshape(task.n_states, -1)
        after = task.next_state.reshape(task.n_states, -1)
    if onward.shape[1] == 1:
        return _doubled(reward, onward[:, 0], after[:, 0])
    return (_solved if task.n_states <= DENSE else _swept)(reward, onward, after)


def _doubled(value: NDArray[np.float64], weight: NDArray[np.float64], state: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where nothing is random: paths doubled until no weight is left."""
    while weight.any():
        value = value + weight * value[state]
        weight, state = weight * weight[state], state[state]
    return value


def _solved(reward: NDArray[np.float64], onward: NDArray[np.float64], after: NDArray[np.int64]) -> NDArray[np.float64]:
    """The fixed point of v = reward + sum over outcomes of onward * v[after]."""
    states = len(reward)
    place = np.arange(states)[:, None] * states + after
    moves = np.bincount(place.ravel(), onward.ravel(), states * states).reshape(states, states)
    return np.asarray(np.linalg.solve(np.eye(states) - moves, reward), dtype=np.float64)


def _swept(reward: NDArray[np.float64], onward: NDArray[np.float64], after: NDArray[np.int64]) -> NDArray[np.float64]:
    """The same, sweep by sweep."""
    value = reward
    while True:
        better: NDArray[np.float64] = reward + np.einsum("sk,sk->s", onward, value[after])
        moved = np.abs(better - value).max()
        value = better
        if moved <= SETTLED * np.abs(value).max():
            return value
