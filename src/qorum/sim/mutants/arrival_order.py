"""A merge in which whoever comes last is right."""

from collections.abc import Sequence
from dataclasses import replace

from qorum.core.member import Engine, Member, Parts
from qorum.core.messages import Advance, Change
from qorum.core.state import Entry, State
from qorum.core.streams import Streams
from qorum.sim.mutants.mutant import LIAR, TWIN, Mutant


class Queue(Streams):
    """Hands items out in the order in which they came."""

    def collect(self, cut: Sequence[Advance], round: int) -> list[Entry]:
        """The items of a cut, first come, first served."""
        place = {hash: number for number, hash in enumerate(self._entries)}
        return sorted(super().collect(cut, round), key=lambda entry: place[entry.hash])


def overwriting(state: State, entries: list[Entry], change: Change | None) -> State:
    """The state after a round, but a cell has the value that was written to it last."""
    after = state.apply(entries, change)
    value = after.merged.value.copy()
    for entry in entries:
        named = after.cells.find(entry.columns.states, entry.columns.actions)
        value[named] = entry.columns.value[len(entry.columns.known) :]
    return replace(after, merged=replace(after.merged, value=value))


class Hasty(Member):
    """Merges as items come."""

    parts = Parts(streams=Queue)

    def __init__(self, genesis, me, engine: Engine, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(genesis, me, engine._replace(apply=overwriting), *args, **kwargs)


MUTANT = Mutant("arrival-order", "the merge is a function of the cut, not of the order in which its items came",
                Hasty, setups=(LIAR, TWIN))  # fmt: skip
