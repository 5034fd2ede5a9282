"""One roster an epoch, and the way from each to the next is kept."""

from __future__ import annotations

from collections.abc import Iterator

from qorum.core.effects import Committed, Effect
from qorum.core.messages import Commit
from qorum.core.roster import Roster
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import value_of


class Epochs(Invariant):
    """For all commits of a round k: hash(roster(k+1)) is that of all who committed k before; roster(k+1) =
    after(roster(k), value(k).change), and the roster that decided k if there is none; all honest members have one
    roster for one epoch; the commits that a disk has kept end epochs that follow each other without a gap, up to
    epoch(k+1)."""

    name = "epochs"
    watches = (Committed,)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Check one commit and the disk that keeps it."""
        assert isinstance(effect, Committed)
        for fault in (*self._faults(effect), *_gaps(host.disk.epochs, effect.state.roster)):
            self.violated(f"{named(host)} commits round {effect.state.round}: {fault}")

    def _faults(self, effect: Committed) -> Iterator[str]:
        round, roster, value = effect.state.round, effect.state.roster, value_of(effect.commit)
        if roster.hash != self.ledger.by_epoch[roster.epoch].hash:
            yield f"its roster of epoch {roster.epoch} is not that of the others"
        if roster.hash != value.roster or roster.hash != self.ledger.roster(round + 1).hash:
            yield "its roster is not the agreed one"
        before = self.ledger.rosters.get(round)
        if before is None:
            return
        due = before if value.change is None else before.after(value.change.change, round)
        if due.hash != roster.hash:
            yield f"epoch {roster.epoch} does not follow epoch {before.epoch} by its change"


def _gaps(kept: tuple[Commit, ...], roster: Roster) -> Iterator[str]:
    """What is wrong with the commits that a disk keeps; a newcomer's begin at its checkpoint."""
    ended = [value_of(commit).epoch for commit in kept]
    if ended and ended != list(range(ended[0], roster.epoch)):
        yield f"its disk keeps the ends of epochs {ended}, and the epoch is {roster.epoch}"
