"""`Grid`: which bouts `qorum arena` runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

from qorum.errors import ConfigError
from qorum.lab.arena.bout import QORUM, TRUSTING, Bout, tolerated
from qorum.lab.arena.defence import PARTS
from qorum.lab.arena.study import NOBODY
from qorum.lab.attacks import ATTACKS
from qorum.lab.rules import RULES, available

STEPS = MappingProxyType(
    {
        "Taxi-v4": 1_000,
        "CliffWalking-v1": 500,
        "GARNET(100,4,5)": 1_000,
        "CliffWalkingSlippery-v1": 2_000,
        "Handover": 500,
        "FrozenLake-v1": 2_000,
        "FrozenLake8x8-v1": 3_000,
        "RiverSwim-6": 1_000,
        "TwoState(20)": 1_000,
        "CellSleep": 1_000,
    }
)
"""Tasks, and how many steps each agent takes in one."""
OTHER_STEPS = 1_000
WORST = "worst_case"
"""The attack that is searched for among all others and their variants."""
THIRD = 1 / 3
"""The fraction that stands for f = (n - 1) // 3 liars, the most that is promised for."""
ALONE = 8
"""Agents behind the value of an isolated one, for every seed."""
ABLATED = ("sign_flip", "extreme_high", "goal_split", "scattered_high", "alie")
"""Attacks that every part of the defence is taken away against."""


@dataclass(frozen=True)
class Case:
    """A row: a bout for every seed."""

    task: str
    attack: str
    fraction: float
    rule: str
    members: int


@dataclass(frozen=True)
class Grid:
    """Tasks x attacks x fractions x rules for one number of members.

    Raises:
        ConfigError: an unknown rule or attack, or a number out of its range.
    """

    tasks: tuple[str, ...] = ("Taxi-v4", "CliffWalking-v1", "GARNET(100,4,5)", "FrozenLake-v1", "RiverSwim-6")
    attacks: tuple[str, ...] = (*ATTACKS, WORST)
    fractions: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, THIRD, 0.4)
    rules: tuple[str, ...] = (QORUM, *RULES)
    members: int = 64
    seeds: int = 3
    sync_every: int = 10
    steps: int | None = None
    """Of each agent; None: as `STEPS` has it."""
    pulls: int = 100
    """Bouts that the search for the worst attack may spend on each task."""
    ablation: bool = False
    accusing: bool = False
    """Whether liars accuse every honest member from the start, whatever else they do."""

    def __post_init__(self) -> None:
        for name in self.attacks:
            if name not in (*ATTACKS, WORST):
                raise ConfigError(f"unknown attack {name!r}; known are {', '.join((*ATTACKS, WORST))}")
        for name in self.rules:
            if name not in (QORUM, *RULES):
                raise ConfigError(f"unknown rule {name!r}; known are {', '.join((QORUM, *RULES))}")
        if self.attacks == (WORST,) and (self.pulls == 0 or self.rules != (QORUM,)):
            raise ConfigError(f"without {QORUM} or pulls, {WORST} is the worst of the other attacks: give some of them")
        if not 4 <= self.members < 1 << 16 or self.seeds < 1 or self.pulls < 0:
            raise ConfigError(f"members {self.members}, seeds {self.seeds}: need 4 or more members, 1 or more seeds")
        if not all(0 <= fraction <= 0.49 for fraction in self.fractions):
            raise ConfigError(f"fractions {self.fractions}; allowed are 0 to 0.49 of the members")

    def liars(self, fraction: float) -> int:
        """How many members lie: floor(fraction x n), and f for a third."""
        third = abs(fraction - THIRD) < 0.005
        return tolerated(self.members) if third else int(fraction * self.members + 1e-9)

    def cases(self) -> Iterator[Case]:
        """The rows, attacks that are to be searched for included. Where nobody lies there is one row of no attack."""
        known = (QORUM, *available())
        rules = [rule for rule in self.rules if rule in known]
        for task, fraction, rule in product(self.tasks, self.fractions, rules):
            attacks = self.attacks if self.liars(fraction) else (NOBODY,)
            for attack in attacks:
                yield Case(task, attack, fraction, rule, self.members)

    def bout(self, case: Case, seed: int) -> Bout:
        """A case with one seed."""
        steps = self.steps or STEPS.get(case.task, OTHER_STEPS)
        liars = self.liars(case.fraction)
        bout = Bout(case.task, case.rule, case.attack, case.members, liars, seed, steps, self.sync_every)
        return replace(bout, accusing=self.accusing and liars > 0)

    def seeded(self, case: Case) -> list[Bout]:
        """A case with every seed that counts."""
        return [self.bout(case, seed) for seed in range(self.seeds)]

    def oracle(self, case: Case) -> list[Bout]:
        """What the honest members of a case reach when the liars say nothing and are known."""
        honest = case.members - self.liars(case.fraction)
        return self.seeded(replace(case, rule=TRUSTING, attack=NOBODY, fraction=0.0, members=honest))

    def isolated(self, task: str) -> list[Bout]:
        """What an agent alone reaches."""
        case = Case(task, NOBODY, 0.0, TRUSTING, 1)
        return [self.bout(case, seed) for seed in range(self.seeds * ALONE)]

    def ablated(self) -> Iterator[tuple[str, list[Bout]]]:
        """(part, bouts without it), against several attacks and against none, with f liars; "" with all parts."""
        for part in ("", *PARTS) if self.ablation else ():
            bouts = []
            for task, attack in product(self.tasks, (NOBODY, *(name for name in ABLATED if name in self.attacks))):
                case = Case(task, attack, THIRD if attack != NOBODY else 0.0, QORUM, self.members)
                bouts += [replace(bout, part=part) for bout in self.seeded(case)]
            yield part, bouts


QUICK = Grid(
    tasks=("CliffWalking-v1", "FrozenLake-v1"), attacks=("sign_flip", "alie", "scattered_high"),
    fractions=(0.0, THIRD), rules=(QORUM, "visit_weighted", "trimmed_fraction", "median"), members=32, seeds=2,
    pulls=0,
)  # fmt: skip
"""What `--quick` runs: under two minutes."""
