"""Streams: what is held of everybody's contributions, branches and gaps included, and the cuts that it allows."""

from __future__ import annotations

from random import Random
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from qorum.core import streams as module
from qorum.core import wire
from qorum.core.genesis import Genesis
from qorum.core.messages import Advance, Cut, Evict, Head, Join, Leave, Rekey, place
from qorum.core.state import ORIGIN, Entry, State
from qorum.core.streams import ALLOWANCE, KEPT_ROUNDS, MAX_SEQ, WAITING, WAITING_ROWS, Broken, Missing, Streams
from qorum.errors import ProtocolError
from tests.core.builders import Pen, columns_of, genesis_of
from tests.core.harness import key

MEMBERS = 4
GENESIS = genesis_of(MEMBERS)
MAX_ITEMS = GENESIS.config.max_items_per_round
START = [Pen(GENESIS, member).head for member in range(MEMBERS)]


def streams(genesis: Genesis = GENESIS) -> Streams:
    return Streams(genesis, START)


def pen(member: int, genesis: Genesis = GENESIS) -> Pen:
    return Pen(genesis, member)


def put(held: Streams, *entries: Entry) -> list[tuple[Entry, Entry] | None]:
    return [held.add(entry) for entry in entries]


def settle(held: Streams, round: int = 1, *advances: Advance) -> list[Entry]:
    """Commit a cut, as a member does: the furthest one unless one is given."""
    cut = advances or held.cut(round)
    entries = held.collect(cut, round)
    heads = list(held.committed)
    for advance in cut:
        heads[advance.member] = advance.head
    held.commit(round, entries, heads)
    return entries


# --- tips --------------------------------------------------------------------------------------------


@given(st.permutations(range(5)))
def test_a_tip_is_the_end_of_what_is_held_without_a_gap(order: list[int]) -> None:
    held, author = streams(), pen(2)
    stream = [author.write() for _ in range(5)]
    got: set[int] = set()
    for index in order:
        held.add(stream[index])
        got.add(index)
        contiguous = next(i for i in range(6) if i not in got)
        assert held.tips[2].seq == contiguous
        assert (2 in held.ahead) == (contiguous > 0)
    assert held.tips[2] == stream[-1].head
    assert held.tips[0] == START[0]


def test_what_is_held_is_found_by_hash() -> None:
    held, entry = streams(), pen(0).write()
    assert entry.hash not in held
    assert held.get(entry.hash) is None
    held.add(entry)
    assert entry.hash in held
    assert held.get(entry.hash) is entry


def test_an_item_based_on_an_older_table_than_the_one_before_it_does_not_extend() -> None:
    held, author = streams(), pen(0)
    put(held, author.write(base=3), author.write(base=2))
    assert held.tips[0].seq == 1


def test_an_item_may_skip_numbers_but_not_go_back() -> None:
    held, author = streams(), pen(0)
    first, later = author.write(), author.write(skip=6)
    back = author.after(Head(0, 3, later.hash)).write()
    put(held, first, later, back)
    assert (first.body.seq, later.body.seq, back.body.seq) == (1, 8, 4)
    assert held.tips[0] == later.head
    assert held.newer(1) == [first, later]


def test_an_item_of_another_incarnation_does_not_extend() -> None:
    held, author = streams(), pen(0)
    first = author.write()
    author.head = Head(1, 1, first.hash)
    put(held, first, author.write())
    assert held.tips[0].seq == 1


def test_streams_of_different_members_may_start_from_the_same_hash() -> None:
    held = streams()
    assert put(held, *(pen(member).write() for member in range(MEMBERS))) == [None] * MEMBERS
    assert held.ahead == set(range(MEMBERS))


# --- branches ----------------------------------------------------------------------------------------


def test_two_branches_are_both_kept_and_shown_once_per_rival() -> None:
    held, author = streams(), pen(0)
    root = author.write()
    rivals = [author.after(root.head).write(columns_of({}, {(i, 0): (0, 1, 0)})) for i in range(3)]
    assert put(held, root, *rivals) == [None, None, (rivals[0], rivals[1]), (rivals[0], rivals[2])]
    assert all(rival.hash in held for rival in rivals)
    assert held.tips[0] == rivals[0].head, "the branch seen first"


def two_branches(length: int = 2) -> tuple[list[Entry], list[Entry]]:
    one = pen(0)
    other = pen(0)
    left = [one.write() for _ in range(length)]
    right = [other.write(columns_of({}, {(i, 0): (0, 1, 0)})) for i in range(length)]
    return left, right


