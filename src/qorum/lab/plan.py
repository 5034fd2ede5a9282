"""`Plan`: what the demonstration is to show, and on what."""

from __future__ import annotations

from dataclasses import dataclass

from qorum.errors import ConfigError
from qorum.lab.tasks import load

STEPS_PER_ROUND = 35
"""Between two merges in the acts that have no rounds of their own; what a round of the protocol takes about."""


@dataclass(frozen=True)
class Plan:
    """What to run. Two equal plans give equal results but for the wall time."""

    task: str = "Taxi-v4"
    members: int = 64
    liars: int = 21
    steps: int = 1_200
    seed: int = 0
    pace: float = 30.0
    """Interactions of an agent per second of virtual time; with the time a round takes, the steps between merges."""

    def __post_init__(self) -> None:
        load(self.task)
        if self.members < 4:
            raise ConfigError(f"members is {self.members}; the demo needs at least 4, to tolerate one liar")
        tolerated = (self.members - 1) // 3
        if not 0 <= self.liars <= tolerated:
            raise ConfigError(f"liars is {self.liars}; {self.members} members tolerate 0 to {tolerated}")
        if self.steps < STEPS_PER_ROUND:
            raise ConfigError(f"steps is {self.steps}; the demo needs at least {STEPS_PER_ROUND}")
        if not 0 < self.pace <= 1_000:
            raise ConfigError(f"pace is {self.pace}; allowed: more than 0, up to 1000 interactions a second")

    def seed_of(self, me: int) -> int:
        """Seed of member `me`: its own in every run of different seeds."""
        return self.seed * self.members + me

    @property
    def command(self) -> str:
        """The command that plays this plan."""
        size = f"--members {self.members} --liars {self.liars} --task {self.task} --steps {self.steps}"
        return f"qorum demo {size} --pace {self.pace:g} --seed {self.seed}"
