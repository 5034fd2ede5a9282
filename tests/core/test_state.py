"""State: the pure function from one round to the next. Whoever applies the same cut holds the same bits."""

import hashlib
import os
import subprocess
import sys
from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core import wire
from qorum.core.columns import Columns
from qorum.core.genesis import Genesis
from qorum.core.messages import Change, Contribution, Evict, Head, Item, Join, Kind, Leave, Rekey
from qorum.core.state import _COLUMNS, ORIGIN, Entry, State, contribution_bytes
from qorum.errors import ProtocolError
from qorum.merge.fixed import ONE, to_float
from tests.core.builders import Pen, columns_of, genesis_of, mask_of, sealed
from tests.core.builders import read as read_entry
from tests.core.harness import key

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
    again = State.from_bytes(state.to_bytes(), GENESIS)
    assert again.to_bytes() == state.to_bytes()
    assert again.hash == state.hash
    assert again.roster == state.roster
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


GOLDEN = "34bf4daba8bb4c8999114e9cef231b581dc5f008ca8084a8203fe6e7e3e779d6"


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


# --- changes of membership ---------------------------------------------------------------------------

NEWCOMER = key(100)
CHANGES: list[Change] = [Join(NEWCOMER), Leave(2, 0), Evict(2, 0), Rekey(2, 1, NEWCOMER)]


def busy(genesis: Genesis = GENESIS) -> State:
    """Everybody reports two cells; member 1 accuses 2 and 3, member 2 accuses 1."""
    accused = {1: (2, 3), 2: (1,)}
    entries = [
        Pen(genesis, member).write(
            columns_of({}, {(1, 0): (member, 2, 0.5), (2, 0): (5, 1, 0)}, (),
                       mask_of(*accused[member]) if member in accused else None)
        )
        for member in range(genesis.members)
    ]  # fmt: skip
    return State.initial(genesis).apply(entries)


def pens_of(state: State) -> list[Pen]:
    """One pen a seat, with the key in force."""
    return [Pen(GENESIS, member, head, state.roster.key(member)) for member, head in enumerate(state.heads)]


@pytest.mark.parametrize("change", CHANGES)
def test_the_members_of_the_old_roster_make_the_round_that_changes_it(change: Change) -> None:
    before = busy()
    entries = [pen.write(columns_of({0: (9, 3, 0)}), base=1) for pen in pens_of(before)]
    after, without = before.apply(entries, change), before.apply(entries)
    assert (after.round, after.roster) == (2, before.roster.after(change, 2))
    assert after.table == without.table
    assert after.merged.reporters.tolist() == without.merged.reporters.tolist() == [4, 4]
    assert len({after.hash, without.hash, before.hash}) == 3


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_of_a_changed_roster_survives_its_bytes(change: Change) -> None:
    state = busy().apply([], change)
    again = State.from_bytes(state.to_bytes(), GENESIS)
    assert (again.hash, again.roster.hash, again.to_bytes()) == (state.hash, state.roster.hash, state.to_bytes())
    entries = [pen.write(columns_of({0: (3, 2, 0)}), base=2) for pen in pens_of(state)[:2]]
    assert again.apply(entries).hash == state.apply(entries).hash
    assert again.apply(entries, Leave(1, 0)).hash == state.apply(entries, Leave(1, 0)).hash


def test_a_newcomer_has_a_stream_and_a_say_from_the_next_round_on() -> None:
    before = busy()
    state = before.apply([], Join(NEWCOMER))
    assert state.heads == (*before.heads, Head(0, 0, ORIGIN, 2))
    assert state.masks.shape == (5, 5)
    assert (state.masks[:4, :4] == before.masks).all()
    assert state.masks.sum() == before.masks.sum()
    assert state.convicted.tolist() == [*before.convicted.tolist(), False]
    assert state.registers == before.registers
    pen = pens_of(state)[4]
    entry = pen.write(columns_of({0: (7, 2, 0)}, {(8, 0): (1, 1, 0)}, accused=mask_of(0, 4)), base=2)
    state = state.apply([entry])
    assert state.merged.reporters.tolist() == [5, 4, 1]
    assert np.flatnonzero(state.masks[4]).tolist() == [0]
    assert state.heads[4] == entry.head


