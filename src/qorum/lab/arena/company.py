"""`Company`: agents of which some lie, all of them stepped at once; how their claims are merged is for subclasses."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qorum.errors import ConfigError
from qorum.lab.attacks import Attack, Claims, Scene
from qorum.lab.attacks.withholding import Withholding
from qorum.lab.methods.method import Floats, Ints, Method, Setting
from qorum.lab.methods.transitions import Transitions
from qorum.lab.tasks.walkers import Steps
from qorum.merge.fixed import to_fixed, to_float
from qorum.merge.rules import Rules

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Liars:
    """Who lies, and how."""

    members: Ints
    """i64[F], their indices, ascending."""
    attack: Attack
    rng: np.random.Generator
    """What the attack draws from: its own, so that honest agents draw the same whatever it does."""

    @classmethod
    def none(cls) -> Liars:
        """Nobody."""
        return cls(np.zeros(0, dtype=np.int64), Withholding(), np.random.default_rng(0))


class Company(Method):
    """n agents that state what they know, some of them lying, and act on what comes of it, each on its own view.

    Between two merges an agent takes over its own fresh estimate of a cell right after visiting it. Liars live like the
    others and act on what honest members know; only what they state is the attack's.

    Raises:
        ConfigError: a liar is no member, or nobody is honest.
    """

    agreed: Floats
    """f64[S, A]: the table of the last merge."""
    excluded: Bools
    """bool[n], members found lying: all False where a merge excludes nobody."""
    paired: Bools
    """bool[n], members in an open dispute."""
    exposed: Bools
    """bool[n], liars that ever stated other than they know of a cell which more than f honest members have visited."""
    confirmed: Bools
    """bool[C], cells whose value liars could not have set alone."""
    reporters: Ints
    """i64[C], members that count and report the cell."""

    def __init__(self, setting: Setting, liars: Liars, rules: Rules) -> None:
        members, cells = setting.agents, setting.cells
        strangers = (liars.members < 0) | (liars.members >= members)
        if strangers.any() or liars.members.size >= members:
            raise ConfigError(f"liars {liars.members.tolist()}; allowed: some of 0..{members - 1}, and not all of them")
        super().__init__(setting, tables=members)
        self.visits = np.zeros((1, *self.q.shape[1:]), dtype=np.int64)
        self.rules, self.liars = rules, liars
        self.lying: Bools = np.isin(np.arange(members), liars.members)
        self.honest: Ints = np.flatnonzero(~self.lying)
        self.agreed = np.zeros(self.q.shape[1:])
        self.excluded, self.paired, self.exposed = np.zeros((3, members), dtype=bool)
        self.confirmed, self.reporters = np.zeros(cells, dtype=bool), np.zeros(cells, dtype=np.int64)
        self._everyone = np.arange(members)
        self._transitions = Transitions(setting.task, members)
        self._where: tuple[Ints, Ints] = self._transitions.cell, self._transitions.agent
        self._own = np.zeros((members, cells))
        self._own_visits = np.zeros((members, cells), dtype=np.int64)

    def learn(self, cell: Ints, steps: Steps) -> None:
        """Count the transitions of every agent, and let it believe its own new estimate of the cell."""
        who, task = self._everyone, self.setting.task
        self._transitions.add(cell, who, steps)
        onward = np.where(steps.terminated, 0.0, task.gamma)
        target = steps.reward + onward * self.q[who, steps.next_state].max(axis=1)
        before = self._own_visits[who, cell]
        value = (self._own[who, cell] * before + target) / (before + 1)
        self._own[who, cell], self._own_visits[who, cell] = value, before + 1
        self.q.reshape(len(who), -1)[who, cell] = value

    def sync(self) -> int:
        """Merge what everybody states, which costs nothing here, and let all act on their view of the outcome."""
        self.rounds += 1
        self._transitions.fold()
        self._where = self._transitions.cell, self._transitions.agent
        known = self._knowledge()
        lying = self.lying[known.member]
        honest = self._written(known.take(np.flatnonzero(~lying)))
        self._agree(joined(honest, self._lies(honest, known.take(np.flatnonzero(lying)))))
        self.q[:] = self.agreed
        self._reviewed(self._knowledge())
        return 0

    @property
    def cells(self) -> tuple[int, int]:
        """How many cells are reported and confirmed, and how many only reported."""
        confirmed, reported = int(self.confirmed.sum()), int(((self.reporters > 0) & ~self.confirmed).sum())
        return confirmed, reported

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and highest value that a claim may have in the next merge."""
        low, high = to_fixed([self.agreed.min(initial=0), self.agreed.max(initial=0)]).tolist()
        low, high = self.rules.bounds(low, high)
        return float(to_float(low)), float(to_float(high))

    @abstractmethod
    def _agree(self, claims: Claims) -> None:
        """Set `agreed`, `visits` and the columns after them to what comes of the claims of round `rounds`."""

    def _written(self, honest: Claims) -> Claims:
        """What honest members state of what they know."""
        return honest

    def _reviewed(self, known: Claims) -> None:
        """What agents make of the new table in `q`, given what they know on the ground of it."""
        self._own[known.member, known.cell] = known.value

    def _knowledge(self) -> Claims:
        """What every member knows on the ground of the agreed table."""
        cell, member = self._where
        return Claims(cell, member, *self._transitions.means(self.agreed))

    def _lies(self, honest: Claims, own: Claims) -> Claims:
        if not self.liars.members.size:
            return own
        low, high = self.bounds
        scene = Scene(
            self.setting.task, self.rounds, self.agreed, honest, own, self.liars.members, low, high,
            self.rules.visit_cap, int(self.rules.visit_budget(self.rounds)), self.liars.rng,
        )  # fmt: skip
        lies = self.liars.attack(scene)
        seen = (scene.reporters > self.rules.tolerated)[lies.cell]
        self.exposed[lies.member[seen & _untrue(lies, scene, self.rules)]] = True
        return lies


def _untrue(lies: Claims, scene: Scene, rules: Rules) -> Bools:
    """bool[R]: claims off what their author knows by more than it need write; or off the honest mean, where it knows
    nothing."""
    known, stated = (claims.cell << 16 | claims.member for claims in (scene.own, lies))
    at = np.searchsorted(known, stated)
    visited = np.append(known, -1)[at] == stated
    truth = np.where(visited, np.append(scene.own.value, 0.0)[at], scene.centre[lies.cell])
    return np.asarray(np.abs(lies.value - truth) > 2 * to_float(rules.rewrite_threshold))


def joined(one: Claims, other: Claims) -> Claims:
    """The claims of both, of different members."""
    if not len(other):
        return one
    columns = [np.concatenate(pair) for pair in zip(one.columns, other.columns, strict=True)]
    order = np.argsort(columns[0] << 16 | columns[1], kind="stable")  # which is fast where two runs are sorted
    return Claims(*(column[order] for column in columns))
