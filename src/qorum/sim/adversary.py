"""The adversary of a stage: draws scripts from a seed, biased towards what breaks a consensus that lacks a rule.

Uniform choices find almost nothing: a fork needs one host to hear just enough and another just too little, in the
right phase. So each phase of a term (proposal, first votes, second votes) is a step with choices of its own, and the
sets that hear each other have the size of a quorum, or one less or one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from qorum.core.quorum import Quorum
from qorum.sim.script import (
    NEWEST,
    NIL_VOTE,
    Boast,
    Certify,
    Crash,
    Jump,
    Lie,
    Propose,
    Record,
    Say,
    Script,
    Setup,
    Step,
)

PHASES: tuple[tuple[str, ...], ...] = (
    ("collect", "gather", "propose"),
    ("first",),
    ("second",),
)
"""Timers that may fire at the end of each phase of a term."""
Reach = tuple[tuple[tuple[int, ...], ...], dict[int, tuple[int, ...]]]
"""`sides` and `hears` of a step."""
CRASH_AT = ("Persist", "Persist", "Keep", "Sign", "Send", "Committed")
CITATIONS = ("", "", "true", "stale", "forged", "few", "foreign")
FORGERIES = ("foreign", "forged", "few")


class Bias(Record, frozen=True):
    """How often the adversary does what. Probabilities, per step unless said otherwise."""

    terms: tuple[int, int] = (2, 6)
    """How many terms' worth of steps a script has, at least and at most."""
    quorum: int = 0
    """Size about which the sets are drawn; 0: the true quorum."""
    whole: float = 0.2
    """All hear all."""
    sides: float = 0.2
    """Two sides."""
    favour: float = 0.3
    """Some hosts hear all, the others just not enough. Else every host hears a set of its own."""
    lone: float = 0.25
    """Per term: the proposal reaches about a quorum, then one host hears all and is heard by nobody: it alone locks,
    and the others go on without a decision."""
    aloof: float = 0.0
    """Per such term: some hear all first votes too, so that the lone one may decide, and it is not heard again."""
    keep: float = 0.0
    """Who hears whom stays as it was in the step before."""
    lost: float = 0.8
    """What is not heard is lost."""
    mute: float = 0.5
    """Per script: from some step on nobody hears one of the hosts, so that what it decides stays with it."""
    drowsy: float = 0.1
    """Some timers stay off."""
    write: float = 0.5
    """Per host and term: it contributes again, so that its proposal differs from others'."""
    mend: float = 0.2
    """Per term: a step of anti-entropy between all."""
    vote: float = 0.9
    """Per liar and step: it signs votes of its own."""
    propose: float = 0.4
    """Per liar and term: it signs proposals of its own."""
    certify: float = 0.0
    """Per liar and term: it shows certificates that are none."""
    claim: float = 0.0
    """Per liar and term: it votes many terms ahead."""
    repeat: float = 0.0
    """Per vote of a liar: it is sent as often as there are members."""
    boast: float = 0.0
    """Per liar and term: its digest lies."""
    crash: float = 0.1
    """Somebody crashes."""
    jump: float = 0.0
    """Somebody's wall clock is set."""


ANYTHING = Bias(aloof=0.3, keep=0.2, certify=0.2, claim=0.2, repeat=0.1, boast=0.1, jump=0.1)


def draw_script(setup: Setup, seed: int, bias: Bias = ANYTHING) -> Script:
    """The script of a seed: equal arguments give equal scripts."""
    return Script(setup, tuple(_Draft(setup, Random(f"script {seed}"), bias).steps()))


