"""Values: what a value of the round stands for, found out with what is held here, or what of it is missing."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest

from qorum.core import values as module
from qorum.core import wire
from qorum.core.messages import Advance, Change, Cut, Evict, Join, Leave, Petition, Value, place
from qorum.core.roster import CHANGE_ROUNDS
from qorum.core.state import ORIGIN, Entry, State
from qorum.core.streams import Broken, Missing, Streams
from qorum.core.values import KEPT, PATIENCE, Outcome, Values
from qorum.errors import ProtocolError
from tests.core.builders import Pen, columns_of, genesis_of
from tests.core.harness import fake_verify, key, petition_of, sha

MEMBERS = 4
GENESIS = genesis_of(MEMBERS)
ROSTER = GENESIS.roster
START = State.initial(GENESIS)
replace = msgspec.structs.replace


class Applied:
    """`State.apply`, counting."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, state: State, entries: list[Entry], change: Change | None) -> State:
        self.times += 1
        return state.apply(entries, change)


class Side(NamedTuple):
    """One member's values and what they rest on."""

    values: Values
    streams: Streams
    apply: Applied


def items(members: int = MEMBERS, mark: int = 0) -> list[Entry]:
    return [Pen(GENESIS, m).write(columns_of({}, {(m, 0): (mark, 1, 0)})) for m in range(members)]


def hashes(entries: list[Entry]) -> list[bytes]:
    return [entry.hash for entry in entries]


ALL = hashes(items())


def side(entries: list[Entry], state: State = START, previous: bytes = ORIGIN) -> Side:
    streams, apply = Streams(GENESIS, state.heads), Applied()
    for entry in entries:
        streams.add(entry)
    values = Values(GENESIS, streams, fake_verify, apply)
    values.enter(state, previous)
    return Side(values, streams, apply)


def proposed(entries: list[Entry] | None = None, petition: Petition | None = None) -> tuple[bytes, bytes, bytes]:
    """A fresh value, the sketch of its cut and the cut."""
    one = side(items() if entries is None else entries)
    value = one.values.fresh(petition)
    assert value is not None
    body = one.values.cut_body(decoded(value).cut)
    assert body is not None
    return value, one.values.sketch(value), body


def decoded(value: bytes) -> Value:
    return wire.decode_body(Value, value)


# --- fresh ones ---


def test_a_fresh_value_leads_where_its_cut_leads() -> None:
    one = side(items())
    value = one.values.fresh(None)
    assert value is not None
    state, cut = START.apply(items()), Cut(one.streams.cut(1))
    expected = Value(1, ORIGIN, 0, sha(wire.encode(cut)), state.hash, ROSTER.hash)
    assert decoded(value) == expected
    outcome = one.values.open(value)
    assert (outcome.value, outcome.cut, hashes(outcome.entries)) == (expected, cut.advances, ALL)
    assert outcome.state.hash == state.hash
    assert one.apply.times == 1, "it knows what it leads to already"


def test_below_a_quorum_of_origins_there_is_none() -> None:
    assert side(items(2)).values.fresh(None) is None
    assert side(items(3)).values.fresh(None) is not None
    late = [*items(2), Pen(GENESIS, 2).write(base=1)]
    assert side(late).values.fresh(None) is None, "an item of a later round is no origin of this one"


def test_a_change_of_membership_is_in_it() -> None:
    petition = petition_of(ROSTER, Join(key(9)))
    value, _, _ = proposed(petition=petition)
    after = ROSTER.after(petition.change, 1)
    assert (decoded(value).change, decoded(value).roster) == (petition, after.hash)
    assert decoded(value).result == START.apply(items(), petition.change).hash


# --- opening ---


@pytest.mark.parametrize("petition", [None, petition_of(ROSTER, Join(key(9))), petition_of(ROSTER, Leave(1, 0))])
def test_whoever_holds_the_items_opens_it_with_the_sketch(petition: Petition | None) -> None:
    value, sketch, body = proposed(petition=petition)
    other = side(items())
    other.values.note_sketch(value, sketch)
    outcome = other.values.open(value)
    assert isinstance(outcome, Outcome)
    assert wire.encode(Cut(outcome.cut)) == body
    assert hashes(outcome.entries) == ALL
    assert outcome.state.hash == decoded(value).result
    assert other.values.open(value) is outcome
    assert other.apply.times == 1
    assert other.values.sketch(value) == sketch
    assert other.values.cut_body(decoded(value).cut) == body


