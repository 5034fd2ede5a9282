"""`Script`: what an adversary does to a federation, step by step: who hears whom, which timers fire, who crashes, lies.

After "Twins" (Bano et al., arXiv 2004.10617): an adversary that chooses, in each step of a lock-step world, who hears
whom finds in seconds what random delays never find. A script is data: it is written to JSON, replays exactly, and can
be made smaller record by record. Hosts are named by address: 0..n-1 are the members in order, after them the second
hosts of twins. Printed, they are A, B, C, ...; the second host of D is D'.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from qorum.core.effects import Timer

NIL_VOTE = -1
NEWEST = -2
"""Of a lie: the vote for nothing, and for the value proposed last. From 0 on numbers are the values of the hearer's
round in the order in which they were first proposed; a proposal of a number that there is not yet is a fresh value."""

TIMERS = {
    "collect": Timer.COLLECT,
    "propose": Timer.PROPOSE,
    "first": Timer.FIRST,
    "second": Timer.SECOND,
    "gather": Timer.GATHER,
    "tick": Timer.TICK,
}
"""Timers a step may fire, in the order in which it does. Flushes need no permission: a step lets them all pass."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of what a script is made of."""


class Say(Record, frozen=True, tag="say"):
    """A liar signs votes of its own, whatever its host does."""

    liar: int
    to: tuple[int, ...]
    step: int
    """1: a first vote, 2: a second vote."""
    value: int = NIL_VOTE
    ahead: int = 0
    """In the term of each hearer plus this."""
    times: int = 1
    """How often the same message is sent."""


class Propose(Record, frozen=True, tag="propose"):
    """A liar signs a proposal; it counts where the liar leads."""

    liar: int
    to: tuple[int, ...]
    value: int
    cited: str = ""
    """Certificate cited: "" none; "true" one that the votes signed so far make up; a "stale" one, the oldest such;
    a "forged" one without good signatures; "few": of the liars alone; of a "foreign" epoch."""
    ahead: int = 0


class Certify(Record, frozen=True, tag="certify"):
    """A liar shows votes as if a quorum had cast them: "forged", "few" or "foreign", as in `Propose.cited`."""

    liar: int
    to: tuple[int, ...]
    step: int
    value: int
    kind: str = "foreign"


class Boast(Record, frozen=True, tag="boast"):
    """A liar's digest claims to hold items that nobody has written."""

    liar: int
    to: tuple[int, ...]
    versions: int = 3
    """How many of each member."""


Lie = Say | Propose | Certify | Boast


class Crash(Record, frozen=True):
    """A host stops at an effect of this step and comes back later with what its disk holds."""

    host: int
    effect: str = "Persist"
    """Name of an effect: Persist, Keep, Sign, Send, Committed, SetTimer."""
    after: bool = False
    """Right after it was carried out; else right before."""
    skip: int = 0
    """So many of them pass first."""
    steps: int = 1
    """How long the host is down."""


class Jump(Record, frozen=True):
    """The wall clock of a host is set."""

    host: int
    seconds: float
    """Forward, or back if negative."""


class Step(Record, frozen=True):
    """One step: every frame that is heard travels one hop, then timers fire. The default is the harmless step."""

    sides: tuple[tuple[int, ...], ...] = ()
    """Sets of hosts that hear each other; they may overlap. None: all hear all."""
    hears: dict[int, tuple[int, ...]] = {}
    """Hearer -> whom it hears, where `sides` is too coarse."""
    lost: bool = False
    """Whether frames that were to arrive and are not heard are lost; else they wait until they are."""
    timers: tuple[str, ...] = ()
    """Names of the timers that fire, see `TIMERS`."""
    asleep: tuple[int, ...] = ()
    """Hosts whose timers do not fire."""
    writes: tuple[int, ...] = ()
    """Hosts that contribute."""
    crashes: tuple[Crash, ...] = ()
    jumps: tuple[Jump, ...] = ()
    lies: tuple[Lie, ...] = ()

    def heard(self, hearer: int, sender: int) -> bool:
        """Whether frames of `sender` reach `hearer` in this step."""
        if hearer in self.hears:
            return sender in self.hears[hearer]
        return not self.sides or any(hearer in side and sender in side for side in self.sides)


