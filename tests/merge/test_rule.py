"""The merge of a cell, compared with a slow reference written from its definition in Python integers."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.config import EVIDENCE_KINDS, FederationConfig
from qorum.merge import rule
from qorum.merge.fixed import ONE, POWER_ONE, VALUE_LIMIT, visit_cap
from qorum.merge.registers import Registers, Writes
from qorum.merge.rule import Ground, Merged, compatible, eligible, merge, unreported
from qorum.merge.rules import Rules


class Row(NamedTuple):
    cell: int
    member: int
    value: int
    visits: int
    spread: int
    base: int
    version: int


def registers_of(rows: list[Row]) -> Registers:
    columns = np.array(sorted(rows), dtype=np.int64).reshape(-1, len(Row._fields)).T
    cell, member, *rest = columns
    return Registers(cell << 16 | member, *rest)


def ground_of(previous: list[int], n: int, round: int = 10, moves: int = 0, excluded: tuple[int, ...] = ()) -> Ground:
    out = np.isin(np.arange(n), excluded)
    return Ground(round, np.array(previous, dtype=np.int64), np.full(4, moves, dtype=np.int64), out)


def outcome(merged: Merged) -> list[list[int]]:
    return [column.tolist() for column in (merged.value, merged.support, merged.reporters, merged.confirmed)]


# --- the reference -------------------------------------------------------------------------------------


def slow_eligible(rows: list[Row], ground: Ground, rules: Rules) -> list[Row]:
    capped = [row._replace(visits=min(row.visits, rules.visit_cap)) for row in rows]
    spent = dict.fromkeys(range(rules.n_members), 0)
    window = 0 if rules.evidence == "implied" else rules.base_window
    low, high = ground.bounds(rules)
    result = []
    for row in sorted(capped, key=lambda row: (row.version, row.cell)):
        spent[row.member] += row.visits
        recent = max(ground.round - 1 - window, ground.since) <= row.base <= ground.round - 1
        joined = np.broadcast_to(ground.joined, rules.n_members)[row.member]
        paid = spent[row.member] <= rules.visit_budget(ground.round - int(joined))
        if row.visits > 0 and recent and paid and not ground.excluded[row.member]:
            clamped = min(max(row.value, low), high) if rules.evidence == "replay" else row.value
            result.append(row._replace(value=clamped))
    return result


def slow_compatible(rows: list[Row], ground: Ground, rules: Rules) -> list[Row]:
    low, high = ground.bounds(rules)
    stated = sorted(min(max(row.spread, 0), high - low) for row in rows if row.visits >= 2)
    spread = stated[len(stated) // 2] if stated else high - low

    def width(row: Row) -> int:
        root = math.isqrt(row.visits << 20)
        drift = min(sum(ground.moves.tolist()[: ground.round - 1 - row.base]), 2 * VALUE_LIMIT)
        sampling = math.ceil(Fraction(rules.interval_factor * spread * 4, root))
        return sampling + rules.rewrite_threshold + 1 + math.ceil(Fraction(rules.gamma * drift, ONE))

    highest_lower = max(row.value - width(row) for row in rows)
    return [row for row in rows if row.value + width(row) >= highest_lower]


def slow_power(base: int, exponent: int) -> int:
    result = POWER_ONE
    while exponent:
        if exponent & 1:
            result = round(Fraction(result * base, POWER_ONE))
        base = round(Fraction(base * base, POWER_ONE))
        exponent >>= 1
    return result


def slow_merge(rows: list[Row], ground: Ground, rules: Rules) -> list[list[int]]:
    counting = slow_eligible(rows, ground, rules)
    trim = max(0, rules.tolerated - int(ground.excluded.sum()))
    cells = []
    for cell, before in enumerate(ground.previous.tolist()):
        claims = sorted((row for row in counting if row.cell == cell), key=lambda row: (row.value, row.visits))
        confirmed = len(claims) > 2 * trim
        kept = claims[trim : len(claims) - trim] if confirmed else []
        if claims and not confirmed:
            kept = slow_compatible(claims, ground, rules)
        support = sum(row.visits for row in kept)
        value = round(Fraction(sum(row.visits * row.value for row in kept), support)) if kept else before
        if rules.evidence == "implied":
            moved = round(Fraction(POWER_ONE - slow_power(rules.keep, support), POWER_ONE // ONE))
            value = before + round(Fraction((value - before) * moved, ONE))
        cells.append([value, support, len(claims), bool(claims) and confirmed])
    return [list(column) for column in zip(*cells, strict=True)]


# --- what is merged ------------------------------------------------------------------------------------

REWARDS = st.floats(-100, 100)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Row], Ground, Rules]:
    n = draw(st.integers(1, 13))
    n_cells = draw(st.integers(1, 4))
    r_min, r_max = sorted((draw(REWARDS), draw(REWARDS)))
    config = FederationConfig(
        gamma=draw(st.floats(0, 0.99)),
        alpha=draw(st.floats(0.01, 1)),
        r_min=r_min,
        r_max=r_max,
        initial_q=draw(REWARDS),
        evidence=draw(st.sampled_from(EVIDENCE_KINDS)),
        base_window=draw(st.integers(0, 3)),
        visit_budget_initial=draw(st.sampled_from([10, 1000, 100_000])),
        visit_budget_per_round=draw(st.integers(0, 5)),
        interval_factor=draw(st.floats(0, 8)),
    )
    rules = Rules.of(config, n, tolerated=draw(st.integers(0, max(0, (n - 1) // 3))))
    value = st.integers(-2000 * ONE, 2000 * ONE) | st.integers(-3, 3)
    row = st.builds(
        Row,
        st.integers(0, n_cells - 1),
        st.integers(0, n - 1),
        value,
        st.integers(0, 9) | st.integers(0, 6000),
        st.integers(0, 300 * ONE) | st.just(0),
        st.integers(5, 10),
        st.integers(0, 3),
    )
    rows = draw(st.lists(row, max_size=45, unique_by=lambda row: (row.cell, row.member)))
    previous = draw(st.lists(value, min_size=n_cells, max_size=n_cells))
    ground = ground_of(previous, n, moves=draw(st.integers(0, ONE)))
    excluded = draw(st.sets(st.integers(0, n - 1), max_size=3))
    since = draw(st.sampled_from([0, 0, 8, 9]))
    joined = draw(st.just(0) | st.lists(st.integers(0, 9), min_size=n, max_size=n).map(np.array))
    out = np.isin(np.arange(n), list(excluded))
    return rows, replace(ground, excluded=out, since=since, joined=joined), rules


def random_rows(n: int, n_cells: int, share: float, seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    there = np.argwhere(rng.random((n_cells, n)) < share)
    truth = rng.integers(-50 * ONE, 50 * ONE, n_cells)
    return [
        Row(
            int(cell),
            int(member),
            int(truth[cell] + rng.integers(-ONE, ONE)),
            int(rng.integers(0, 30)),
            int(rng.integers(0, ONE)),
            int(rng.choice([4, 5, 8, 10, *[9] * 36])),
            int(rng.integers(0, 9)),
        )
        for cell, member in there
    ]


def rules_of(n: int, tolerated: int, **fields: object) -> Rules:
    return Rules.of(FederationConfig.of(visit_budget_initial=2**23 - 1, **fields), n, tolerated)


# --- the merge is what section "merge of a cell" of the design says --------------------------------------


@given(situations(), st.sampled_from([1, 7, rule.BLOCK]))
def test_the_merge_is_the_slow_one(situation: tuple[list[Row], Ground, Rules], block: int) -> None:
    rows, ground, rules = situation
    with mock.patch.object(rule, "BLOCK", block):
        assert outcome(merge(registers_of(rows), ground, rules)) == slow_merge(rows, ground, rules)


@pytest.mark.parametrize("evidence", EVIDENCE_KINDS)
@pytest.mark.parametrize("share", [0.2, 0.75, 0.97])
def test_many_members_of_every_number_of_reporters(evidence: str, share: float) -> None:
    rows = random_rows(31, 40, share, seed=round(share * 100))
    rules = rules_of(31, 10, evidence=evidence)
    ground = ground_of([ONE] * 40, 31, moves=ONE // 8, excluded=(3, 17))
    fast = outcome(merge(registers_of(rows), ground, rules))
    assert fast == slow_merge(rows, ground, rules)
    assert any(fast[3]) == (share > 0.2)


@given(situations())
def test_eligible_rows_are_the_slow_ones(situation: tuple[list[Row], Ground, Rules]) -> None:
    rows, ground, rules = situation
    assert eligible(registers_of(rows), ground, rules) == registers_of(slow_eligible(rows, ground, rules))


@given(situations(), st.randoms(use_true_random=False))
def test_the_order_in_which_writes_arrive_changes_no_bit(
    situation: tuple[list[Row], Ground, Rules], random: object
) -> None:
    rows, ground, rules = situation
    contributions = [
        Writes(row.member, row.version, row.base, *(np.array([row[at]]) for at in (0, 2, 3, 4))) for row in rows
    ]
    expected = outcome(merge(Registers.of(contributions), ground, rules))
    random.shuffle(contributions)  # type: ignore[attr-defined]
    registers = Registers.empty()
    for one in contributions:
        registers = registers.join(Registers.of([one]))
    assert outcome(merge(registers, ground, rules)) == expected


@given(situations(), st.permutations(range(13)))
def test_who_is_who_does_not_matter(situation: tuple[list[Row], Ground, Rules], names: list[int]) -> None:
    rows, ground, rules = situation
    order = [name for name in names if name < rules.n_members]
    renamed = [row._replace(member=order[row.member]) for row in rows]
    excluded = np.zeros_like(ground.excluded)
    excluded[order] = ground.excluded
    joined = np.zeros(rules.n_members, dtype=np.int64)
    joined[order] = ground.joined
    again = merge(registers_of(renamed), replace(ground, excluded=excluded, joined=joined), rules)
    assert outcome(again) == outcome(merge(registers_of(rows), ground, rules))


@st.composite
def attacked_cells(draw: st.DrawFn) -> tuple[list[int], list[Row], list[Row], int]:
    f = draw(st.integers(1, 5))
    n = 3 * f + draw(st.integers(1, 3))
    names = draw(st.permutations(range(n)))
    claim = st.tuples(st.integers(-90 * ONE, 90 * ONE), st.integers(1, 4096))
    lie = st.tuples(st.integers(-VALUE_LIMIT, VALUE_LIMIT), st.integers(1, 2**32 - 1))
    honest = [Row(0, m, *draw(claim), 0, 9, 1) for m in names[f:]]
    lies = [Row(0, m, *draw(lie), 2**41, 9, 1) for m in names[:f] if draw(st.booleans())]
    return [f, n], honest, lies, draw(st.integers(-90 * ONE, 90 * ONE))


@given(attacked_cells(), st.sampled_from(["replay", "q"]))
def test_liars_cannot_move_a_confirmed_cell_out_of_the_honest_range(
    attack: tuple[list[int], list[Row], list[Row], int], evidence: str
) -> None:
    (f, n), honest, lies, before = attack
    merged = merge(registers_of(honest + lies), ground_of([before], n), rules_of(n, f, evidence=evidence))
    assert merged.confirmed.tolist() == [True]
    values = [row.value for row in honest]
    assert min(values) <= merged.value[0] <= max(values)


def test_one_lie_too_high_sets_a_cell_that_few_report_and_one_too_low_does_not() -> None:
    claims = [Row(0, m, m, 9, ONE, 9, 1) for m in range(4)]
    rules, ground = rules_of(10, 3), ground_of([0], 10)
    high = merge(registers_of([*claims, Row(0, 9, 90 * ONE, 9, ONE, 9, 1)]), ground, rules)
    low = merge(registers_of([*claims, Row(0, 9, -90 * ONE, 9, ONE, 9, 1)]), ground, rules)
    assert (high.value.tolist(), high.support.tolist(), high.confirmed.tolist()) == ([90 * ONE], [9], [False])
    assert (low.value.tolist(), low.support.tolist()) == ([2], [36])  # 1.5, half to even


def test_a_lie_beyond_what_the_table_allows_is_clamped() -> None:
    rules = rules_of(4, 1, r_min=-1, r_max=1, gamma=0.5)
    ground = ground_of([4 * ONE, 0], 4)
    claims = registers_of([Row(1, 0, 100 * ONE, 1, 0, 9, 1)])
    assert merge(claims, ground, rules).value.tolist() == [4 * ONE, 3 * ONE]
    untrusted = replace_rules(rules, evidence="q")
    assert merge(claims, ground, untrusted).value.tolist() == [4 * ONE, 100 * ONE]


def replace_rules(rules: Rules, **fields: object) -> Rules:
    return Rules(**{name: getattr(rules, name) for name in rules.__struct_fields__} | fields)  # type: ignore[arg-type]


def test_excluding_liars_lowers_the_number_trimmed() -> None:
    claims = registers_of([Row(0, m, m * ONE, 1, 0, 9, 1) for m in range(7)])
    rules = rules_of(7, 2)
    assert merge(claims, ground_of([0], 7), rules).support.tolist() == [3]
    merged = merge(claims, ground_of([0], 7, excluded=(6, 5)), rules)
    assert (merged.value.tolist(), merged.support.tolist()) == ([2 * ONE], [5])
    assert merge(claims, ground_of([0], 7, excluded=tuple(range(7))), rules).reporters.tolist() == [0]


def test_registers_of_cells_the_table_lacks_do_not_count() -> None:
    claims = [Row(0, 0, 5, 1, 0, 9, 1)]
    stray = [Row(4, m, 7, 1, 0, 9, 1) for m in range(4)]
    rules = rules_of(4, 1)
    with mock.patch.object(rule, "BLOCK", 1):
        assert outcome(merge(registers_of(claims + stray), ground_of([0], 4), rules)) == [[5], [1], [1], [False]]
        assert outcome(merge(registers_of(stray), ground_of([], 4), rules)) == [[], [], [], []]


def test_no_registers_leave_the_table_as_it_was() -> None:
    ground = ground_of([3, -5], 4)
    merged = merge(Registers.empty(), ground, rules_of(4, 1))
    assert outcome(merged) == [[3, -5], [0, 0], [0, 0], [False, False]]
    assert compatible(Registers.empty(), ground, rules_of(4, 1)).tolist() == []


def test_before_anybody_reported_every_cell_has_its_first_value() -> None:
    rules = rules_of(4, 1, initial_q=2)
    assert outcome(unreported(2, rules)) == [[2 * ONE] * 2, [0, 0], [0, 0], [False, False]]


# --- the extremes of 593 members ------------------------------------------------------------------------


@pytest.mark.parametrize("tolerated", [0, 197])
@pytest.mark.parametrize("reporters", [200, 593])
@pytest.mark.parametrize("evidence", EVIDENCE_KINDS)
def test_nothing_overflows_at_the_extremes(tolerated: int, reporters: int, evidence: str) -> None:
    rules = rules_of(593, tolerated, evidence=evidence, r_min=-(2.0**20), r_max=2.0**20, gamma=0.9999)
    rules = replace_rules(rules, interval_factor=64 * 256)
    ground = ground_of([VALUE_LIMIT, -VALUE_LIMIT, 0], 593, moves=2 * VALUE_LIMIT)
    base = 9 if evidence == "implied" else 5
    rows = [
        Row(cell, m, sign * VALUE_LIMIT, 2**32 - 1, 2 * VALUE_LIMIT, base, 1)
        for cell, signs in enumerate([(1, 1), (-1, -1), (1, -1)])
        for m, sign in enumerate(signs[m % 2] for m in range(reporters))
    ]
    merged = outcome(merge(registers_of(rows), ground, rules))
    assert merged == slow_merge(rows, ground, rules)
    assert merged[0][:2] == [VALUE_LIMIT, -VALUE_LIMIT]
    assert merged[1][0] == visit_cap(593) * (reporters - 2 * tolerated if merged[3][0] else reporters)


# --- limits that random situations seldom hit ---------------------------------------------------------------


def test_the_bounds_are_those_of_the_whole_table_in_every_block() -> None:
    rules = rules_of(4, 1, r_min=0, r_max=0, gamma=0.5)
    claims = registers_of([Row(0, 0, 100 * ONE, 1, 0, 9, 1), Row(1, 0, -100 * ONE, 1, 0, 9, 1)])
    with mock.patch.object(rule, "BLOCK", 1):
        merged = merge(claims, ground_of([-8 * ONE, 6 * ONE], 4), rules)
    assert merged.value.tolist() == [3 * ONE, -4 * ONE]


def test_a_budget_is_spent_to_the_last_visit_on_the_oldest_writes() -> None:
    config = FederationConfig(visit_budget_initial=10, visit_budget_per_round=0)
    rules = Rules.of(config, 4, 1)
    rows = [Row(0, 1, 7, 1, 0, 9, 3), Row(1, 1, 7, 6, 0, 9, 1), Row(2, 1, 7, 4, 0, 9, 2), Row(2, 2, 7, 10, 0, 9, 9)]
    counting = eligible(registers_of(rows), ground_of([0, 0, 0], 4), rules)
    assert list(zip(counting.cell.tolist(), counting.member.tolist(), strict=True)) == [(1, 1), (2, 1), (2, 2)]


def test_the_budget_of_each_member_counts_from_its_own_first_round() -> None:
    rules = Rules.of(FederationConfig(visit_budget_initial=10, visit_budget_per_round=2), 4, 1)
    rows = [Row(cell, member, 7, 10, 0, 9, 1 + cell) for cell in (0, 1, 2) for member in (0, 1, 2)]
    ground = replace(ground_of([0, 0, 0], 4), joined=np.array([0, 5, 9, 0]))  # budgets 30, 20, 12
    counting = eligible(registers_of(rows), ground, rules)
    assert np.bincount(counting.member).tolist() == [3, 2, 1]
    assert merge(registers_of(rows), ground, rules).reporters.tolist() == [3, 2, 1]


def test_an_interval_that_just_touches_the_highest_lower_bound_belongs_to_the_group() -> None:
    rules, ground = rules_of(10, 3), ground_of([0], 10)
    reach = 2 * (rules.rewrite_threshold + 1)  # nobody saw any spread
    claims = registers_of([Row(0, m, value, 2, 0, 9, 1) for m, value in enumerate([-1, 0, reach])])
    assert compatible(claims, ground, rules).tolist() == [False, True, True]
