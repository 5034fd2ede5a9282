"""A world in which nothing moves by itself: frames and timers wait until told, and what matters is noted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from qorum.config import FederationConfig
from qorum.core.columns import Columns
from qorum.core.consensus import Lock
from qorum.core.effects import Blame, Committed, Effect, Equivocation, Send, SetTimer, Sign, Timer
from qorum.core.genesis import Genesis
from qorum.core.member import Member
from qorum.core.messages import NO_TERM, Commit, Kind
from qorum.core.roster import MAX_SEATS
from qorum.core.sharing import shared_engine
from qorum.core.votes import SECOND
from qorum.sim.host import Host
from qorum.sim.keys import Keys, quick_keys
from tests.interactions.words import Book, kinds_of, proof_of

PATIENCE = 20_000
"""Frames after which an interaction that is still not quiet is wrong."""
NEWCOMERS = 3
"""Keys beyond those of the founding members."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A message under way."""

    sender: Host
    to: Host
    data: bytes
    kinds: frozenset[str]


Select = Callable[[Frame], bool]


class Turns(Random):
    """Draws peers in turn, beginning after the member itself; a command may name the one that is drawn next."""

    def __init__(self, seat: int) -> None:
        super().__init__(seat)
        self._seat = seat
        self.peer: int | None = None

    def sample(self, population: Sequence[Any], k: int, *, counts: Any = None) -> list[Any]:
        """The named peer and the next members, k in all."""
        start = sum(member < self._seat for member in population)
        turn = [*population[start:], *population[:start]]
        return sorted(turn, key=lambda member: member != self.peer)[:k]

    def choice(self, seq: Any) -> Any:
        """The named peer, or the next member."""
        return self.sample(seq, 1)[0]


@dataclass
class Sight:
    """What was last seen of a host, so that its changes can be told."""

    place: tuple[int, int] = (1, 0)
    lock: Lock | None = None
    best: int = NO_TERM


