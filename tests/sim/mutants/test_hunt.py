"""Every planted mutant is caught, and the core as it is stands the same scripts."""

import pytest

from qorum.sim.invariants.agreement import Agreement
from qorum.sim.invariants.single_body import SingleBody
from qorum.sim.mutants import MUTANTS
from qorum.sim.mutants.hunt import hunt, play_mutant, play_unmutated
from qorum.sim.play import story

SECONDS = 60
SLOW = {"no-lock-check", "lock-dropped-on-nil", "no-best-relay", "lock-never-released", "wall-clock"}
"""Take more than 2 s, some of the time."""
NAMES = [pytest.param(name, marks=[pytest.mark.long] if name in SLOW else []) for name in MUTANTS]


@pytest.mark.parametrize("name", NAMES)
def test_a_mutant_is_caught(name: str) -> None:
    caught = hunt(name, SECONDS)
    assert caught is not None
    again = play_mutant(MUTANTS[name], caught.script)
    assert again == caught.outcome


@pytest.mark.parametrize("name", MUTANTS)
def test_the_core_stands_the_first_scripts_of_the_hunt(name: str) -> None:
    for seed in range(4):
        outcome = play_unmutated(MUTANTS[name], seed)
        assert not outcome.violations, outcome.violations


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_the_core_stands_the_scripts_of_the_hunt(name: str) -> None:
    caught = hunt(name, SECONDS)
    assert caught is not None
    for seed in range(max(200, caught.seed + 1)):
        outcome = play_unmutated(MUTANTS[name], seed)
        assert not outcome.violations, outcome.violations


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "invariant"),
    [
        ("quorum-f-plus-1", Agreement),
        ("quorum-2f-plus-1", Agreement),
        ("messages-counted", Agreement),
        ("vote-never-saved", SingleBody),
        ("vote-saved-late", SingleBody),
    ],
)
def test_a_mutant_is_caught_by_what_it_does_not_by_what_it_holds(name: str, invariant: type) -> None:
    """The invariants that look inside a member are quick; the fork itself is there as well."""
    first = 0
    while (caught := hunt(name, SECONDS, first, (invariant,))) is not None:
        if caught.outcome.violations[0].name == invariant.name:
            break
        first = caught.seed + 1
    assert caught is not None, name
    assert story(caught.script, caught.outcome)


def test_mutants_say_what_they_break() -> None:
    assert all(name == mutant.name and mutant.rule and mutant.setups for name, mutant in MUTANTS.items())
