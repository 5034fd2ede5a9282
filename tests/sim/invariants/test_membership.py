"""Membership: fires on changes that come too often, go too far, or hit the honest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qorum.core.effects import Committed
from qorum.core.messages import Change, Evict, Join, Leave, Petition, Rekey
from qorum.core.roster import Roster, Seat
from qorum.sim.invariants.membership import Membership
from qorum.sim.invariants.watch import Watch
from tests.sim.invariants.histories import History, texts, with_value

KEY = b"\5" * 32


def changed(history: History, round: int, change: Change, after: Roster | None = None) -> Committed:
    """A commit of a round with a change of membership."""
    good = history.committed(round)
    roster = after or good.state.roster.after(change, round)
    return with_value(replace(good, state=replace(good.state, roster=roster)), change=Petition(change))


def found(history: History, *commits: Committed) -> str:
    watch = Watch(history.cluster, [Membership])
    watch.ledger.rosters[2] = history.cluster.genesis.roster
    for commit in commits:
        watch.carried_out(history.cluster.hosts[0], commit)
    return texts(watch.violations)


def test_one_change_that_is_due_is_fine() -> None:
    history = History(5, liars=[4])
    assert found(history, changed(history, 2, Evict(4, 0))) == ""
    assert found(history, changed(history, 2, Join(KEY))) == ""


def test_it_fires_on_two_changes_in_ten_rounds() -> None:
    history = History(5)
    one, other = changed(history, 2, Join(KEY)), changed(history, 3, Join(b"\6" * 32))
    assert "2 changes of 6 members in 10 rounds" in found(history, one, other)
    assert found(history, one, one) == "", "the second host to commit it"


def test_it_fires_on_too_few_members() -> None:
    history = History(4)
    roster = history.committed(2).state.roster.after(Leave(0, 0), 2).after(Leave(1, 0), 2)
    assert "2 members are left" in found(history, changed(history, 2, Leave(1, 0), roster))


def test_it_fires_on_an_eviction_of_the_honest() -> None:
    history = History(5, liars=[4])
    assert "member 1 is honest" in found(history, changed(history, 2, Evict(1, 0)))


@pytest.mark.parametrize(
    ("seats", "expected"),
    [
        (lambda seats: (*seats, seats[0]), "a key has two seats"),
        (lambda seats: seats[:4], "5 seats become 4"),
    ],
)
def test_it_fires_on_seats_that_are_moved(seats, expected: str) -> None:  # type: ignore[no-untyped-def]
    history = History(5)
    roster = history.committed(2).state.roster
    assert expected in found(history, changed(history, 2, Rekey(1, 1, KEY), replace(roster, seats=seats(roster.seats))))


def test_it_fires_on_a_seat_that_is_taken_again() -> None:
    history = History(5)
    watch = Watch(history.cluster, [Membership])
    roster = history.committed(2).state.roster
    watch.ledger.rosters[2] = replace(roster, seats=(Seat(roster.seats[0].keys, active=False), *roster.seats[1:]))
    watch.carried_out(history.cluster.hosts[0], changed(history, 2, Rekey(1, 1, KEY)))
    assert "a seat that was given up is taken again" in texts(watch.violations)