@pytest.mark.parametrize("change", [Leave(2, 0), Evict(2, 0)])
def test_who_is_gone_counts_and_accuses_no_more_and_is_accused_no_more(change: Change) -> None:
    before = busy()
    state = before.apply([], change)
    assert sorted(set(state.registers.member.tolist())) == [0, 1, 3]
    assert len(state.registers) == 6
    assert np.argwhere(state.masks).tolist() == [[1, 3]]
    later = state.apply([pens_of(state)[0].write(columns_of(accused=mask_of(1, 2)), base=2)])
    assert np.argwhere(later.masks).tolist() == [[0, 1], [1, 3]]
    assert later.merged.reporters.tolist() == [3, 3]
    assert [later.heads[member] for member in (1, 3)] == [before.heads[member] for member in (1, 3)]


@pytest.mark.parametrize("change", [Leave(2, 0), Evict(2, 0)])
def test_no_item_of_who_is_gone_goes_on_from_its_head(change: Change) -> None:
    before = busy()
    head = before.apply([], change).heads[2]
    assert (head.incarnation, head.seq, head.hash) == (1, 0, ORIGIN), "of a key that nobody has"


def test_a_new_key_begins_a_new_stream_and_overwrites_the_old_registers() -> None:
    before = busy()
    state = before.apply([], Rekey(2, 1, NEWCOMER))
    assert state.heads[2] == Head(1, 0, ORIGIN, 2)
    assert state.registers == before.registers
    assert (state.masks == before.masks).all()
    entry = pens_of(state)[2].write(columns_of({0: (40, 9, 0)}), base=2)
    assert (entry.body.incarnation, entry.body.seq) == (1, 1)
    later = state.apply([entry])
    mine = later.registers.take(later.registers.member == 2)
    assert to_float(mine.value).tolist() == [40, 5]
    assert mine.version.tolist() == [1 << 32 | 1, 1]
    assert later.heads[2] == Head(1, 1, entry.hash, 2)
    assert later.written_since(state.heads, but_by=0) == 1


def test_sizes_follow_the_roster() -> None:
    genesis = genesis_of(6)
    state = State.initial(genesis).apply([], Join(NEWCOMER))
    assert (genesis.rules.tolerated, state.rules.tolerated, state.rules.n_members) == (1, 2, 7)
    state = state.apply([], Leave(0, 0))
    assert (state.rules.tolerated, state.rules.n_members, state.roster.quorum.members) == (1, 7, 6)


def test_the_visit_budget_of_a_newcomer_counts_from_the_round_that_took_it_in() -> None:
    genesis = genesis_of(MEMBERS, visit_budget_initial=20, visit_budget_per_round=5)
    state = State.initial(genesis).apply([]).apply([]).apply([], Join(NEWCOMER))
    veteran, newcomer = Pen(genesis, 0), Pen(genesis, 4, state.heads[4], NEWCOMER)
    for round in (4, 5, 6):
        cells = {(100 * round + i, 0): (1, 1, 0) for i in range(40)}
        others = {(100 * round + i, 1): (1, 1, 0) for i in range(40)}
        said = ((veteran, cells), (newcomer, others))
        state = state.apply([pen.write(columns_of({}, each), base=round - 1) for pen, each in said])
        held = np.bincount(state.registers.member, minlength=5)
        assert held.tolist() == [20 + 5 * round, 0, 0, 0, 20 + 5 * (round - 3)]
    reported = state.cells.action[state.merged.reporters > 0].tolist()
    assert reported.count(0) == 20 + 5 * 6, "and every one of them counts"
    assert reported.count(1) == 20 + 5 * 3


def test_visits_beyond_a_newcomers_budget_do_not_count() -> None:
    genesis = genesis_of(MEMBERS, visit_budget_initial=20, visit_budget_per_round=5)
    state = State.initial(genesis).apply([]).apply([]).apply([], Join(NEWCOMER))
    cells = {(1, 0): (1, 24, 0), (2, 0): (1, 2, 0)}
    state = state.apply(
        [Pen(genesis, 0).write(columns_of({}, cells), base=3),
         Pen(genesis, 4, state.heads[4], NEWCOMER).write(columns_of({}, cells), base=3)]
    )  # fmt: skip
    assert state.merged.reporters.tolist() == [2, 1]


