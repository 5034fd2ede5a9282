"""Registers are a CRDT, and a stream of contributions sets them the same whatever the order among authors."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.merge.registers import Registers, Writes

Cells = dict[int, tuple[int, int, int]]

CELLS = st.dictionaries(
    st.integers(0, 5), st.tuples(st.integers(-3, 3), st.integers(0, 2), st.integers(0, 2)), max_size=4
)
RANGES = st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 7)), max_size=3).map(tuple)


def writes(member: int, version: int, base: int, cells: Cells, affirmed: tuple[tuple[int, int], ...] = ()) -> Writes:
    order = sorted(cells)
    columns = np.array([cells[cell] for cell in order], dtype=np.int64).reshape(-1, 3).T
    return Writes(member, version, base, np.array(order, dtype=np.int64), *columns, affirmed)


# Few members, versions and cells, so that writes collide, also with different content under one version.
COLLIDING = st.lists(st.builds(writes, st.integers(0, 2), st.integers(0, 2), st.integers(0, 3), CELLS), max_size=5)


@st.composite
def streams(draw: st.DrawFn) -> list[list[Writes]]:
    """One stream of contributions of each of three members, versions rising."""
    return [
        [
            writes(member, version, draw(st.integers(0, 9)), draw(CELLS), draw(RANGES))
            for version in sorted(draw(st.sets(st.integers(0, 9), max_size=4)))
        ]
        for member in (0, 1, 65_535)
    ]


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[list[Writes]], list[list[Writes]]]:
    """Streams, and the same contributions in some other order among authors, cut into batches."""
    authors = draw(streams())
    turns = draw(st.permutations([m for m, stream in enumerate(authors) for _ in stream]))
    queues = [iter(stream) for stream in authors]
    mixed = [next(queues[m]) for m in turns]
    cuts = sorted(draw(st.sets(st.integers(0, len(mixed)))) | {0, len(mixed)})
    return authors, [mixed[a:b] for a, b in pairwise(cuts)]


def rows(registers: Registers) -> dict[int, tuple[int, ...]]:
    key, *columns = (column.tolist() for column in registers.columns())
    assert key == sorted(set(key))
    return dict(zip(key, zip(*columns, strict=True), strict=True))


def absorbed_slowly(stream: list[Writes]) -> dict[int, tuple[int, ...]]:
    """The registers after one member's stream, by the definition."""
    state: dict[int, tuple[int, ...]] = {}
    for one in stream:
        for cell, *content in zip(one.cell, one.value, one.visits, one.spread, strict=True):
            state[int(cell) << 16 | one.member] = (*map(int, content), one.base, one.version)
        for low, high in one.affirmed:
            for key, (*content, base, version) in state.items():
                if low <= key >> 16 < high:
                    state[key] = (*content, max(base, one.base), version)
    return state


@given(COLLIDING)
def test_join_is_idempotent(some: list[Writes]) -> None:
    registers = Registers.of(some)
    assert registers.join(registers) == registers
    assert registers.join(Registers.empty()) == registers == Registers.empty().join(registers)


@given(COLLIDING, COLLIDING)
def test_join_is_commutative(some: list[Writes], others: list[Writes]) -> None:
    a, b = Registers.of(some), Registers.of(others)
    assert a.join(b) == b.join(a)


@given(COLLIDING, COLLIDING, COLLIDING)
def test_join_is_associative(some: list[Writes], others: list[Writes], more: list[Writes]) -> None:
    a, b, c = Registers.of(some), Registers.of(others), Registers.of(more)
    assert a.join(b).join(c) == a.join(b.join(c))


