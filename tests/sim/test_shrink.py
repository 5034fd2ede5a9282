import time

import pytest

from qorum.sim.mutants import MUTANTS
from qorum.sim.mutants.hunt import hunt, play_mutant
from qorum.sim.script import Crash, Say, Script, Setup, Step
from qorum.sim.shrink import shrink_script, shrunk, simpler_steps


@pytest.mark.parametrize("needed", [{7}, {0, 19}, {3, 4, 5}, {1, 6, 11, 16}, set()])
def test_only_what_is_needed_stays(needed: set[int]) -> None:
    assert set(shrunk(range(20), lambda kept: needed <= set(kept))) == needed


def test_order_stays() -> None:
    assert shrunk("xaybz", lambda kept: "".join(kept).find("a") < "".join(kept).find("b")) == ("b",)
    assert shrunk([3, 1, 2], lambda kept: kept and kept[0] > kept[-1]) in ((3, 1), (3, 2))


def test_records_become_simpler() -> None:
    halves = lambda number: [number // 2] if number > 1 else []  # noqa: E731
    assert shrunk([64, 5, 40], lambda kept: any(number >= 8 for number in kept), halves) in ((8,), (10,))


def test_it_ends_in_time() -> None:
    def slow(kept: tuple[int, ...]) -> bool:
        time.sleep(0.005)
        return len(kept) > 100

    start = time.monotonic()
    kept = shrunk(range(1000), slow, seconds=0.1)
    assert time.monotonic() - start < 0.5
    assert 100 < len(kept) <= 1000


def test_a_script_loses_steps_crashes_lies_and_partitions() -> None:
    noise = Step(sides=((0, 1), (2,)), lost=True, timers=("first", "second"), crashes=(Crash(1),), writes=(0, 1, 2))
    needed = Step(hears={0: (1,), 2: ()}, asleep=(1,), lies=(Say(3, (0, 1, 2), 1), Say(3, (2,), 2, 0, times=4)))
    script = Script(Setup(4, liars=(3,)), (noise, noise, needed, noise))

    def fails(candidate: Script) -> bool:
        lies = [lie for step in candidate.steps for lie in step.lies]
        return any(isinstance(lie, Say) and lie.step == 1 and 1 in lie.to for lie in lies)

    assert shrink_script(script, fails).steps == (Step(lies=(Say(3, (1,), 1),)),)


def test_every_simpler_step_is_another_and_the_plain_step_has_none() -> None:
    step = Step(sides=((0,), (1,)), lost=True, writes=(0, 1), crashes=(Crash(0), Crash(1)))
    assert step not in list(simpler_steps(step))
    assert list(simpler_steps(Step())) == []


def test_a_caught_mutant_shrinks_to_a_script_that_still_catches_it() -> None:
    caught = hunt("skip-at-f", 30)
    assert caught is not None
    mutant, name = MUTANTS[caught.name], caught.outcome.violations[0].name

    def fails(script: Script) -> bool:
        return any(wrong.name == name for wrong in play_mutant(mutant, script).violations)

    small = shrink_script(caught.script, fails, seconds=10)
    assert fails(small)
    assert len(small.steps) == 1
    assert len(small.steps[0].lies) == 1
    assert not small.steps[0].crashes
