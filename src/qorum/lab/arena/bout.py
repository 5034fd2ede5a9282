"""`Bout`: one rule against one attack on one task, once: what honest agents come to."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from qorum.core.quorum import THIRD, Quorum
from qorum.errors import ConfigError
from qorum.lab.arena.company import Bools, Company, Liars
from qorum.lab.arena.defence import PARTS, Defence
from qorum.lab.arena.defended import Defended, rules_for
from qorum.lab.arena.ruled import Ruled
from qorum.lab.arena.study import HELD, NOBODY
from qorum.lab.attacks import ATTACKS, Attack, variants
from qorum.lab.attacks.withholding import Withholding
from qorum.lab.methods.behaviour import Behaviour
from qorum.lab.methods.method import Ints, Setting
from qorum.lab.rules import RULES, available, missing
from qorum.lab.tasks import Task, Walkers, load

QORUM, TRUSTING = "qorum", "trusting"
"""The rule of a federation, and the same merge where nobody is expected to lie: for lines of reference."""
POINTS = 25
"""Of a curve, or as many as there are merges."""
WATCHED = 12
"""Honest agents that a point of the curve is the mean of; the last one is of all."""
EPSILON, BONUS = 0.1, 0.1
"""Of `Behaviour`; the bonus in units of the difference between the task's highest and lowest reward."""

_missing = cache(missing)
"""There are thousands of bouts, and none of them installs anything."""


@dataclass(frozen=True)
class Bout:
    """What to run; two equal bouts give equal results but for the wall time.

    Raises:
        ConfigError: an unknown rule, attack, arm or part, a rule that is not installed, or a number out of its range.
    """

    task: str
    rule: str
    """Of `RULES`, `QORUM`, or `TRUSTING`."""
    attack: str
    """Of `ATTACKS`, or `NOBODY`."""
    members: int
    liars: int
    seed: int
    steps: int
    """Of each agent."""
    sync_every: int
    part: str = ""
    """Of the defence, left out; see `Defence.without`."""
    arm: str = ""
    """What `variants` calls this setting of the attack; "" is the attack as it is by itself."""
    accusing: bool = False
    """Whether liars accuse every honest member from the start."""

    def __post_init__(self) -> None:
        if self.rule not in (QORUM, TRUSTING, *RULES):
            raise ConfigError(f"unknown rule {self.rule!r}; known rules: {', '.join((QORUM, *RULES))}")
        if self.rule in _missing():
            raise ConfigError(f"rule {self.rule} cannot be had here: {_missing()[self.rule]}")
        if self.attack not in (NOBODY, *ATTACKS):
            raise ConfigError(f"unknown attack {self.attack!r}; known attacks: {', '.join((NOBODY, *ATTACKS))}")
        if self.part not in ("", *PARTS) or (self.part and self.rule != QORUM):
            raise ConfigError(f"part {self.part!r}: rule {QORUM} can do without {', '.join(PARTS)}, others have none")
        if self.arm and (self.attack == NOBODY or self.arm not in variants(self.attack)):
            raise ConfigError(f"attack {self.attack} has no setting {self.arm!r}")
        if not 0 <= self.liars < self.members or (self.attack == NOBODY) != (self.liars == 0):
            raise ConfigError(
                f"{self.liars} liars of {self.members} members with the attack {self.attack!r}: some must be honest, "
                f"and {NOBODY!r} goes with 0 liars"
            )
        if not 1 <= self.sync_every <= self.steps:
            raise ConfigError(f"steps {self.steps}, sync_every {self.sync_every}: need 1 <= sync_every <= steps")

    def run(self) -> dict[str, Any]:
        """Live it; JSON-able: the bout, and what came of it.

        `curve` is [[steps an agent, normalised value], ...], valued right after merges, `exclusions` [[steps, liars,
        honest members], ...] that are found lying, and `cells` [[steps, cells confirmed, cells only reported], ...].
        Rates are shares of all liars and of all honest members that are excluded in the end, None where there is none
        of them or the rule excludes nobody; `exposed_positive_rate` is that of the liars that lied of some cell which
        more than f honest members have visited.
        """
        started, task = time.perf_counter(), self._task()
        company = self._company(task)
        record = _Record(task, company)
        self._live(task, company, record)
        return {**asdict(self), **record.outcome(self.rule == QORUM), "wall_s": round(time.perf_counter() - started, 2)}

    def _task(self) -> Task:
        """Where tasks of a name are drawn at random, every seed has a draw of its own."""
        return load(f"{self.task}#{self.seed}" if self.task.endswith(")") else self.task)

    def _company(self, task: Task) -> Company:
        setting = Setting(task, self.members, self.sync_every)
        liars = Liars(self._who_lies(), self._attack(), np.random.default_rng([self.seed, self.members, 1]))
        f = tolerated(self.members)
        if self.rule in RULES:
            return Ruled(setting, liars, rules_for(setting, f), available()[self.rule])
        trusts = self.rule == TRUSTING or self.part == "all"
        defence = Defence().without("all" if trusts else self.part)
        return Defended(setting, liars, 0 if trusts else f, defence, self.accusing)

    def _who_lies(self) -> Ints:
        rng = np.random.default_rng([self.seed, self.members, 2])
        return np.sort(rng.choice(self.members, self.liars, replace=False))

    def _attack(self) -> Attack:
        if self.attack == NOBODY:
            return Withholding()
        return variants(self.attack)[self.arm]() if self.arm else ATTACKS[self.attack]()

    def _live(self, task: Task, company: Company, record: _Record) -> None:
        rng = np.random.default_rng([self.seed, self.members])
        walkers = Walkers(task, self.members, rng)
        behaviour = Behaviour(EPSILON, BONUS * (task.r_max - task.r_min))
        rounds = self.steps // self.sync_every
        noted = set((np.linspace(1, rounds, min(POINTS, rounds)).round() * self.sync_every).astype(int).tolist())
        for step in range(1, rounds * self.sync_every + 1):
            actions = behaviour.act(company, walkers.state, rng)
            steps = walkers.step(actions)
            company.learn(steps.state * task.n_actions + actions, steps)
            if step % self.sync_every == 0:
                company.sync()
                record.watch(step)
            if step in noted:
                record.note(step)