@pytest.mark.parametrize("committed", [0, 1])
def test_the_committed_branch_is_the_stream_whichever_was_seen_first(committed: int) -> None:
    branches = two_branches()
    held = streams()
    put(held, *branches[0], *branches[1])
    lasting, lost = branches[committed], branches[1 - committed]
    entries = settle(held, 1, Advance(0, lasting[0].head))
    assert entries == lasting[:1]
    assert held.committed[0] == lasting[0].head
    assert held.tips[0] == lasting[1].head, "what else is held of that branch counts at once"
    assert held.newer(2) == lasting[1:]
    assert lost[0].hash not in held, "it can never be cited again"
    assert settle(held, 2) == lasting[1:]
    assert lost[1].hash not in held


def test_a_branch_behind_the_committed_one_is_given_up() -> None:
    held = streams()
    left, right = two_branches(3)
    put(held, left[0], *right)
    settle(held, 1, Advance(0, right[2].head))
    assert held.tips[0] == right[2].head
    assert held.ahead == set()
    put(held, *left[1:])
    assert held.tips[0] == right[2].head


# --- cuts --------------------------------------------------------------------------------------------


def test_a_cut_names_everybody_who_advanced_and_collects_their_items() -> None:
    held, authors = streams(), [pen(member) for member in range(MEMBERS)]
    written = [authors[m].write() for m in (0, 0, 2, 3)]
    put(held, *reversed(written))
    assert held.cut(1) == (authors[0].advance, authors[2].advance, authors[3].advance)
    assert held.collect(held.cut(1), 1) == written
    assert held.newer(1) == written


def test_a_cut_takes_a_limited_number_of_items_and_the_next_one_goes_on() -> None:
    held, author = streams(), pen(1)
    written = [author.write() for _ in range(2 * MAX_ITEMS + 1)]
    put(held, *written)
    sizes = [len(settle(held, round)) for round in (1, 2, 3, 4)]
    assert sizes == [MAX_ITEMS, MAX_ITEMS, 1, 0]
    assert held.committed[1] == written[-1].head


def test_a_cut_takes_a_limited_number_of_bytes() -> None:
    genesis = genesis_of(MEMBERS, max_bytes_per_round=1000)
    held, author = streams(genesis), pen(1, genesis)
    random = Random(1)
    noise = [{(random.getrandbits(64), 0): (random.uniform(-9, 9), 1, 0.0) for _ in range(40)} for _ in range(2)]
    written = [author.write(columns_of({}, cells)) for cells in noise]
    sizes = [len(entry.item.body) for entry in written]
    assert max(sizes) <= 1000 < sum(sizes)
    put(held, *written)
    assert held.newer(1) == written  # what is told to others is not limited by what one round takes
    assert held.collect(held.cut(1), 1) == written[:1]
    with pytest.raises(Broken, match="1000 bytes"):
        held.collect([author.advance], 1)
    assert settle(held, 1) == written[:1]
    assert settle(held, 2) == written[1:]


def test_a_cut_takes_no_item_based_on_its_own_round_or_a_later_one() -> None:
    held, author = streams(), pen(1)
    written = [author.write(base=base) for base in (0, 1, 2)]
    put(held, *written)
    for round in (1, 2, 3):
        assert held.newer(round) == written[:round]
        assert held.collect(held.cut(round), round) == written[:round]
    with pytest.raises(Broken, match="later round"):
        held.collect([author.advance], 2)


@st.composite
def heard(draw: st.DrawFn) -> tuple[Streams, int]:
    """Streams after some items of honest, restating and branching authors, in any order."""
    held = streams()
    pens = [pen(member) for member in range(MEMBERS)]
    entries = {}
    for member in draw(st.lists(st.integers(0, MEMBERS - 1), max_size=20)):
        author = pens[member]
        turn = draw(st.integers(0, 9))
        if turn == 0:  # the author begins another branch, somewhere
            author = pens[member] = pens[member].after(START[member])
        past = START[member] if turn in (1, 2) else None
        cells = {(draw(st.integers(0, 2)), 0): (0.0, 1, 0.0)}
        base = author.head.base + draw(st.integers(0, 1))
        entry = author.write(columns_of({}, cells), base=base, past=past, skip=draw(st.sampled_from([0, 0, 3])))
        entries[entry.hash] = entry
    for entry in draw(st.permutations(list(entries.values()))):
        held.add(entry)
    return held, draw(st.integers(1, 4))


