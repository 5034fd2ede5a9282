"""Roster: who decides a round follows from the founding and the changes since, the same at every member."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core.messages import Change, Evict, Join, Leave, Rekey
from qorum.core.roster import CHANGE_ROUNDS, CHANGE_SHARE, MAX_SEATS, Roster, Seat
from qorum.errors import ProtocolError
from tests.core.builders import genesis_of
from tests.core.harness import key

GENESIS = genesis_of(4)
FOUNDING = GENESIS.roster


@st.composite
def rosters(draw: st.DrawFn) -> Roster:
    """What some changes in a row lead to."""
    roster, round = FOUNDING, 0
    for number in range(draw(st.integers(0, 12))):
        round += draw(st.integers(1, 4))
        member = draw(st.sampled_from(roster.active))
        incarnation = roster.seats[member].incarnation
        changes: list[Change] = [Join(key(100 + number)), Rekey(member, incarnation + 1, key(100 + number))]
        if len(roster.active) > 1:
            changes += [Leave(member, incarnation), Evict(member, incarnation)]
        roster = roster.after(draw(st.sampled_from(changes)), round)
    return roster


# --- bytes ---


@given(rosters())
def test_a_roster_survives_its_bytes(roster: Roster) -> None:
    again = FOUNDING.decode(roster.to_bytes())
    assert again == roster
    assert again.hash == roster.hash == hashlib.sha256(roster.to_bytes()).digest()


@given(rosters())
def test_every_change_makes_another_roster(roster: Roster) -> None:
    changed = roster.after(Join(key(999)), 99)
    assert changed.hash != roster.hash
    assert changed.epoch == roster.epoch + 1


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_cleanly(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        FOUNDING.decode(data)


def stored(*seats: Seat) -> bytes:
    return msgspec.msgpack.encode([0, [], list(seats)])


@pytest.mark.parametrize(
    "data",
    [
        stored(), stored(Seat(())), stored(Seat((key(1),)), Seat(())), stored(*[Seat((key(1),))] * (MAX_SEATS + 1)),
        stored(Seat((b"short",))), stored(Seat((key(1),), joined=-1)), FOUNDING.to_bytes() + b"\0",
        msgspec.msgpack.encode([-1, [], [Seat((key(1),))]]),
    ],
)  # fmt: skip
def test_an_impossible_roster_is_refused(data: bytes) -> None:
    assert FOUNDING.decode(stored(*FOUNDING.seats)) == FOUNDING
    with pytest.raises(ProtocolError):
        FOUNDING.decode(data)


def test_rosters_of_two_federations_may_be_alike_but_are_not_equal() -> None:
    other = genesis_of(4, gamma=0.5).roster
    assert other.to_bytes() == FOUNDING.to_bytes()
    assert other != FOUNDING
    assert other.order(1) != FOUNDING.order(1)


# --- what changes do ---


def test_a_newcomer_takes_the_next_seat() -> None:
    roster = FOUNDING.after(Join(key(9)), 7)
    assert roster.seats == (*FOUNDING.seats, Seat((key(9),), joined=7))
    assert (roster.members, roster.active, roster.active_mask) == (5, (0, 1, 2, 3, 4), 0b11111)
    assert roster.seat_of(key(9)) == 4
    assert FOUNDING.members == 4, "a roster never changes"


@pytest.mark.parametrize("change", [Leave(1, 0), Evict(1, 0)])
def test_a_seat_that_was_given_up_is_never_given_again(change: Change) -> None:
    roster = FOUNDING.after(change, 3).after(Join(key(9)), 4)
    assert (roster.members, roster.active, roster.active_mask) == (5, (0, 2, 3, 4), 0b11101)
    assert not roster.seats[1].active
    assert roster.seat_of(key(1)) is None
    assert roster.seat_of(key(9)) == 4
    assert key(1) in roster.known_keys
    assert roster.quorum.members == 4


def test_a_new_key_raises_the_incarnation_and_keeps_the_seat() -> None:
    roster = FOUNDING.after(Rekey(2, 1, key(9)), 5)
    assert roster.seats[2] == Seat((key(2), key(9)))
    assert (roster.seats[2].incarnation, roster.key(2), roster.seats[2].joined) == (1, key(9), 0)
    assert (roster.seat_of(key(9)), roster.seat_of(key(2))) == (2, None)
    assert roster.known_keys == {key(member) for member in (0, 1, 2, 3, 9)}


@given(rosters())
def test_everything_counts_active_seats_only(roster: Roster) -> None:
    active = [index for index, seat in enumerate(roster.seats) if seat.active]
    assert list(roster.active) == active
    assert roster.active_mask == sum(1 << index for index in active)
    assert roster.quorum.members == len(active)
    assert (roster.rules.n_members, roster.rules.tolerated) == (roster.members, roster.quorum.tolerated)
    assert roster.agrees == (len(active) >= 3)
    assert [roster.seat_of(roster.key(member)) for member in active] == active


def test_too_few_are_left_to_agree() -> None:
    roster = FOUNDING.after(Leave(0, 0), 1)
    assert roster.agrees
    assert not roster.after(Leave(1, 0), 2).agrees


# --- who leads ---


@given(rosters(), st.integers(1, 50))
def test_every_member_is_drawn_once_a_round(roster: Roster, round: int) -> None:
    assert sorted(roster.order(round)) == list(roster.active)
    assert roster.order(round) == FOUNDING.decode(roster.to_bytes()).order(round)


def test_the_order_changes_with_round_and_epoch() -> None:
    roster = genesis_of(40).roster
    later = roster.after(Rekey(0, 1, key(99)), 3)
    assert len({tuple(order) for order in (roster.order(1), roster.order(2), later.order(1))}) == 3


SCRIPT = """
from tests.core.builders import genesis_of
from tests.core.harness import key
from qorum.core.messages import Join
roster = genesis_of(7).roster.after(Join(key(9)), 3)
print(roster.hash.hex(), roster.order(5))
"""


def test_every_process_computes_the_same_hash_and_order() -> None:
    roster = genesis_of(7).roster.after(Join(key(9)), 3)
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True)
    assert run.stdout.decode().strip() == f"{roster.hash.hex()} {roster.order(5)}"


# --- how often ---


@pytest.mark.parametrize("members", [4, 19, 20, 45])
def test_so_many_changes_fit_into_ten_rounds(members: int) -> None:
    roster, round = genesis_of(members).roster, 5
    room = max(1, members // CHANGE_SHARE)
    for number in range(room):
        assert roster.has_room(round + number)
        roster = roster.after(Rekey(number, 1, key(1000 + number)), round + number)
    assert not roster.has_room(round + room)
    assert not roster.has_room(round + CHANGE_ROUNDS - 1)
    assert roster.has_room(round + CHANGE_ROUNDS)


def test_changes_too_old_to_count_are_forgotten() -> None:
    roster = genesis_of(40).roster
    for number, round in enumerate((1, 2, 11, 12)):
        roster = roster.after(Rekey(number, 1, key(1000 + number)), round)
    assert roster.changes == (11, 12)
    assert roster.after(Rekey(9, 1, key(2000)), 21).changes == (12, 21)
