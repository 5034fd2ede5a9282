"""`play`: one script on one stage under all invariants, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from qorum.core.effects import Effect, Persist
from qorum.core.member import Member
from qorum.core.votes import SECOND
from qorum.sim.chronicle import Chronicle
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, Violation, named
from qorum.sim.invariants.ledger import Ledger, durable_of
from qorum.sim.invariants.watch import SAFETY, Watch
from qorum.sim.script import Script, describe
from qorum.sim.stage import Stage


class TermsOfTheHonest(Invariant):
    """For all honest hosts that enter (k, t), t > 0: somebody honest was in a term >= t of k before; or a quorum has
    second votes in (k, t-1), or is past it; or the host's window has closed without any leader of an earlier term.
    Liars that take part cannot move terms."""

    name = "terms-of-the-honest"
    watches = (Persist,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._furthest: dict[int, int] = {}

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Look at the term of a record."""
        assert isinstance(effect, Persist)
        record = durable_of(effect.record)
        if record.term > self._furthest.get(record.round, 0):
            self._furthest[record.round] = record.term
            consensus = host.member.consensus
            leaders = map(consensus.leader, range(record.term))
            opens = consensus.window_closed and not any(map(host.member.takes_part, leaders))
            if not (consensus.round != record.round or opens or consensus.tally.is_done(record.term - 1, SECOND)):
                self.violated(f"{named(host)} is moved to {record.round}.{record.term}, where nobody honest is")


HEALING = "healing"
"""Name of what is violated by a stage that does not agree after it has healed."""
STAGED: tuple[type[Invariant], ...] = (*SAFETY, TermsOfTheHonest)
"""What is watched while a script is played; that the healed stage agrees is watched besides."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    violations: tuple[Violation, ...]
    led_to: tuple[tuple[str, ...], ...]
    """What the opening led to, then each step that was taken, then the healing."""
    event_hash: str
    """Equal for equal runs."""


def play(
    script: Script,
    *,
    stage: Callable[..., Stage] = Stage,
    member: Callable[..., Member] = Member,
    invariants: Sequence[type[Invariant]] = STAGED,
) -> Outcome:
    """Play a script and let the stage heal. The first violation ends the run; an error in a member is one, too."""
    scene = stage(script.setup, make_member=member)
    watch, chronicle = Watch(scene, invariants), Chronicle(scene)
    scene.witnesses += [watch, chronicle]
    try:
        wrong = _run(scene, script, watch, chronicle)
    except Exception as error:  # whatever it is: a member that fails is not up any more
        wrong = [Violation("no-error", f"{type(error).__name__}: {error}", scene.now)]
        chronicle.turn()
    return Outcome(tuple(wrong), tuple(map(tuple, chronicle.steps)), scene.event_hash)


def _run(scene: Stage, script: Script, watch: Watch, chronicle: Chronicle) -> list[Violation]:
    acts: list[Callable[[], None]] = [scene.open, *(partial(scene.step, step) for step in script.steps)]
    for act in acts:
        act()
        chronicle.turn()
        watch.check()
        if watch.violations:
            return watch.violations
    hangs = scene.heal()
    chronicle.turn()
    watch.check()
    return [*watch.violations, *([Violation(HEALING, hangs, scene.now)] if hangs else [])]


def story(script: Script, outcome: Outcome) -> str:
    """A run as text: each step in a line, below it what it led to, and what was violated in the end."""
    acts = ["opening: all contribute"]
    acts += [f"step {number}: {describe(step, script.setup)}" for number, step in enumerate(script.steps, start=1)]
    acts.append("healing: liars are silent, all hear all, timers fire when they are due")
    lines: list[str] = []
    for act, facts in zip(acts, outcome.led_to, strict=False):
        lines += [act, *(f"  -> {fact}" for fact in facts)]
    return "\n".join([*lines, *(f"violated: {wrong.name}: {wrong.text}" for wrong in outcome.violations)])