class StillWorld:
    """The hosts of an interaction, and all that is between them."""

    def __init__(self, members: int, leaders: Sequence[Sequence[int]] = ()) -> None:
        """leaders: of each round from the first, who is drawn to lead its terms 0, 1, ...; the keys are chosen so."""
        self.genesis, self.keys = _federation(members, leaders)
        self.rosters = {1: self.genesis.roster}
        """Round -> who decides it."""
        self._engine = shared_engine(self.genesis, self.keys.verify)
        self.book = Book(self.keys, self.rosters)
        self.hosts: dict[str, Host] = {}
        self._names: list[str] = []
        """Name of each address."""
        self.frames: list[Frame] = []
        self.side: dict[int, int] = {}
        """Address -> side of a partition."""
        self.holds: list[Select] = []
        self.timers: dict[tuple[int, Timer], SetTimer] = {}
        self.joins: list[tuple[Host, int]] = []
        """Hosts that have seen the window of a round open, and may be idle."""
        self.lines: list[tuple[str, list[str], list[str]]] = []
        """(place, phrases, hosts): hosts that did the same one after the other share a line."""
        self.loud = False
        self._turns: dict[int, Turns] = {}
        self._told: list[tuple[str, str]] = []
        """(place, phrase) of the event that is happening."""
        self._ended: Timer | None = None
        """The timer that is firing."""
        self._sight: dict[int, Sight] = {}
        self._signed: dict[tuple[int, Kind, int, int], Sign] = {}
        self._agreed: dict[int, bytes] = {}
        self._epochs: dict[int, list[Commit]] = {}
        """Address -> commits that changed the membership, as a disk keeps them."""
        self._checkpoints: dict[int, bytes | None] = {}
        for seat in range(members):
            self.add(str(seat), seat)

    def add(self, name: str, seat: int, *, honest: bool = True, checkpoint: bytes | None = None) -> None:
        """A host with a key: that of a founding member, or of a newcomer, for the seat it is going to have.

        A second one with the same key is a liar's twin. checkpoint: hash of a value that a newcomer trusts.
        """
        self._names.append(name)
        address = len(self.hosts)
        self._sight[address], self._epochs[address], self._checkpoints[address] = Sight(), [], checkpoint
        host = self.hosts[name] = Host(address, seat, honest, self, self._birth, partial(self.keys.sign, seat))
        self.event(host, host.start)

    def _birth(self, host: Host) -> Member:
        state, commit = host.disk.kept or (None, None)
        turns = self._turns.setdefault(host.address, Turns(host.seat))
        return Member(
            self.genesis, None, self._engine, turns, key=self.key(host), state=state, commit=commit,
            record=host.disk.record, payloads=host.disk.payloads, epochs=self._epochs[host.address],
            checkpoint=self._checkpoints[host.address],
        )  # fmt: skip

    def key(self, host: Host) -> bytes:
        """The public key of a host."""
        return self.keys.public[host.seat]

    def id(self, host: Host, to: Host) -> int:
        """What a host is to another: a member's seat, or beyond all seats a guest."""
        seat = to.member.roster.seat_of(self.key(host))
        return MAX_SEATS + host.seat if seat is None else seat

    # --- what a command makes happen ---

    def event(self, host: Host, action: Callable[[], object]) -> None:
        """Let something happen to a host, and write down what came of it."""
        action()
        told, self._told = self._told, []
        name = self._names[host.address]
        for place, group in itertools.groupby(told, key=lambda noted: noted[0]):
            phrases = [phrase for _, phrase in group]
            if self.lines and self.lines[-1][:2] == (place, phrases) and name not in self.lines[-1][2]:
                self.lines[-1][2].append(name)
            else:
                self.lines.append((place, phrases, [name]))

    def contribute(self, host: Host, columns: Columns, phrase: str) -> None:
        """Have a host contribute."""
        self.tell("", phrase)
        self.event(host, lambda: host.perform(host.member.contribute(columns)))

    def deliver(self, wanted: Select) -> bool:
        """Deliver the wanted frames that are not held, first in, first out, and those they lead to."""
        for passed in range(PATIENCE):
            frame = next((f for f in self.frames if wanted(f) and not any(held(f) for held in self.holds)), None)
            if frame is None:
                return passed > 0
            self.frames.remove(frame)
            self._arrive(frame.sender, frame.to, frame)
        raise AssertionError(f"not quiet after {PATIENCE} frames")

    def _arrive(self, sender: Host, to: Host, frame: Frame) -> None:
        arrives = to.up and self.side.get(to.address) == self.side.get(sender.address)
        if self.loud:
            link = f"{self._names[sender.address]}->{self._names[to.address]}"
            self.lines.append(("", [f"{link} {', '.join(sorted(frame.kinds))}{'' if arrives else ' lost'}"], []))
        if arrives:
            self.event(to, lambda: to.perform(to.member.receive(self.id(sender, to), frame.data)))

    def fire(self, host: Host, name: Timer, peer: Host | None = None) -> bool:
        """Let a timer of a host fire, if it was set. peer: whom a gossip tick turns to."""
        timer = self.timers.pop((host.address, name), None)
        if timer is None or not host.up:
            return False
        turns, self._ended = self._turns[host.address], name
        turns.peer = None if peer is None else self.id(peer, host)
        self.event(host, lambda: host.perform(host.member.timer(timer)))
        turns.peer, self._ended = None, None
        return True

    def crash(self, host: Host) -> None:
        """End a life at once."""
        host.stop()
        self.timers = {key: timer for key, timer in self.timers.items() if key[0] != host.address}

    def crash_before(self, host: Host, due: Callable[[Effect], bool], what: str) -> None:
        """End a life at the first effect that is due, and leave that undone."""

        def asked(host: Host, effect: Effect) -> bool:
            if due(effect):
                self.tell("", f"stop before {what}")
                host.crash_before = lambda host, effect: False
                self.crash(host)
            return not host.up

        host.crash_before = asked

    # --- the world of the hosts ---

    def send(self, host: Host, effect: Send) -> None:
        """Keep a frame for every host of the members it is for."""
        kinds = kinds_of(effect.frame)
        others = [there for there in self.hosts.values() if there is not host]
        to = [there for peer in effect.to for there in others if self.id(there, host) == peer]
        self.frames += [Frame(host, there, effect.frame, kinds) for there in to]

    def set_timer(self, host: Host, timer: SetTimer) -> None:
        """Keep a timer until it is told to fire."""
        self.timers[host.address, timer.name] = timer

    def window_opened(self, host: Host, round: int) -> None:
        """A host that has nothing to say is going to join."""
        self.joins.append((host, round))

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Note what matters, and check what no liar may break."""
        self._observe(host)
        match effect:
            case Sign() if effect.kind is not Kind.CONTRIBUTION:
                origins = host.member.streams.advanced(effect.round)
                phrase = self.book.phrase(host.seat, effect, None if self._is_repeated(host, effect) else origins)
                self.tell(f"{effect.round}.{effect.term}", phrase)
            case Committed():
                self._on_commit(host, effect)
            case Equivocation():
                self.tell("", f"prove that {effect.member} signed {proof_of(effect.evidence)}")
            case Blame():
                peer = next(name for name, there in self.hosts.items() if self.id(there, host) == effect.peer)
                self.tell("", f"blame {peer}: {effect.reason}")

    def tell(self, place: str, phrase: str) -> None:
        """Note a phrase of the event that is happening; its first word is a verb without the s."""
        self._told.append((place, phrase))

    def _observe(self, host: Host) -> None:
        """Note a new term, a certificate that was learnt, a lock."""
        consensus, seen = host.member.consensus, self._sight[host.address]
        round, term, lock, best = consensus.round, consensus.term, consensus.durable.lock, consensus.best_term
        if round != seen.place[0]:
            seen = Sight((round, 0))
        if term != seen.place[1]:
            consensus = host.member.consensus
            left = consensus.tally.has_quorum(term - 1, SECOND) or self._ended is Timer.SECOND
            how = "enter" if left else "begin with" if consensus.opening == term else "skip to"
            self.tell(f"{round}.{seen.place[1]}", f"{how} {round}.{term}")
        if lock is not None and lock != seen.lock:
            self.tell(f"{round}.{lock.term}", f"lock {self.book.names.of(lock.value)}")
        elif best > seen.best and consensus.durable.best is not None:
            value = self.book.names.of(consensus.durable.best.value)
            self.tell(f"{round}.{term}", f"learn that {round}.{best} certified {value}")
        self._sight[host.address] = Sight((round, term), lock, best)

    def _is_repeated(self, host: Host, request: Sign) -> bool:
        """Whether these bytes were signed before; other bytes for the same slot must never be."""
        slot = (host.address, request.kind, request.round, request.term)
        before = self._signed.setdefault(slot, request)
        if before.data != request.data and host.honest:
            raise AssertionError(
                f"member {host.seat} signs two messages for one slot of {request.round}.{request.term}"
            )
        return before is not request

    def _on_commit(self, host: Host, effect: Committed) -> None:
        value, round = effect.commit.certificate.value, effect.state.round
        self.rosters[round + 1] = effect.state.roster
        self._epochs[host.address] += effect.epochs
        if host.honest and self._agreed.setdefault(round, value) != value:
            raise AssertionError(f"member {host.seat} commits another value in round {round}")
        jumped = f", skipping {effect.skipped} rounds" if effect.skipped else ""
        self.tell(f"{round}.{effect.term}", f"commit {self.book.names.of(value)}{jumped}")


def _federation(members: int, leaders: Sequence[Sequence[int]]) -> tuple[Genesis, Keys]:
    for seed in itertools.count():
        keys = quick_keys(seed, members + NEWCOMERS)
        genesis = Genesis(keys.public[:members], FederationConfig())
        order = [[genesis.leader(round, term) for term in range(len(o))] for round, o in enumerate(leaders, start=1)]
        if order == [list(wished) for wished in leaders]:
            return genesis, keys
    raise AssertionError