@given(heard())
def test_the_cut_that_is_proposed_can_be_collected(case: tuple[Streams, int]) -> None:
    held, round = case
    cut = held.cut(round)
    entries = held.collect(cut, round)
    limit = GENESIS.config.max_items_per_round
    newer = [[e for e in held.newer(round) if e.body.member == member] for member in range(MEMBERS)]
    assert entries == [e for stream in newer for e in stream[:limit]]
    assert len(cut) == held.advanced(round)
    last = {entry.body.member: entry.head for entry in entries}
    assert {advance.member: advance.head for advance in cut} == last
    assert held.rebuild(held.sketch((a.member, a.head.seq) for a in cut)) == Cut(cut)
    assert settle(held, round) == entries
    assert all(held.committed[member] == head for member, head in last.items())


def test_what_a_peer_holds_already_is_left_out() -> None:
    held, authors = streams(), [pen(member) for member in range(2)]
    written = [[author.write() for _ in range(3)] for author in authors]
    put(held, *written[0], *written[1])
    assert held.newer(1, beyond=np.array([2, 0, 7, 0])) == [written[0][2], *written[1]]
    assert held.newer(1, beyond=np.array([3, 9, 0, 0])) == []


# --- what cannot be collected ------------------------------------------------------------------------


def test_items_that_are_not_held_are_asked_for_all_at_once() -> None:
    held, authors = streams(), [pen(member) for member in range(3)]
    entries = [author.write() for author in authors]
    put(held, entries[1])
    with pytest.raises(Missing) as gap:
        held.collect([author.advance for author in authors], 1)
    assert gap.value.hashes == (entries[0].hash, entries[2].hash)


def test_a_gap_is_filled_from_the_head_backwards() -> None:
    held, author = streams(), pen(0)
    stream = [author.write() for _ in range(3)]
    for entry in reversed(stream):
        with pytest.raises(Missing) as gap:
            held.collect([author.advance], 1)
        assert gap.value.hashes == (entry.hash,)
        held.add(entry)
    assert held.collect([author.advance], 1) == stream


def test_a_branch_from_below_the_committed_head_is_asked_for_until_that_shows() -> None:
    held = streams()
    left, right = two_branches(3)
    put(held, *left[:2], *right[:1])
    settle(held, 1, Advance(0, right[0].head))
    put(held, left[2])
    for claimed in (2, 3):
        cut = [Advance(0, Head(0, claimed, left[claimed - 1].hash))]
        with pytest.raises(Missing) as gap:
            held.collect(cut, 2)
        assert gap.value.hashes == (left[0].hash,)
    put(held, left[0])
    for claimed in (2, 3):
        with pytest.raises(Broken, match="from behind"):
            held.collect([Advance(0, Head(0, claimed, left[claimed - 1].hash))], 2)


def broken_cuts(held: Streams) -> dict[str, tuple[Advance, ...]]:
    author, other = pen(0), pen(1)
    entries = [author.write() for _ in range(3)]
    theirs = other.write()
    put(held, *entries, theirs)
    good, head = author.advance, author.head
    fallen = pen(2)
    put(held, fallen.write(base=5), fallen.write(base=4))
    gap = pen(3)
    first = gap.write()
    gap.head = Head(0, 1, entries[0].hash)
    put(held, first, gap.write())
    other_key = Pen(GENESIS, 2, Head(1, 4, ORIGIN))
    put(held, other_key.write())
    long = pen(3)
    stream = [long.write() for _ in range(MAX_ITEMS + 1)]
    put(held, *stream)
    return {
        "twice": (good, good),
        "out of order": (other.advance, good),
        "beyond the last": (Advance(MEMBERS, head),),
        "another incarnation": (Advance(0, Head(1, 3, head.hash)),),
        "standing still": (Advance(0, START[0]),),
        "too many items": (long.advance,),
        "more items than there are": (Advance(0, Head(0, 4, head.hash)),),
        "fewer items than there are": (Advance(0, Head(0, 2, head.hash)),),
        "of another member": (Advance(1, Head(0, 1, entries[0].hash)),),
        "linked to another member": (Advance(3, gap.head),),
        "misnumbered": (Advance(3, Head(0, 2, first.hash)),),
        "of another key": (other_key.advance,),
        "falling base": (fallen.advance,),
        "misstated base": (Advance(0, Head(0, 3, head.hash, 1)),),
        "based on a later round": (Advance(2, Head(0, 1, fallen.head.hash, 4)),),
    }


