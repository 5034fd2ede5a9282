"""Which bouts the arena runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qorum.errors import ConfigError
from qorum.lab.arena.defence import PARTS
from qorum.lab.arena.grid import ALONE, QUICK, STEPS, WORST, Grid
from qorum.lab.attacks import ATTACKS
from qorum.lab.rules import available

SMALL = Grid(
    tasks=("Taxi-v4", "GARNET(5,2,2)"), attacks=("alie", "ipm"), fractions=(0.0, 1 / 3), rules=("qorum", "median")
)  # fmt: skip


def test_every_task_rule_and_fraction_meets_every_attack_and_where_nobody_lies_there_is_none() -> None:
    cases = [(case.task, case.rule, case.fraction, case.attack) for case in SMALL.cases()]
    assert len(set(cases)) == len(cases) == 2 * 2 * (1 + 2)
    assert {attack for *_, fraction, attack in cases if not fraction} == {"none"}


def test_the_whole_grid_covers_all_attacks_and_all_rules_that_can_be_had() -> None:
    cases = list(Grid().cases())
    assert {case.attack for case in cases} == {"none", *ATTACKS, WORST}
    assert {case.rule for case in cases} == {"qorum", *available()}
    assert all(bout.steps == STEPS[bout.task] for case in cases if case.attack != WORST for bout in Grid().seeded(case))


@pytest.mark.parametrize(("members", "fraction", "liars"), [
    (64, 0.1, 6), (64, 1 / 3, 21), (64, 0.3333, 21), (593, 1 / 3, 197), (64, 0.4, 25), (10, 0.3, 3), (64, 0.0, 0),
])  # fmt: skip
def test_how_many_lie(members: int, fraction: float, liars: int) -> None:
    assert Grid(members=members).liars(fraction) == liars


def test_a_case_has_a_bout_for_every_seed_and_two_lines_of_reference() -> None:
    case = next(case for case in SMALL.cases() if case.attack == "alie")
    assert [(bout.seed, bout.liars, bout.members) for bout in SMALL.seeded(case)] == [(s, 21, 64) for s in range(3)]
    assert {(bout.members, bout.liars, bout.rule) for bout in SMALL.oracle(case)} == {(43, 0, "trusting")}
    alone = SMALL.isolated("Taxi-v4")
    assert {(bout.members, bout.liars) for bout in alone} == {(1, 0)}
    assert len({bout.seed for bout in alone}) == 3 * ALONE


def test_where_somebody_lies_the_liars_may_also_accuse_everybody() -> None:
    grid = replace(SMALL, accusing=True)
    assert all(bout.accusing == (bout.liars > 0) for case in grid.cases() for bout in grid.seeded(case))
    assert not any(bout.accusing for case in grid.cases() for bout in (*grid.oracle(case), *grid.isolated(case.task)))


def test_the_ablation_leaves_out_every_part_on_the_same_bouts() -> None:
    assert list(SMALL.ablated()) == []
    found = dict(Grid(tasks=("Taxi-v4",), attacks=("alie",), seeds=1, ablation=True).ablated())
    assert list(found) == ["", *PARTS]
    assert all([bout.attack for bout in bouts] == ["none", "alie"] for bouts in found.values())
    assert all(bout.part == part for part, bouts in found.items() for bout in bouts)


def test_the_quick_run_is_small() -> None:
    assert sum(QUICK.seeds for _ in QUICK.cases()) <= 100
    assert WORST not in QUICK.attacks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": ("shout",)}, "unknown attack 'shout'"),
        ({"rules": ("mean",)}, "unknown rule 'mean'"),
        ({"members": 3}, "4 or more members"),
        ({"seeds": 0}, "1 or more seeds"),
        ({"fractions": (0.5,)}, "allowed are 0 to 0.49"),
        ({"attacks": (WORST,)}, "give some of them"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grid(**changes)
