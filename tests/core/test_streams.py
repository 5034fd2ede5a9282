"""Streams: what is held of everybody's contributions, branches and gaps included, and the cuts that it allows."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from qorum.core.genesis import Genesis
from qorum.core.messages import Advance, Head
from qorum.core.state import Entry
from qorum.core.streams import BACKLOG, KEPT_ROUNDS, Broken, Missing, Streams
from tests.core.builders import Pen, columns_of, genesis_of

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
    held.commit(entries, heads)
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
    assert not held.accepts(entry), "it is held already"


def test_an_item_based_on_an_older_table_than_the_one_before_it_does_not_extend() -> None:
    held, author = streams(), pen(0)
    put(held, author.write(base=3), author.write(base=2))
    assert held.tips[0].seq == 1


def test_an_item_that_skips_a_number_does_not_extend() -> None:
    held, author = streams(), pen(0)
    first = author.write()
    author.head = Head(0, 5, first.hash)
    put(held, first, author.write())
    assert held.tips[0].seq == 1


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
    """Streams after some items of honest and branching authors, in any order."""
    held = streams()
    pens = [pen(member) for member in range(MEMBERS)]
    entries = []
    for member in draw(st.lists(st.integers(0, MEMBERS - 1), max_size=20)):
        author = pens[member]
        if draw(st.integers(0, 5)) == 0:  # the author begins another branch, somewhere
            author = pens[member] = pens[member].after(START[member])
        cells = {(draw(st.integers(0, 2)), 0): (0.0, 1, 0.0)}
        entries.append(author.write(columns_of({}, cells), base=author.head.base + draw(st.integers(0, 1))))
    for entry in draw(st.permutations(entries)):
        if held.accepts(entry):
            held.add(entry)
    return held, draw(st.integers(1, 4))


@given(heard())
def test_the_cut_that_is_proposed_can_be_collected(case: tuple[Streams, int]) -> None:
    held, round = case
    cut = held.cut(round)
    entries = held.collect(cut, round)
    limit = GENESIS.config.max_items_per_round
    newer = held.newer(round)
    assert entries == [e for e in newer if e.body.seq <= held.committed[e.body.member].seq + limit]
    last = {entry.body.member: entry.head for entry in entries}
    assert {advance.member: advance.head for advance in cut} == last
    assert settle(held, round) == entries
    assert all(held.committed[member] == head for member, head in last.items())


def test_what_a_peer_holds_already_is_left_out() -> None:
    held, authors = streams(), [pen(member) for member in range(2)]
    written = [[author.write() for _ in range(3)] for author in authors]
    put(held, *written[0], *written[1])
    assert held.newer(1, beyond=[2, 0, 7, 0]) == [written[0][2], *written[1]]
    assert held.newer(1, beyond=[3, 9, 0, 0]) == []


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


def broken_cuts(held: Streams) -> dict[str, tuple[Advance, ...]]:
    author, other = pen(0), pen(1)
    entries = [author.write() for _ in range(3)]
    theirs = other.write()
    put(held, *entries, theirs)
    good, head = author.advance, author.head
    fallen = pen(2)
    put(held, fallen.write(base=5), fallen.write(base=4))
    gap = pen(3)
    last = Head(0, 1, gap.write().hash)
    gap.head = Head(0, 1, entries[0].hash)
    put(held, gap.write())
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
        "misnumbered": (Advance(3, Head(0, 2, last.hash)),),
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


def test_a_branch_that_leaves_the_committed_one_below_its_head_is_broken() -> None:
    held = streams()
    left, right = two_branches(3)
    put(held, *left[:2], *right[:1])
    settle(held, 1, Advance(0, right[0].head))
    put(held, left[2])
    for claimed in (2, 3):
        with pytest.raises(Broken, match="not linked"):
            held.collect([Advance(0, Head(0, claimed, left[claimed - 1].hash))], 2)


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
    assert len(held._entries) == KEPT_ROUNDS == sum(map(len, held._children.values()))


def test_an_item_that_comes_too_late_is_kept_no_longer_than_those_of_its_round() -> None:
    """A lying leader may cite any old item that another liar signs."""
    held, author = streams(), pen(0)
    put(held, author.write())
    settle(held, 1)
    rivals = [pen(0).write(columns_of({}, {(i, 0): (0, 1, 0)})) for i in range(3)]
    put(held, *rivals)
    for round in range(2, KEPT_ROUNDS + 2):
        assert all(rival.hash in held for rival in rivals)
        settle(held, round)
    assert len(held._entries) == len(held._children) == 0


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


def test_a_backlog_is_bounded_and_frees_with_each_round() -> None:
    held, author = streams(), pen(0)
    room = BACKLOG * MAX_ITEMS
    written = [author.write() for _ in range(room + MAX_ITEMS + 1)]
    put(held, *written[:room])
    assert not held.accepts(written[room])
    assert held.accepts(pen(1).write()), "another author has room of its own"
    settle(held, 1)
    for entry in written[room : room + MAX_ITEMS]:
        assert held.accepts(entry)
        held.add(entry)
    assert not held.accepts(written[-1])


class Forgetting(RuleBasedStateMachine):
    """Honest and branching authors, items lost and late, rounds and snapshots: what is held stays bounded and sound."""

    def __init__(self) -> None:
        super().__init__()
        self.held = streams()
        self.round = 1
        self.pens = [[pen(member)] for member in range(MEMBERS)]
        self.written: list[Entry] = []
        self.late = 0

    def is_past(self, entry: Entry) -> bool:
        return entry.body.seq <= self.held.committed[entry.body.member].seq

    def author(self, member: int, branch: int) -> Pen:
        return self.pens[member][branch % len(self.pens[member])]

    @rule(member=st.integers(0, MEMBERS - 1), branch=st.integers(0, 2), step=st.integers(0, 1))
    def write(self, member: int, branch: int, step: int) -> None:
        author = self.author(member, branch)
        columns = columns_of({}, {(len(self.written), 0): (0.0, 1, 0.0)})
        self.written.append(author.write(columns, base=min(author.head.base + step, self.round)))

    @rule(member=st.integers(0, 1), back=st.booleans())
    def lie(self, member: int, back: bool) -> None:
        if len(self.pens[member]) < 3:
            head = self.held.committed[member] if back else self.held.tips[member]
            self.pens[member].append(pen(member).after(head))

    @rule(index=st.integers(0, 40), wanted=st.booleans())
    def hear(self, index: int, wanted: bool) -> None:
        if self.written:
            entry = self.written[-1 - index % len(self.written)]
            if self.held.accepts(entry) and (wanted or not self.is_past(entry)):
                self.late += self.is_past(entry)
                self.held.add(entry)

    @rule(rounds=st.sampled_from([1, 1, KEPT_ROUNDS]))
    def agree(self, rounds: int) -> None:
        for _ in range(rounds):
            settle(self.held, self.round)
            self.round += 1
        if rounds == KEPT_ROUNDS:
            self.late = 0

    @rule(member=st.integers(0, MEMBERS - 1), branch=st.integers(0, 2))
    def jump(self, member: int, branch: int) -> None:
        head = self.author(member, branch).head
        if head.seq > self.held.committed[member].seq:
            self.held.restart([head if m == member else h for m, h in enumerate(self.held.committed)])

    @invariant()
    def bounded(self) -> None:
        held = [entry for entry in self.written if entry.hash in self.held]
        beyond = [entry.body.member for entry in held if not self.is_past(entry)]
        assert all(beyond.count(member) <= BACKLOG * MAX_ITEMS for member in range(MEMBERS))
        taken = KEPT_ROUNDS * MEMBERS * MAX_ITEMS
        assert sum(map(self.is_past, held)) <= taken + self.late

    @invariant()
    def linked(self) -> None:
        links = {(e.body.member, e.body.previous, e.hash) for e in self.written if e.hash in self.held}
        assert links == {(m, previous, h) for (m, previous), hs in self.held._children.items() for h in hs}

    @invariant()
    def sound(self) -> None:
        held, entries = self.held, self.held.newer(self.round)
        assert held.collect(held.cut(self.round), self.round) == entries
        assert entries == held.newer(self.round, beyond=[head.seq for head in held.committed])
        for member in range(MEMBERS):
            tip, committed = held.tips[member], held.committed[member]
            assert (member in held.ahead) == (tip != committed) == (tip.seq > committed.seq)
            hash = tip.hash
            for _ in range(tip.seq - committed.seq):
                entry = held.get(hash)
                assert entry is not None
                hash = entry.body.previous
            assert hash == committed.hash


TestForgetting = Forgetting.TestCase