@pytest.mark.parametrize("name", broken_cuts(streams()))
def test_a_cut_that_no_honest_leader_proposes_is_broken(name: str) -> None:
    held = streams()
    cut = broken_cuts(held)[name]
    before = (list(held.committed), list(held.tips))
    with pytest.raises(Broken):
        held.collect(cut, 5)
    assert (held.committed, held.tips) == before


def test_members_that_saw_branches_in_another_order_collect_the_same() -> None:
    left, right = two_branches(3)
    cut = [Advance(0, right[2].head)]
    collected = []
    for order in ([*left, *right], [*right, *left], [*reversed(right)]):
        held = streams()
        put(held, *order)
        collected.append(held.collect(cut, 1))
    assert collected == [right] * 3


# --- forgetting --------------------------------------------------------------------------------------


def test_items_are_kept_for_some_rounds_and_then_dropped() -> None:
    held, author = streams(), pen(0)
    written = []
    for round in range(1, 2 * KEPT_ROUNDS):
        written.append(author.write(base=round - 1))
        put(held, written[-1])
        settle(held, round)
        kept = [entry.hash in held for entry in written]
        assert kept == [age < KEPT_ROUNDS for age in reversed(range(len(written)))]
    assert len(held._entries) == KEPT_ROUNDS == sum(map(len, held._at.values()))


def test_an_item_that_comes_too_late_is_kept_until_the_round_is_over() -> None:
    """A lying leader may cite any old item that another liar signs."""
    held, author = streams(), pen(0)
    put(held, author.write())
    settle(held, 1)
    rivals = [pen(0).write(columns_of({}, {(i, 0): (0, 1, 0)})) for i in range(3)]
    put(held, *rivals)
    assert all(rival.hash in held for rival in rivals)
    settle(held, 2)
    assert not any(rival.hash in held for rival in rivals)
    for round in range(3, KEPT_ROUNDS + 2):
        settle(held, round)
    assert len(held._entries) == len(held._at) == 0


def test_what_was_kept_before_a_snapshot_is_dropped_after_it_as_well() -> None:
    held, author = streams(), pen(0)
    for round in range(1, 6):
        put(held, author.write(base=round - 1))
        settle(held, round)
    jumped = 5 + 2 * KEPT_ROUNDS
    held.restart([Head(0, 90, bytes([7]) * 32, jumped), *START[1:]])
    settle(held, jumped + 1)
    assert len(held._entries) == len(held._at) == 0


def test_a_snapshot_takes_over_its_heads_and_what_is_held_beyond_them() -> None:
    held, author, other = streams(), pen(0), pen(1)
    written = [author.write() for _ in range(4)]
    theirs = other.write()
    put(held, *written, theirs)
    heads = [written[1].head, Head(0, 9, bytes([7]) * 32), *START[2:]]
    held.restart(heads)
    assert held.committed == heads
    assert held.tips == [written[3].head, *heads[1:]]
    assert held.newer(1) == written[2:]
    assert [entry.hash in held for entry in [*written, theirs]] == [False, False, True, True, False]


# --- room --------------------------------------------------------------------------------------------

ROOM = WAITING * MAX_ITEMS


def test_of_a_long_stream_the_furthest_items_are_dropped_and_fit_again_later() -> None:
    held, author = streams(), pen(1)
    written = [author.write() for _ in range(ROOM + MAX_ITEMS)]
    put(held, *written)
    assert held.newer(1) == written[:ROOM]
    assert held.tips[1] == written[ROOM - 1].head
    assert not any(entry.hash in held for entry in written[ROOM:])
    assert settle(held, 1) == written[:MAX_ITEMS]
    put(held, *written[ROOM:])
    assert held.newer(1) == written[MAX_ITEMS:]


def test_items_aside_of_the_way_to_the_tip_make_room_first_the_oldest_before_others() -> None:
    held, author = streams(), pen(0)
    branch = [author.write() for _ in range(ROOM - 3)]
    aside = [pen(0).write(columns_of({}, {(i, 0): (0, 1, 0)}), skip=i) for i in (2, 0, 1)]
    put(held, *aside, *branch)
    assert all(entry.hash in held for entry in [*aside, *branch])
    dropped = [aside[1], aside[2], aside[0]]
    for count, entry in enumerate([author.write() for _ in range(3)], 1):
        held.add(entry)
        branch.append(entry)
        assert [entry.hash in held for entry in dropped] == [False] * count + [True] * (3 - count)
        assert held.newer(1) == branch
    held.add(author.write())
    assert held.newer(1) == branch


