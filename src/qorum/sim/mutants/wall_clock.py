"""Timers on the wall clock."""

from dataclasses import replace

from qorum.sim.adversary import Bias
from qorum.sim.host import Host
from qorum.sim.mutants.mutant import LIAR, Mutant
from qorum.sim.stage import Stage


class WallClocks(Stage):
    """A timer is due at a time of day: set the clock back by an hour, and it is due an hour later."""

    def clock_jumped(self, host: Host, seconds: float) -> None:
        """Timers that are set feel it."""
        for (address, name), (life, timer) in list(self._set.items()):
            if address == host.address:
                self._set[address, name] = life, replace(timer, delay=max(0.0, timer.delay - seconds))


MUTANT = Mutant("wall-clock", "timers are monotonic: no clock that is set moves them", stage=WallClocks,
                setups=(LIAR,), bias=Bias(jump=0.6))  # fmt: skip
