"""Fleets that learn on the two-state problem: the averaging rules of the paper, and qorum.

Every fleet holds L tables, f64[L, 2, B, m], of the same B runs (see `two_state`). It learns along the path of a period,
at the end of which its agents make one table of what they have learned; all fleets walk the same paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qorum.config import FederationConfig
from qorum.lab.papers.agreement import Agreement, replayed
from qorum.lab.papers.two_state import GAMMA, Floats, Path, Walks
from qorum.merge.fixed import WEIGHT_LIMIT, Ints

AVERAGES = ("equal", "visits", "importance")


class Averaging:
    """Q-learning at every agent, from the table of the period before; then one table by averaging theirs.

    Rules, for a cell: `equal`, the mean over all agents; `visits`, weighted by each agent's visits in this period (the
    founding record's formula), equal where nobody came; `importance`, weighted by (1 - step)^-visits, the paper's own.
    """

    def __init__(self, walks: Walks, rules: Sequence[str], steps: Sequence[float]) -> None:
        """A line for each of rules and steps, both of length L; a step is in (0, 1)."""
        self.tables = np.repeat(walks.start[None], len(rules), axis=0)
        """f64[L, 2, B, m]."""
        self._rules, self._steps = rules, steps

    def period(self, path: Path) -> None:
        """Learn along a path, then average."""
        learned = _own(self.tables, path.shape[2])
        for _ in _learn(learned, _own(_others(self.tables), path.shape[2]), path, self._steps):
            pass
        shape = (*self.tables.shape[1:3], -1, self.tables.shape[3])  # agents j * m + a know action a alone
        visits = _visits(path).reshape(shape)
        for table, rule, step, values in zip(self.tables, self._rules, self._steps, learned, strict=True):
            table[...] = _average(rule, table, values.reshape(shape), visits, step)


class Implied:
    """qorum with `implied` evidence: what each agent's Q-learning implies, merged into the fleet's step."""

    def __init__(self, walks: Walks, tau: int, steps: Sequence[float]) -> None:
        """Periods of `tau` steps; a line for each of L step sizes, in (0, 1)."""
        self.tables = np.repeat(walks.start[None], len(steps), axis=0)
        """f64[L, 2, B, m]."""
        self._steps = steps
        self._lines = [
            _agreement(walks, tau, evidence="implied", alpha=step, byzantine_threshold=0.0) for step in steps
        ]
        self._acted = _own(self.tables, walks.agents)
        """f64[L, 2 * B * K], what agents act on in their own cells."""

    def period(self, path: Path) -> None:
        """Learn along a path, state what the steps imply, agree."""
        visits, learned = _visits(path), self._acted.copy()
        total, squares = np.zeros((2, *learned.shape))
        for at, target in _learn(learned, _own(_others(self.tables), path.shape[2]), path, self._steps):
            total[:, at] += target
            squares[:, at] += target**2
        moved = 1 - (1 - np.array(self._steps)[:, None]) ** visits
        claim = self._acted + np.divide(learned - self._acted, moved, out=np.zeros_like(moved), where=visits > 0)
        squares -= total**2 / np.maximum(visits, 1)
        self._agree(claim, visits, np.sqrt(np.maximum(squares, 0) / np.maximum(visits - 1, 1)), path.shape[2])

    def _agree(self, claims: Floats, visits: Ints, spreads: Floats, agents: int) -> None:
        for row, line in enumerate(self._lines):
            said = (claims[row].reshape(-1, agents), visits.reshape(-1, agents), spreads[row].reshape(-1, agents))
            line.round(*said)
            self._acted[row] = line.gated(*said).ravel()
            self.tables[row] = line.table.reshape(self.tables.shape[1:])


class Replay:
    """qorum with `replay` evidence: the mean target of all own transitions so far, merged. It has no step size."""

    def __init__(self, walks: Walks, tau: int, byzantine_threshold: float) -> None:
        """Periods of `tau` steps; a single line."""
        self.tables = walks.start[None].copy()
        """f64[1, 2, B, m]."""
        self._agreement = _agreement(walks, tau, byzantine_threshold=byzantine_threshold)
        self._counts = np.zeros((2, walks.runs, 2, walks.agents), dtype=np.int64)
        """[from state, B, to state, K]."""

    def period(self, path: Path) -> None:
        """Keep the transitions of a path, replay all of them on the table, agree."""
        self._counts += _transitions(path)
        values = self.tables[0].max(axis=2).T[:, None]
        value, spread = replayed(self._counts, values, np.array([0.0, 1.0])[:, None, None, None], GAMMA)
        rows = (-1, path.shape[2])
        self._agreement.round(value.reshape(rows), self._counts.sum(axis=2).reshape(rows), spread.reshape(rows))
        self.tables = self._agreement.table.reshape(self.tables.shape)


Learner = Averaging | Implied | Replay


def _agreement(walks: Walks, tau: int, **fields: Any) -> Agreement:
    """All runs in one merge, as cells of their own, so that a member's budget is for all its runs together.

    A run's is the default one, or what it takes to report all steps where periods are longer than that allows.
    """
    default = FederationConfig()
    per_round = max(default.visit_budget_per_round, tau)
    config = FederationConfig.of(
        n_actions=walks.actions,
        gamma=GAMMA,
        r_min=0.0,
        r_max=1.0,
        visit_budget_initial=min(WEIGHT_LIMIT, walks.runs * default.visit_budget_initial),
        visit_budget_per_round=min(WEIGHT_LIMIT, walks.runs * per_round),
        **fields,
    )
    row = np.arange(2 * walks.runs)[:, None]
    return Agreement(config, row * walks.actions + np.arange(walks.agents) % walks.actions, walks.start.ravel())


def _average(rule: str, table: Floats, values: Floats, visits: Ints, step: float) -> Floats:
    """f64[2, B, m]: one table of those of all agents; values and visits are [2, B, J, m], those of J for each action.

    An agent that knows another action holds `table` unchanged there, and has made no visit.
    """
    if rule == "visits":
        came = visits.sum(axis=2)
        return np.where(came > 0, (visits * values).sum(axis=2) / np.maximum(came, 1), table)
    others = values.shape[2] * (values.shape[3] - 1)
    if rule == "equal":
        return np.asarray((values.sum(axis=2) + others * table) / (others + values.shape[2]))
    power = -np.log1p(-step) * visits
    most = power.max(axis=2)
    weight, rest = np.exp(power - most[:, :, None]), others * np.exp(-most)
    return np.asarray(((weight * values).sum(axis=2) + rest * table) / (weight.sum(axis=2) + rest))


# ---- What agents know: [L, 2 * B * K], the value of every agent's action in either state of every run


def _learn(learned: Floats, others: Floats, path: Path, steps: Sequence[float]) -> Iterator[tuple[Ints, Floats]]:
    """Q-learning along a path, in place; yields the columns visited, i64[B * K], and their targets, f64[L, B * K].

    learned: the agents' own cells; others: the best of all actions but theirs in the same state.
    """
    step, agent = np.array(steps)[:, None], np.arange(path[0].size)
    columns = path.reshape(len(path), -1).astype(np.int64) * agent.size + agent
    for at, then, state in zip(columns[:-1], columns[1:], path[:-1], strict=True):
        target = np.maximum(learned.take(then, axis=1), others.take(then, axis=1))
        target = state.ravel() + GAMMA * target  # in state s the reward is s
        old = learned.take(at, axis=1)
        learned[:, at] = old + step * (target - old)
        yield at, target


def _own(tables: Floats, agents: int) -> Floats:
    """f64[L, 2, B, m] -> f64[L, 2 * B * K]: what tables say of every agent's action."""
    return np.tile(tables, agents // tables.shape[3]).reshape(len(tables), -1)


def _others(tables: Floats) -> Floats:
    """f64[L, 2, B, m]: the best of all other actions in the same state."""
    second, first = np.moveaxis(np.partition(tables, -2)[..., -2:, None], -2, 0)
    return np.asarray(np.where(tables == first, second, first))


def _visits(path: Path) -> Ints:
    """i64[2 * B * K]."""
    ones = path[:-1].sum(axis=0, dtype=np.int64).ravel()
    return np.concatenate([len(path) - 1 - ones, ones])


def _transitions(path: Path) -> Ints:
    """i64[2, B, 2, K]: how often each agent went from which state to which."""
    kind = 2 * path[:-1] + path[1:]
    counts = np.stack([(kind == one).sum(axis=0) for one in range(4)])
    return np.asarray(counts.reshape(2, 2, *path.shape[1:]).swapaxes(1, 2))