def test_items_that_were_restated_make_room() -> None:
    """An author whom nobody hears of restates all it has said, again and again, and is never refused."""
    held, author = streams(), pen(0)
    for turn in range(2 * ROOM):
        restated = author.write(columns_of({}, {(turn, 0): (0, 1, 0)}), past=START[0])
        put(held, restated)
        assert held.newer(1) == [restated]
        assert held.waiting(0) == 1
        assert len(held._entries) == min(turn + 1, ROOM)


def test_what_a_value_of_this_round_cites_makes_room_for_nothing() -> None:
    held, author = streams(), pen(0)
    cited = pen(0).write(columns_of({}, {(1, 0): (0, 1, 0)}))
    others = [author.write() for _ in range(ROOM + 2)]
    held.needed.add(cited.hash)
    put(held, cited, *others)
    assert cited.hash in held
    assert held.newer(1) == others[: ROOM - 1]
    assert held.collect([Advance(0, cited.head)], 1) == [cited]
    settle(held, 1)
    assert held.needed == set()


def test_all_that_is_cited_is_kept() -> None:
    held, author = streams(), pen(0)
    written = [author.write() for _ in range(ROOM + 3)]
    held.needed |= {entry.hash for entry in written}
    put(held, *written)
    assert held.newer(1) == written


def test_the_rows_that_wait_of_one_member_are_limited_and_one_item_always_fits() -> None:
    author = pen(0)
    cells = {(i, 0): (0.0, 1, 0.0) for i in range(40)}
    written = [author.write(columns_of({}, cells)) for _ in range(4)]
    with mock.patch.object(module, "WAITING_ROWS", 100):
        held = streams()
        put(held, *written)
        assert held.newer(1) == written[:2]
    with mock.patch.object(module, "WAITING_ROWS", 30):
        held = streams()
        put(held, *written)
        assert held.newer(1) == written[:1]
    assert WAITING_ROWS >= ROOM


def test_a_member_may_add_so_many_items_until_time_has_passed_or_a_round_is_over() -> None:
    held, author = streams(), pen(0)

    def fill() -> int:
        count = 0
        while held.takes(0):
            held.add(author.write(past=held.committed[0]))
            count += 1
        return count

    assert fill() == ALLOWANCE * MAX_ITEMS
    assert held.takes(1), "another author has an allowance of its own"
    held.refill()
    assert fill() == ALLOWANCE * MAX_ITEMS
    settle(held, 1)
    assert fill() == ALLOWANCE * MAX_ITEMS
    held.restart(held.committed)
    assert held.takes(0)


# --- places ------------------------------------------------------------------------------------------


def test_an_item_is_found_by_place_on_the_branch_first() -> None:
    held = streams()
    left, right = two_branches(2)
    put(held, left[0], *right)
    assert held.at(place(0, 1)) == right[0], "the longer branch"
    assert held.at(place(0, 2)) == right[1]
    assert held.at(place(0, 3)) is held.at(place(1, 1)) is None
    assert held.at(place(MEMBERS, 1)) is held.at(place(2**16 - 1, 1)) is None


def test_of_items_off_the_branch_the_one_under_the_newest_key_is_found() -> None:
    held = streams()
    old, new = (Pen(GENESIS, 0, Head(incarnation, 4, bytes([5]) * 32)).write() for incarnation in (0, 1))
    put(held, new, old)
    assert held.at(place(0, 5)) == new


def test_an_item_said_to_be_somewhere_is_news_unless_one_is_held_there() -> None:
    held, author = streams(), pen(0)
    written = [author.write() for _ in range(4)]
    put(held, written[0], written[3])
    assert [seq for seq in range(7) if held.lacking(place(0, seq))] == [2, 3, 5, 6]
    assert held.lacking(place(1, 1))
    assert not held.lacking(place(MEMBERS, 1)), "nobody has that seat"
    told = [place(0, 1), place(0, 2), place(MEMBERS, 1), place(1, 9), place(0, 4)]
    assert held.lacking(b"".join(told) + b"rest") == [told[1], told[3]]
    assert held.lacking(b"") == []


def test_under_a_new_key_every_place_is_news_again() -> None:
    held, author = streams(), pen(0)
    written = [author.write() for _ in range(2)]
    put(held, *written)
    settle(held, 1)
    held.restart([Head(1, 0, ORIGIN, 1), *START[1:]])
    assert held.lacking(place(0, 2)), "what is held there is of the old key"
    fresh = Pen(GENESIS, 0, held.committed[0]).write(base=1)
    put(held, fresh)
    assert not held.lacking(place(0, 1))
    assert held.at(place(0, 1)) == fresh


