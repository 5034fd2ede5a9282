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
from qorum.core.state import _COLUMNS, ORIGIN, UNKNOWN_SPREAD, Entry, State, contribution_bytes
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
MASK = st.integers(0, 15).map(lambda mask: bytes([mask]))
MASKS = st.just((None, b"")) | st.tuples(MASK, st.just(b"") | MASK)
"""Whom a member accuses, and against whom it stakes its standing."""


@st.composite
def rounds(draw: st.DrawFn) -> list[list[list[Entry]]]:
    """Some rounds of contributions: in each a list of every member's items in stream order."""
    pens = [Pen(GENESIS, member) for member in range(MEMBERS)]
    return [
        [
            [
                pen.write(columns_of(draw(KNOWN), draw(NEW), draw(AFFIRMED), *draw(MASKS)), base=round)
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
    masks = {"accused": mask_of(2, 3), "staked": mask_of(3)}
    second = [pens[0].write(columns_of({1: (5, 4, 1.0)}, {}, ((0, 2),), **masks), base=1), pens[3].write(base=1)]
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


GOLDEN = "def5df089632f75d7ebc85b6b81e550cd70c7d9f29471d521f9e112f7a8a2c83"


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
    state = one_round(*(columns_of({}, {(9, 2): (value, 4, 1.0), (3, 0): (1, 1, 0)}) for value in (5, 6, 7, 100)))
    assert [(row.state_hash, row.action, row.value, row.visits) for row in state.table] == [
        (3, 0, 1.0, 4),
        (9, 2, 6.0, 12),  # without the highest, which three contradict
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
    assert by_id.table.get(9, 2) == (6.0, 20)


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


def test_who_stakes_its_standing_leaves_the_merge_with_whom_it_accuses() -> None:
    cell = {(1, 0): (1.0, 4, 0.5)}
    state = one_round(*(columns_of({}, cell) for _ in range(MEMBERS)))
    stands = columns_of(affirmed=((0, 1),))
    staked = columns_of(affirmed=((0, 1),), accused=mask_of(3), staked=mask_of(3))
    state = one_round(staked, stands, stands, stands, state=state)
    assert np.argwhere(state.stakes).tolist() == np.argwhere(state.masks).tolist() == [[0, 3]]
    assert state.standing.paired.tolist() == [True, False, False, True]
    assert not state.excluded.any()
    assert state.merged.reporters.tolist() == [2]
    state = one_round(stands, columns_of(affirmed=((0, 1),), accused=mask_of(3)), stands, stands, state=state)
    assert state.excluded.tolist() == [False, False, False, True], "accused by two: one of them is honest"
    assert not state.standing.paired.any()
    assert state.merged.reporters.tolist() == [3], "who staked was right, and counts again"


def test_stakes_count_against_whom_one_accuses_only_and_never_against_oneself() -> None:
    said = columns_of(accused=mask_of(0, 1), staked=mask_of(0, 1, 2))
    assert np.argwhere(one_round(said).stakes).tolist() == [[0, 1]]


def test_a_mask_without_stakes_withdraws_them() -> None:
    state = one_round(columns_of(accused=mask_of(1, 2), staked=mask_of(1)))
    again = one_round(columns_of({}, {(1, 0): (1.0, 1, 0.0)}), state=state)
    assert (again.stakes == state.stakes).all()
    for said in (mask_of(1), mask_of()):
        assert not one_round(columns_of(accused=said), state=state).stakes.any()


def test_an_accusation_without_stakes_is_the_same_whatever_memory_held_before() -> None:
    states = set()
    for _ in range(20):
        junk = [np.full(size, 1, dtype=np.uint8) for size in range(1, 64)]
        del junk
        states.add(one_round(columns_of(accused=mask_of(1, 2, 3))).hash)
    assert len(states) == 1
    assert not one_round(columns_of(accused=mask_of(1, 2, 3))).stakes.any()


def test_what_a_member_saw_itself_accuses_who_says_otherwise() -> None:
    honest = {(cell, 0): (1.0, 50, 0.5 if cell == 0 else 0.0) for cell in range(20)}
    lies = dict.fromkeys(honest, (60.0, 50, 0.0))
    state = one_round(*(columns_of({}, honest) for _ in range(3)), columns_of({}, lies))
    for steady in (True, False):
        assert state.accusations(0, steady=steady).tolist() == [[False, False, False, True]] * 2, "too high"
    state = one_round(*(columns_of({}, lies) for _ in range(3)), columns_of({}, honest))
    assert state.accusations(0, steady=True).tolist() == [[False, False, False, True], [False] * 4], "too low"


def test_the_spread_is_agreed_cell_by_cell() -> None:
    state = one_round(*(columns_of({}, {(1, 0): (1, 4, spread), (2, 0): (1, 1, 0)}) for spread in (0, 1, 2, 90)))
    assert state.spread[0] == 2 * ONE
    assert state.spread[1] == UNKNOWN_SPREAD, "nobody has visited it twice"


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


def staking() -> State:
    """Member 0 stakes against 2, member 2 against 1, and 3 accuses 2 without."""
    accused = {0: ((2,), (2,)), 2: ((1,), (1,)), 3: ((2,), ())}
    entries = [
        Pen(GENESIS, me).write(columns_of(accused=mask_of(*masks[0]), staked=mask_of(*masks[1])))
        for me, masks in accused.items()
    ]
    return State.initial(GENESIS).apply(entries)


@pytest.mark.parametrize("change", CHANGES)
def test_stakes_follow_the_roster(change: Change) -> None:
    before = staking()
    assert np.argwhere(before.stakes).tolist() == [[0, 2], [2, 1]]
    assert np.flatnonzero(before.standing.excluded).tolist() == [2], "so nobody is paired with it"
    state = before.apply([], change)
    n = state.roster.members
    gone = isinstance(change, Leave | Evict)
    assert np.argwhere(state.stakes).tolist() == ([] if gone else [[0, 2], [2, 1]])
    assert state.stakes.shape == state.masks.shape == (n, n)
    assert state.outliers.shape == state.standing.out.shape == (n,)
    again = State.from_bytes(state.to_bytes(), GENESIS)
    assert again.hash == state.hash
    assert np.array_equal(again.stakes, state.stakes)


def test_who_is_left_by_its_opponent_counts_again() -> None:
    state = State.initial(GENESIS).apply([Pen(GENESIS, 0).write(columns_of(accused=mask_of(2), staked=mask_of(2)))])
    assert np.flatnonzero(state.standing.paired).tolist() == [0, 2]
    for member in (0, 2):
        assert not state.apply([], Leave(member, 0)).standing.out.any()
    assert np.flatnonzero(state.apply([], Join(NEWCOMER)).standing.paired).tolist() == [0, 2]


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
        assert held.tolist() == [20 + 5 * round, 0, 0, 0, 6 * (round - 3)], "20 more over 16 rounds of probation"
    reported = state.cells.action[state.merged.reporters > 0].tolist()
    assert reported.count(0) == 20 + 5 * 6, "and every one of them counts"
    assert reported.count(1) == 6 * 3


def test_visits_beyond_a_newcomers_budget_do_not_count() -> None:
    genesis = genesis_of(MEMBERS, visit_budget_initial=20, visit_budget_per_round=5)
    state = State.initial(genesis).apply([]).apply([]).apply([], Join(NEWCOMER))
    cells = {(1, 0): (1, 5, 0), (2, 0): (1, 2, 0)}
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


# --- healing -----------------------------------------------------------------------------------------


class Healing:
    """Seven members, two of whom may lie; the others know one cell, and stand by it."""

    def __init__(self, rounds: int = 0) -> None:
        genesis = genesis_of(7)
        self.pens = [Pen(genesis, member) for member in range(7)]
        self.state = State.initial(genesis)
        for _ in range(rounds):
            self.round({})

    def round(self, said: dict[int, Columns]) -> State:
        """The next round: these say this, all others what they know."""
        known = columns_of({}, {(7, 0): (10, 2, 0)})
        says = [said.get(member, known) for member in range(7)]
        self.state = self.state.apply(
            [pen.write(each, base=self.state.round) for pen, each in zip(self.pens, says, strict=True)]
        )
        return self.state

    def lie(self, value: float = 90.0, cell: int = 8) -> Columns:
        """That a cell nobody else knows is worth so much."""
        return columns_of({}, {(cell, 0): (value, 2, 0)})

    def accusing(self, *members: int, staked: tuple[int, ...] = ()) -> Columns:
        accused, against = (mask_of(*each, size=7) for each in ((*members, *staked), staked))
        return columns_of({}, {(7, 0): (10, 2, 0)}, accused=accused, staked=against)


@pytest.mark.parametrize("paired", [True, False])
def test_a_table_that_a_liar_moved_begins_anew_when_it_is_out(paired: bool) -> None:
    fleet = Healing()
    assert fleet.round({6: fleet.lie()}).table.get(8, 0) == (90.0, 2)
    accused = {0: fleet.accusing(staked=(6,))} if paired else dict.fromkeys(range(3), fleet.accusing(6))
    state = fleet.round(accused)
    assert np.flatnonzero(state.standing.out).tolist() == ([0, 6] if paired else [6])
    assert (state.since, state.round) == (2, 2)
    assert state.merged.value.tolist() == [0, 0]
    assert (state.convicted == state.standing.out).all()
    state = fleet.round({})
    assert state.since == 2
    assert state.table.get(7, 0) == (10.0, 10 if paired else 12), "what is known is stated again"
    assert state.table.get(8, 0) == (0.0, 0)


def test_claims_on_the_old_table_do_not_count_on_the_new() -> None:
    fleet = Healing()
    fleet.round({6: fleet.lie()})
    state = fleet.round(dict.fromkeys(range(3), fleet.accusing(6)))
    assert state.registers.base.max() == 1 < state.since
    assert state.apply([]).merged.reporters.tolist() == [0, 0]


@pytest.mark.parametrize("lie", [10.0, 6.0, -6.0])
def test_a_table_goes_on_when_somebody_leaves_the_merge_who_hardly_moved_it(lie: float) -> None:
    """By less than one part in `SHARE` of what values can be: 200 here."""
    fleet = Healing()
    fleet.round({6: fleet.lie(lie, cell=8 if lie != 10.0 else 7)})
    state = fleet.round(dict.fromkeys(range(3), fleet.accusing(6)))
    assert np.flatnonzero(state.excluded).tolist() == np.flatnonzero(state.convicted).tolist() == [6]
    assert state.since == 0
    assert state.table.get(7, 0) == (10.0, 12)


def test_only_replayed_evidence_begins_anew() -> None:
    for evidence in ("q", "implied"):
        genesis = genesis_of(4, evidence=evidence)
        pens = [Pen(genesis, member) for member in range(4)]
        state = State.initial(genesis).apply([pens[3].write(columns_of({}, {(8, 0): (90.0, 9, 0)}))])
        state = state.apply([pen.write(columns_of(accused=mask_of(3)), base=1) for pen in pens[:2]])
        assert (state.excluded[3], state.since) == (True, 0)


def test_it_begins_anew_again_only_after_half_as_many_rounds_more() -> None:
    """Liars who let themselves be caught one by one cost a third of the rounds."""
    fleet = Healing(rounds=4)
    fleet.round({6: fleet.lie()})
    assert fleet.round(dict.fromkeys(range(3), fleet.accusing(6))).since == 6
    assert fleet.round({5: fleet.lie(cell=9)}).table.get(9, 0) == (90.0, 2)
    state = fleet.round(dict.fromkeys(range(3), fleet.accusing(5, 6)))
    assert np.flatnonzero(state.excluded).tolist() == [5, 6]
    assert (state.round, state.since) == (8, 6)
    assert np.flatnonzero(state.convicted).tolist() == [6], "it is still due"
    assert state.table.get(9, 0) == (0.0, 0), "what nobody else said is forgotten at once"
    state = fleet.round({})
    assert (state.round, state.since) == (9, 9)
    assert np.flatnonzero(state.convicted).tolist() == [5, 6]
    assert fleet.round({}).since == 9


def test_who_counts_again_before_it_was_due_leaves_nothing_to_heal() -> None:
    fleet = Healing(rounds=4)
    fleet.round({6: fleet.lie()})
    fleet.round(dict.fromkeys(range(3), fleet.accusing(6)))
    fleet.round({5: fleet.lie(cell=9)})
    state = fleet.round({0: fleet.accusing(6, staked=(5,))})
    assert state.standing.paired.tolist() == [True, False, False, False, False, True, False]
    state = fleet.round({0: fleet.accusing(6)})
    assert (state.round, state.since) == (9, 6)
    assert np.flatnonzero(state.standing.out).tolist() == [6]


def test_liars_who_quarrelled_before_they_lied_are_healed_from() -> None:
    fleet = Healing()
    fleet.round({6: fleet.accusing(staked=(5,))})
    state = fleet.round({6: fleet.accusing()})
    assert not state.standing.out.any()
    fleet.round({6: fleet.lie()})
    state = fleet.round(dict.fromkeys(range(3), fleet.accusing(6)))
    assert state.excluded[6]
    assert state.since == state.round


# --- outliers ----------------------------------------------------------------------------------------

WORLD = 40  # cells


def world() -> tuple[State, list[Pen]]:
    """Sixteen members know all cells; the last one states too much of each, by less than its noise allows."""
    genesis = genesis_of(16)
    pens = [Pen(genesis, member) for member in range(16)]
    random = np.random.default_rng(4)
    said = random.normal(0, 1, (16, WORLD)) + 4.0 * (np.arange(16) == 15)[:, None]
    entries = [
        pen.write(columns_of({}, {(cell, 0): (float(value), 4, 2.0) for cell, value in enumerate(each)}))
        for pen, each in zip(pens, said, strict=True)
    ]
    return State.initial(genesis).apply(entries), pens


def test_who_leans_away_from_all_others_is_excluded_at_once_and_for_good() -> None:
    state, pens = world()
    assert np.flatnonzero(state.outliers).tolist() == np.flatnonzero(state.excluded).tolist() == [15]
    assert not state.masks.any()
    assert set(state.merged.reporters.tolist()) == {15}
    repentant = columns_of(dict.fromkeys(range(WORLD), (0.0, 4, 2.0)))
    state = state.apply([pens[15].write(repentant, base=1)])
    assert np.flatnonzero(state.outliers).tolist() == [15]


def test_outliers_survive_bytes_and_changes_of_membership_but_not_their_seat() -> None:
    state, _ = world()
    genesis = genesis_of(16)
    again = State.from_bytes(state.to_bytes(), genesis)
    assert (again.outliers.tolist(), again.hash) == (state.outliers.tolist(), state.hash)
    assert np.flatnonzero(state.apply([], Join(NEWCOMER)).outliers).tolist() == [15]
    assert state.apply([], Join(NEWCOMER)).outliers.shape == (17,)
    assert np.flatnonzero(state.apply([], Rekey(15, 1, NEWCOMER)).outliers).tolist() == [15]
    for change in (Leave(15, 0), Evict(15, 0)):
        gone = state.apply([], change)
        assert not gone.outliers.any()
        assert not gone.excluded.any()


# --- what a liar can make of the rules ----------------------------------------------------------------


def test_a_withdrawn_and_repeated_accusation_begins_the_table_anew_only_once() -> None:
    fleet = Healing()
    fleet.round({6: fleet.lie()})
    fleet.round({0: fleet.accusing(6), 1: fleet.accusing(6)})
    begun = set()
    for turn in range(12):  # member 5 has its say, and takes it back
        state = fleet.round({5: fleet.accusing() if turn % 2 else fleet.accusing(6)})
        assert bool(state.excluded[6]) == (turn % 2 == 0)
        assert (state.convicted == state.excluded).all()
        begun.add(state.since)
    assert begun == {3}


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
        assert not state.accusations(0, steady=True).any()


def test_what_a_new_member_wrote_is_news_to_who_knew_the_old_heads() -> None:
    before = busy()
    state = before.apply([], Join(NEWCOMER))
    entry = pens_of(state)[-1].write(columns_of({0: (1, 1, 0)}), base=state.round)
    assert state.apply([entry]).written_since(before.heads, but_by=0) == 1
