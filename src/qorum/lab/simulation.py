"""What `qorum simulate` and `qorum replay` do: measured runs, campaigns against the protocol, hunts for mutants.

A campaign plays short runs, each from a seed of its own, against full members: some with faults and liars drawn at
random in virtual time, some in lock-step, where an adversary chooses who hears whom in every step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from enum import StrEnum
from itertools import count
from multiprocessing import get_context
from random import Random
from typing import Any

import msgspec

from qorum.core.quorum import Quorum
from qorum.errors import ConfigError
from qorum.lab.recording import AnyRun, CampaignRun, MeasuredRun, Recording, StagedRun
from qorum.sim import campaign
from qorum.sim.experiment import Measured, Progress
from qorum.sim.invariants.agreement import Agreement
from qorum.sim.invariants.invariant import Violation
from qorum.sim.script import Script, Setup


class Arena(StrEnum):
    """Where the runs of a campaign are played."""

    RANDOM = "random"
    STAGE = "stage"


ARENAS = tuple(Arena)
SIZES = campaign.MEMBERS
"""How many members the federations of a campaign have."""
FIGURES = (
    "members", "liars", "rounds_committed", "sync_latency_s", "hops", "bytes_received_per_member_per_round", "messages",
    "redundant_copies", "delivered_fraction", "forks", "violations", "event_hash", "wall_s", "seeds_run",
)  # fmt: skip
"""Names that every simulation has figures for; None where they make no sense."""
CRASH_SHARE = 0.2
"""Of the runs in lock-step: those in crash mode."""
SHRINK_S = 30.0
"""Seconds that making a sequence smaller may take."""


class Ran(msgspec.Struct, frozen=True):
    """One run of a campaign."""

    arena: Arena
    seed: int
    members: int
    violations: tuple[Violation, ...]
    run: AnyRun
    rounds: int = 0

    @property
    def forked(self) -> bool:
        """Whether honest members committed two values in one round."""
        return any(violation.name == Agreement.name for violation in self.violations)


def quiet(what: str, share: float) -> None:
    """No progress is shown."""


# --- one run ---


def recorded(measured: Measured) -> MeasuredRun:
    """An experiment that is over, for a file."""
    return MeasuredRun(measured.experiment, measured.script, measured.event_hash)


def staged_script(seed: int, sizes: Sequence[int]) -> Script:
    """A script in lock-step, drawn from a seed: most of the time as many lie as are tolerated, some of them twins."""
    from qorum.sim.adversary import draw_script

    random = Random(f"{seed} stage")
    members, crash_only = random.choice(sizes), random.random() < CRASH_SHARE
    lying = 0 if crash_only else Quorum.of(members, 1 / 3).tolerated
    liars = sorted(random.sample(range(members), lying))
    twins = random.randint(0, lying)
    setup = Setup(members, tuple(liars[:twins]), tuple(liars[twins:]), seed, crash_only)
    return draw_script(setup, seed)


def run_staged(seed: int, sizes: Sequence[int]) -> tuple[Ran, str]:
    """One run in lock-step, and its story."""
    from qorum.sim.play import play, story

    script = staged_script(seed, sizes)
    outcome = play(script)
    run = StagedRun(script, outcome.event_hash)
    return Ran(Arena.STAGE, seed, script.setup.members, outcome.violations, run), story(script, outcome)


def run_random(seed: int, sizes: Sequence[int]) -> Ran:
    """One run with faults drawn at random."""
    outcome = campaign.run_seed(seed, sizes)
    run = CampaignRun(outcome.setup, seed, outcome.script, outcome.event_hash)
    return Ran(Arena.RANDOM, seed, outcome.setup.members, outcome.violations, run, outcome.rounds)


def _run(arena: Arena, seed: int, sizes: Sequence[int]) -> Ran:
    return run_random(seed, sizes) if arena is Arena.RANDOM else run_staged(seed, sizes)[0]


def staged(seed: int, members: int) -> tuple[dict[str, Any], AnyRun]:
    """One run in lock-step, as JSON has it."""
    began = time.perf_counter()
    ran, text = run_staged(seed, (members,))
    assert isinstance(ran.run, StagedRun)
    figures = {
        "members": members,
        "liars": len(ran.run.script.setup.lying),
        "forks": int(ran.forked),
        "violations": [msgspec.structs.asdict(violation) for violation in ran.violations],
        "event_hash": ran.run.event_hash,
        "wall_s": round(time.perf_counter() - began, 2),
        "seeds_run": 1,
        "story": text,
    }
    return figures, ran.run


# --- campaigns ---


def campaigns(
    seconds: float,
    arenas: Sequence[Arena] = ARENAS,
    sizes: Sequence[int] = SIZES,
    *,
    first_seed: int = 0,
    processes: int | None = None,
    progress: Progress = quiet,
) -> tuple[dict[str, Any], AnyRun | None]:
    """Play seeds from `first_seed` on in each arena, for `seconds` of real time in all.

    Returns what they came to, and the first run that failed, made smaller. processes: None for one a processor.
    """
    began, ran = time.perf_counter(), list[Ran]()
    share = seconds / len(arenas)
    for arena in arenas:
        move = _mover(progress, arena, share)
        for one in _play(arena, sizes, first_seed, share, processes or os.cpu_count() or 1):
            ran.append(one)
            move()
        progress(arena, 1.0)
    failed = sorted((one for one in ran if one.violations), key=lambda one: (one.arena, one.seed))
    smallest = shrink(failed[0].run, failed[0].violations[0].name) if failed else None
    figures = {
        "members": list(sizes),
        "rounds_committed": sum(one.rounds for one in ran),
        "forks": sum(one.forked for one in ran),
        "violations": [
            {"arena": one.arena, "seed": one.seed, **msgspec.structs.asdict(violation)}
            for one in failed
            for violation in one.violations
        ],
        "wall_s": round(time.perf_counter() - began, 2),
        "seeds_run": len(ran),
        "seeds_run_by_arena": {arena: sum(one.arena == arena for one in ran) for arena in arenas},
        "first_seed": first_seed,
    }
    return figures, smallest


def _mover(progress: Progress, name: str, seconds: float) -> Callable[[], None]:
    began = time.perf_counter()
    progress(name, 0.0)
    return lambda: progress(name, min(1.0, (time.perf_counter() - began) / seconds))


def _play(arena: Arena, sizes: Sequence[int], first: int, seconds: float, processes: int) -> Iterator[Ran]:
    """Runs until time is up, in the order in which they end."""
    end, seeds = time.perf_counter() + seconds, count(first)
    if processes == 1:
        while time.perf_counter() < end:
            yield _run(arena, next(seeds), sizes)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        pending: set[Future[Ran]] = set()
        while True:
            while time.perf_counter() < end and len(pending) < processes:
                pending.add(pool.submit(_run, arena, next(seeds), sizes))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


# --- mutants ---


def mutants() -> dict[str, str]:
    """Name -> the rule that it breaks."""
    from qorum.sim.mutants import MUTANTS

    return {name: mutant.rule for name, mutant in MUTANTS.items()}


def check_mutant(name: str) -> str:
    """The rule that a mutant breaks. Raises `ConfigError` for a name that there is not."""
    known = mutants()
    if name not in known:
        raise ConfigError(f"unknown mutant {name!r}; there are: {', '.join(known)}")
    return known[name]


def hunt(name: str, seconds: float, seed: int = 0, progress: Progress = quiet) -> tuple[dict[str, Any], AnyRun | None]:
    """Look for a planted mutant for so many seconds; what caught it is made smaller. Raises as `check_mutant` does."""
    rule = check_mutant(name)
    from qorum.sim.mutants.hunt import hunt as hunt_for

    began = time.perf_counter()
    progress("hunting", 0.0)
    caught = hunt_for(name, seconds, seed)
    progress("hunting", 1.0)
    figures: dict[str, Any] = {"mutant": name, "rule": rule, "caught": caught is not None}
    if caught is None:
        return {**figures, "wall_s": round(time.perf_counter() - began, 2)}, None
    progress("shrinking", 0.0)
    first = caught.outcome.violations[0].name
    run = shrink(StagedRun(caught.script, caught.outcome.event_hash, name), first)
    progress("shrinking", 1.0)
    assert isinstance(run, StagedRun)
    again = rerun(run)
    return {
        **figures,
        "members": run.script.setup.members,
        "liars": len(run.script.setup.lying),
        "seeds_run": caught.runs,
        "seed": caught.seed,
        "caught_after_s": round(caught.seconds, 2),
        "steps": {"found": len(caught.script.steps), "left": len(run.script.steps)},
        "forks": int(any(wrong["name"] == Agreement.name for wrong in again["violations"])),
        **{key: again[key] for key in ("violations", "event_hash", "story")},
        "wall_s": round(time.perf_counter() - began, 2),
    }, run


# --- again ---


def rerun(run: AnyRun, progress: Progress = quiet) -> dict[str, Any]:
    """Run a run once more: its event hash, its violations, and, of one in lock-step, its story."""
    if isinstance(run, MeasuredRun):
        measured = Measured(run.experiment, run.script)
        return {"figures": measured.run(progress), "event_hash": measured.event_hash,
                "violations": [msgspec.structs.asdict(wrong) for wrong in measured.watch.violations]}  # fmt: skip
    if isinstance(run, CampaignRun):
        outcome = campaign.run_one(run.setup, run.seed, run.script)
        return _result(outcome.event_hash, outcome.violations)
    return _rerun_staged(run)


def _rerun_staged(run: StagedRun) -> dict[str, Any]:
    from qorum.sim.play import play, story

    if run.mutant is None:
        outcome = play(run.script)
    else:
        from qorum.sim.mutants import MUTANTS
        from qorum.sim.mutants.hunt import play_mutant

        if run.mutant not in MUTANTS:
            raise ConfigError(f"the recording is of mutant {run.mutant!r}, which this release does not have")
        outcome = play_mutant(MUTANTS[run.mutant], run.script)
    return {**_result(outcome.event_hash, outcome.violations), "story": story(run.script, outcome)}


def _result(event_hash: str, violations: Sequence[Violation]) -> dict[str, Any]:
    return {"event_hash": event_hash, "violations": [msgspec.structs.asdict(wrong) for wrong in violations]}


def replay(recording: Recording, progress: Progress = quiet) -> dict[str, Any]:
    """Run a recorded run again, and say whether it went the same way."""
    run = recording.run
    again = rerun(run, progress)
    return {
        "kind": run.__struct_config__.tag,
        "same": again["event_hash"] == run.event_hash,
        "recorded_event_hash": run.event_hash,
        "recorded_by": recording.release,
        **again,
    }


def shrink(run: AnyRun, violation: str, seconds: float = SHRINK_S) -> AnyRun:
    """The smallest run found in which the invariant of this name does not hold either."""
    if isinstance(run, MeasuredRun):
        return run
    from qorum.sim.shrink import shrink_script, shrunk

    def fails(smaller: AnyRun) -> bool:
        return any(wrong["name"] == violation for wrong in rerun(smaller)["violations"])

    with_script = msgspec.structs.replace
    if isinstance(run, CampaignRun):
        run = with_script(run, script=shrunk(run.script, lambda s: fails(with_script(run, script=s)), seconds=seconds))
    else:
        run = with_script(run, script=shrink_script(run.script, lambda s: fails(with_script(run, script=s)), seconds))
    return with_script(run, event_hash=rerun(run)["event_hash"])