def test_an_item_that_names_none_follows_the_committed_head() -> None:
    held, author = streams(), pen(0)
    put(held, author.write())
    settle(held, 1)
    head = held.committed[0]
    unnamed = Pen(GENESIS, 0, Head(0, head.seq, ORIGIN)).write(base=1)
    assert unnamed.body.previous == b""
    put(held, unnamed)
    assert settle(held, 2) == [unnamed]


# --- restating ---------------------------------------------------------------------------------------


def test_an_item_that_restates_takes_the_place_of_all_it_links_past() -> None:
    held, author = streams(), pen(0)
    said = [author.write() for _ in range(3)]
    put(held, *said)
    restated = author.write(past=START[0])
    put(held, restated)
    assert (restated.body.seq, restated.body.previous) == (4, b"")
    assert held.newer(1) == [restated]
    assert held.waiting(0) == 1
    assert settle(held, 1) == [restated]
    assert held.committed[0] == restated.head
    assert [entry.hash in held for entry in [*said, restated]] == [False, False, False, True]


def test_a_cut_may_still_take_what_was_restated_since() -> None:
    """The leader had not heard of it yet. What restates says all of it again, so it may follow."""
    held, author = streams(), pen(0)
    said = [author.write() for _ in range(2)]
    restated = author.write(past=START[0])
    put(held, *said, restated)
    assert settle(held, 1, Advance(0, said[1].head)) == said
    assert held.newer(2) == [restated]
    assert settle(held, 2) == [restated]


def test_items_of_branches_are_told_from_items_that_restate() -> None:
    held, author = streams(), pen(0)
    first = author.write()
    assert put(held, first, author.write(past=START[0])) == [None, None], "two seqs: nobody signed one slot twice"
    other = pen(0)
    other.write()
    rival = other.write(columns_of({}, {(1, 0): (0, 1, 0)}))
    assert held.add(rival) == (held.at(place(0, 2)), rival)


def test_one_slot_under_two_keys_is_no_evidence() -> None:
    held = streams()
    assert put(held, pen(0).write(), Pen(GENESIS, 0, Head(1, 0, ORIGIN)).write()) == [None, None]


# --- sketches ----------------------------------------------------------------------------------------


def moved(count: int = 2) -> tuple[Streams, list[Pen]]:
    """Streams of which a round has taken something already."""
    held, authors = streams(), [pen(member) for member in range(MEMBERS)]
    put(held, *(authors[member].write() for member in (0, 1, 1)))
    settle(held, 1)
    put(held, *(authors[member].write(base=1) for member in (0, 2) for _ in range(count)))
    return held, authors


def test_a_cut_is_rebuilt_from_its_sketch() -> None:
    held, _ = moved()
    cut = Cut(held.cut(2))
    sketch = held.sketch((advance.member, advance.head.seq) for advance in cut.advances)
    assert held.rebuild(sketch) == cut
    assert len(sketch) < 40


def test_versions_are_the_seqs_of_the_tips() -> None:
    held, _ = moved()
    assert held.read_sketch(held.versions()).tolist() == [tip.seq for tip in held.tips] == [3, 2, 2, 0]
    assert held.read_sketch(streams().versions()).tolist() == held._floor.tolist(), "relative to the cut"


def test_items_that_are_not_held_are_named_by_place() -> None:
    held, _ = moved()
    fewer, _ = moved(1)
    with pytest.raises(Missing) as gap:
        fewer.rebuild(held.versions())
    assert gap.value.places == (place(0, 3), place(2, 2))
    assert gap.value.hashes == ()
    assert "2 items" in str(gap.value)


def test_of_two_branches_a_sketch_gives_the_one_held_here() -> None:
    left, right = two_branches(2)
    one, other = streams(), streams()
    put(one, *left)
    put(other, *right)
    assert one.rebuild(one.versions()) != other.rebuild(one.versions()) == Cut((Advance(0, right[1].head),))


def sketched(*ahead: int) -> bytes:
    return wire.pack(wire.planes(np.array(ahead, dtype=np.int64)))


@pytest.mark.parametrize(
    "sketch",
    [b"", b"no frame", sketched(1, 1, 1), sketched(1, 1, 1, 1, 1), wire.pack(bytes(15)),
     sketched(MAX_SEQ, 0, 0, 0), sketched(2**32 - 1, 0, 0, 0)],
)  # fmt: skip
def test_a_sketch_of_other_members_or_of_impossible_seqs_is_refused(sketch: bytes) -> None:
    held, _ = moved()
    for read in (held.read_sketch, held.rebuild):
        with pytest.raises(ProtocolError):
            read(sketch)


