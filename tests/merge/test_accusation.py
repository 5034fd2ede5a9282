"""First-hand accusations: liars are caught, noise is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.config import FederationConfig
from qorum.merge.accusation import CONTRADICTIONS, REPEATED, accuse, excluded
from qorum.merge.fixed import ONE, VALUE_LIMIT, to_fixed
from qorum.merge.registers import Registers
from qorum.merge.rule import Ground
from qorum.merge.rules import Rules

N_CELLS = 100


def rules_of(n: int, **fields: object) -> Rules:
    return Rules.of(FederationConfig.of(**fields), n, (n - 1) // 3)


def ground_of(n: int, n_cells: int = N_CELLS, move: int = 0) -> Ground:
    return Ground(10, np.zeros(n_cells, np.int64), np.full(4, move), np.zeros(n, dtype=bool))


def claims(mine: list[int], theirs: list[int], visits: int = 2, bases: tuple[int, int] = (9, 9)) -> Registers:
    """Member 0's and member 1's values of cells 0, 1, ... as seen without any spread."""
    rows = [(cell << 16, value, bases[0]) for cell, value in enumerate(mine)]
    rows += [(cell << 16 | 1, value, bases[1]) for cell, value in enumerate(theirs)]
    key, value, base = np.array(sorted(rows), dtype=np.int64).reshape(-1, 3).T
    same = np.ones_like(key)
    return Registers(key, value, visits * same, 0 * same, base, same)


def caught(registers: Registers, me: int = 0, move: int = 0, **fields: object) -> list[int]:
    return np.flatnonzero(accuse(registers, me, ground_of(4, move=move), rules_of(4, **fields))).tolist()


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


TRUTH = [0] * REPEATED


def test_where_the_task_is_deterministic_a_small_lie_is_enough() -> None:
    most = 2 * (rules_of(4).rewrite_threshold + 1)  # either side may leave a change this small unwritten
    assert caught(claims(TRUTH, [most] * REPEATED)) == []
    assert caught(claims(TRUTH, [most + 1] * REPEATED)) == [1]
    assert caught(claims(TRUTH, [-most - 1] * REPEATED)) == [1]


def test_a_member_is_convicted_of_a_majority_and_never_of_a_few() -> None:
    lie = 50 * ONE
    half, few = REPEATED // 2, CONTRADICTIONS
    assert caught(claims(TRUTH, [lie] * half + [0] * (REPEATED - half))) == []
    assert caught(claims(TRUTH, [lie] * (half + 1) + [0] * (REPEATED - half - 1))) == [1]
    assert caught(claims(TRUTH, [lie] * (few - 1))) == []
    assert caught(claims(TRUTH, [lie] * few)) == [1]


def test_claims_about_older_tables_are_given_the_drift_since() -> None:
    fair = 2 * (rules_of(4).rewrite_threshold + 1) + ONE  # gamma * two moves
    for value, convicted in ((fair, []), (fair + 1, [1])):
        for bases in ((9, 7), (7, 9)):
            registers = claims(TRUTH, [value] * REPEATED, bases=bases)
            assert caught(registers, move=ONE, gamma=0.5) == convicted


@pytest.mark.parametrize(("base", "convicted"), [(4, []), (5, [1]), (9, [1]), (10, [])])
def test_only_claims_within_the_window_ground_an_accusation(base: int, convicted: list[int]) -> None:
    lies = [50 * ONE] * REPEATED
    assert caught(claims(TRUTH, lies, bases=(9, base)), base_window=4) == convicted
    assert caught(claims(TRUTH, lies, bases=(base, 9)), base_window=4) == convicted


def test_a_member_that_hardly_looked_accuses_nobody() -> None:
    lies = [50 * ONE] * REPEATED
    assert caught(claims(TRUTH, lies, visits=1)) == []
    assert caught(claims(TRUTH[1:], lies)) == []
    assert caught(claims(TRUTH, lies), me=2) == []
    assert caught(claims(TRUTH, [])) == []
    assert caught(Registers.empty()) == []


def test_who_saw_scatter_elsewhere_does_not_trust_two_equal_samples() -> None:
    exact = claims(TRUTH, [10 * ONE] * REPEATED)
    spread = np.where((exact.cell % 4 == 0) & (exact.member == 0), 8 * ONE, 0)
    scattered = Registers(exact.key, exact.value, exact.visits, spread, exact.base, exact.version)
    assert caught(exact) == [1]
    assert caught(scattered) == []


def test_the_widest_spreads_do_not_overflow() -> None:
    extreme = claims([VALUE_LIMIT] * N_CELLS, [-VALUE_LIMIT] * N_CELLS, visits=2**32 - 1)
    spread = np.full(len(extreme), 2 * VALUE_LIMIT)
    wide = Registers(extreme.key, extreme.value, extreme.visits, spread, extreme.base, extreme.version)
    assert caught(wide) == [1]  # after so many visits even this spread leaves no doubt
    assert caught(wide, accusation_factor=64.0) == []


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
