"""First-hand accusations: liars are caught, noise is not."""

from collections import Counter
from dataclasses import fields, replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.config import FederationConfig
from qorum.evidence import REPEATED
from qorum.merge import accusation, interval, registers
from qorum.merge.accusation import BATCH, CONTRADICTIONS, OFTEN, accuse
from qorum.merge.fixed import ONE, VALUE_LIMIT, to_fixed
from qorum.merge.interval import half_width, pooled_spread, slack, widest_spread
from qorum.merge.registers import BLOCK, Registers
from qorum.merge.rule import Ground
from qorum.merge.rules import Rules

N_CELLS = 100


def rules_of(n: int, **fields: Any) -> Rules:
    return Rules.of(FederationConfig.of(**fields), n, (n - 1) // 3)


def ground_of(n: int, move: int = 0) -> Ground:
    return Ground(10, np.zeros(N_CELLS + 1, np.int64), np.full(4, move), np.zeros(n, dtype=bool))


def claims(mine: list[int], theirs: list[int], visits: int = 2, bases: tuple[int, int] = (9, 9)) -> Registers:
    """Member 0's and member 1's values of cells 0, 1, ... as seen without any spread."""
    rows = [(cell << 16, value, bases[0]) for cell, value in enumerate(mine)]
    rows += [(cell << 16 | 1, value, bases[1]) for cell, value in enumerate(theirs)]
    key, value, base = np.array(sorted(rows), dtype=np.int64).reshape(-1, 3).T
    same = np.ones_like(key)
    return Registers(key, value, visits * same, 0 * same, base, same)


def with_chance(registers: Registers, spread: int = 1) -> Registers:
    """All members but steady ones have met a little chance in a cell of their own."""
    own = N_CELLS << 16 | np.arange(2)
    same = np.ones(2, np.int64)
    chance = Registers(own, 0 * same, 2 * same, spread * same, 9 * same, same)
    return Registers(*(np.concatenate(pair) for pair in zip(columns(registers), columns(chance), strict=True)))


def columns(registers: Registers) -> list[np.ndarray]:
    return [getattr(registers, field.name) for field in fields(registers)]


def accusing(
    registers: Registers, ground: Ground, rules: Rules, me: int, *, steady: bool = False
) -> tuple[list[int], list[int]]:
    """Whom one member accuses, and whom it stakes its standing against."""
    accused, staked = accuse(registers, np.array([me]), np.array([steady]), ground, rules)
    assert accused.shape == staked.shape == (1, rules.n_members)
    return np.flatnonzero(accused).tolist(), np.flatnonzero(staked).tolist()


def caught(registers: Registers, me: int = 0, move: int = 0, *, steady: bool = False, **fields: object) -> list[int]:
    met = registers if steady else with_chance(registers)
    return accusing(met, ground_of(4, move=move), rules_of(4, **fields), me, steady=steady)[0]


def staked(registers: Registers, *, steady: bool = False) -> list[int]:
    met = registers if steady else with_chance(registers)
    return accusing(met, ground_of(4), rules_of(4), 0, steady=steady)[1]


def noisy_fleet(n: int, seed: int, noise: float = 5.0) -> Registers:
    """Every member has visited most of the cells 1 to 12 times, each time with noise around a common truth."""
    rng = np.random.default_rng(seed)
    cell, member = np.nonzero(rng.random((N_CELLS, n)) < 0.8)
    visits = rng.integers(1, 13, len(cell))
    truth = rng.uniform(-40, 40, N_CELLS)
    value, spread = np.empty(len(cell)), np.zeros(len(cell))
    for row, count in enumerate(visits):
        samples = truth[cell[row]] + noise * rng.standard_normal(count)
        value[row] = samples.mean()
        spread[row] = samples.std(ddof=1) if count > 1 else 0
    same = np.full(len(cell), 9)
    return Registers(cell << 16 | member, to_fixed(value), visits, to_fixed(spread), same, same)


@pytest.mark.parametrize("seed", range(5))
def test_honest_members_with_noisy_data_accuse_nobody(seed: int) -> None:
    fleet, ground, rules = noisy_fleet(30, seed), ground_of(30), rules_of(30)
    accused, staked = accuse(fleet, np.arange(30), np.zeros(30, dtype=bool), ground, rules)
    assert not (accused | staked).any()


def test_a_liar_is_caught_by_far_more_than_could_lie() -> None:
    fleet, ground, rules = noisy_fleet(30, seed=1), ground_of(30), rules_of(30)
    lying, others = flipped(fleet, 7), np.delete(np.arange(30), 7)
    masks, stakes = accuse(lying, others, np.zeros(29, dtype=bool), ground, rules)
    for found in (masks, stakes):  # a table turned upside down is too high as often as it is too low
        assert found[:, 7].sum() > 2 * rules.tolerated
        assert not np.delete(found, 7, axis=1).any()


def flipped(fleet: Registers, *members: int) -> Registers:
    return replace(fleet, value=np.where(np.isin(fleet.member, members), -fleet.value, fleet.value))


TRUTH = [0] * REPEATED
MOST = 2 * (rules_of(4).rewrite_threshold + 1)
"""Either side may leave a change this small unwritten."""


def test_where_the_task_is_deterministic_a_small_lie_is_enough() -> None:
    assert caught(claims(TRUTH, [MOST] * REPEATED), steady=True) == []
    assert caught(claims(TRUTH, [MOST + 1] * REPEATED), steady=True) == [1]
    assert caught(claims(TRUTH, [-MOST - 1] * REPEATED), steady=True) == [1]


def test_who_knows_that_outcomes_vary_and_met_equal_values_only_accuses_nobody() -> None:
    lies, ground, rules = claims(TRUTH, [50 * ONE] * REPEATED), ground_of(4), rules_of(4)
    assert accusing(lies, ground, rules, 0) == ([], [])
    assert accusing(with_chance(lies), ground, rules, 0) == ([1], [1])


@pytest.mark.parametrize(("visits", "reaches", "convicted"),
                         [(OFTEN, 1.6, [1]), (OFTEN, 1.4, []), (OFTEN - 1, 9.0, [])])  # fmt: skip
def test_a_single_contradiction_convicts_where_it_is_glaring(visits: int, reaches: float, convicted: list[int]) -> None:
    """Both sides reach as far: six standard errors of what the accuser has met."""
    chance, rules = 8 * ONE, rules_of(4)
    truth = claims([0] * 20, [0] * 20, visits=visits)
    pooled = pooled_spread(truth.spread[:1], truth.visits[:1], np.array([chance]))
    reach = 2 * int(half_width(rules.accusation_factor, pooled, truth.visits[:1])[0]) + MOST
    lone = replace(truth, value=np.where((truth.cell == 3) & (truth.member == 1), int(reaches * reach), 0))
    assert accusing(with_chance(lone, chance), ground_of(4), rules, 0)[0] == convicted


def test_a_member_is_convicted_of_a_majority_and_never_of_a_few() -> None:
    lie, few = 50 * ONE, CONTRADICTIONS
    half, honest = REPEATED + few, [0] * 2 * (REPEATED + few)
    assert caught(claims(honest, [lie] * half + [0] * half)) == []
    assert caught(claims(honest, [lie] * (half + 1) + [0] * (half - 1))) == [1]
    assert caught(claims(honest, [lie] * (few - 1))) == []
    assert caught(claims(honest, [lie] * few)) == [1]


def test_claims_about_older_tables_are_given_the_drift_since() -> None:
    fair = 2 * (rules_of(4).rewrite_threshold + 1) + ONE  # gamma * two moves
    for value, convicted in ((fair, []), (fair + 1, [1])):
        for bases in ((9, 7), (7, 9)):
            registers = claims(TRUTH, [value] * REPEATED, bases=bases)
            assert caught(registers, move=ONE, gamma=0.5, steady=True) == convicted


@pytest.mark.parametrize(("base", "convicted"), [(4, []), (5, [1]), (9, [1]), (10, [])])
def test_only_claims_within_the_window_ground_an_accusation(base: int, convicted: list[int]) -> None:
    lies = [50 * ONE] * REPEATED
    assert caught(claims(TRUTH, lies, bases=(9, base)), base_window=4) == convicted
    assert caught(claims(TRUTH, lies, bases=(base, 9)), base_window=4) == convicted


def test_a_member_that_hardly_looked_accuses_nobody() -> None:
    lies = [50 * ONE] * REPEATED
    assert caught(claims(TRUTH, lies, visits=1)) == []
    assert caught(claims(TRUTH[1:], lies), steady=True) == []
    assert caught(claims(TRUTH[2:], lies)) == []
    assert caught(claims(TRUTH, lies), me=2) == []
    assert caught(claims(TRUTH, [])) == []
    assert caught(Registers.empty()) == []


def test_who_saw_scatter_elsewhere_does_not_trust_two_equal_samples() -> None:
    exact = claims(TRUTH, [10 * ONE] * REPEATED)
    spread = np.where((exact.cell % 4 == 0) & (exact.member == 0), 8 * ONE, 0)
    scattered = Registers(exact.key, exact.value, exact.visits, spread, exact.base, exact.version)
    assert caught(exact) == [1]  # which met chance of another size
    assert caught(scattered) == []


def test_the_widest_spreads_do_not_overflow() -> None:
    extreme = claims([VALUE_LIMIT] * N_CELLS, [-VALUE_LIMIT] * N_CELLS, visits=2**32 - 1)
    spread = np.full(len(extreme), 2 * VALUE_LIMIT)
    wide = Registers(extreme.key, extreme.value, extreme.visits, spread, extreme.base, extreme.version)
    assert caught(wide) == [1]  # after so many visits even this spread leaves no doubt
    assert caught(wide, accusation_factor=64.0) == []
    assert (caught(wide, steady=True), staked(wide)) == ([1], []), "too low"


# --- without chance ------------------------------------------------------------------------------------

@pytest.mark.parametrize("off", [MOST, MOST + 1, -MOST, -MOST - 1])
def test_who_never_saw_an_outcome_vary_convicts_for_a_single_contradiction(off: int) -> None:
    registers = claims(TRUTH, [0, 0, off, 0, 0, 0, 0, 0])
    expected = [1] if abs(off) > MOST else []
    assert (caught(registers, steady=True), caught(registers)) == (expected, [])
    lone = claims(TRUTH, [off])
    assert (caught(lone, steady=True), caught(lone)) == (expected, [])


def test_a_single_contradiction_convicts_among_any_number_of_cells_in_common() -> None:
    registers = claims([0] * N_CELLS, [0] * (N_CELLS - 1) + [MOST + 1])
    assert (caught(registers, steady=True), caught(registers)) == ([1], [])


def test_also_the_steady_grant_the_drift_since_a_claim_was_computed() -> None:
    off = MOST + ONE  # gamma * two moves
    for value, convicted in ((off, []), (off + 1, [1])):
        assert caught(claims(TRUTH, [value], bases=(9, 7)), steady=True, move=ONE, gamma=0.5) == convicted


def test_somebody_who_repeated_too_few_cells_accuses_nobody_whatever_it_believes() -> None:
    assert caught(claims(TRUTH[1:], [50 * ONE]), steady=True) == []
    assert caught(claims(TRUTH, [50 * ONE], visits=1), steady=True) == []


# --- stakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steady", [True, False])
def test_a_claim_too_high_is_worth_ones_own_standing_and_one_too_low_is_not(steady: bool) -> None:
    high, low = claims(TRUTH, [50 * ONE] * REPEATED), claims(TRUTH, [-50 * ONE] * REPEATED)
    assert caught(high, steady=steady) == caught(low, steady=steady) == [1]
    assert (staked(high, steady=steady), staked(low, steady=steady)) == ([1], [])


def test_one_claim_too_high_among_many_too_low_is_enough_for_a_stake() -> None:
    mixed = claims(TRUTH, [-50 * ONE] * (REPEATED - 1) + [50 * ONE])
    assert (caught(mixed), staked(mixed)) == ([1], [1])


def test_nobody_stakes_against_whom_it_does_not_accuse() -> None:
    few = claims(TRUTH, [50 * ONE] * (CONTRADICTIONS - 1))
    assert (caught(few), staked(few)) == ([], [])


# --- many at once --------------------------------------------------------------------------------------


def quarrelling(seed: int, n: int = 12) -> Registers:
    """Noise, some who saw none of it, two who state all values negated, and one who moved a few."""
    fleet = noisy_fleet(n, seed)
    quiet = fleet.member < 4
    truth = fleet.value[np.searchsorted(fleet.cell, fleet.cell)]  # as the first who reports the cell has it
    fleet = replace(fleet, value=np.where(quiet, truth, fleet.value), spread=np.where(quiet, 0, fleet.spread))
    bump = (fleet.member == 9) & (fleet.cell < 10)
    return flipped(replace(fleet, value=fleet.value + np.where(bump, 90 * ONE, 0)), 7, 8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("batch", "block"), [(1, BLOCK), (7, 100), (500, 1), (BATCH, 40), (BATCH, BLOCK)])
def test_any_number_of_accusers_in_any_batches_find_what_each_finds_alone(seed: int, batch: int, block: int) -> None:
    fleet, ground, rules = quarrelling(seed), ground_of(12, move=ONE // 4), rules_of(12)
    accusers, steady = np.array([0, 2, 3, 5, 7, 10, 11]), np.array([True, False, True, False, False, True, False])
    alone = [accusing(fleet, ground, rules, me, steady=bool(s)) for me, s in zip(accusers, steady, strict=True)]
    assert any(found for found, _ in alone)
    with mock.patch.object(accusation, "BATCH", batch), mock.patch.object(registers, "BLOCK", block):
        together = accuse(fleet, accusers, steady, ground, rules)
    rows = [tuple(np.flatnonzero(found[row]).tolist() for found in together) for row in range(len(accusers))]
    assert rows == alone


def contradictions(registers: Registers, me: int, ground: Ground, rules: Rules) -> list[tuple[int, int, bool]]:
    """(member, distance, glaring) of each claim that member `me` contradicts, one pair of claims after the other."""
    widest = widest_spread(registers.member, registers.visits, registers.spread, rules.n_members, 0)
    found: list[tuple[int, int, bool]] = []
    rows = range(len(registers))
    cell, member, value = (column.tolist() for column in (registers.cell, registers.member, registers.value))
    off = slack(rules, ground.moves, ground.round - 1 - registers.base)
    spread = pooled_spread(registers.spread, registers.visits, widest[registers.member])
    for mine, other in ((a, b) for a in rows if member[a] == me for b in rows if cell[a] == cell[b] and a != b):
        both = np.array([registers.visits[mine], registers.visits[other]])
        reach = half_width(rules.accusation_factor, spread[[mine, mine]], both).sum() + off[mine] + off[other]
        if abs(value[other] - value[mine]) > reach:
            off_by = value[other] - value[mine]
            found.append((member[other], off_by, bool(2 * abs(off_by) > 3 * reach and both.min() >= OFTEN)))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_missed_and_nothing_added_by_comparing_many_claims_at_once(seed: int) -> None:
    few = quarrelling(seed).take(quarrelling(seed).cell < 30)
    fleet = replace(few, base=np.random.default_rng(seed).choice([5, 8, 9], len(few)))
    ground, rules = ground_of(12, move=ONE // 8), rules_of(12)
    visited = [set(fleet.cell[fleet.member == member].tolist()) for member in range(12)]
    for me in range(12):
        found = contradictions(fleet, me, ground, rules)
        count, high = Counter(member for member, *_ in found), {member for member, off, _ in found if off > 0}
        often = {m for m in count if count[m] >= CONTRADICTIONS and 2 * count[m] > len(visited[me] & visited[m])}
        often |= {member for member, _, glaring in found if glaring}
        knows_chance = bool(fleet.spread[(fleet.member == me) & (fleet.visits > 1)].any())
        for steady, accused in ((True, set(count)), (False, often if knows_chance else set())):
            expected = sorted(accused), sorted(accused & high)
            assert accusing(fleet, ground, rules, me, steady=steady) == expected


def test_nobody_accuses_where_there_are_no_accusers() -> None:
    none = np.zeros(0, dtype=np.int64)
    accused, staked = accuse(quarrelling(1), none, none.astype(bool), ground_of(12), rules_of(12))
    assert accused.shape == staked.shape == (0, 12)


def test_excluded_members_need_no_accusation_and_may_still_accuse() -> None:
    lies = claims(TRUTH, [50 * ONE] * REPEATED)
    ground = replace(ground_of(4), excluded=np.arange(4) == 1)
    assert accusing(lies, ground, rules_of(4), 0, steady=True) == ([], [])
    assert accusing(with_chance(lies), ground, rules_of(4), 1) == ([0], [])


def test_members_in_an_open_dispute_are_accused_on() -> None:
    lies = claims(TRUTH, [50 * ONE] * REPEATED)
    ground = replace(ground_of(4), paired=np.isin(np.arange(4), [0, 1]))
    assert accusing(with_chance(lies), ground, rules_of(4), 0) == ([1], [1])


def test_where_no_liar_is_tolerated_nobody_accuses() -> None:
    rules = Rules.of(FederationConfig(), 4, 0)
    assert accusing(claims(TRUTH, [50 * ONE] * REPEATED), ground_of(4), rules, 0, steady=True) == ([], [])


ROWS = st.tuples(
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(-VALUE_LIMIT, VALUE_LIMIT),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2 * VALUE_LIMIT),
    st.integers(3, 12),
)


@given(st.lists(ROWS, max_size=15, unique_by=lambda row: row[:2]), st.integers(0, 4), st.booleans())
def test_nobody_ever_accuses_itself_or_the_absent(rows: list[tuple[int, ...]], me: int, steady: bool) -> None:
    cell, member, *columns = np.array(sorted(rows), dtype=np.int64).reshape(-1, 6).T
    registers = Registers(cell << 16 | member, *columns, np.zeros_like(cell))
    with mock.patch.object(interval, "REPEATED", 1):  # else so few rows convict nobody
        accused, staked = accusing(registers, ground_of(6, 3), rules_of(6), me, steady=steady)
    assert not {me, 5} & set(accused)
    assert set(staked) <= set(accused)
