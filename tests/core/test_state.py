"""State: the pure function from one round to the next. Whoever applies the same cut holds the same bits."""

import hashlib
import os
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core import wire
from qorum.core.columns import Columns
from qorum.core.messages import Contribution, Head, Item
from qorum.core.state import ORIGIN, Entry, State
from qorum.errors import ProtocolError
from qorum.merge.fixed import ONE, to_float
from tests.core.builders import Pen, columns_of, genesis_of, mask_of

MEMBERS = 4  # one liar tolerated: three reporters confirm a cell
GENESIS = genesis_of(MEMBERS)

ROWS = st.tuples(st.integers(-50, 50), st.integers(0, 20), st.integers(0, 3))
NEW = st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 3)), ROWS, max_size=4)
KNOWN = st.dictionaries(st.integers(0, 12), ROWS, max_size=4)
AFFIRMED = st.lists(st.tuples(st.integers(0, 5), st.integers(6, 12)), max_size=2).map(tuple)
MASKS = st.none() | st.integers(0, 15).map(lambda mask: bytes([mask]))


@st.composite
def rounds(draw: st.DrawFn) -> list[list[list[Entry]]]:
    """Some rounds of contributions: in each a list of every member's items in stream order."""
    pens = [Pen(GENESIS, member) for member in range(MEMBERS)]
    return [
        [
            [
                pen.write(columns_of(draw(KNOWN), draw(NEW), draw(AFFIRMED), draw(MASKS)), base=round)
                for _ in range(draw(st.integers(0, 2)))
            ]
            for pen in pens
        ]
        for round in range(draw(st.integers(1, 4)))
    ]


def flat(streams: list[list[Entry]]) -> list[Entry]:
    return [entry for stream in streams for entry in stream]


def applied(history: list[list[list[Entry]]]) -> State:
    state = State.initial(GENESIS)
    for streams in history:
        state = state.apply(flat(streams))
    return state


@given(rounds(), st.data())
def test_the_order_in_which_members_were_heard_does_not_matter(
    history: list[list[list[Entry]]], data: st.DataObject
) -> None:
    one = other = State.initial(GENESIS)
    for streams in history:
        turns = data.draw(st.permutations([m for m, stream in enumerate(streams) for _ in stream]))
        queues = [iter(stream) for stream in streams]
        one, other = one.apply(flat(streams)), other.apply([next(queues[m]) for m in turns])
        assert one.hash == other.hash


@given(rounds())
def test_applying_changes_nothing_but_gives_the_same_again(history: list[list[list[Entry]]]) -> None:
    state = applied(history[:-1])
    before = state.to_bytes()
    first, second = state.apply(flat(history[-1])), state.apply(flat(history[-1]))
    assert first.hash == second.hash != state.hash
    assert state.to_bytes() == before


@given(rounds())
def test_a_state_survives_its_bytes(history: list[list[list[Entry]]]) -> None:
    state = applied(history[:-1])
    again = State.from_bytes(wire.unpack(state.packed, 1 << 20), GENESIS.rules)
    assert again.to_bytes() == state.to_bytes()
    assert again.hash == state.hash == hashlib.sha256(state.to_bytes()).digest()
    assert again.table == state.table
    assert again.apply(flat(history[-1])).hash == state.apply(flat(history[-1])).hash


@given(rounds())
def test_cells_keep_their_ids(history: list[list[list[Entry]]]) -> None:
    state = State.initial(GENESIS)
    for streams in history:
        before, state = state, state.apply(flat(streams))
        assert (state.cells.state_hash[: len(before.cells)] == before.cells.state_hash).all()
        assert (state.before[: len(before.cells)] == before.merged.value).all()
        assert (state.before[len(before.cells) :] == GENESIS.rules.initial_q).all()
        assert state.moves[0] == np.abs(state.merged.value - state.before).max(initial=0)
        assert (state.moves[1:] == before.moves[:-1]).all()


