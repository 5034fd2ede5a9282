import msgspec
import pytest

from qorum.sim.adversary import ANYTHING, Bias, draw_script
from qorum.sim.script import (
    NEWEST,
    NIL_VOTE,
    Boast,
    Certify,
    Crash,
    Jump,
    Propose,
    Say,
    Script,
    Setup,
    Step,
    describe,
    name_of,
)

TWINS = Setup(4, twins=(3,))
LIARS = Setup(7, twins=(2,), liars=(5,))


def test_a_script_survives_its_json_with_every_kind_of_record() -> None:
    step = Step(
        sides=((0, 1), (1, 2)),
        hears={3: (0, 4)},
        lost=True,
        timers=("first",),
        asleep=(2,),
        writes=(0,),
        crashes=(Crash(1, "Send", after=True, skip=2, steps=3),),
        jumps=(Jump(0, -60.0),),
        lies=(Say(3, (0,), 1), Propose(3, (1,), 0, "stale"), Certify(3, (2,), 2, 0), Boast(3, (0, 1))),
    )
    script = Script(TWINS, (step, Step()))
    assert Script.from_json(script.to_json()) == script


def test_a_file_that_is_no_script_names_the_field() -> None:
    with pytest.raises(msgspec.ValidationError, match="timer"):
        Script.from_json('{"setup": {}, "steps": [{"timer": ["first"]}]}')


@pytest.mark.parametrize("setup", [Setup(4), TWINS, LIARS, Setup(5, crash_only=True)])
def test_a_seed_gives_one_script_and_another_seed_another(setup: Setup) -> None:
    assert draw_script(setup, 5) == draw_script(setup, 5)
    assert draw_script(setup, 5) != draw_script(setup, 6)
    drawn = draw_script(setup, 5)
    assert Script.from_json(drawn.to_json()) == drawn


def test_drawn_records_name_hosts_that_exist_and_liars_that_lie() -> None:
    for seed in range(50):
        for step in draw_script(LIARS, seed, ANYTHING).steps:
            named = {
                *step.asleep,
                *step.writes,
                *(c.host for c in step.crashes),
                *(host for s in step.sides for host in s),
            }
            named |= {*step.hears, *(host for heard in step.hears.values() for host in heard)}
            assert named <= set(range(8))
            assert all(LIARS.seats[lie.liar] in LIARS.lying for lie in step.lies)


def test_one_who_has_fallen_silent_is_heard_by_nobody_again() -> None:
    steps = draw_script(Setup(4), 1, Bias(terms=(6, 6), mute=1.0, crash=0)).steps
    silent = [{s for s in range(4) if not any(step.heard(h, s) for h in range(4) if h != s)} for step in steps]
    assert set.intersection(*silent[-4:])


def test_who_hears_whom() -> None:
    assert Step().heard(0, 3)
    bridge = Step(sides=((0, 1), (1, 2)))
    assert bridge.heard(1, 0)
    assert bridge.heard(2, 1)
    assert not bridge.heard(2, 0)
    one_way = Step(sides=((0, 1),), hears={2: (0,)})
    assert one_way.heard(2, 0)
    assert not one_way.heard(0, 2)


def test_hosts_are_letters_and_twins_are_marked() -> None:
    assert [name_of(host, LIARS) for host in range(8)] == ["A", "B", "C", "D", "E", "F", "G", "C'"]


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step(), "all hear all"),
        (Step(sides=((0, 1), (2, 4)), timers=("first", "second"), asleep=(1,)),
         "A B | C D' | D; timers first second, not at B"),
        (Step(hears={0: (1, 2), 3: ()}, lost=True), "A hears B C, D hears nobody, the rest is lost"),
        (Step(lies=(Say(3, (0, 1), 1, 1, times=4),)), "all hear all; liar D signs first vote v1 to A B 4 times"),
        (Step(lies=(Say(3, (0,), 2, NIL_VOTE, ahead=9),)),
         "all hear all; liar D signs second vote nil 9 terms ahead to A"),
        (Step(lies=(Propose(3, (0,), NEWEST, "forged"),)),
         "all hear all; liar D proposes the newest value citing a forged certificate to A"),
        (Step(lies=(Certify(3, (0,), 2, 0), Boast(3, (1,), 2))),
         "all hear all; liar D shows a foreign second certificate for v0 to A; "
         "liar D's digest claims 2 more versions to B"),
        (Step(writes=(0, 2), crashes=(Crash(1, "Sign", after=True),), jumps=(Jump(0, -60),)),
         "all hear all; A's clock jumps -60 s; A C write; B crashes after Sign no. 1, down for 1"),
    ],
)  # fmt: skip
def test_a_step_is_a_line(step: Step, text: str) -> None:
    assert describe(step, TWINS) == text