class _Draft:
    """Draws the steps of one script."""

    def __init__(self, setup: Setup, random: Random, bias: Bias) -> None:
        self._setup, self._random, self._bias = setup, random, bias
        self._hosts = range(len(setup.seats))
        self._liars = [host for host, seat in enumerate(setup.seats) if seat in setup.liars]
        self._quorum = bias.quorum or Quorum.of(setup.members, 0.0 if setup.crash_only else 0.33).size
        self._mute: int | None = None
        self._reach: Reach = (), {}
        self._lone: int | None = None
        self._company: tuple[int, ...] = ()

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _some(self, hosts: Sequence[int], least: int = 0) -> tuple[int, ...]:
        count = self._random.randint(min(least, len(hosts)), len(hosts))
        return tuple(sorted(self._random.sample(hosts, count)))

    def steps(self) -> list[Step]:
        """All steps."""
        steps: list[Step] = []
        terms = self._random.randint(*self._bias.terms)
        silence = self._random.randrange(3 * terms) if self._chance(self._bias.mute) else None
        for term in range(terms):
            self._lone = self._random.choice(self._hosts) if self._chance(self._bias.lone) else None
            aloof = self._lone is not None and self._chance(self._bias.aloof)
            self._company = self._some(self._hosts) if aloof else ()
            for phase in range(3):
                if 3 * term + phase == silence:
                    self._mute = self._random.choice(self._hosts)
                steps.append(self._phase(phase))
            if aloof:
                self._mute = self._lone
            if self._chance(self._bias.mend):
                steps.append(self._without_mute(Step(timers=("tick",))))
        return steps

    def _phase(self, phase: int) -> Step:
        bias = self._bias
        if not self._chance(bias.keep):
            self._reach = self._draw_reach(phase)
        sides, hears = self._reach
        proposing = phase == 0
        step = Step(
            sides=sides,
            hears=hears,
            lost=bool(sides or hears) and self._chance(bias.lost),
            timers=() if self._chance(bias.drowsy) else PHASES[phase],
            asleep=self._some(self._hosts) if self._chance(bias.drowsy) else (),
            writes=tuple(h for h in self._hosts if self._chance(bias.write)) if proposing else (),
            crashes=(self._crash(),) if self._chance(bias.crash) else (),
            jumps=(self._jump(),) if self._chance(bias.jump) else (),
            lies=tuple(lie for liar in self._liars for lie in self._lies(liar, phase)),
        )
        return self._without_mute(step)

    def _without_mute(self, step: Step) -> Step:
        """The step, but nobody hears the host that has fallen silent."""
        mute = self._mute
        if mute is None:
            return step
        sides = step.sides or (tuple(self._hosts),)
        return msgspec.structs.replace(
            step,
            sides=tuple(tuple(host for host in side if host != mute) for side in sides),
            hears={h: tuple(s for s in heard if s != mute) for h, heard in step.hears.items()},
            lost=True,
        )

    # --- who hears whom ---

    def _draw_reach(self, phase: int) -> Reach:
        if self._lone is not None:
            return self._around(self._lone, phase)
        kind = self._random.random()
        if kind < self._bias.whole:
            return (), {}
        if kind < self._bias.whole + self._bias.sides:
            return self._two_sides(), {}
        if kind < self._bias.whole + self._bias.sides + self._bias.favour:
            return (), self._favour(phase)
        return (), {host: self._heard_by(host, self._about_a_quorum()) for host in self._hosts}

    def _around(self, lone: int, phase: int) -> Reach:
        others = tuple(host for host in self._hosts if host != lone)
        if phase > 0:
            hearing = {lone, *(self._company if phase == 1 else ())}
            return (others,), dict.fromkeys(sorted(hearing), tuple(self._hosts))
        missed = self._random.randint(0, max(0, self._setup.members - self._quorum))
        return (), dict.fromkeys(sorted(self._random.sample(others, missed)), ())

    def _favour(self, phase: int) -> dict[int, tuple[int, ...]]:
        """A proposal misses some; of votes some hosts hear all, and the others too few, or just enough of any kind."""
        count = self._random.randint(1, len(self._hosts) // 2)
        chosen = self._random.sample(self._hosts, count)
        if phase == 0:
            return dict.fromkeys(sorted(chosen), ())
        return {h: self._heard_by(h, self._quorum - self._chance(0.1)) for h in self._hosts
                if h not in chosen}  # fmt: skip

    def _two_sides(self) -> tuple[tuple[int, ...], ...]:
        """One side of about a quorum, the rest on the other; a twin has a host on each."""
        order = self._random.sample(self._hosts, len(self._hosts))
        size = self._about_a_quorum()
        one, other = set(order[:size]), set(order[size:])
        for second in range(self._setup.members, len(self._hosts)):
            first = self._setup.seats[second]
            one, other = (one | {first}) - {second}, (other | {second}) - {first}
        return tuple(sorted(one)), tuple(sorted(other))

    def _about_a_quorum(self) -> int:
        return self._quorum + self._random.choice((-1, 0, 0, 0, 0, 1))

    def _heard_by(self, host: int, size: int) -> tuple[int, ...]:
        """So many hosts with itself."""
        others = [other for other in self._hosts if other != host]
        return tuple(sorted(self._random.sample(others, min(size - 1, len(others)))))

    # --- lies ---

    def _lies(self, liar: int, phase: int) -> list[Lie]:
        bias, lies = self._bias, list[Lie]()
        if phase == 0 and self._chance(bias.propose):
            lies += [Propose(liar, group, self._value(), self._cited()) for group in self._groups(liar) if group]
        if phase > 0 and self._chance(bias.vote):
            times = self._setup.members if self._chance(bias.repeat) else 1
            lies += [Say(liar, group, phase, self._voted(), times=times) for group in self._groups(liar) if group]
        if phase == 0:
            lies += self._rare(liar)
        return lies

    def _rare(self, liar: int) -> list[Lie]:
        bias, to, lies = self._bias, self._some(self._hosts, 1), list[Lie]()
        if self._chance(bias.certify):
            kind = self._random.choice(FORGERIES)
            lies.append(Certify(liar, to, self._random.choice((1, 2)), self._random.randint(0, 3), kind))
        if self._chance(bias.claim):
            lies.append(Say(liar, to, 1, NIL_VOTE, ahead=self._random.randint(2, 20)))
        if self._chance(bias.boast):
            lies.append(Boast(liar, to, self._random.randint(1, 3)))
        return lies

    def _groups(self, liar: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Whom the liar tells one thing, and whom another; often all the same."""
        others = [host for host in self._hosts if host != liar]
        one = tuple(others) if self._chance(0.5) else self._some(others)
        return one, tuple(host for host in others if host not in one)

    def _voted(self) -> int:
        return self._random.choice((NIL_VOTE, NIL_VOTE, NIL_VOTE, NEWEST, NEWEST, NEWEST, 0, 1))

    def _value(self) -> int:
        """Of a proposal: one that is known, or a fresh one."""
        return self._random.choice((NEWEST, 0, 0, 1, 2, 8))

    def _cited(self) -> str:
        return self._random.choice(CITATIONS)

    # --- crashes ---

    def _crash(self) -> Crash:
        return Crash(
            host=self._random.choice(self._hosts),
            effect=self._random.choice(CRASH_AT),
            after=self._chance(0.5),
            skip=self._random.choice((0, 0, 1, 2)),
            steps=self._random.choice((1, 1, 2, 4)),
        )

    def _jump(self) -> Jump:
        return Jump(self._random.choice(self._hosts), self._random.choice((-3600.0, -60.0, 60.0, 3600.0)))