# --- past cuts ---------------------------------------------------------------------------------------


def test_a_past_cut_is_known_while_its_items_are_kept() -> None:
    held, author, other = streams(), pen(0), pen(3)
    put(held, author.write(), author.write(), other.write())
    cut = Cut(held.cut(1))
    settle(held, 1)
    for round in range(2, KEPT_ROUNDS + 1):
        put(held, author.write(base=round - 1))
        settle(held, round)
        assert held.past_cut(1) == cut
    assert held.past_cut(2) == Cut((Advance(0, Head(0, 3, held.at(place(0, 3)).hash, 1)),))  # type: ignore[union-attr]
    settle(held, KEPT_ROUNDS + 1)
    assert held.past_cut(1) is None
    assert held.past_cut(KEPT_ROUNDS + 1) is None, "it took nothing"
    assert held.past_cut(99) is None


# --- changes of membership ---------------------------------------------------------------------------


def test_newcomers_have_streams_too() -> None:
    held, newcomer = streams(), Pen(GENESIS, MEMBERS, Head(0, 0, ORIGIN, 1), key(99))
    held.commit(1, [], [*START, newcomer.head])
    entry = newcomer.write()
    assert held.takes(MEMBERS)
    put(held, entry)
    assert held.cut(1) == ()
    assert held.cut(2) == (newcomer.advance,)
    assert settle(held, 2) == [entry]
    assert held.read_sketch(held.versions()).tolist() == [0, 0, 0, 0, 1]
    with pytest.raises(Broken, match="beyond the last"):
        held.collect([Advance(MEMBERS + 1, newcomer.head)], 2)


@pytest.mark.parametrize("change", [Leave(0, 0), Evict(0, 0), Rekey(0, 1, key(99))])
def test_what_waits_under_a_key_that_is_gone_is_in_no_cut(change: Leave | Evict | Rekey) -> None:
    held, author = streams(), pen(0)
    written = [author.write() for _ in range(2)]
    others = [pen(member).write() for member in (1, 2, 3)]
    put(held, *written, *others)
    cut = [Advance(0, written[0].head), *(Advance(e.body.member, e.head) for e in others)]
    state = State.initial(GENESIS).apply(held.collect(cut, 1), change)
    held.commit(1, held.collect(cut, 1), state.heads)
    assert held.cut(2) == ()
    assert held.ahead == set()
    assert [entry.hash in held for entry in written] == [True, False]
    late = author.write()
    put(held, written[1], late)
    assert held.cut(2) == ()
    for entry in (written[1], late):
        with pytest.raises((Broken, Missing)):
            held.collect([Advance(0, entry.head)], 2)


def test_a_new_key_begins_its_stream_anew() -> None:
    held, author = streams(), pen(0)
    written = [author.write() for _ in range(3)]
    put(held, *written)
    state = State.initial(GENESIS).apply(held.collect(held.cut(1), 1), Rekey(0, 1, key(99)))
    held.commit(1, held.collect(held.cut(1), 1), state.heads)
    fresh = Pen(GENESIS, 0, state.heads[0], key(99))
    entries = [fresh.write() for _ in range(2)]
    put(held, *entries)
    assert [entry.body.seq for entry in entries] == [1, 2]
    assert settle(held, 2) == entries
    assert held.past_cut(1) == Cut((Advance(0, written[2].head),))


def test_a_joins_seat_changes_nothing_for_others() -> None:
    held, author = streams(), pen(0)
    written = [author.write() for _ in range(2)]
    put(held, *written)
    cut = [Advance(0, written[0].head)]
    state = State.initial(GENESIS).apply(held.collect(cut, 1), Join(key(99)))
    held.commit(1, held.collect(cut, 1), state.heads)
    assert held.newer(2) == written[1:]


