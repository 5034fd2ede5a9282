"""The direct merge of contributions is what `State.apply` makes of them, also where an author goes too far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qorum.core.columns import Columns
from qorum.core.genesis import Genesis
from qorum.core.messages import Evict, Leave
from qorum.core.state import Entry, State
from qorum.lab.arena.direct import Direct
from qorum.lab.arena.places import Places
from qorum.lab.arena.protocol import federation_config
from qorum.lab.fleet import entry_of
from qorum.lab.methods import Setting
from qorum.lab.tasks import Task, load
from qorum.merge.fixed import ONE

MEMBERS = 7


def both(task: Task) -> tuple[State, Direct]:
    genesis = Genesis(tuple(bytes([me]) * 32 for me in range(MEMBERS)), federation_config(task, 10))
    direct = Direct(Setting(task, MEMBERS, 10), genesis.quorum.tolerated)
    assert direct.rules == genesis.rules
    return State.initial(genesis), direct


def written(state: State, me: int, names: tuple[np.ndarray, np.ndarray], value: np.ndarray, **changed) -> Entry:
    """A contribution that writes new cells, one visit each."""
    order = np.lexsort(names[::-1])
    visits, spread = np.ones_like(value), np.zeros_like(value)
    columns = Columns(np.zeros(0, np.int64), names[0][order], names[1][order], value[order], visits, spread)
    return entry_of(state, me, replace(columns, **changed))


def test_an_author_holds_as_many_registers_as_it_may() -> None:
    task = load("GARNET(200,4,3)")
    state, direct = both(task)
    value = np.arange(800) * ONE // 1_000
    entry = written(state, 3, Places(task).names(np.arange(800)), value)
    after = state.apply([entry])
    direct.fold([entry], after.cells, after.roster)
    assert len(after.registers) == after.rules.visit_budget(1)
    assert direct.differs(after) == []


def lived(rounds: int, accused: float = 0.15):
    """States and contributions of members that write at random, accuse at random and stand by what they wrote."""
    task, rng = load("GARNET(20,3,2)"), np.random.default_rng(0)
    state, direct = both(task)
    for _ in range(rounds):
        entries = []
        for me in rng.choice(MEMBERS, 6, replace=False).tolist():
            cells = np.sort(rng.choice(60, 25, replace=False))
            said = rng.integers(0, ONE, 25)
            mask = np.packbits(rng.random(MEMBERS) < accused, bitorder="little").tobytes()
            stands = ((0, len(state.cells)),) if len(state.cells) else ()
            entries.append(
                written(state, me, Places(task).names(cells), said, affirmed=stands, accused=mask, staked=mask)
            )
        entries.sort(key=lambda entry: entry.body.member)
        yield state, entries, direct
        state = state.apply(entries)


def test_it_is_what_the_state_says_round_by_round() -> None:
    out = 0
    for state, entries, direct in lived(12):
        after = state.apply(entries)
        direct.fold(entries, after.cells, after.roster)
        assert direct.differs(after) == []
        out += int(after.standing.out.sum())
    assert out > 0


@pytest.mark.parametrize("change", [Evict(2, 0), Leave(5, 0)])
def test_it_forgets_who_is_gone(change) -> None:
    for number, (state, entries, direct) in enumerate(lived(3)):
        after = state.apply(entries, change if number == 2 else None)
        direct.fold(entries, after.cells, after.roster)
        assert direct.differs(after) == []
    assert after.rules.tolerated == 1
    assert change.member not in after.registers.member


def test_it_tells_what_differs() -> None:
    for state, entries, direct in lived(2, accused=0.0):
        after = state.apply(entries)
        direct.fold(entries[:-1] if state.round else entries, after.cells, after.roster)
    assert {"value", "support", "registers"} <= set(direct.differs(after))
