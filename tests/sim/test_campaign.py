"""Campaigns hold, repeat themselves to the bit, and notice a core that is broken."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from qorum.core.effects import Committed, Effect, Persist
from qorum.core.member import Member
from qorum.sim.behaviours.catalogue import BEHAVIOURS
from qorum.sim.campaign import MEMBERS, Outcome, Report, Run, Setup, campaign, run_one, run_seed, script_of, setup_of
from qorum.sim.faults import Partition, Sleep
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Violation


def test_a_short_campaign_holds() -> None:
    report = campaign((4, 5), 60.0, 0, runs=5)
    assert [outcome.violations for outcome in report.failed] == []
    assert report.seeds == 5
    assert report.forks == 0
    assert report.rounds > 20


@pytest.mark.long
def test_a_longer_campaign_of_all_sizes_holds() -> None:
    report = campaign(MEMBERS, 45.0, 10_000)
    assert [(outcome.seed, outcome.violations) for outcome in report.failed] == []
    assert report.highest_term >= 2


@pytest.mark.long
def test_liars_with_real_keys_change_nothing() -> None:
    setup = Setup(members=4, liars=(("malformed", "equivocate"),), real_keys=True, duration=3.0)
    assert run_one(setup, 3).violations == ()


def test_crash_mode_holds() -> None:
    outcome = run_one(Setup(members=5, crash_only=True, lost=2, duration=3.0, intensity=3.0), 11)
    assert outcome.violations == ()
    assert outcome.rounds >= 1


def test_a_run_is_the_same_in_every_process_and_from_its_record() -> None:
    program = "from qorum.sim.campaign import run_seed; o = run_seed(6, (4,)); print(o.event_hash, o.events, o.rounds)"
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    outcome = run_seed(6, (4,))
    assert told == [f"{outcome.event_hash} {outcome.events} {outcome.rounds}\n"] * 2
    record = msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome)
    assert record == outcome
    again = run_one(record.setup, record.seed, record.script)
    assert again.event_hash == outcome.event_hash


@pytest.mark.long
def test_two_processes_run_the_same_seeds() -> None:
    alone, together = list[Outcome](), list[Outcome]()
    campaign((4,), 60.0, 40, runs=4, on_outcome=alone.append)
    campaign((4,), 60.0, 40, runs=4, processes=2, on_outcome=together.append)
    hashes = [{o.seed: o.event_hash for o in outcomes} for outcomes in (alone, together)]
    assert hashes[0] == hashes[1]


def test_setups_cover_all_sizes_modes_and_lies_and_stay_within_what_is_tolerated() -> None:
    setups = [setup_of(seed) for seed in range(300)]
    assert {setup.members for setup in setups} == set(MEMBERS)
    assert {name for setup in setups for names in setup.liars for name in names} == set(BEHAVIOURS)
    assert any(setup.crash_only and setup.lost for setup in setups)
    assert any(setup.sleeper for setup in setups)
    assert any(setup.changing and setup.leaving for setup in setups)
    for seed, setup in enumerate(setups):
        faulty = len(setup.liars) + setup.lost
        assert faulty <= ((setup.members - 1) // 2 if setup.crash_only else (setup.members - 1) // 3)
        assert all(fault.at <= setup.duration for fault in script_of(setup, seed))


def test_without_a_quorum_nothing_is_agreed_until_the_heal() -> None:
    setup = Setup(members=4, duration=3.0)
    run = Run(setup, 1, (Partition(at=0.0, lasts=3.0, sides=((0, 1),)),))
    rounds: list[int] = []
    run.cluster.timeline.after(2.9, lambda: rounds.append(max(h.member.state.round for h in run.cluster.hosts)))
    run.play()
    assert rounds == [0]
    assert run.watch.violations == []
    assert max(run.watch.ledger.values) >= 1


def test_who_sleeps_for_long_comes_back_through_a_state_in_chunks() -> None:
    setup = Setup(members=4, duration=8.0, news_every=0.05, sleeper=True, cells=400, updates=60)
    run = Run(setup, 1, (Sleep(at=0.5, lasts=8.0, host=2, rounds=40),))
    jumps: list[Committed] = []

    class Jumps:
        def carried_out(self, host: Host, effect: Effect) -> None:
            if isinstance(effect, Committed) and effect.cut is None:
                jumps.append(effect)

    run.cluster.witnesses.append(Jumps())
    run.play()
    assert run.watch.violations == []
    assert max(effect.skipped for effect in jumps) > 16
    assert all(len(effect.state.chunk_hashes) > 32 for effect in jumps)


@pytest.mark.parametrize("liar", ["equivocate", "twin"])
def test_a_liar_that_is_caught_is_evicted(liar: str) -> None:
    run = Run(Setup(members=5, liars=((liar,),), duration=4.0), 3, ())
    run.play()
    assert run.watch.violations == []
    assert run.cluster.roster.active == (0, 1, 2, 3)


class Forgetful(Member):
    """Writes nothing to its disk."""

    def _done(self) -> list[Effect]:
        return [effect for effect in super()._done() if not isinstance(effect, Persist)]


class Broken(Member):
    """Breaks in its second round."""

    def fresh_value(self) -> bytes | None:
        if self.state.round:
            raise ZeroDivisionError("by design")
        return super().fresh_value()


def test_a_member_that_forgets_is_caught() -> None:
    outcome = run_one(Setup(members=4, duration=2.0), 1, make_member=Forgetful)
    assert "lock-rule" in {violation.name for violation in outcome.violations}


def test_an_exception_is_a_violation() -> None:
    outcome = run_one(Setup(members=4, duration=2.0), 1, (), make_member=Broken)
    assert [violation.name for violation in outcome.violations] == ["no-exception"]
    assert "ZeroDivisionError: by design" in outcome.violations[0].text


def test_a_report_counts_forks_and_keeps_what_failed() -> None:
    good = run_one(Setup(members=4, duration=1.0), 1, ())
    bad = msgspec.structs.replace(good, violations=(Violation("agreement", "fork", 1.0),))
    report = Report()
    for outcome in (good, bad):
        report.add(outcome)
    assert (report.seeds, report.forks, report.failed) == (2, 1, [bad])
    assert report.rounds == 2 * good.rounds