class Forgetting(RuleBasedStateMachine):
    """Honest and lying authors, lost and late items, rounds, new keys, snapshots: what is held is bounded and sound."""

    def __init__(self) -> None:
        super().__init__()
        self.held = streams()
        self.round = 1
        self.pens = [[pen(member)] for member in range(MEMBERS)]
        self.written: list[Entry] = []
        self.late: set[bytes] = set()
        """Fetched in this round when the committed stream had passed them."""

    def author(self, member: int, branch: int) -> Pen:
        return self.pens[member][branch % len(self.pens[member])]

    def is_past(self, entry: Entry) -> bool:
        return entry.body.seq <= self.held.committed[entry.body.member].seq

    @rule(
        member=st.integers(0, MEMBERS - 1),
        branch=st.integers(0, 2),
        step=st.integers(0, 1),
        restates=st.sampled_from([False, False, True]),
        skip=st.sampled_from([0, 0, 2]),
    )
    def write(self, member: int, branch: int, step: int, restates: bool, skip: int) -> None:
        author = self.author(member, branch)
        head = self.held.committed[member]
        if head.incarnation != author.head.incarnation or head.seq > author.head.seq:
            author = self.pens[member][0] = author.after(head)
        past = head if restates else None
        base = min((past or author.head).base + step, self.round)
        columns = columns_of({}, {(len(self.written), 0): (0.0, 1, 0.0)})
        self.written.append(author.write(columns, base=base, past=past, skip=skip))

    @rule(member=st.integers(0, 1), back=st.booleans())
    def lie(self, member: int, back: bool) -> None:
        if len(self.pens[member]) < 3:
            head = self.held.committed[member] if back else self.held.tips[member]
            self.pens[member].append(pen(member).after(head))

    @rule(index=st.integers(0, 40), wanted=st.booleans())
    def hear(self, index: int, wanted: bool) -> None:
        if self.written:
            entry = self.written[-1 - index % len(self.written)]
            welcome = self.held.takes(entry.body.member) and not self.is_past(entry)
            if entry.hash not in self.held and (wanted or welcome):
                if self.is_past(entry):
                    self.late.add(entry.hash)
                self.held.add(entry)

    @rule(rounds=st.sampled_from([1, 1, KEPT_ROUNDS]))
    def agree(self, rounds: int) -> None:
        for _ in range(rounds):
            settle(self.held, self.round)
            self.late.clear()
            self.round += 1

    @rule(member=st.integers(0, MEMBERS - 1), branch=st.integers(0, 2))
    def jump(self, member: int, branch: int) -> None:
        head = self.author(member, branch).head
        if head.seq > self.held.committed[member].seq:
            self.held.restart([head if m == member else h for m, h in enumerate(self.held.committed)])

    @rule(member=st.integers(2, MEMBERS - 1))
    def rekey(self, member: int) -> None:
        incarnation = self.held.committed[member].incarnation + 1
        head = Head(incarnation, 0, ORIGIN, self.round - 1)
        self.held.restart([head if m == member else h for m, h in enumerate(self.held.committed)])
        self.pens[member] = [pen(member).after(head)]

    @invariant()
    def bounded(self) -> None:
        waiting = [len(entries) for entries in self.held._waiting]
        assert max(waiting) <= ROOM
        taken = sum(len(hashes) for hashes in self.held._retired.values())
        assert len(self.held._retired) <= KEPT_ROUNDS
        assert taken <= KEPT_ROUNDS * MEMBERS * MAX_ITEMS
        assert len(self.held._entries) <= sum(waiting) + taken + len(self.late)

    @invariant()
    def placed(self) -> None:
        places = {(entry.place, hash) for hash, entry in self.held._entries.items()}
        assert places == {(place, entry.hash) for place, entries in self.held._at.items() for entry in entries}
        assert all(self.held._at.values())

    @invariant()
    def sound(self) -> None:
        held, newer = self.held, self.held.newer(self.round)
        cut = held.cut(self.round)
        streams = [[entry for entry in newer if entry.body.member == member] for member in range(MEMBERS)]
        assert held.collect(cut, self.round) == [entry for stream in streams for entry in stream[:MAX_ITEMS]]
        assert newer == held.newer(self.round, beyond=np.array([head.seq for head in held.committed]))
        assert held.rebuild(held.sketch((a.member, a.head.seq) for a in cut)) == Cut(cut)
        assert held.advanced(self.round) == len(cut)
        assert held.read_sketch(held.versions()).tolist() == [tip.seq for tip in held.tips]

    @invariant()
    def linked(self) -> None:
        held = self.held
        for member in range(MEMBERS):
            tip, committed = held.tips[member], held.committed[member]
            assert (member in held.ahead) == (tip != committed) == (tip.seq > committed.seq)
            hash, steps = tip.hash, 0
            while hash != committed.hash:
                entry = held.get(hash)
                assert entry is not None
                hash, steps = entry.body.previous or committed.hash, steps + 1
            assert steps == held.waiting(member)


TestForgetting = Forgetting.TestCase