def written(pens: list[Pen]) -> State:
    """Two rounds of a small federation, with a bit of everything."""
    first = [pen.write(columns_of({}, {(10 + i, 0): (i, 2, 0.5), (7, 1): (3, 1, 0)})) for i, pen in enumerate(pens)]
    second = [pens[0].write(columns_of({1: (5, 4, 1.0)}, {}, ((0, 2),), mask_of(2)), base=1), pens[3].write(base=1)]
    return State.initial(GENESIS).apply(first).apply(second)


SCRIPT = """
from tests.core.test_state import GENESIS, MEMBERS, written
from tests.core.builders import Pen
print(written([Pen(GENESIS, member) for member in range(MEMBERS)]).hash.hex())
"""


def test_every_process_computes_the_same_bits() -> None:
    here = written([Pen(GENESIS, member) for member in range(MEMBERS)])
    hashes = set()
    for seed in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
        run = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True)
        hashes.add(run.stdout.decode().strip())
    assert hashes == {here.hash.hex()}


GOLDEN = "a24cb08bbadb0c6e0ceede118d1d5cc633dc95aae2c4382cfd3a6fa623314125"


def test_the_bits_are_those_of_every_other_machine() -> None:
    """Changes only with the protocol: members of different versions would not agree."""
    assert written([Pen(GENESIS, member) for member in range(MEMBERS)]).hash.hex() == GOLDEN


# --- what a round does -------------------------------------------------------------------------------


def one_round(*columns: Columns, state: State | None = None, pens: list[Pen] | None = None) -> State:
    """Members 0, 1, ... each write one item."""
    state = state or State.initial(GENESIS)
    pens = pens or [Pen(GENESIS, member, head) for member, head in enumerate(state.heads)]
    return state.apply([pen.write(each, base=state.round) for pen, each in zip(pens, columns, strict=False)])


def test_nothing_is_known_at_first() -> None:
    state = State.initial(GENESIS)
    assert (state.round, len(state.cells), len(state.table), state.conflicts) == (0, 0, 0, 0)
    assert state.heads == (Head(0, 0, ORIGIN),) * MEMBERS
    assert not state.masks.any()
    assert not state.excluded.any()


def test_a_round_without_contributions_still_counts() -> None:
    state = State.initial(GENESIS).apply([])
    assert state.round == 1
    assert state.hash != State.initial(GENESIS).hash


def test_reports_become_the_agreed_table() -> None:
    state = one_round(*(columns_of({}, {(9, 2): (value, 4, 1.0), (3, 0): (1, 1, 0)}) for value in (-9, 5, 7, 100)))
    assert [(row.state_hash, row.action, row.value, row.visits) for row in state.table] == [
        (3, 0, 1.0, 2),
        (9, 2, 6.0, 8),  # without the lowest and the highest
    ]
    assert state.conflicts == 1
    assert state.merged.confirmed.all()


def test_ids_and_names_mean_the_same_cell() -> None:
    cell = {(9, 2): (1.0, 4, 1.0)}
    state = one_round(*(columns_of({}, cell) for _ in range(MEMBERS)))
    by_id = one_round(*(columns_of({0: (6, 5, 1.0)}) for _ in range(MEMBERS)), state=state)
    by_name = one_round(*(columns_of({}, {(9, 2): (6, 5, 1.0)}) for _ in range(MEMBERS)), state=state)
    assert by_id.table == by_name.table
    assert by_id.registers == by_name.registers
    assert by_id.table.get(9, 2) == (6.0, 10)


def test_ids_that_are_not_agreed_on_mean_nothing() -> None:
    state = one_round(columns_of({}, {(9, 2): (1.0, 4, 1.0)}))
    known = {0: (2.0, 1, 0.0), 1: (3.0, 1, 0.0), 2**31: (4.0, 1, 0.0)}
    after = one_round(columns_of(known, {(5, 0): (7.0, 1, 0.0)}), state=state)
    assert [(row.state_hash, row.value) for row in after.table] == [(5, 7.0), (9, 2.0)]
    assert len(after.registers) == 2


