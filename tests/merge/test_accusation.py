"""First-hand accusations: liars are caught, noise is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.config import FederationConfig
from qorum.merge.accusation import MIN_VISITS, accuse, excluded
from qorum.merge.fixed import ONE, VALUE_LIMIT, to_fixed
from qorum.merge.registers import Registers
from qorum.merge.rule import Ground
from qorum.merge.rules import Rules

N_CELLS = 100


def rules_of(n: int, **fields: object) -> Rules:
    return Rules.of(FederationConfig.of(**fields), n, (n - 1) // 3)


def ground_of(n: int, n_cells: int = N_CELLS, move: int = 0) -> Ground:
    return Ground(10, np.zeros(n_cells, np.int64), np.full(4, move), np.zeros(n, dtype=bool))


def claims(
    member: list[int], value: list[int], visits: int = 2, spread: int = 0, base: int | list[int] = 9
) -> Registers:
    """Claims about cell 0 by members in ascending order."""
    same = np.ones(len(member), dtype=np.int64)
    return Registers(np.array(member), np.array(value), visits * same, spread * same, np.array(base) * same, same)


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
    assert not any(accuse(fleet, me, ground, rules).any() for me in range(30))


def test_a_liar_is_caught_by_everybody_who_looked() -> None:
    fleet, ground, rules = noisy_fleet(30, seed=1), ground_of(30), rules_of(30)
    value = fleet.value.copy()
    value[fleet.member == 7] *= -1
    lying = Registers(fleet.key, value, fleet.visits, fleet.spread, fleet.base, fleet.version)
    masks = np.array([accuse(lying, me, ground, rules) for me in range(30) if me != 7])
    assert masks[:, 7].all()
    assert not np.delete(masks, 7, axis=1).any()
    assert np.flatnonzero(excluded(masks, rules.tolerated)).tolist() == [7]


def test_where_the_task_is_deterministic_a_small_lie_is_enough() -> None:
    rules, ground = rules_of(4), ground_of(4, 1)
    most = 2 * (rules.rewrite_threshold + 1)  # either side may leave a change this small unwritten
    honest, lying = claims([0, 1], [0, most]), claims([0, 1], [0, most + 1])
    assert accuse(honest, 0, ground, rules).tolist() == [False] * 4
    assert accuse(lying, 0, ground, rules).tolist() == [False, True, False, False]


def test_claims_about_older_tables_are_given_the_drift_since() -> None:
    rules, ground = rules_of(4, gamma=0.5), ground_of(4, 1, move=ONE)
    fair = 2 * (rules.rewrite_threshold + 1) + ONE  # gamma * two moves
    for value, caught in ((fair, False), (fair + 1, True)):
        assert accuse(claims([0, 1], [0, value], base=[9, 7]), 0, ground, rules)[1] == caught


@pytest.mark.parametrize(("base", "caught"), [(4, False), (5, True), (9, True), (10, False)])
def test_only_claims_within_the_window_ground_an_accusation(base: int, caught: bool) -> None:
    rules, ground = rules_of(4, base_window=4), ground_of(4, 1)
    assert accuse(claims([0, 1], [0, 50 * ONE], base=[9, base]), 0, ground, rules)[1] == caught
    assert accuse(claims([0, 1], [0, 50 * ONE], base=[base, 9]), 0, ground, rules)[1] == caught


def test_a_member_that_hardly_looked_accuses_nobody() -> None:
    rules, ground = rules_of(4), ground_of(4, 1)
    assert not accuse(claims([0, 1], [0, 90 * ONE], visits=MIN_VISITS - 1), 0, ground, rules).any()
    assert not accuse(claims([1, 2], [0, 90 * ONE]), 0, ground, rules).any()
    assert not accuse(claims([0], [90 * ONE]), 0, ground, rules).any()
    assert not accuse(Registers.empty(), 0, ground, rules).any()


ROWS = st.tuples(
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(-VALUE_LIMIT, VALUE_LIMIT),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2 * VALUE_LIMIT),
    st.integers(3, 12),
)


@given(st.lists(ROWS, max_size=15, unique_by=lambda row: row[:2]), st.integers(0, 4))
def test_nobody_ever_accuses_itself_or_the_absent(rows: list[tuple[int, ...]], me: int) -> None:
    cell, member, *columns = np.array(sorted(rows), dtype=np.int64).reshape(-1, 6).T
    registers = Registers(cell << 16 | member, *columns, np.zeros_like(cell))
    caught = accuse(registers, me, ground_of(6, 3), rules_of(6))
    assert caught.shape == (6,)
    assert not caught[[me, 5]].any()


def test_more_than_f_masks_exclude() -> None:
    masks = np.zeros((7, 7), dtype=bool)
    masks[:2, 4] = masks[:3, 5] = True
    assert np.flatnonzero(excluded(masks, 2)).tolist() == [5]
