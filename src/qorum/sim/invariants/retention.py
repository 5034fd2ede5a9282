"""Nothing acknowledged is lost."""

from __future__ import annotations

from qorum.core import wire
from qorum.core.columns import Columns
from qorum.core.effects import Committed, Effect, Sign
from qorum.core.messages import Contribution, Kind
from qorum.core.state import State
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, Scene, named
from qorum.sim.invariants.ledger import Ledger

Cell = tuple[int, int, int]
"""(seat of the author, state hash, action)."""


class Retention(Invariant):
    """For all honest members j that are up after the heal and all writes (cell c, item x) that j signed before it under
    the key it has then: at the end every honest host that is up has a register of (j, c), written by x or by a later
    item of j: x itself was agreed on, or what restated it. And every committed head of an honest author was signed by
    it. A key that is given up, with its store or for a new one, takes along what was not yet agreed on."""

    name = "retention"
    watches = (Committed, Sign)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._written: dict[bytes, dict[Cell, int]] = {}
        """Honest key -> cell -> version of the last item that it signed with a write of it."""
        self.owed: dict[bytes, dict[Cell, int]] = {}
        """The same of the keys in force when the faults were over."""
        self._looked: dict[bytes, list[Cell]] = {}
        """Hash of a state -> what it lacks of that."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Note what is written; the heads of honest authors are items that they signed."""
        if isinstance(effect, Sign):
            if effect.kind is Kind.CONTRIBUTION:
                self._note(host, wire.decode_body(Contribution, effect.body))
            return
        assert isinstance(effect, Committed)
        round, roster = effect.state.round, effect.state.roster
        for author in roster.active:
            if not self.ledger.signed(roster, effect.state.heads[author], author):
                self.violated(f"round {round} of {named(host)} takes an item that member {author} did not sign")

    def _note(self, host: Host, body: Contribution) -> None:
        columns = Columns.unpack(body.payload, self.ledger.genesis.config.n_actions)
        written, version = self._written.setdefault(host.key, {}), body.incarnation << 32 | body.seq
        for state, action in zip(columns.states.tolist(), columns.actions.tolist(), strict=True):
            cell = body.member, state, action
            written[cell] = max(written.get(cell, 0), version)

    def healed(self, scene: Scene) -> None:
        """From here on everything signed must get through."""
        self.owed = {host.key: dict(self._written.get(host.key, {})) for host in self.up(scene)}

    @property
    def outstanding(self) -> list[tuple[Host, Cell]]:
        """(host, cell) where a register is still missing."""
        if not self.owed:
            return []
        up = self.up(self.scene)
        return [(host, cell) for host in up for cell in self._lacking(host.member.state)]

    def _lacking(self, state: State) -> list[Cell]:
        """Of those that keep their key and their seat, the writes that a state does not hold."""
        if state.hash not in self._looked:
            held = _versions(state)
            owing = [cells for key, cells in self.owed.items() if state.roster.seat_of(key) is not None]
            lacking = [cell for cells in owing for cell, version in cells.items() if held.get(cell, 0) < version]
            self._looked[state.hash] = lacking
        return self._looked[state.hash]

    def at_end(self, scene: Scene) -> None:
        """Nothing may be outstanding."""
        for host, (author, state, action) in self.outstanding:
            self.violated(f"what member {author} wrote of cell ({state}, {action}) is not agreed on at {named(host)}")


def _versions(state: State) -> dict[Cell, int]:
    """The version of each register of a state."""
    cell = state.registers.cell
    columns = (state.registers.member, state.cells.state_hash[cell], state.cells.action[cell], state.registers.version)
    return {(m, s, a): version for m, s, a, version in zip(*(c.tolist() for c in columns), strict=True)}