def test_a_cell_named_both_ways_is_written_once() -> None:
    state = one_round(columns_of({}, {(9, 2): (1.0, 4, 1.0)}))
    after = one_round(columns_of({0: (2.0, 3, 0.0)}, {(9, 2): (8.0, 9, 0.0)}), state=state)
    assert after.registers.value.tolist() == [2 * ONE]
    assert after.registers.visits.tolist() == [3]


def test_no_visits_erase() -> None:
    state = one_round(columns_of({}, {(9, 2): (5.0, 4, 1.0)}))
    after = one_round(columns_of({0: (0.0, 0, 0.0)}), state=state)
    assert after.table.get(9, 2) == (5.0, 0), "the value agreed before stays, on nobody's word"
    assert after.merged.reporters.tolist() == [0]


def test_what_is_affirmed_counts_on_and_what_is_not_grows_too_old() -> None:
    window = GENESIS.config.base_window
    state = one_round(columns_of({}, {(1, 0): (5.0, 1, 0.0), (2, 0): (5.0, 1, 0.0)}))
    pens = [Pen(GENESIS, 0, state.heads[0])]
    for _ in range(window):
        state = one_round(columns_of(affirmed=((1, 2),)), state=state, pens=pens)
    assert state.merged.reporters.tolist() == [1, 1]
    state = one_round(columns_of(affirmed=((1, 2),)), state=state, pens=pens)
    assert state.merged.reporters.tolist() == [0, 1]


def test_several_items_of_a_member_count_in_their_order() -> None:
    pen = Pen(GENESIS, 0)
    items = [pen.write(columns_of({}, {(1, 0): (float(i), i, 0.0)}, accused=mask_of(i))) for i in (1, 2, 3)]
    state = State.initial(GENESIS).apply(items)
    assert state.table.get(1, 0) == (3.0, 3)
    assert np.flatnonzero(state.masks[0]).tolist() == [3]
    assert state.heads[0] == items[-1].head
    assert state.heads[1:] == State.initial(GENESIS).heads[1:]


# --- masks -------------------------------------------------------------------------------------------


def test_more_than_f_accusers_exclude_and_fewer_restore() -> None:
    cell = {(1, 0): (1.0, 4, 0.5)}
    state = one_round(*(columns_of({}, cell) for _ in range(MEMBERS)))
    assert state.merged.reporters.tolist() == [4]
    state = one_round(columns_of(accused=mask_of(3)), state=state)
    assert not state.excluded.any()
    state = one_round(columns_of(), columns_of(accused=mask_of(3)), state=state)
    assert state.excluded.tolist() == [False, False, False, True]
    assert state.masks.sum() == 2
    stands = columns_of(affirmed=((0, 1),))
    state = one_round(stands, stands, stands, stands, state=state)
    assert state.merged.reporters.tolist() == [3]
    state = one_round(columns_of(affirmed=((0, 1),), accused=mask_of()), state=state)
    assert not state.excluded.any()
    assert state.merged.reporters.tolist() == [4], "its registers were never dropped"


def test_a_member_does_not_accuse_itself() -> None:
    state = one_round(columns_of(accused=mask_of(0, 1, 2, 3)))
    assert np.flatnonzero(state.masks[0]).tolist() == [1, 2, 3]


def test_a_mask_stands_until_another_is_stated() -> None:
    state = one_round(columns_of(accused=mask_of(2)))
    state = one_round(columns_of({}, {(1, 0): (1.0, 1, 0.0)}), state=state)
    assert np.flatnonzero(state.masks[0]).tolist() == [2]


def test_what_a_round_would_be_without_some_members() -> None:
    state = one_round(*(columns_of({}, {(1, 0): (value, 4, 2.0)}) for value in (1, 2, 3, 40)))
    nobody, last = np.zeros(MEMBERS, bool), np.arange(MEMBERS) == 3
    assert state.merged_without(nobody) is state.merged
    without = state.merged_without(last)
    assert without.reporters.tolist() == [3]
    assert to_float(without.value).tolist() == [2.0]


def test_what_a_member_saw_itself_accuses_who_says_otherwise() -> None:
    honest = {(cell, 0): (1.0, 50, 0.0) for cell in range(20)}
    lies = dict.fromkeys(honest, (60.0, 50, 0.0))
    state = one_round(*(columns_of({}, honest) for _ in range(3)), columns_of({}, lies))
    assert state.accusations(0).tolist() == [False, False, False, True]