@given(COLLIDING, st.randoms(use_true_random=False))
def test_the_order_of_writes_does_not_matter(some: list[Writes], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Registers.of(shuffled) == Registers.of(some)


@given(streams())
def test_a_stream_is_absorbed_as_defined(authors: list[list[Writes]]) -> None:
    slow = {key: row for stream in authors for key, row in absorbed_slowly(stream).items()}
    together = Registers.empty().absorb([one for stream in authors for one in stream])
    assert rows(together) == slow


@given(interleavings())
def test_any_interleaving_of_authors_gives_the_same_registers(
    given_streams: tuple[list[list[Writes]], list[list[Writes]]],
) -> None:
    authors, batches = given_streams
    everything = [one for stream in authors for one in stream]
    once = Registers.empty().absorb(everything)
    step_by_step = Registers.empty()
    for batch in batches:
        step_by_step = step_by_step.absorb(batch)
    assert step_by_step == once
    assert once.absorb(everything) == once  # applying it twice changes nothing


def test_the_newer_write_wins_and_an_erased_register_stays_erased() -> None:
    old, erased = writes(4, 1, 0, {7: (10, 3, 1)}), writes(4, 2, 1, {7: (0, 0, 0)})
    registers = Registers.of([erased]).join(Registers.of([old]))
    assert rows(registers) == {7 << 16 | 4: (0, 0, 0, 1, 2)}


def test_a_later_incarnation_wins_over_a_higher_seq() -> None:
    before, after = writes(0, 1 << 32 | 99, 0, {0: (1, 1, 0)}), writes(0, 2 << 32, 0, {0: (2, 1, 0)})
    assert Registers.of([after, before]).value.tolist() == [2]


def test_two_branches_under_one_version_still_join_to_one() -> None:
    contents = [(1, 5, 0), (2, 5, 0), (2, 6, 0), (2, 6, 1)]  # value, visits, spread
    branches = [Registers.of([writes(0, 1, 9 - at, {0: content})]) for at, content in enumerate(contents)]
    for a, b in pairwise(branches):
        assert a.join(b) == b.join(a)
        assert rows(a.join(b))[0][:3] == rows(b)[0][:3]


def test_an_affirmation_keeps_what_it_covers_current() -> None:
    first = writes(3, 1, 0, {0: (5, 1, 0), 1: (6, 1, 0), 2: (7, 1, 0)})
    other = writes(2, 1, 0, {1: (8, 1, 0)})
    registers = Registers.empty().absorb([first, other, writes(3, 2, 9, {}, ((0, 2), (1, 2)))])
    assert dict(zip(registers.key.tolist(), registers.base.tolist(), strict=True)) == {
        0 << 16 | 3: 9,
        1 << 16 | 2: 0,
        1 << 16 | 3: 9,
        2 << 16 | 3: 0,
    }


def test_ten_thousand_ranges_of_a_liar_cost_no_more_than_sorting_them() -> None:
    ranges = tuple((low, low + 1) for low in range(10_000))
    registers = Registers.empty().absorb([writes(0, 1, 0, {5: (1, 1, 0)}), writes(0, 2, 3, {}, ranges)])
    assert registers.base.tolist() == [3]


def test_columns_of_rows() -> None:
    registers = Registers.of([writes(1, 1, 0, {3: (5, 1, 0), 9: (6, 1, 0)}), writes(65_535, 1, 0, {3: (7, 1, 0)})])
    assert len(registers) == 3
    assert registers.cell.tolist() == [3, 3, 9]
    assert registers.member.tolist() == [1, 65_535, 1]
    first, sizes = registers.groups()
    assert (first.tolist(), sizes.tolist()) == ([0, 2], [2, 1])
    assert registers.part(2, 3, first_cell=4).cell.tolist() == [5]
    assert registers.take(registers.value > 5).value.tolist() == [7, 6]
    assert registers.take(registers.value > 0) is registers


def test_registers_compare_by_content_and_have_no_hash() -> None:
    registers = Registers.of([writes(1, 1, 0, {3: (5, 1, 0)})])
    assert registers == Registers.of([writes(1, 1, 0, {3: (5, 1, 0)})])
    assert registers != Registers.of([writes(1, 1, 0, {3: (6, 1, 0)})])
    assert registers != "registers"
    with pytest.raises(TypeError):
        hash(registers)
