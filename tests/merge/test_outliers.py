"""The agreed outlier score: who leans away from everybody else throughout is found, and chance is not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qorum.config import FederationConfig
from qorum.merge.fixed import VALUE_LIMIT, Ints, to_fixed
from qorum.merge.outliers import CELLS, FEWEST, WINDOW, outliers
from qorum.merge.registers import Registers
from qorum.merge.rule import Ground
from qorum.merge.rules import Rules

Bools = NDArray[np.bool_]
NOISE = 5.0  # standard deviation of a single visit
SIZES = [(10, 100), (16, 60), (31, 100), (60, 300)]  # members, cells
LARGE = [(16, 250), (31, 100), (60, 300)]


def rules_of(n: int, tolerated: int | None = None, **fields: Any) -> Rules:
    config = FederationConfig.of(visit_budget_initial=2**20, r_min=-1000, r_max=1000, **fields)
    return Rules.of(config, n, (n - 1) // 3 if tolerated is None else tolerated)


def ground_of(n: int, cells: int, excluded: tuple[int, ...] = (), paired: tuple[int, ...] = ()) -> Ground:
    out, quarrel = np.isin(np.arange(n), excluded), np.isin(np.arange(n), paired)
    return Ground(10, np.zeros(cells, np.int64), np.zeros(4, np.int64), out, paired=quarrel)


def registers_of(cell: Ints, member: Ints, value: Ints, visits: Ints | int, spread: Ints | int) -> Registers:
    columns = (np.broadcast_to(column, cell.shape).astype(np.int64) for column in (value, visits, spread, 9, 1))
    return Registers(cell << 16 | member, *columns)


def fleet(n: int, cells: int, seed: int, share: float = 0.8) -> Registers:
    """Every member has visited most cells 1 to 12 times, with noise around a common truth."""
    rng = np.random.default_rng(seed)
    cell, member = np.nonzero(rng.random((cells, n)) < share)
    visits = rng.integers(1, 13, len(cell))
    mean = rng.uniform(-40, 40, cells)[cell] + NOISE * rng.standard_normal(len(cell)) / np.sqrt(visits)
    freedom = np.maximum(visits - 1, 1)
    spread = np.where(visits > 1, NOISE * np.sqrt(rng.chisquare(freedom) / freedom), 0)
    return registers_of(cell, member, to_fixed(mean), visits, to_fixed(spread))


def moved(honest: Registers, lies: Bools, off: NDArray[np.float64] | float) -> Registers:
    """The same where those who lie state values that are `off` further, in reward units."""
    return replace(honest, value=honest.value + to_fixed(np.where(lies[honest.member], off, 0.0)))


def found(registers: Registers, n: int, cells: int) -> list[int]:
    return who(outliers(registers, ground_of(n, cells), rules_of(n)))


def who(members: Bools) -> list[int]:
    return np.flatnonzero(members).tolist()


def liars(n: int, seed: int, most: int | None = None) -> Bools:
    chosen = np.random.default_rng(seed).permutation(n)[: (n - 1) // 3 if most is None else most]
    return np.isin(np.arange(n), chosen)


# --- who is looked at ----------------------------------------------------------------------------------


def test_where_there_are_many_cells_they_take_turns() -> None:
    """A liar that leans everywhere leans in every turn; one that leans in a third of the cells, when these are due."""
    n, cells = 31, 3 * WINDOW
    honest, lies = fleet(n, cells, 1), liars(n, 1)
    everywhere, here = moved(honest, lies, 2 * NOISE), (honest.cell >= WINDOW) & (honest.cell < 2 * WINDOW)
    third = replace(honest, value=np.where(here, everywhere.value, honest.value))
    found_in = {True: [], False: []}
    for round in (9, 10, 11):
        ground = replace(ground_of(n, cells), round=round)
        for leaning, registers in ((True, everywhere), (False, third)):
            fresh = replace(registers, base=np.full(len(registers), round - 1))
            found_in[leaning].append(outliers(fresh, ground, rules_of(n)).tolist())
    assert found_in[True] == [lies.tolist()] * 3
    assert found_in[False] == [[False] * n, lies.tolist(), [False] * n]


# --- chance --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "cells"), SIZES)
def test_honest_noise_convicts_nobody(n: int, cells: int) -> None:
    assert [found(fleet(n, cells, seed), n, cells) for seed in range(30)] == [[]] * 30


@pytest.mark.parametrize(("n", "cells", "seed"), [(16, 60, 42), (30, 100, 68), (30, 100, 198), (16, 200, 120)])
def test_honest_noise_convicts_nobody_however_it_falls(n: int, cells: int, seed: int) -> None:
    assert found(fleet(n, cells, seed), n, cells) == []


def exemplary(honest: Registers, lies: Bools) -> Registers:
    """The same where those who lie state nothing but the honest median of each cell, as if they were sure of it."""
    lying = lies[honest.member]
    said = [np.median(honest.value[(honest.cell == cell) & ~lying]) for cell in range(honest.cell.max() + 1)]
    value = np.where(lying, np.array(said).astype(np.int64)[honest.cell], honest.value)
    spread, visits = np.where(lying, 0, honest.spread), np.where(lying, 12, honest.visits)
    return replace(honest, value=value, spread=spread, visits=visits)


@pytest.mark.parametrize(("n", "cells"), [(16, 100), (31, 100), (31, 400)])
def test_nobody_stands_apart_because_others_lie_well(n: int, cells: int) -> None:
    """Each honest member taken for a liar makes room for one more of them in the merge."""
    scenes = [(exemplary(fleet(n, cells, seed), liars(n, seed)), liars(n, seed)) for seed in range(20)]
    assert not any((outliers(scene, ground_of(n, cells), rules_of(n)) & ~lies).any() for scene, lies in scenes)


@pytest.mark.parametrize("seed", range(5))
def test_who_knows_more_or_less_than_others_does_not_stand_apart(seed: int) -> None:
    everything = fleet(16, 100, seed, share=0.95)
    known = np.random.default_rng(seed).random(len(everything)) < np.where(everything.member % 2, 0.3, 1.0)
    assert found(everything.take(known), 16, 100) == []


def test_members_who_all_saw_the_same_do_not_stand_apart() -> None:
    cell, member = np.divmod(np.arange(16 * 100), 16)
    assert found(registers_of(cell, member, to_fixed(cell * 1.0), 3, 0), 16, 100) == []


def test_what_an_author_need_not_write_again_is_no_deviation() -> None:
    """Without any noise the smallest difference would be any number of deviations."""
    cell, member = np.divmod(np.arange(16 * 100), 16)
    rules = rules_of(16)
    for off, expected in ((2 * rules.rewrite_threshold, []), (3 * rules.rewrite_threshold, [2, 11])):
        value = np.where(np.isin(member, [2, 11]), off, 0)
        assert found(registers_of(cell, member, value, 3, 0), 16, 100) == expected


def test_whose_claims_rest_on_an_older_table_does_not_stand_apart_for_that() -> None:
    """In a live federation some are always a round behind, and all their claims are off by what the table moved."""
    cell, member = np.divmod(np.arange(16 * 100), 16)
    rules, late, drift = rules_of(16), np.isin(member, [2, 11]), to_fixed(np.array(5.0)).item()
    ground = ground_of(16, 100)
    ground = replace(ground, moves=np.full_like(ground.moves, drift))
    for off, expected in ((drift * rules.gamma >> 20, []), (2 * drift, [2, 11])):
        registers = registers_of(cell, member, np.where(late, off, 0), 3, 0)
        registers = replace(registers, base=registers.base - late)
        assert who(outliers(registers, ground, rules)) == expected


# --- lies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("n", "cells"), LARGE)
def test_f_members_that_shift_all_cells_by_a_deviation_and_a_half_are_found(n: int, cells: int, sign: int) -> None:
    for seed in range(8):
        lies = liars(n, seed)
        assert found(moved(fleet(n, cells, seed), lies, sign * 1.5 * NOISE), n, cells) == who(lies)


@pytest.mark.parametrize("seed", range(5))
def test_in_many_cells_lies_within_the_noise_of_each_are_found(seed: int) -> None:
    """By one and a half standard errors of their own: any single one of them could be chance."""
    honest, lies = fleet(60, 300, seed), liars(60, seed)
    assert found(moved(honest, lies, 1.5 * NOISE / np.sqrt(honest.visits)), 60, 300) == who(lies)


@pytest.mark.parametrize("most", [1, None])
@pytest.mark.parametrize(("n", "cells"), LARGE[1:])
def test_members_that_report_noise_are_found(n: int, cells: int, most: int | None) -> None:
    for seed in range(8):
        honest, lies = fleet(n, cells, seed), liars(n, seed, most)
        noise = 3 * NOISE * np.random.default_rng(seed).standard_normal(len(honest))
        assert found(moved(honest, lies, noise), n, cells) == who(lies)


@pytest.mark.parametrize("seed", range(5))
def test_a_lie_of_any_size_counts_no_more_than_the_limit(seed: int) -> None:
    """One cell beyond all measure convicts nobody: that is for accusations, and for the merge of that cell."""
    honest, lies = fleet(16, 60, seed), liars(16, seed, 1)
    once = np.where(honest.cell == 7, 900.0, 0.0)
    assert found(moved(honest, lies, once), 16, 60) == []


# --- who is not scored ---------------------------------------------------------------------------------


def test_where_no_liar_is_tolerated_nobody_is_scored() -> None:
    lying = moved(fleet(16, 60, 1), liars(16, 1), 50.0)
    assert not outliers(lying, ground_of(16, 60), rules_of(16, tolerated=0)).any()


@pytest.mark.parametrize(("cells", "expected"), [(CELLS - 1, []), (CELLS, [3])])
def test_too_few_cells_tell_nothing(cells: int, expected: list[int]) -> None:
    lying = moved(fleet(16, cells, 1, share=1.0), np.arange(16) == 3, 90.0)
    assert found(lying, 16, cells) == expected


@pytest.mark.parametrize(("n", "expected"), [(FEWEST, []), (FEWEST + 1, [3])])
def test_too_few_members_tell_nothing(n: int, expected: list[int]) -> None:
    lying = moved(fleet(n, 100, 1, share=1.0), np.arange(n) == 3, 90.0)
    assert found(lying, n, 100) == expected


def test_who_reports_too_few_cells_is_not_scored() -> None:
    everything = moved(fleet(16, 100, 1, share=1.0), np.arange(16) == 3, 90.0)
    few = everything.take((everything.member != 3) | (everything.cell < CELLS - 1))
    assert (found(everything, 16, 100), found(few, 16, 100)) == ([3], [])


def test_nobody_at_all() -> None:
    assert found(Registers.empty(), 16, 0) == found(Registers.empty(), 16, 100) == []


@pytest.mark.parametrize(("excluded", "paired"), [((2, 5), ()), ((), (2, 5)), ((2,), (5,))])
def test_who_is_out_is_neither_scored_nor_part_of_the_measure(
    excluded: tuple[int, ...], paired: tuple[int, ...]
) -> None:
    lying = moved(fleet(16, 60, 1), np.isin(np.arange(16), [2, 5, 9]), 1.5 * NOISE)
    assert found(lying, 16, 60) == [2, 5, 9]
    assert who(outliers(lying, ground_of(16, 60, excluded, paired), rules_of(16))) == [9]


@pytest.mark.parametrize("seed", range(5))
def test_more_than_may_lie_are_no_outliers(seed: int) -> None:
    """What stands out then is something else: half of them may live in another world than the other half."""
    assert found(moved(fleet(16, 60, seed), liars(16, seed, 8), 2 * NOISE), 16, 60) == []


@pytest.mark.parametrize("seed", range(3))
def test_no_more_are_found_than_may_lie(seed: int) -> None:
    lying = moved(fleet(16, 60, seed), liars(16, seed, 6), 2 * NOISE)
    assert len(found(lying, 16, 60)) <= rules_of(16).tolerated == 5


def test_members_wrongly_excluded_do_not_shield_liars() -> None:
    lying = moved(fleet(31, 100, 1), np.isin(np.arange(31), range(3)), 2 * NOISE)
    for others in ((), (21, 22), tuple(range(21, 31))):
        assert who(outliers(lying, ground_of(31, 100, excluded=others), rules_of(31))) == [0, 1, 2]


# --- the same bits everywhere --------------------------------------------------------------------------


@given(st.integers(0, 50), st.randoms(use_true_random=False))
def test_the_order_in_which_rows_arrive_does_not_matter(seed: int, random: object) -> None:
    lying = moved(fleet(16, 40, seed), liars(16, seed), 1.5 * NOISE)
    parts = [lying.take(lying.member == member) for member in range(16)]
    random.shuffle(parts)  # type: ignore[attr-defined]
    again = Registers.empty()
    for part in parts:
        again = again.join(part)
    assert found(again, 16, 40) == found(lying, 16, 40)


@given(st.integers(0, 50), st.permutations(range(16)), st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0]))
def test_who_is_who_does_not_matter(seed: int, names: list[int], shift: float) -> None:
    lying = moved(fleet(16, 40, seed), liars(16, seed), shift * NOISE)
    name = np.array(names)
    key = lying.cell << 16 | name[lying.member]
    order = np.argsort(key)
    renamed = Registers(key[order], *(column[order] for column in lying.columns()[1:]))
    assert found(renamed, 16, 40) == sorted(name[found(lying, 16, 40)].tolist())


@pytest.mark.parametrize("shift", range(0, 20, 4))
def test_the_unit_of_rewards_does_not_matter(shift: int) -> None:
    """Numbers of any size give the same scores, up to what is too small to be written."""
    lying, lies = fleet(31, 100, 3), liars(31, 3)
    lying = moved(lying, lies, 1.5 * NOISE)
    large = replace(lying, value=lying.value << shift >> 6, spread=lying.spread << shift >> 6)
    rules = rules_of(31, evidence="q")
    assert who(outliers(large, ground_of(31, 100), rules)) == who(lies)


# --- extremes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("visits", [1, 2, 4096, 2**32 - 1])
@pytest.mark.parametrize("spread", [0, 2 * VALUE_LIMIT])
@pytest.mark.parametrize("sign", [1, -1])
def test_extremes_do_not_overflow(visits: int, spread: int, sign: int) -> None:
    n, cells = 16, 100
    cell, member = np.divmod(np.arange(n * cells), n)
    lies = liars(n, 5)
    value = np.where(lies[member], -sign * VALUE_LIMIT, sign * VALUE_LIMIT)
    rules = replace_budget(rules_of(n, evidence="q"))
    registers = registers_of(cell, member, value, visits, spread)
    assert who(outliers(registers, ground_of(n, cells), rules)) == who(lies)
    halves = registers_of(cell, member, np.where(member % 2, VALUE_LIMIT, -VALUE_LIMIT), visits, spread)
    assert not outliers(halves, ground_of(n, cells), rules).any(), "there is no telling which half lies"


def replace_budget(rules: Rules) -> Rules:
    fields = {name: getattr(rules, name) for name in rules.__struct_fields__}
    return Rules(**fields | {"visit_budget_initial": 2**40})


def test_liars_that_all_repeat_one_honest_member_are_found_with_it_and_nobody_else() -> None:
    """They are f, it makes one more, and so close together that no half of the others is as dense."""
    n, cells = 100, 200
    for seed in range(5):
        honest, lies = fleet(n, cells, seed, share=1.0), liars(n, seed)
        victim = int(np.flatnonzero(~lies)[0])
        own = honest.take(honest.member == victim)
        of = np.where(lies[honest.member], honest.cell, -1)
        which = {name: np.where(of >= 0, getattr(own, name)[of], getattr(honest, name)) for name in ("value", "visits")}
        copies = replace(honest, **which, spread=np.where(of >= 0, own.spread[of], honest.spread))
        assert set(found(copies, n, cells)) == {victim, *np.flatnonzero(lies).tolist()}