def test_the_spread_is_agreed_cell_by_cell() -> None:
    state = one_round(*(columns_of({}, {(1, 0): (1, 4, spread), (2, 0): (1, 1, 0)}) for spread in (0, 1, 2, 90)))
    assert state.spread[0] == 2 * ONE
    low, high = state.ground.bounds(state.rules)
    assert state.spread[1] == high - low, "nobody has visited it twice"


# --- entries -----------------------------------------------------------------------------------------


def item(member: int = 0, payload: bytes = b"") -> Item:
    return Item(wire.encode(Contribution(member, 0, 1, ORIGIN, 0, payload)), bytes(64))


def test_an_entry_is_read_with_its_columns() -> None:
    entry = Entry.read(item(2, columns_of({}, {(1, 0): (1.0, 1, 0.0)}).pack()), GENESIS)
    assert entry.head == Head(0, 1, entry.item.hash, 0)
    assert entry.columns.states.tolist() == [1]


@pytest.mark.parametrize(
    ("columns", "is_news"),
    [
        (columns_of(), False), (columns_of(affirmed=((0, 3),)), False), (columns_of(accused=mask_of(1)), True),
        (columns_of({0: (1.0, 1, 0.0)}), True), (columns_of({}, {(0, 0): (1.0, 1, 0.0)}), True),
    ],
)  # fmt: skip
def test_only_writes_and_accusations_are_news(columns: Columns, is_news: bool) -> None:
    assert Entry.read(item(payload=columns.pack()), GENESIS).is_news == is_news


@pytest.mark.parametrize(
    "broken",
    [item(MEMBERS), item(payload=b"no columns"), Item(b"no body", bytes(64)),
     item(payload=bytes(GENESIS.config.max_bytes_per_round))],
)  # fmt: skip
def test_a_malformed_entry_is_refused(broken: Item) -> None:
    with pytest.raises(ProtocolError):
        Entry.read(broken, GENESIS)


def test_a_body_beyond_the_limit_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "decode_body", None)
    with pytest.raises(ProtocolError, match="limit"):
        Entry.read(item(payload=bytes(GENESIS.config.max_bytes_per_round)), GENESIS)


# --- malformed bytes ---------------------------------------------------------------------------------


def stored() -> list[object]:
    fields: list[object] = msgspec.msgpack.decode(written([Pen(GENESIS, m) for m in range(MEMBERS)]).to_bytes())
    return fields


def read(fields: list[object]) -> State:
    return State.from_bytes(msgspec.msgpack.encode(fields), GENESIS.rules)


COLUMNS = 15


@pytest.mark.parametrize("column", range(COLUMNS))
@pytest.mark.parametrize("change", [-1, -8, 8])
def test_a_column_of_another_length_is_refused(column: int, change: int) -> None:
    *rest, columns = stored()
    assert isinstance(columns, list)
    assert read([*rest, columns]).round == 2
    columns[column] = columns[column][:change] if change < 0 else columns[column] + bytes(change)
    with pytest.raises(ProtocolError):
        read([*rest, columns])


def test_a_column_too_few_or_too_many_is_refused() -> None:
    *rest, columns = stored()
    assert isinstance(columns, list)
    for wrong in (columns[:-1], [*columns, b""], []):
        with pytest.raises(ProtocolError):
            read([*rest, wrong])


