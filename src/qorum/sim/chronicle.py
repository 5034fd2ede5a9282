"""`Chronicle`: what each step of a script led to, in short lines: proposals, votes, locks, terms, commits."""

from __future__ import annotations

from collections.abc import Iterator

from qorum.core import wire
from qorum.core.effects import Committed, Effect, Sign
from qorum.core.messages import NIL, Kind, Proposal, Votes
from qorum.sim.host import Host
from qorum.sim.script import Setup, names
from qorum.sim.stage import Stage

VERBS = {Kind.FIRST_VOTE: "first vote", Kind.SECOND_VOTE: "second vote"}


class Chronicle:
    """A `Witness` of a stage. Call `turn` after every step."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._setup: Setup = stage.setup
        self._facts: dict[str, list[int]] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._locks: dict[int, tuple[int, int, bytes]] = {}
        self.steps: list[list[str]] = []
        """Of the opening and of each step: "A B first vote v1 (1.0)", ..."""

    def turn(self) -> None:
        """A step is over."""
        for host in self._stage.hosts:
            if host.up:
                self._note_place(host)
        self.steps.append([f"{names(sorted(set(who)), self._setup)} {what}" for what, who in self._facts.items()])
        self._facts = {}

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Note what matters."""
        for fact in self._facts_of(effect):
            self._facts.setdefault(fact, []).append(host.address)

    def _facts_of(self, effect: Effect) -> Iterator[str]:
        if isinstance(effect, Committed):
            value = effect.commit.certificate.value
            jumped = f", jumping over {effect.skipped} rounds" if effect.skipped else ""
            yield f"commit {self._value(effect.state.round, value)} ({effect.state.round}.{effect.term}){jumped}"
        elif isinstance(effect, Sign) and effect.kind is not Kind.CONTRIBUTION:
            message, place = wire.decode(effect.body), f"({effect.round}.{effect.term})"
            if isinstance(message, Proposal):
                number = self._stage.liars.values[message.round].index(message.value)
                cited = f" citing {message.round}.{message.cited.term}" if message.cited else ""
                yield f"propose v{number} {place}{cited}"
            elif isinstance(message, Votes):
                yield f"{VERBS[effect.kind]} {self._value(message.round, message.value)} {place}"

    def _note_place(self, host: Host) -> None:
        durable = host.member.consensus.durable
        place = durable.round, durable.term
        if place != self._places.get(host.address, place) and durable.term > 0:
            self._facts.setdefault(f"enter {durable.round}.{durable.term}", []).append(host.address)
        self._places[host.address] = place
        if durable.lock is not None:
            lock = durable.round, durable.lock.term, durable.lock.value
            if lock != self._locks.get(host.address):
                fact = f"lock {self._value(durable.round, durable.lock.value)} ({durable.round}.{durable.lock.term})"
                self._facts.setdefault(fact, []).append(host.address)
            self._locks[host.address] = lock

    def _value(self, round: int, value_hash: bytes) -> str:
        if value_hash == NIL:
            return "nil"
        number = self._stage.liars.number_of(round, value_hash)
        return "an unknown value" if number is None else f"v{number}"