# --- chunks ------------------------------------------------------------------------------------------


@given(rounds(), st.integers(1, 3000))
def test_the_hash_is_that_of_the_hashes_of_the_chunks(history: list[list[list[Entry]]], size: int) -> None:
    state = applied(history)
    data = state.to_bytes()
    with mock.patch.object(wire, "CHUNK", size):
        hashes = [hashlib.sha256(data[at : at + size]).digest() for at in range(0, len(data), size)]
        assert state.chunk_hashes == b"".join(hashes)
        assert state.hash == hashlib.sha256(state.chunk_hashes).digest()


def test_a_mask_may_be_shorter_or_longer_than_the_roster() -> None:
    genesis = genesis_of(11)
    masks = (b"\2", b"\xff" * 3, mask_of(0, 10, size=11))
    state = State.initial(genesis).apply(
        [Pen(genesis, member).write(columns_of(accused=mask)) for member, mask in enumerate(masks)]
    )
    assert [np.flatnonzero(row).tolist() for row in state.masks[:3]] == [[1], [0, *range(2, 11)], [0, 10]]


# --- origins -----------------------------------------------------------------------------------------


def test_who_had_a_part_in_a_round_leads_the_next_before_who_had_none() -> None:
    genesis = genesis_of(7)
    state = State.initial(genesis)
    assert state.origins.all()
    assert state.leaders == tuple(genesis.roster.order(1))
    state = state.apply([Pen(genesis, member).write() for member in (1, 4, 6)])
    assert np.flatnonzero(state.origins).tolist() == [1, 4, 6]
    drawn = genesis.roster.order(2)
    assert state.leaders == (*[m for m in drawn if m in (1, 4, 6)], *[m for m in drawn if m not in (1, 4, 6)])
    assert state.apply([]).leaders == tuple(genesis.roster.order(3))


def test_newcomers_lead_after_the_others_and_who_is_gone_leads_no_more() -> None:
    state = busy().apply([Pen(GENESIS, m, busy().heads[m]).write(base=1) for m in range(MEMBERS)], Join(NEWCOMER))
    assert sorted(state.leaders) == [0, 1, 2, 3, 4]
    assert state.leaders[-1] == 4
    gone = state.apply([], Leave(2, 0))
    assert sorted(gone.leaders) == [0, 1, 3, 4]
    assert gone.leaders == tuple(gone.roster.order(4))


# --- entries -----------------------------------------------------------------------------------------


def item(member: int = 0, payload: bytes = b"") -> Item:
    return sealed(GENESIS, Contribution(member, 0, 1, ORIGIN, 0, payload), GENESIS.public_keys[member])


def test_an_entry_is_read_with_its_columns() -> None:
    entry = read_entry(GENESIS, item(2, columns_of({}, {(1, 0): (1.0, 1, 0.0)}).pack()), GENESIS.public_keys[2])
    assert entry.head == Head(0, 1, entry.item.hash, 0)
    assert entry.columns.states.tolist() == [1]
    assert entry.rows == 1


@pytest.mark.parametrize(
    ("columns", "is_news"),
    [
        (columns_of(), False), (columns_of(affirmed=((0, 3),)), False), (columns_of(accused=mask_of(1)), True),
        (columns_of({0: (1.0, 1, 0.0)}), True), (columns_of({}, {(0, 0): (1.0, 1, 0.0)}), True),
    ],
)  # fmt: skip
def test_only_writes_and_accusations_are_news(columns: Columns, is_news: bool) -> None:
    assert read_entry(GENESIS, item(payload=columns.pack()), GENESIS.public_keys[0]).is_news == is_news


@pytest.mark.parametrize(
    "broken",
    [item(payload=b"no columns"), Item(b"no body", bytes(64)),
     item(payload=bytes(GENESIS.config.max_bytes_per_round))],
)  # fmt: skip
def test_a_malformed_entry_is_refused(broken: Item) -> None:
    with pytest.raises(ProtocolError):
        Entry.read(broken, GENESIS.public_keys[0], GENESIS, lambda *_: True)


