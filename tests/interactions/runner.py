"""Runs the interactions in this folder: commands to the members of one federation, each followed by what came of it.

A file opens with prose: what happens, and which rule of the protocol it shows. A line that begins with `> ` is a
command, the lines after it up to an empty one or the next command are its output, all other lines are prose. `record`
returns the text with the output as it is now; only a reader can say whether that is right by the protocol.
`python -m tests.interactions.runner` records all of them anew. Each command is a method of `Director`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from qorum.core.columns import EMPTY
from qorum.core.effects import Effect, Persist, Send, Sign, Timer
from qorum.core.messages import NO_TERM
from qorum.core.status import status, tolerance
from qorum.errors import ProtocolError
from qorum.sim.host import Host
from tests.core.builders import columns_of
from tests.interactions.words import KINDS, STEPS, kinds_of
from tests.interactions.world import Frame, Select, StillWorld

INTERACTIONS = sorted(Path(__file__).parent.glob("*.txt"))
REWRITE = "python -m tests.interactions.runner"


class CommandError(Exception):
    """An interaction asks for what cannot be."""


def record(text: str) -> str:
    """The text of an interaction with the output of every command as it is now."""
    director, lines, in_output = Director(), list[str](), False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("> "):
            try:
                lines += [line, *director.obey(line[2:])]
            except (CommandError, LookupError, ValueError) as error:
                raise CommandError(f"line {number}: {line[2:]}: {error!r}") from error
        elif not in_output or not line:
            lines.append(line)
        in_output = line.startswith("> ") or (in_output and bool(line))
    return "\n".join(lines) + "\n"


class Director:
    """Carries out one command after the other; each method `on_...` is one, its docstring says how it is written."""

    world: StillWorld

    def obey(self, command: str) -> list[str]:
        """Carry out one command. Returns its output, a line each."""
        word, *rest = command.split()
        method: Callable[..., list[str] | None] | None = getattr(type(self), f"on_{word}", None)
        if method is None:
            raise CommandError("no such command")
        said = method(self, *rest) or []
        lines, self.world.lines = self.world.lines, []
        return [*map(_sentence, lines), *said]

    # --- the federation ---

    def on_members(self, count: str, word: str = "", *leaders: str) -> list[str]:
        """members 4 [led 0,1,2 1,0]: a new federation; who is drawn to lead the terms of round 1, of round 2, ..."""
        self.world = StillWorld(int(count), [list(map(int, order.split(","))) for order in leaders])
        self.world.lines.clear()
        return [tolerance(self.world.genesis.roster)]

    def on_twin(self, name: str) -> None:
        """twin 0: a second host 0' with the key of member 0, which is thereby a liar."""
        self._host(name).honest = False
        self.world.add(f"{name}'", self._host(name).seat, honest=False)

    def on_liar(self, name: str) -> None:
        """liar 3: from here on member 3 says only what `sign` and `propose` make it say."""
        self._host(name).honest = False
        self.world.crash(self._host(name))

    def on_news(self, name: str, *settings: str) -> None:
        """news 0 cell=7 value=1.5 [action=0] [visits=1]: a contribution that writes one cell."""
        row = {"action": "0", "visits": "1"} | dict(setting.split("=") for setting in settings)
        cell, value = int(row["cell"]), float(row["value"])
        columns = columns_of(new={(cell, int(row["action"])): (value, int(row["visits"]), 0.0)})
        self.world.contribute(self._host(name), columns, f"contribute cell {cell} = {value:g}")

    # --- who is a member ---

    def on_newcomer(self, name: str, word: str = "", value: str = "") -> None:
        """newcomer 4 [trusting v7]: a host with a key that has no seat yet, from the beginning or from a value on."""
        self.world.add(name, int(name), checkpoint=self.world.book.names.hash(value) if value else None)

    def on_petition(self, name: str, word: str, newcomer: str, *more: str) -> list[str]:
        """petition 0 join 4 endorsed by 0,1,2: a member hears that a newcomer wants a seat, and who is for it."""
        host, endorsers = self._host(name), [self._host(endorser).seat for endorser in more[-1].split(",")]
        petition = self.world.book.petition(self._host(newcomer).seat, endorsers)
        try:
            self.world.event(host, lambda: host.perform(host.member.petition(petition)))
        except ProtocolError as error:
            return [f"refused: {error}"]
        return []

    # --- the network ---

    def on_deliver(self, *what: str) -> list[str]:
        """deliver [0->1,2] [first-vote ...]: all such frames that are not held, and those they lead to."""
        return [] if self.world.deliver(self._select(what)) else ["nothing to deliver"]

    def on_settle(self) -> None:
        """settle: deliver everything not held, let members flush gossip and join windows, until nothing moves."""
        while self.world.deliver(lambda frame: True) or self._flush() or self._join():
            pass

    def on_hold(self, *what: str) -> None:
        """hold [0->1,2] [first-vote ...]: such frames wait until `release`, also those still to be sent."""
        self.world.holds.append(self._select(what))

    def on_release(self) -> None:
        """release: nothing is held any more."""
        self.world.holds.clear()

    def on_drop(self, *what: str) -> None:
        """drop [0->1,2] [first-vote ...]: such frames are lost if they are under way."""
        lost = self._select(what)
        self.world.frames = [frame for frame in self.world.frames if not lost(frame)]

    def on_partition(self, *sides: str) -> None:
        """partition 0,1 | 2,3: a frame that arrives from another side is lost."""
        names = (name.split(",") for name in sides if name != "|")
        self.world.side = {self._host(name).address: side for side, named in enumerate(names) for name in named}

    def on_heal(self) -> None:
        """heal: everybody hears everybody again."""
        self.world.side.clear()

    # --- time, crashes, lies ---

    def on_rounds(self, count: str, name: str) -> list[str]:
        """rounds 20 0: so often member 0 has news, and all that are up agree on it; only the end is told."""
        first = self._host(name).member.state.round + 1
        for cell in range(int(count)):
            self.on_news(name, f"cell={cell}", "value=1")
            self.on_settle()
            self.on_fire("collect")
            self.on_settle()
        self.world.lines.clear()
        return [f"agreed on rounds {first} to {self._host(name).member.state.round}"]

    def on_fire(self, timer: str, names: str = "all", *more: str) -> list[str]:
        """fire propose 2,3 | fire tick 0 [with 3] [5 times]: timers that were set fire."""
        wanted = list(self.world.hosts) if names == "all" else names.split(",")
        peer = self._host(more[more.index("with") + 1]) if "with" in more else None
        times = int(more[more.index("times") - 1]) if "times" in more else 1
        idle = [n for n in wanted * times if not self.world.fire(self._host(n), Timer[timer.upper()], peer)]
        return [f"not set: {', '.join(idle)}"] if idle and names != "all" else []

    def on_crash(self, name: str, word: str = "", doing: str = "", what: str = "") -> None:
        """crash 2 [before persist | before sign first-vote | before send first-vote]: now, or at that effect."""
        if doing:
            self.world.crash_before(self._host(name), _effect(doing, what), f"{doing}ing {what}".strip())
        else:
            self.world.crash(self._host(name))

    def on_restart(self, name: str) -> None:
        """restart 2: a new life, with what is on its disk."""
        self.world.event(self._host(name), self._host(name).restart)

    def on_sign(self, name: str, kind: str, value: str, place: str, *more: str) -> None:
        """sign 3 second-vote nil 1.1 [citing 1.0] [to 0,1]: a vote of a liar's."""
        round, term = _place(place)
        seat = self._liar(name).seat
        frame = self.world.book.vote(seat, STEPS[kind], value, round, term, _cited(more))
        self._send(name, frame, more)

    def on_propose(self, name: str, value: str, place: str, *more: str) -> None:
        """propose 3 v1 1.1 [citing 1.0] [to 0,1]: a proposal of a liar's, of a value proposed before."""
        frame = self.world.book.proposal(self._liar(name).seat, value, *_place(place), _cited(more))
        self._send(name, frame, more)

    # --- looking ---

    def on_log(self, level: str) -> None:
        """log loud | log quiet: whether every frame that arrives is shown."""
        self.world.loud = level == "loud"

    def on_status(self, names: str = "all") -> list[str]:
        """status [0,1]: what each member tells its user, and its lock."""
        wanted = list(self.world.hosts) if names == "all" else names.split(",")
        return [f"{name}: {self._status(self._host(name))}" for name in wanted]

    def on_table(self, name: str) -> list[str]:
        """table 0: the agreed table of a member."""
        state = self._host(name).member.state
        confirmed = state.merged.confirmed[state.cells.order]
        return [
            f"cell {state_hash} action {action}: {value:g}, support {visits}{'' if sure else ', unconfirmed'}"
            for (state_hash, action, value, visits), sure in zip(state.table, confirmed, strict=True)
        ]

    # --- what commands are made of ---

    def _host(self, name: str) -> Host:
        return self.world.hosts[name]

    def _liar(self, name: str) -> Host:
        host = self._host(name)
        if host.honest:
            raise CommandError(f"{name} is no liar")
        return host

    def _select(self, words: tuple[str, ...]) -> Select:
        """Frames on the links `from->to`, either of them a list or nothing, that carry one of some kinds."""
        link = next((word for word in words if "->" in word), "->")
        senders, receivers = (
            {self._host(name).address for name in side.split(",") if name} for side in link.split("->")
        )
        kinds = set(words) - {link}
        if unknown := kinds - KINDS:
            raise CommandError(f"no such kind: {', '.join(unknown)}; there are {', '.join(sorted(KINDS))}")

        def selects(frame: Frame) -> bool:
            places = (senders, frame.sender.address), (receivers, frame.to.address)
            return all(not named or address in named for named, address in places) and (
                not kinds or bool(kinds & frame.kinds)
            )

        return selects

    def _flush(self) -> bool:
        return sum(self.world.fire(host, Timer.FLUSH) for host in self.world.hosts.values()) > 0

    def _join(self) -> bool:
        joining, self.world.joins = self.world.joins, []
        for host, round in joining:
            member = host.member
            waits = member.consensus.round == round and member.me not in member.streams.ahead
            if host.up and waits and member.may_contribute:
                self.world.contribute(host, EMPTY, f"join round {round}")
        return bool(joining)

    def _send(self, name: str, frame: bytes, words: tuple[str, ...]) -> None:
        to = words[words.index("to") + 1].split(",") if "to" in words else [n for n in self.world.hosts if n != name]
        self.world.frames += [Frame(self._host(name), self._host(n), frame, kinds_of(frame)) for n in to]

    def _status(self, host: Host) -> str:
        lock = host.member.consensus.durable.lock
        if not host.up:
            return "lies" if not host.honest else "down"
        return status(host.member) + (f"; locked {self.world.book.names.of(lock.value)}" if lock else "")