def test_without_a_sketch_the_cut_is_fetched() -> None:
    value, _, body = proposed()
    other = side(items())
    assert other.values.sketch(value) == b""
    assert other.values.cut_body(decoded(value).cut) is None
    for _ in range(2):
        with pytest.raises(Missing) as gap:
            other.values.open(value)
        assert (gap.value.hashes, gap.value.places) == ((decoded(value).cut,), ())
    other.values.on_cut(body)
    assert hashes(other.values.open(value).entries) == ALL


def test_items_that_the_sketch_names_are_fetched_by_place_first() -> None:
    value, sketch, _ = proposed()
    other = side(items(2))
    other.values.note_sketch(value, sketch)
    with pytest.raises(Missing) as gap:
        other.values.open(value)
    assert (gap.value.hashes, gap.value.places) == ((), (place(2, 1), place(3, 1)))
    for entry in items()[2:]:
        other.streams.add(entry)
    assert hashes(other.values.open(value).entries) == ALL


def test_items_that_the_cut_names_are_fetched_by_hash() -> None:
    value, _, body = proposed()
    other = side(items(2))
    other.values.on_cut(body)
    with pytest.raises(Missing) as gap:
        other.values.open(value)
    assert gap.value.hashes == tuple(ALL[2:])


def test_where_an_author_signed_two_branches_the_cut_is_fetched() -> None:
    value, sketch, body = proposed()
    rival = items(mark=7)[0]
    other = side([rival, *items()[1:]])
    other.values.note_sketch(value, sketch)
    with pytest.raises(Missing) as gap:
        other.values.open(value)
    assert gap.value.hashes == (decoded(value).cut,)
    other.values.on_cut(body)
    with pytest.raises(Missing) as gap:
        other.values.open(value)
    assert gap.value.hashes == (ALL[0],)
    other.streams.add(items()[0])
    assert hashes(other.values.open(value).entries) == ALL


def test_a_sketch_that_leads_nowhere_is_given_up() -> None:
    value, _, body = proposed()
    other = side(items())
    bogus = other.streams.sketch([(member, 9) for member in range(MEMBERS)])
    other.values.note_sketch(value, bogus)
    for _ in range(PATIENCE):
        with pytest.raises(Missing) as gap:
            other.values.open(value)
        assert gap.value.places != ()
        other.values.tick()
    with pytest.raises(Missing) as gap:
        other.values.open(value)
    assert (gap.value.hashes, gap.value.places) == ((decoded(value).cut,), ())
    other.values.tick()
    other.values.on_cut(body)
    assert hashes(other.values.open(value).entries) == ALL


def test_a_sketch_that_is_none_is_given_up_at_once() -> None:
    value, _, _ = proposed()
    for sketch in (b"no sketch", b""):
        other = side(items())
        other.values.note_sketch(value, sketch)
        with pytest.raises(Missing) as gap:
            other.values.open(value)
        assert gap.value.hashes == (decoded(value).cut,)


def test_the_sketch_heard_first_counts() -> None:
    value, sketch, _ = proposed()
    other = side(items())
    other.values.note_sketch(value, sketch)
    other.values.note_sketch(value, b"another")
    assert hashes(other.values.open(value).entries) == ALL


def test_a_sketch_of_what_is_no_value_is_ignored() -> None:
    other = side(items())
    other.values.note_sketch(b"no value", b"sketch")
    with pytest.raises(Broken, match="not a Value"):
        other.values.open(b"no value")


def test_what_is_no_cut_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not a Cut"):
        side(items()).values.on_cut(b"no cut")


# --- broken ones ---


def broken(value: Value, cut: Cut | None = None, state: State = START, match: str | None = None) -> None:
    """The value is broken, for good, whatever else is held."""
    other = side(items(), state)
    other.values.on_cut(wire.encode(Cut(other.streams.cut(1)) if cut is None else cut))
    for _ in range(2):
        with pytest.raises(Broken, match=match):
            other.values.open(wire.encode(value))
    assert other.apply.times <= 1


