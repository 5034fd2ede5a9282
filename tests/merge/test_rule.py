"""The merge of a cell, compared with a slow reference written from its definition in Python integers."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.config import EVIDENCE_KINDS, FederationConfig
from qorum.evidence import REPEATED
from qorum.merge import registers
from qorum.merge.fixed import ONE, POWER_ONE, VALUE_LIMIT, visit_cap
from qorum.merge.registers import Registers, Writes
from qorum.merge.rule import MISTAKES, Ground, Merged, compatible, eligible, merge, unreported
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


def slow_out(ground: Ground) -> set[int]:
    """Who is excluded or in an open dispute."""
    paired = [] if ground.paired is None else ground.paired.tolist()
    return {member for flags in (ground.excluded.tolist(), paired) for member, out in enumerate(flags) if out}


def slow_remaining(ground: Ground, rules: Rules) -> int:
    """f': each excluded member lied, and one of each two in dispute."""
    pairs = 0 if ground.paired is None else ground.paired.tolist().count(True) // 2
    return max(0, rules.tolerated - ground.excluded.tolist().count(True) - pairs)


def slow_typical(rows: list[Row], ground: Ground, rules: Rules) -> dict[int, int]:
    """The root mean square of each member's recent spreads, in steps of 2^-9; the whole range where it has too few."""
    low, high = ground.bounds(rules)
    oldest = max(ground.round - 1 - (0 if rules.evidence == "implied" else rules.base_window), ground.since)
    typical = dict.fromkeys(range(rules.n_members), high - low)
    for member in typical:
        again = [r for r in rows if r.member == member and r.visits >= 2 and oldest <= r.base < ground.round]
        if len(again) >= REPEATED:
            squares = sum(round(Fraction((row.spread // 2048) ** 2, len(again))) for row in again)
            typical[member] = math.isqrt(squares) * 2048
    return typical


def slow_pooled(row: Row, typical: int) -> int:
    """The author's own spread, with the typical one counting as four visits; rounded up to steps of 2^-9."""
    own, prior = (math.ceil(Fraction(min(max(spread, 0), 2 * VALUE_LIMIT), 2048)) for spread in (row.spread, typical))
    weight = row.visits if row.visits >= 2 else 0
    square = math.ceil(Fraction(weight * own**2 + 4 * prior**2, weight + 4))
    return 2048 * (math.isqrt(square - 1) + 1 if square else 0)


def slow_width(row: Row, spread: int, ground: Ground, rules: Rules) -> int:
    """Half the interval of a claim."""
    root = math.isqrt(row.visits << 20)
    drift = min(sum(ground.moves.tolist()[: ground.round - 1 - row.base]), 2 * VALUE_LIMIT)
    sampling = math.ceil(Fraction(rules.interval_factor * spread * 4, root))
    return sampling + rules.rewrite_threshold + 1 + math.ceil(Fraction(rules.gamma * drift, ONE))


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
        paid = spent[row.member] <= rules.visit_budget(ground.round, int(joined))
        if row.visits > 0 and recent and paid and row.member not in slow_out(ground):
            clamped = min(max(row.value, low), high) if rules.evidence == "replay" else row.value
            result.append(row._replace(value=clamped))
    return result


def slow_crowded(rows: list[Row], ground: Ground, rules: Rules) -> list[Row]:
    """Claims of one cell whose liars can be out-voted: without those out-voted, the upper compatible group."""
    low, high = ground.bounds(rules)
    most = slow_remaining(ground, rules)
    stated = sorted(min(max(row.spread, 0), 2 * VALUE_LIMIT) for row in rows if row.visits >= 2)
    spread = stated[len(stated) // 2] if stated else high - low
    widths = [slow_width(row, spread, ground, rules) for row in rows]
    ends = [(row.value - width, row.value + width) for row, width in zip(rows, widths, strict=True)]
    lowers, uppers = (sorted(end) for end in zip(*ends, strict=True))
    stands = [
        bisect_left(uppers, lower) <= most and len(rows) - bisect_right(lowers, upper) <= most for lower, upper in ends
    ]
    highest = max((lower for (lower, _), keep in zip(ends, stands, strict=True) if keep), default=0)
    return [row for row, (_, upper), keep in zip(rows, ends, stands, strict=True) if keep and upper >= highest]


def slow_lone(rows: list[Row], typical: dict[int, int], ground: Ground, rules: Rules) -> list[Row]:
    """Claims of one cell that too few report: all that the highest one's own noise allows."""
    spreads = [slow_pooled(row, typical[row.member]) for row in rows]
    lower = [row.value - slow_width(row, spread, ground, rules) for row, spread in zip(rows, spreads, strict=True)]
    widest = max(spread for spread, end in zip(spreads, lower, strict=True) if end == max(lower))
    return [row for row in rows if row.value + slow_width(row, widest, ground, rules) >= max(lower)]


def slow_power(base: int, exponent: int) -> int:
    result = POWER_ONE
    while exponent:
        if exponent & 1:
            result = round(Fraction(result * base, POWER_ONE))
        base = round(Fraction(base * base, POWER_ONE))
        exponent >>= 1
    return result


def slow_merge(rows: list[Row], ground: Ground, rules: Rules) -> list[list[int]]:
    counting, typical = slow_eligible(rows, ground, rules), slow_typical(rows, ground, rules)
    cells = []
    for cell, agreed in enumerate(ground.previous.tolist()):
        claims = [row for row in counting if row.cell == cell]
        authors = {row.member for row in rows if row.cell == cell and row.visits > 0}
        before = rules.initial_q if authors and authors <= slow_out(ground) else agreed
        confirmed = len(claims) > 2 * slow_remaining(ground, rules)
        kept = claims
        if claims and slow_remaining(ground, rules):
            kept = slow_crowded(claims, ground, rules) if confirmed else slow_lone(claims, typical, ground, rules)
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
    paired = draw(st.sets(st.sampled_from(sorted(set(range(n)) - excluded) or [0]), max_size=4))
    pairs = None if len(paired) % 2 or out.all() else np.isin(np.arange(n), list(paired))
    ground = replace(ground, excluded=out, since=since, joined=joined, paired=pairs)
    return rows, ground, rules


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


def rules_of(n: int, tolerated: int, **fields: Any) -> Rules:
    return Rules.of(FederationConfig.of(visit_budget_initial=2**23 - 1, **fields), n, tolerated)


# --- the merge is what section "merge of a cell" of the design says --------------------------------------


@given(situations(), st.sampled_from([1, 7, registers.BLOCK]))
def test_the_merge_is_the_slow_one(situation: tuple[list[Row], Ground, Rules], block: int) -> None:
    rows, ground, rules = situation
    with mock.patch.object(registers, "BLOCK", block):
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
    excluded, paired = np.zeros((2, rules.n_members), dtype=bool)
    excluded[order], paired[order] = ground.excluded, ground.paired if ground.paired is not None else False
    joined = np.zeros(rules.n_members, dtype=np.int64)
    joined[order] = ground.joined
    same = replace(ground, excluded=excluded, joined=joined, paired=paired)
    again = merge(registers_of(renamed), same, rules)
    assert outcome(again) == outcome(merge(registers_of(rows), ground, rules))


@st.composite
def attacked_cells(draw: st.DrawFn) -> tuple[list[int], list[Row], list[Row], int]:
    f = draw(st.integers(1, 5))
    n = 3 * f + draw(st.integers(1, 3))
    names = draw(st.permutations(range(n)))
    claim = st.tuples(st.integers(-90 * ONE, 90 * ONE), st.integers(2, 4096))
    lie = st.tuples(st.integers(-VALUE_LIMIT, VALUE_LIMIT), st.integers(1, 2**32 - 1))
    spread = draw(st.integers(0, 90 * ONE))
    honest = [Row(0, m, *draw(claim), draw(st.integers(0, spread)), 9, 1) for m in names[f:]]
    lies = [Row(0, m, *draw(lie), 2**41, 9, 1) for m in names[:f] if draw(st.booleans())]
    return [f, n], honest, lies, draw(st.integers(-90 * ONE, 90 * ONE))


@given(attacked_cells(), st.sampled_from(["replay", "q"]))
def test_liars_cannot_move_a_crowded_cell_further_than_intervals_reach(
    attack: tuple[list[int], list[Row], list[Row], int], evidence: str
) -> None:
    """More than f honest ones report it: a claim beyond all of their intervals and its own is out-voted."""
    (f, n), honest, lies, before = attack
    rules = rules_of(n, f, evidence=evidence)
    merged = merge(registers_of(honest + lies), ground_of([before], n), rules)
    assert merged.confirmed.tolist() == [True]
    if not merged.support[0]:  # two camps of honest ones
        assert merged.value.tolist() == [before]
        return
    spread = max(row.spread for row in honest)  # more of them than liars state one
    reach = 2 * (rules.interval_factor * spread / 256 + rules.rewrite_threshold + 3)  # at a single visit
    values = [row.value for row in honest]
    assert min(values) - reach <= merged.value[0] <= max(values) + reach


@st.composite
def compatible_cells(draw: st.DrawFn) -> tuple[list[Row], int, int]:
    """Claims of one cell that nobody has any reason to doubt, of any number of members."""
    f = draw(st.integers(0, 4))
    n = 3 * f + draw(st.integers(1, 3))
    spread = draw(st.integers(0, 50 * ONE))
    visits = st.integers(1, 4096)
    rows = [
        Row(0, m, draw(st.integers(-spread // 64, spread // 64)), draw(visits), spread, 9, 1)
        for m in draw(st.permutations(range(n)))[: draw(st.integers(1, n))]
    ]
    return rows, f, n


@given(compatible_cells(), st.sampled_from(["replay", "q"]))
def test_without_contradictions_the_merge_is_the_mean_by_visits(
    cell: tuple[list[Row], int, int], evidence: str
) -> None:
    """Also in cells that few report: rare outcomes keep their weight."""
    rows, f, n = cell
    merged = merge(registers_of(rows), ground_of([7], n), rules_of(n, f, evidence=evidence))
    support = sum(row.visits for row in rows)
    assert merged.support.tolist() == [support]
    assert merged.value.tolist() == [round(Fraction(sum(row.visits * row.value for row in rows), support))]


def lone_claims(lie: int, visits: int = 9, spread: int = ONE) -> list[Row]:
    """Four honest claims near 0 on a cell that no seven report, and one other."""
    return [*(Row(0, m, m, 9, ONE, 9, 1) for m in range(4)), Row(0, 9, lie, visits, spread, 9, 1)]


def test_one_lie_too_high_sets_a_cell_that_few_report_and_one_too_low_does_not() -> None:
    rules, ground = rules_of(10, 3), ground_of([0], 10)
    sure = [Row(cell, m, 0, 9, ONE, 9, 1) for cell in range(1, 9) for m in (0, 1, 2, 3, 9)]  # what chance does here
    ground = replace(ground, previous=np.zeros(9, dtype=np.int64))
    high = merge(registers_of(lone_claims(90 * ONE) + sure), ground, rules)
    low = merge(registers_of(lone_claims(-90 * ONE) + sure), ground, rules)
    assert (high.value[0], high.support[0], high.confirmed[0]) == (90 * ONE, 9, False)
    assert (low.value[0], low.support[0], low.confirmed[0]) == (2, 36, False)  # 1.5, half to even


def test_in_a_cell_that_few_report_the_others_have_no_say_in_how_far_below_the_highest_they_may_be() -> None:
    """Who claims not to know keeps no high claim down, by however wide an interval."""
    rules, ground = rules_of(10, 3), ground_of([0] * 9, 10)
    sure = [Row(cell, m, 0, 9, ONE, 9, 1) for cell in range(1, 9) for m in (0, 1, 2, 3, 9)]
    vague = [row._replace(spread=2**41) if row.member != 9 else row for row in lone_claims(90 * ONE)]
    merged = merge(registers_of(vague + sure), ground, rules)
    assert (merged.value[0], merged.support[0]) == (90 * ONE, 9)


def test_who_knows_little_of_chance_leaves_room_for_all() -> None:
    rules, ground = rules_of(10, 3), ground_of([0], 10)
    merged = merge(registers_of(lone_claims(90 * ONE)), ground, rules)
    assert (merged.support.tolist(), merged.value.tolist()) == ([45], [round(Fraction(9 * (90 * ONE + 6), 45))])


def test_f_who_contradict_drop_nobody_and_one_more_does() -> None:
    rules, ground = rules_of(10, 3), ground_of([0], 10)
    for high, support in ((3, [7 * 9]), (4, [0])):  # four contradict six, and six contradict four
        rows = [Row(0, m, 9 * ONE * (m < high), 9, ONE, 9, 1) for m in range(10)]
        merged = merge(registers_of(rows), ground, rules)
        assert (merged.value.tolist(), merged.support.tolist()) == ([0], support)
        unsure = registers_of([row._replace(spread=90 * ONE) for row in rows])
        assert merge(unsure, ground, rules).support.tolist() == [90], "nobody contradicts"


def test_where_more_than_may_lie_say_either_of_two_things_the_value_stays() -> None:
    """Then honest ones contradict each other, and neither side is believed."""
    rows = [Row(0, m, (m % 2) * 80 * ONE, 9, ONE, 9, 1) for m in range(4)]
    merged = merge(registers_of(rows), ground_of([5], 4), rules_of(4, 1))
    assert outcome(merged) == [[5], [0], [4], [True]]


def test_where_all_liars_are_out_a_claim_out_of_line_is_a_rare_outcome_and_counts() -> None:
    rows = [Row(0, m, 80 * ONE * (m == 0), 9, ONE, 9, 1) for m in range(10)]
    for excluded, value, support in (((10, 11), 0, 81), ((10, 11, 12), 8 * ONE, 90)):
        merged = merge(registers_of(rows), ground_of([5], 13, excluded=excluded), rules_of(13, 3))
        assert (merged.value.tolist(), merged.support.tolist()) == ([value], [support])


def test_who_is_paired_does_not_count_and_a_pair_held_one_liar() -> None:
    rows = [Row(0, m, m * ONE, 9, 90 * ONE, 9, 1) for m in range(7)]
    ground = replace(ground_of([0], 7, excluded=(0,)), paired=np.isin(np.arange(7), [1, 4]))
    rules = rules_of(7, 2)
    assert (ground.remaining(rules), replace(ground, paired=None).remaining(rules)) == (0, 1)
    assert np.flatnonzero(ground.out).tolist() == [0, 1, 4]
    merged = merge(registers_of(rows), ground, rules)
    assert (merged.reporters.tolist(), merged.support.tolist()) == ([4], [36])
    assert eligible(registers_of(rows), ground, rules).member.tolist() == [2, 3, 5, 6]


@given(st.integers(0, 9), st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12)))
def test_as_many_liars_may_remain_as_are_not_known(f: int, excluded: set[int], others: set[int]) -> None:
    paired = sorted(others - excluded)[: len(others - excluded) // 2 * 2]
    out, quarrel = (np.isin(np.arange(13), list(members)) for members in (excluded, paired))
    ground = replace(ground_of([0], 13), excluded=out, paired=quarrel)
    assert ground.remaining(rules_of(13, f)) == max(0, f - len(excluded) - len(paired) // 2)


@given(st.integers(0, 400), st.integers(0, 150))
def test_of_many_members_a_few_may_be_out_by_mistake_and_make_no_room_for_a_liar(excluded: int, pairs: int) -> None:
    n, f = 593, 197
    out, paired = np.arange(n) < excluded, (np.arange(n) >= n - 2 * pairs) & (np.arange(n) >= excluded)
    remaining = replace(ground_of([0], n), excluded=out, paired=paired).remaining(rules_of(n, f))
    known = excluded + int(paired.sum()) // 2
    assert remaining == min(f, max(0, f - known + n // MISTAKES))


def test_what_only_members_said_that_are_out_is_forgotten() -> None:
    rows = [Row(0, 6, 9 * ONE, 9, ONE, 9, 1), *(Row(1, m, 9 * ONE, 9, ONE, 9, 1) for m in (5, 6))]
    rows.append(Row(2, 5, ONE, 9, ONE, 2, 1))  # too old to count, and yet said
    ground = ground_of([8 * ONE] * 4, 7, excluded=(6,))
    merged = merge(registers_of(rows), ground, rules_of(7, 2, initial_q=-1))
    assert merged.value.tolist() == [-ONE, 9 * ONE, 8 * ONE, 8 * ONE]


def test_a_cell_that_its_last_reporter_erased_keeps_its_value_whoever_is_out() -> None:
    rows = [Row(0, 1, 0, 0, 0, 9, 1)]
    for excluded in ((), (6,)):
        merged = merge(registers_of(rows), ground_of([8 * ONE], 7, excluded=excluded), rules_of(7, 2))
        assert merged.value.tolist() == [8 * ONE]


def test_a_lie_beyond_what_the_table_allows_is_clamped() -> None:
    rules = rules_of(4, 1, r_min=-1, r_max=1, gamma=0.5)
    ground = ground_of([4 * ONE, 0], 4)
    claims = registers_of([Row(1, 0, 100 * ONE, 1, 0, 9, 1)])
    assert merge(claims, ground, rules).value.tolist() == [4 * ONE, 3 * ONE]
    untrusted = replace_rules(rules, evidence="q")
    assert merge(claims, ground, untrusted).value.tolist() == [4 * ONE, 100 * ONE]


def replace_rules(rules: Rules, **fields: object) -> Rules:
    return Rules(**{name: getattr(rules, name) for name in rules.__struct_fields__} | fields)  # type: ignore[arg-type]


def test_excluding_liars_lowers_the_number_that_can_out_vote() -> None:
    claims = registers_of([Row(0, m, (m == 1) * 9 * ONE, 2, 0, 9, 1) for m in range(4)])
    rules = rules_of(7, 2)
    lone, crowded = ground_of([0], 7), ground_of([0], 7, excluded=(6,))
    assert (merge(claims, lone, rules).value.tolist(), merge(claims, lone, rules).confirmed.tolist()) == (
        [round(9 * ONE / 4)], [False],
    )  # fmt: skip
    merged = merge(claims, crowded, rules)
    assert (merged.value.tolist(), merged.support.tolist(), merged.confirmed.tolist()) == ([0], [6], [True])
    assert merge(claims, ground_of([0], 7, excluded=tuple(range(7))), rules).reporters.tolist() == [0]


def test_registers_of_cells_the_table_lacks_do_not_count() -> None:
    claims = [Row(0, 0, 5, 1, 0, 9, 1)]
    stray = [Row(4, m, 7, 1, 0, 9, 1) for m in range(4)]
    rules = rules_of(4, 1)
    with mock.patch.object(registers, "BLOCK", 1):
        assert outcome(merge(registers_of(claims + stray), ground_of([0], 4), rules)) == [[5], [1], [1], [False]]
        assert outcome(merge(registers_of(stray), ground_of([], 4), rules)) == [[], [], [], []]


def test_no_registers_leave_the_table_as_it_was() -> None:
    ground = ground_of([3, -5], 4)
    merged = merge(Registers.empty(), ground, rules_of(4, 1))
    assert outcome(merged) == [[3, -5], [0, 0], [0, 0], [False, False]]
    assert compatible(Registers.empty(), lambda: np.zeros(4, dtype=np.int64), ground, rules_of(4, 1)).tolist() == []


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
    assert merged[1][:2] == [visit_cap(593) * reporters] * 2


# --- limits that random situations seldom hit ---------------------------------------------------------------


def test_the_bounds_are_those_of_the_whole_table_in_every_block() -> None:
    rules = rules_of(4, 1, r_min=0, r_max=0, gamma=0.5)
    claims = registers_of([Row(0, 0, 100 * ONE, 1, 0, 9, 1), Row(1, 0, -100 * ONE, 1, 0, 9, 1)])
    with mock.patch.object(registers, "BLOCK", 1):
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
    rows = [Row(cell, member, 7, 6, 0, 9, 1 + cell) for cell in (0, 1, 2) for member in (0, 1, 2)]
    ground = replace(ground_of([0, 0, 0], 4), joined=np.array([0, 5, 9, 0]))  # budgets 30, 13, 2
    counting = eligible(registers_of(rows), ground, rules)
    assert np.bincount(counting.member).tolist() == [3, 2]
    assert merge(registers_of(rows), ground, rules).reporters.tolist() == [2, 2, 1]


def test_an_interval_that_just_touches_the_highest_lower_bound_belongs_to_the_group() -> None:
    rules, ground = rules_of(10, 3), ground_of([0], 10)
    reach = 2 * (rules.rewrite_threshold + 1)  # nobody saw any spread
    claims = registers_of([Row(0, m, value, 2, 0, 9, 1) for m, value in enumerate([-1, 0, reach])])
    assert compatible(claims, lambda: np.zeros(10, dtype=np.int64), ground, rules).tolist() == [False, True, True]
    crowded = registers_of([Row(0, m, [-1, 0, reach][m % 3], 2, 0, 9, 1) for m in range(9)])
    kept = compatible(crowded, lambda: np.zeros(10, dtype=np.int64), ground, rules)
    assert kept.tolist() == [False, True, True] * 3, "three contradict: as many as may lie"