def _sentence(line: tuple[str, list[str], list[str]]) -> str:
    """`1.0 members 1, 2 vote first v1`; of one member with the s of the third person."""
    place, phrases, names = line
    if not names:
        return phrases[0]
    if len(names) == 1:
        phrases = [re.sub(r"^(\w+)", r"\1s", phrase) for phrase in phrases]
    who = f"member{'s' if len(names) > 1 else ''} {', '.join(sorted(names))}"
    return f"{place} {who} {', '.join(phrases)}".strip()


def _place(text: str) -> tuple[int, int]:
    round, term = text.split(".")
    return int(round), int(term)


def _cited(words: tuple[str, ...]) -> int:
    return _place(words[words.index("citing") + 1])[1] if "citing" in words else NO_TERM


def _effect(doing: str, kind: str) -> Callable[[Effect], bool]:
    """Whether an effect is `persist`, `sign KIND` or `send KIND`."""
    if doing == "persist":
        return lambda effect: isinstance(effect, Persist)
    if doing == "sign":
        return lambda effect: isinstance(effect, Sign) and effect.kind.name.lower().replace("_", "-") == kind
    return lambda effect: isinstance(effect, Send) and kind in kinds_of(effect.frame)


def rewrite() -> None:
    """Record all interactions anew, and name those that changed."""
    for interaction in INTERACTIONS:
        before = interaction.read_text(encoding="utf-8")
        after = record(before)
        if after != before:
            interaction.write_text(after, encoding="utf-8")
            print(f"{interaction.name} changed")


if __name__ == "__main__":
    rewrite()