def test_a_state_of_another_federation_is_refused() -> None:
    data = written([Pen(GENESIS, member) for member in range(MEMBERS)]).to_bytes()
    for other in (genesis_of(5), genesis_of(MEMBERS, n_actions=5), genesis_of(MEMBERS, base_window=7)):
        with pytest.raises(ProtocolError, match="another federation"):
            State.from_bytes(data, other.rules)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_cleanly(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        State.from_bytes(data, GENESIS.rules)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_damaged_bytes_are_refused_cleanly_or_are_another_state(place: int, byte: int) -> None:
    good = written([Pen(GENESIS, member) for member in range(MEMBERS)])
    data = bytearray(good.to_bytes())
    data[place % len(data)] = byte
    try:
        state = State.from_bytes(bytes(data), GENESIS.rules)
    except ProtocolError:
        return
    assert state.to_bytes() != good.to_bytes() or bytes(data) == good.to_bytes()


# --- what a liar can make of the rules ----------------------------------------------------------------


def test_a_withdrawn_and_repeated_accusation_begins_the_table_anew_only_once() -> None:
    genesis = genesis_of(7)
    pens = [Pen(genesis, member) for member in range(7)]
    accuse, withdraw = mask_of(6, size=7), mask_of(size=7)
    state = State.initial(genesis).apply([pen.write(columns_of({}, {(7, 0): (10, 2, 0)})) for pen in pens])
    state = state.apply([pens[0].write(columns_of(accused=accuse), 1), pens[1].write(columns_of(accused=accuse), 1)])
    begun = set()
    for turn in range(12):  # member 5 has its say, and takes it back
        state = state.apply([pens[5].write(columns_of(accused=withdraw if turn % 2 else accuse), base=state.round)])
        assert bool(state.excluded[6]) == (turn % 2 == 0)
        begun.add(state.since)
    assert begun == {3}
    assert state.convicted.tolist() == [False] * 6 + [True]


def test_a_view_of_the_round_that_begins_anew_is_the_clean_table() -> None:
    genesis = genesis_of(7)
    pens = [Pen(genesis, member) for member in range(7)]
    state = State.initial(genesis).apply([pen.write(columns_of({}, {(7, 0): (10, 2, 0)})) for pen in pens])
    accused = columns_of(accused=mask_of(6, size=7))
    state = state.apply([pens[me].write(accused, base=1) for me in range(3)])
    assert state.since == state.round
    mine = np.array([False] * 5 + [True, False])
    assert state.merged_without(mine).value.tolist() == state.merged.value.tolist() == [0]


def test_a_liar_can_make_everybody_hold_no_more_registers_than_its_visit_budget() -> None:
    genesis = genesis_of(MEMBERS, visit_budget_initial=20, visit_budget_per_round=5)
    honest, liar = Pen(genesis, 0), Pen(genesis, 1)
    state = State.initial(genesis)
    for round in range(4):
        fresh = {(1_000 * round + i, 0): (1, 1, 0) for i in range(100)}
        unvisited = {(9_000 + 100 * round + i, 0): (1, 0, 0) for i in range(50)}
        items = [liar.write(columns_of({}, fresh), round), liar.write(columns_of({}, unvisited), round)]
        state = state.apply([honest.write(columns_of({}, {(round, 1): (1, 1, 0)}), round), *items])
        limit = genesis.rules.visit_budget(state.round)
        assert int((state.registers.member == 1).sum()) == limit
        assert len(state.cells) == limit + state.round
    held = state.registers.member == 0
    assert int(held.sum()) == 4


def test_rewriting_what_one_holds_takes_no_room() -> None:
    genesis = genesis_of(MEMBERS, visit_budget_initial=10, visit_budget_per_round=0)
    pen = Pen(genesis, 0)
    state = State.initial(genesis).apply([pen.write(columns_of({}, {(i, 0): (1, 1, 0) for i in range(10)}))])
    state = state.apply([pen.write(columns_of(dict.fromkeys(range(10), (2, 1, 0)), {(99, 0): (5, 1, 0)}), base=1)])
    assert to_float(state.registers.value).tolist() == [2.0] * 10
    assert len(state.cells) == 10


def test_where_no_liar_is_tolerated_nobody_is_excluded() -> None:
    for members, threshold in ((4, 0.0), (3, 0.33)):
        genesis = genesis_of(members, byzantine_threshold=threshold)
        pens = [Pen(genesis, member) for member in range(members)]
        accused = columns_of(accused=mask_of(members - 1, size=members))
        state = State.initial(genesis).apply([pen.write(accused) for pen in pens])
        assert not state.excluded.any()
        assert state.since == 0
        assert not state.accusations(0).any()