class Setup(Record, frozen=True):
    """The federation that a script is played on."""

    members: int = 4
    twins: tuple[int, ...] = ()
    """Liars that run on two hosts with one key."""
    liars: tuple[int, ...] = ()
    """Other liars: one host each."""
    seed: int = 0
    """Of the hosts' own random numbers."""
    crash_only: bool = False
    """No liar is tolerated, more than half decides."""
    evicting: bool = True
    """Whether liars that are caught lose their seats; if not, nobody can be spared."""

    @property
    def seats(self) -> tuple[int, ...]:
        """Member that runs on each host."""
        return (*range(self.members), *self.twins)

    @property
    def lying(self) -> tuple[int, ...]:
        """All members that lie."""
        return tuple(sorted({*self.twins, *self.liars}))


class Script(Record, frozen=True):
    """A federation and what is done to it. After the last step everything heals and progress is due."""

    setup: Setup
    steps: tuple[Step, ...]

    def to_json(self) -> bytes:
        """The script as JSON text."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> Script:
        """Undo `to_json`. Raises `msgspec.ValidationError` naming the field."""
        return msgspec.json.decode(text, type=cls)


# --- in words ---


def name_of(host: int, setup: Setup) -> str:
    """A, B, C, ...; the second host of a twin is marked."""
    seat = setup.seats[host]
    letter = chr(ord("A") + seat) if seat < 26 else f"#{seat}"
    return letter + "'" * (host >= setup.members)


def names(hosts: Iterable[int], setup: Setup) -> str:
    """Hosts, a blank between two."""
    return " ".join(name_of(host, setup) for host in hosts)


def describe(step: Step, setup: Setup) -> str:
    """A step in one line."""
    parts = [_reach(step, setup)]
    parts += [f"{name_of(jump.host, setup)}'s clock jumps {jump.seconds:+g} s" for jump in step.jumps]
    parts += [f"{names(step.writes, setup)} write"] if step.writes else []
    parts += [_lie(lie, setup) for lie in step.lies]
    parts += [_crash(crash, setup) for crash in step.crashes]
    parts += [_timers(step, setup)] if step.timers else []
    return "; ".join(part for part in parts if part)


def _reach(step: Step, setup: Setup) -> str:
    if not step.sides and not step.hears:
        return "all hear all"
    named = {host for side in step.sides for host in side}
    alone = [(host,) for host in range(len(setup.seats)) if step.sides and host not in named]
    parts = [" | ".join(names(side, setup) for side in (*step.sides, *alone))] if step.sides else []
    parts += [f"{name_of(h, setup)} hears {names(who, setup) or 'nobody'}" for h, who in sorted(step.hears.items())]
    return ", ".join(parts) + (", the rest is lost" if step.lost else "")


def _timers(step: Step, setup: Setup) -> str:
    but = f", not at {names(step.asleep, setup)}" if step.asleep else ""
    return f"timers {' '.join(step.timers)}{but}"


def _crash(crash: Crash, setup: Setup) -> str:
    when = f"{'after' if crash.after else 'before'} {crash.effect} no. {crash.skip + 1}"
    return f"{name_of(crash.host, setup)} crashes {when}, down for {crash.steps}"


def _value(value: int) -> str:
    return {NIL_VOTE: "nil", NEWEST: "the newest value"}.get(value, f"v{value}")


def _lie(lie: Lie, setup: Setup) -> str:
    who, to = f"liar {name_of(lie.liar, setup)}", names(lie.to, setup)
    match lie:
        case Say():
            again = f" {lie.times} times" if lie.times > 1 else ""
            ahead = f" {lie.ahead} terms ahead" if lie.ahead else ""
            return f"{who} signs {_ORDINAL[lie.step]} vote {_value(lie.value)}{ahead} to {to}{again}"
        case Propose():
            ahead = f" {lie.ahead} terms ahead" if lie.ahead else ""
            cited = f" citing a {lie.cited} certificate" if lie.cited else ""
            return f"{who} proposes {_value(lie.value)}{cited}{ahead} to {to}"
        case Certify():
            return f"{who} shows a {lie.kind} {_ORDINAL[lie.step]} certificate for {_value(lie.value)} to {to}"
        case Boast():
            return f"{who}'s digest claims {lie.versions} more versions to {to}"


_ORDINAL = {1: "first", 2: "second"}
