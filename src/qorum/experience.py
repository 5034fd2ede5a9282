"""What an agent keeps of its own steps, and the evidence it can give from them.

`Experience` (evidence kind `replay`) keeps the transitions themselves, so that what they are worth can be
computed again whenever the agreed table moves. `TDExperience` keeps running values instead (kinds `q` and
`implied`). Both grow with the number of distinct transitions or cells met, not with the number of steps.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from qorum.errors import EvidenceError
from qorum.evidence import REPEATED, Evidence
from qorum.qtable import MAX_VALUE, QTable

Cell = tuple[int, int]
CellVisits = tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.int64]]
"""Columns state_hash, action, visits of the cells an agent has visited itself, in sorted order."""
_Row = tuple[int, int, int, bool, int, float, float]
"""A transition as it is dumped: its key, count, mean reward and squared deviation."""
_Trace = tuple[float, int, float, float, float]
_Running = tuple[list[tuple[Cell, _Trace]], list[tuple[Cell, int]]]


class Experience:
    """An agent's own transitions (state, action) -> (next state, terminated): counts and rewards.

    Of a transition's rewards only count, mean and squared deviation are kept: that gives the same replay
    as the full list, and stays small when rewards are continuous.
    """

    def __init__(self, n_actions: int, gamma: float) -> None:
        self.n_actions = n_actions
        self.gamma = gamma
        self._index: dict[tuple[int, int, int, bool], int] = {}
        # Columns, one row a distinct transition.
        self._cell, self._next, self._onward = array("q"), array("Q"), array("d")
        self._count, self._reward, self._squares = array("q"), array("d"), array("d")
        # Columns, one row a cell; `_first` is its first transition.
        self._state, self._action, self._first = array("Q"), array("B"), array("q")
        self._members: dict[Cell, list[int]] = {}
        self._order: NDArray[np.intp] = np.empty(0, np.intp)

    def __len__(self) -> int:
        """The number of distinct transitions."""
        return len(self._index)

    def record(self, state_hash: int, action: int, reward: float, next_hash: int, terminated: bool) -> None:
        """Count one step. About 0.5 us.

        Raises:
            EvidenceError: action not in 0..n_actions-1, or reward not within +-2**20; nothing changes.
        """
        if not (0 <= action < self.n_actions and -MAX_VALUE <= reward <= MAX_VALUE):
            raise refusal(action, reward, self.n_actions)
        key = (state_hash, action, next_hash, terminated)
        row = self._index.get(key)
        if row is None:
            self._append(key, reward)
            return
        count = self._count[row] + 1
        self._count[row] = count
        off = reward - self._reward[row]
        if off:
            self._reward[row] += off / count
            self._squares[row] += off * (reward - self._reward[row])

    def estimate(self, state_hash: int, action: int, value_of: Callable[[int], float]) -> float:
        """The mean target of one visited cell, where `value_of(next_hash)` is max over actions of Q there.

        The same number as `replay` gives, for one cell, in plain Python.

        Raises:
            KeyError: the cell was never visited.
        """
        rows = self._members[state_hash, action]
        first = self._target(rows[0], value_of)
        if len(rows) == 1:
            return min(max(first, -MAX_VALUE), MAX_VALUE)
        visits, total = self._count[rows[0]], 0.0
        for row in rows[1:]:
            count = self._count[row]
            visits += count
            total += count * (self._target(row, value_of) - first)
        return min(max(first + total / visits, -MAX_VALUE), MAX_VALUE)

    def replay(self, agreed: QTable, initial_q: float) -> Evidence:
        """Every own cell revalued under the agreed table: the mean of r + gamma * max_a' agreed(s', a').

        Nothing follows a termination; a cell that `agreed` lacks counts `initial_q`. Values are kept within
        +-2**20. `spread` is the sample standard deviation of those targets over all visits.
        """
        cell, count = np.array(self._cell), np.array(self._count)
        onward = _values_at(np.array(self._next, np.uint64), agreed, self.n_actions, initial_q)
        target = np.array(self._reward) + np.array(self._onward) * onward
        # Taken from a cell's first target, so that equal targets give exactly that mean and a spread of 0.
        first = target[np.array(self._first)]
        visits = np.bincount(cell, count)
        mean = first + np.bincount(cell, count * (target - first[cell])) / visits
        squares = np.bincount(cell, np.array(self._squares) + count * (target - mean[cell]) ** 2)
        spread = np.sqrt(squares / np.maximum(visits - 1, 1))
        states, actions, order = self._sorted_cells()
        return Evidence(
            state_hash=states,
            action=actions,
            value=np.clip(mean, -MAX_VALUE, MAX_VALUE)[order],
            visits=visits.astype(np.int64)[order],
            spread=spread[order],
        )

    @property
    def steady(self) -> bool:
        """Whether `REPEATED` cells were visited again, and none ever had another outcome or reward."""
        if len(self._index) > len(self._state) or any(self._squares):
            return False
        return sum(count > 1 for count in self._count) >= REPEATED

    def visits(self) -> CellVisits:
        """How often each own cell was visited."""
        visits = np.bincount(np.array(self._cell), np.array(self._count)).astype(np.int64)
        states, actions, order = self._sorted_cells()
        return states, actions, visits[order]

    def dump(self) -> bytes:
        """All of it, for a store on the same machine; `restore` takes it back."""
        rows = [(*key, self._count[row], self._reward[row], self._squares[row]) for key, row in self._index.items()]
        return msgspec.msgpack.encode(rows)

    def restore(self, dumped: bytes) -> None:
        """Take back what `dump` gave, in place of nothing. Raises `msgspec.DecodeError` if it is something else."""
        rows = msgspec.msgpack.decode(dumped, type=list[_Row])
        for row, (state_hash, action, next_hash, terminated, count, reward, squares) in enumerate(rows):
            self._append((state_hash, action, next_hash, terminated), reward)
            self._count[row], self._squares[row] = count, squares

    def _append(self, key: tuple[int, int, int, bool], reward: float) -> None:
        state_hash, action, next_hash, terminated = key
        row = len(self._index)
        members = self._members.setdefault((state_hash, action), [])
        if not members:
            self._state.append(state_hash)
            self._action.append(action)
            self._first.append(row)
        members.append(row)
        self._cell.append(self._cell[members[0]] if len(members) > 1 else len(self._state) - 1)
        self._next.append(next_hash)
        self._onward.append(0.0 if terminated else self.gamma)
        self._count.append(1)
        self._reward.append(reward)
        self._squares.append(0.0)
        self._index[key] = row

    def _target(self, row: int, value_of: Callable[[int], float]) -> float:
        onward = self._onward[row]
        return self._reward[row] + onward * value_of(self._next[row]) if onward else self._reward[row]

    def _sorted_cells(self) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.intp]]:
        states, actions = np.array(self._state, np.uint64), np.array(self._action, np.uint8)
        if self._order.size != states.size:
            self._order = np.lexsort((actions, states))
        return states[self._order], actions[self._order], self._order


class TDExperience:
    """Running values of a temporal-difference learner with step alpha, one for each cell it visits.

    Kind `q`: its own Q-table, never overwritten by anybody else's. Kind `implied`: since the last
    `begin_round`, the mean of its targets weighted as TD steps weight them, alpha * (1-alpha)^(m-i) for the
    i-th of m. That is G + (Q-G) / (1-(1-alpha)^m) for a learner that started at G and holds Q, without the
    cancellation.
    """

    def __init__(self, alpha: float, initial_q: float, *, implied: bool) -> None:
        self.alpha = alpha
        self.initial_q = initial_q
        self.implied = implied
        # value, visits, mean and squared deviation of the targets, sum of the TD weights
        self._traces: dict[Cell, _Trace] = {}
        self._visits: dict[Cell, int] = {}

    def record(self, state_hash: int, action: int, target: float) -> None:
        """Move the cell's value towards a target."""
        cell = (state_hash, action)
        value, visits, mean, squares, weight = self._traces.get(cell, (self.initial_q, 0, 0.0, 0.0, 0.0))
        weight += self.alpha * (1.0 - weight)
        step = self.alpha / weight if self.implied else self.alpha
        # With a step of 1 the sum below would round; the target is then exactly what is meant.
        value = target if step == 1.0 else value + step * (target - value)
        off = target - mean
        mean += off / (visits + 1)
        self._traces[cell] = (value, visits + 1, mean, squares + off * (target - mean), weight)
        self._visits[cell] = self._visits.get(cell, 0) + 1

    def begin_round(self) -> None:
        """Kind `implied` starts again from the table just adopted; kind `q` keeps everything."""
        if self.implied:
            self._traces.clear()

    def evidence(self) -> Evidence:
        """The running values of all cells ever visited (`q`), or visited in this round (`implied`)."""
        states, actions, order = _sorted(self._traces)
        traces = np.array([self._traces[cell] for cell in self._traces]).reshape(-1, 5)[order]
        visits = traces[:, 1].astype(np.int64)
        return Evidence(
            state_hash=states,
            action=actions,
            value=np.clip(traces[:, 0], -MAX_VALUE, MAX_VALUE),
            visits=visits,
            spread=np.sqrt(traces[:, 3] / np.maximum(visits - 1, 1)),
        )

    def dump(self) -> bytes:
        """All of it, for a store on the same machine; `restore` takes it back."""
        return msgspec.msgpack.encode((list(self._traces.items()), list(self._visits.items())))

    def restore(self, dumped: bytes) -> None:
        """Take back what `dump` gave, in place of nothing. Raises `msgspec.DecodeError` if it is something else."""
        traces, visits = msgspec.msgpack.decode(dumped, type=_Running)
        self._traces, self._visits = dict(traces), dict(visits)

    def visits(self) -> CellVisits:
        """How often each own cell was visited, in all rounds."""
        states, actions, order = _sorted(self._visits)
        return states, actions, np.array(list(self._visits.values()), np.int64)[order]


def refusal(action: object, reward: object, n_actions: int) -> EvidenceError:
    """The error for a step that nothing can be learned from."""
    return EvidenceError(
        f"refused action {action!r} with reward {reward!r}, nothing was changed: the action must be "
        f"0..{n_actions - 1}, the reward finite and so small that no value leaves +-{MAX_VALUE:.0f}"
    )


def _values_at(
    states: NDArray[np.uint64], table: QTable, n_actions: int, initial_q: float
) -> NDArray[np.float64]:
    """f64[m]: max over actions of Q in each state u64[m]; `initial_q` for cells the table lacks."""
    known, rows = table.matrix(n_actions, initial_q)
    if not known.size:
        return np.full(states.size, initial_q)
    slot = np.minimum(np.searchsorted(known, states), known.size - 1)
    return np.where(known[slot] == states, rows.max(axis=1)[slot], initial_q)


def _sorted(cells: Mapping[Cell, object]) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.intp]]:
    states = np.array([cell[0] for cell in cells], np.uint64)
    actions = np.array([cell[1] for cell in cells], np.uint8)
    order = np.lexsort((actions, states))
    return states[order], actions[order], order