GOOD = decoded(proposed()[0])


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (replace(GOOD, round=2), "another round"), (replace(GOOD, round=0), "another round"),
        (replace(GOOD, previous=bytes([1]) * 32), "history"), (replace(GOOD, epoch=1), "epoch"),
        (replace(GOOD, result=bytes(32)), "does not lead to its state"),
        (replace(GOOD, roster=bytes(32)), "does not lead to its state"),
        (replace(GOOD, change=petition_of(ROSTER, Leave(1, 0))), "does not lead to its state"),
    ],
)  # fmt: skip
def test_a_value_that_no_honest_leader_proposes_is_broken(value: Value, match: str) -> None:
    broken(value, match=match)


def test_a_value_not_in_canonical_form_is_broken() -> None:
    other = side(items())
    good = wire.encode(GOOD)
    for raw in (good + b"\0", good[:-1], bytes([good[0] - 1]) + good[1:-1]):
        with pytest.raises(Broken):
            other.values.open(raw)


def test_a_cut_of_fewer_origins_than_a_quorum_is_broken() -> None:
    entries = items()[:2]
    cut = Cut(tuple(Advance(entry.body.member, entry.head) for entry in entries))
    state = START.apply(entries)
    broken(replace(GOOD, cut=sha(wire.encode(cut)), result=state.hash), cut, match="cut of 2 origins; 3 are needed")


def test_a_cut_that_is_not_sound_is_broken() -> None:
    good = Cut(tuple(Advance(entry.body.member, entry.head) for entry in items()))
    cut = Cut((*good.advances[:3], replace(good.advances[3], head=replace(good.advances[3].head, seq=2))))
    broken(replace(GOOD, cut=sha(wire.encode(cut))), cut, match="misstates the head")


def test_a_change_that_is_not_entitled_to_happen_is_broken() -> None:
    petition = petition_of(ROSTER, Evict(1, 0), endorsers=[0, 2])
    state = START.apply(items(), petition.change)
    broken(replace(GOOD, change=petition, result=state.hash, roster=state.roster.hash), match="endorsed by 2")


def test_changes_that_follow_too_soon_are_broken() -> None:
    changed = START.apply(items(), Join(key(9)))
    for rounds, fits in ((0, False), (CHANGE_ROUNDS - 2, False), (CHANGE_ROUNDS - 1, True)):
        state = changed
        for _ in range(rounds):
            state = state.apply([])
        pens = [Pen(GENESIS, m, head, state.roster.key(m)) for m, head in enumerate(state.heads)]
        entries = [pen.write(base=state.round) for pen in pens]
        one, other = (side(entries, state, bytes([3]) * 32).values for _ in range(2))
        value = one.fresh(petition_of(state.roster, Leave(0, 0)))
        assert value is not None
        other.note_sketch(value, one.sketch(value))
        if fits:
            assert 0 not in other.open(value).state.roster.active
        else:
            with pytest.raises(Broken, match="too soon"):
                other.open(value)


# --- rounds ---


def test_a_new_round_begins_with_nothing_of_the_old_one() -> None:
    one = side(items())
    value = one.values.fresh(None)
    assert value is not None
    outcome = one.values.open(value)
    one.streams.commit(1, outcome.entries, outcome.state.heads)
    one.values.enter(outcome.state, sha(value))
    assert one.values.round == 2
    assert one.values.cut_body(decoded(value).cut) is None
    with pytest.raises(Broken, match="another round"):
        one.values.open(value)
    pens = [Pen(GENESIS, m, head) for m, head in enumerate(outcome.state.heads)]
    for pen in pens[:3]:
        one.streams.add(pen.write(base=1))
    following = one.values.fresh(None)
    assert following is not None
    assert decoded(following).previous == sha(value)


def test_of_a_flood_of_values_and_cuts_the_newest_are_kept() -> None:
    one = side(items())
    value, sketch, body = proposed()
    for number in range(2 * KEPT):
        cut = Cut((Advance(0, items()[0].head), Advance(number, items()[0].head)))
        one.values.on_cut(wire.encode(cut))
        one.values.note_sketch(wire.encode(replace(GOOD, cut=sha(bytes([number])))), b"sketch")
        with pytest.raises(Broken):
            one.values.open(wire.encode(replace(GOOD, round=5 + number)))
    held = one.values
    assert {len(held._cuts), len(held._sketches), len(held._outcomes)} == {KEPT} == {module.KEPT}
    held.note_sketch(value, sketch)
    held.on_cut(body)
    assert hashes(held.open(value).entries) == ALL