@pytest.mark.parametrize("where", ["signature", "signer", "federation", "body"])
def test_an_entry_that_its_author_did_not_sign_is_refused(where: str) -> None:
    good, key, genesis = item(), GENESIS.public_keys[0], GENESIS
    assert read_entry(genesis, good, key).item == good
    match where:
        case "signature":
            good = Item(good.body, bytes(64))
        case "signer":
            key = GENESIS.public_keys[1]
        case "federation":
            genesis = genesis_of(MEMBERS, gamma=0.5)
        case "body":
            good = Item(item(payload=columns_of({}, {(1, 0): (1.0, 1, 0.0)}).pack()).body, good.signature)
    with pytest.raises(ProtocolError, match="not signed"):
        read_entry(genesis, good, key)


def test_a_payload_is_not_unpacked_before_the_signature_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Columns, "unpack", None)
    with pytest.raises(ProtocolError, match="not signed"):
        Entry.read(item(payload=b"anything"), GENESIS.public_keys[0], GENESIS, lambda *_: False)


def test_the_slot_that_an_author_signs_is_its_incarnation_and_seq() -> None:
    body = Contribution(0, 2, 7, ORIGIN, 5, b"payload")
    data = contribution_bytes(GENESIS.federation, body, bytes(range(32)))
    assert wire.signed_parts(data) == (Kind.CONTRIBUTION, 2, 7, 0, bytes(range(32)))
    rebased = Contribution(0, 2, 7, bytes([1]) * 32, 6, b"")
    assert contribution_bytes(GENESIS.federation, rebased, bytes(range(32))) == data, "whatever else it says"


def test_a_body_beyond_the_limit_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "decode_body", None)
    with pytest.raises(ProtocolError, match="limit"):
        read_entry(GENESIS, item(payload=bytes(GENESIS.config.max_bytes_per_round)), GENESIS.public_keys[0])


# --- malformed bytes ---------------------------------------------------------------------------------


def stored() -> list[object]:
    fields: list[object] = msgspec.msgpack.decode(written([Pen(GENESIS, m) for m in range(MEMBERS)]).to_bytes())
    return fields


def read(fields: list[object]) -> State:
    return State.from_bytes(msgspec.msgpack.encode(fields), GENESIS)


COLUMNS = len(_COLUMNS)
ROSTER = 3


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
    for other in (genesis_of(MEMBERS, n_actions=5), genesis_of(MEMBERS, base_window=7)):
        with pytest.raises(ProtocolError, match="another federation"):
            State.from_bytes(data, other)


def test_a_roster_of_other_seats_than_the_state_has_is_refused() -> None:
    fields = stored()
    for other in (genesis_of(MEMBERS - 1), genesis_of(MEMBERS + 1)):
        with pytest.raises(ProtocolError, match="another federation"):
            read([*fields[:ROSTER], other.roster.to_bytes(), *fields[ROSTER + 1 :]])
    for broken in (b"", b"\x90", GENESIS.roster.to_bytes()[:-1]):
        with pytest.raises(ProtocolError, match="not a roster"):
            read([*fields[:ROSTER], broken, *fields[ROSTER + 1 :]])


def test_heads_of_more_or_fewer_members_are_refused() -> None:
    fields = stored()
    heads = fields[ROSTER + 1]
    assert isinstance(heads, list)
    for wrong in (heads[:-1], [*heads, heads[0]], []):
        with pytest.raises(ProtocolError, match="cut short"):
            read([*fields[: ROSTER + 1], wrong, *fields[ROSTER + 2 :]])


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_cleanly(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        State.from_bytes(data, GENESIS)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_damaged_bytes_are_refused_cleanly_or_are_another_state(place: int, byte: int) -> None:
    good = written([Pen(GENESIS, member) for member in range(MEMBERS)])
    data = bytearray(good.to_bytes())
    data[place % len(data)] = byte
    try:
        state = State.from_bytes(bytes(data), GENESIS)
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


def test_what_a_new_member_wrote_is_news_to_who_knew_the_old_heads() -> None:
    before = busy()
    state = before.apply([], Join(NEWCOMER))
    entry = pens_of(state)[-1].write(columns_of({0: (1, 1, 0)}), base=state.round)
    assert state.apply([entry]).written_since(before.heads, but_by=0) == 1
