"""The result of a round follows from its items."""

from __future__ import annotations

from qorum.core import wire
from qorum.core.effects import Committed, Effect
from qorum.core.state import State
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import Ledger, change_of, hash_of, value_of


class Result(Invariant):
    """For all commits of a round k: hash(state(k)) = value(k).result, and apply(state(k-1), items(k), change(k)),
    computed afresh, hashes to the same: the hash of the hashes of its chunks."""

    name = "result"
    watches = (Committed,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._recomputed: dict[int, State] = {}
        """Round -> outcome of the recomputation; each round once, whoever commits it."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Check one commit, and recompute the round if nobody has."""
        assert isinstance(effect, Committed)
        round, result = effect.state.round, value_of(effect.commit).result
        if effect.state.hash != result:
            self.violated(f"{named(host)} commits round {round} with a state that is not the agreed one")
        if round not in self._recomputed:
            self._recompute(host, effect)

    def _recompute(self, host: Host, effect: Committed) -> None:
        round, entries = effect.state.round, self.ledger.entries(effect)
        before = self._recomputed.get(round - 1) or self.ledger.states.get(round - 1)
        if entries is None or before is None:
            return
        state = self._recomputed[round] = before.apply(entries, change_of(effect.commit))
        self._recomputed.pop(round - 2, None)
        if _hash(state) != value_of(effect.commit).result:
            self.violated(f"the items of round {round}, as {named(host)} committed it, do not lead to its result")


def _hash(state: State) -> bytes:
    data = state.to_bytes()
    return hash_of(b"".join(hash_of(data[at : at + wire.CHUNK]) for at in range(0, len(data), wire.CHUNK)))