class _Record:
    """What is seen of a company while it lives."""

    def __init__(self, task: Task, company: Company) -> None:
        self._task, self._company = task, company
        self._known: dict[bytes, float] = {}
        self._curve: list[list[float]] = []
        self._exclusions: list[list[int]] = []
        self._cells: list[list[int]] = []
        self._held: int | None = None
        """Steps after which the watched agents first reached `HELD`."""

    def watch(self, step: int) -> None:
        """After every merge, until the company has got there."""
        if self._held is None and self._mean() >= HELD:
            self._held = step

    def note(self, step: int) -> None:
        company = self._company
        self._curve.append([step, round(self._mean(), 6)])
        self._exclusions.append([step, *(int(company.excluded[who].sum()) for who in (company.lying, company.honest))])
        self._cells.append([step, *company.cells])

    def outcome(self, excludes: bool) -> dict[str, Any]:
        company, values = self._company, self._values(self._company.honest)
        mean = round(float(np.mean(values)), 6)
        self._curve[-1][1] = mean
        return {
            "normalised_value": mean,
            "worst_honest_value": round(min(values), 6),
            "true_positive_rate": self._rate(company.lying) if excludes else None,
            "exposed_positive_rate": self._rate(company.exposed) if excludes else None,
            "false_positive_rate": self._rate(~company.lying) if excludes else None,
            "paired_honest": int(company.paired[company.honest].sum()),
            "curve": self._curve,
            "exclusions": self._exclusions if excludes else None,
            "cells": self._cells if excludes else None,
            "steps_to_95": self._held,
        }

    def _rate(self, who: Bools) -> float | None:
        """Share of these members that are excluded."""
        return round(float(self._company.excluded[who].mean()), 6) if who.any() else None

    def _mean(self) -> float:
        return float(np.mean(self._values(self._company.honest[:WATCHED])))

    def _values(self, who: Ints) -> list[float]:
        """Of the greedy policies of these agents; one that was valued before is remembered."""
        return [self._value(policy) for policy in self._company.q[who].argmax(axis=2)]

    def _value(self, policy: Ints) -> float:
        key = policy.tobytes()
        if key not in self._known:
            self._known[key] = self._task.normalised_value(policy)
        return self._known[key]


def tolerated(members: int) -> int:
    """f, how many liars a federation of so many members is made for by default: fewer than a third."""
    return Quorum.of(members, THIRD).tolerated
