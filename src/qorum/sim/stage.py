"""`Stage`: a lock-step world. Time is a number of steps, and a `Script` decides in each who hears whom.

What hosts say to agree (proposals, votes, commits) travels one hop a step, so that a script can choose anew for every
phase of a term; what they fetch (items, digests) comes and goes within the step between those who hear each other.
After the script `heal` lets true time pass: all hear all after one short delay, and timers fire when they are due.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from random import Random

import msgspec

from qorum.config import FederationConfig
from qorum.core.columns import Columns
from qorum.core.effects import Committed, Effect, Send, SetTimer, Timer
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.core.messages import Bundle, Commit, Proposal, Votes, mask_of
from qorum.core.roster import Roster
from qorum.core.sharing import shared_engine
from qorum.core.votes import SECOND
from qorum.sim.cluster import GUESTS, Witness, random_columns, united, unsaid
from qorum.sim.host import Host
from qorum.sim.keys import quick_keys
from qorum.sim.lies import Liars
from qorum.sim.network import Timeline
from qorum.sim.script import TIMERS, Crash, Setup, Step

FETCHES = 12
"""Hops that fetching may take within a step: an announcement, a pull, its answer, twice over, and a tick's exchange."""
LATENCY = 0.01
"""Seconds that every frame takes while the stage heals."""
HEALING = 120.0
"""Seconds of virtual time after which healing has failed, if the count of terms did not say so before."""
CELLS, UPDATES = 24, 2
UnderWay = list[list[tuple[int, bytes]]]
"""Hearer -> (sender, frame)."""


class Stage:
    """Hosts, frames under way and timers set. It is the `World` of its hosts."""

    def __init__(self, setup: Setup, *, make_member: Callable[..., Member] = Member) -> None:
        self.setup = setup
        self.keys = quick_keys(0, setup.members)
        self.genesis = _genesis(setup)
        self.witnesses: list[Witness] = []
        self._make_member = make_member
        self._engine = _engine(self.genesis, make_member)
        self._pulse = hashlib.sha256()
        self._spoken: UnderWay = [[] for _ in setup.seats]
        """What was said to agree."""
        self._fetched: UnderWay = [[] for _ in setup.seats]
        """All the rest."""
        self.now = 0.0
        """Steps taken; from then on virtual seconds are added."""
        self._set: dict[tuple[int, Timer], tuple[int, SetTimer]] = {}
        """(host, name) -> life of the host, and the timer."""
        self._joining: list[tuple[Host, int, int]] = []
        self._crashes: dict[int, Crash] = {}
        self._down: dict[int, int] = {}
        """Crashed host -> steps until it is back."""
        self._timeline: Timeline | None = None
        """True time, once the stage heals."""
        self.hosts = [self._host(address, seat) for address, seat in enumerate(setup.seats)]
        self.at = {seat: [h for h in self.hosts if h.seat == seat] for seat in range(setup.members)}
        """Member -> the hosts that run it."""
        self.liars = Liars(self)
        self.witnesses.append(self.liars)

    def _host(self, address: int, seat: int) -> Host:
        sign = partial(self.keys.sign, seat)
        host = Host(address, seat, seat not in self.setup.lying, self, self._birth, sign)
        host.crash_before = self._crashes_before
        return host

    def _birth(self, host: Host) -> Member:
        random = Random(f"{self.setup.seed} {host.address} {host.life}")
        disk = host.disk
        state, commit = disk.kept or (None, None)
        return self._make_member(
            self.genesis, self.setup.seats[host.address], self._engine, random,
            state=state, commit=commit, record=disk.record, epochs=disk.epochs, payloads=disk.payloads,
        )  # fmt: skip

    @property
    def honest(self) -> list[Host]:
        """Hosts that keep the protocol."""
        return [host for host in self.hosts if host.honest]

    def owners(self, roster: Roster, peer: int) -> list[Host]:
        """The hosts behind a peer, as a member with this roster knows it."""
        return [self.hosts[peer - GUESTS]] if peer >= GUESTS else self.at.get(peer, [])

    def known_as(self, roster: Roster, host: Host) -> int:
        """What a member with this roster knows a host as: its seat, or its address if it was evicted."""
        return host.seat if roster.seats[host.seat].active else GUESTS + host.address

    @property
    def event_hash(self) -> str:
        """Hash over every arrival so far; equal scripts have equal hashes."""
        return self._pulse.hexdigest()

    # --- playing ---

    def open(self) -> None:
        """Every host begins its life and contributes, and all hear of it."""
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            self.write(host)
        self._fetch(Step())

    def step(self, step: Step) -> None:
        """Restarts, clocks, contributions, lies; then what is heard; then timers."""
        self._restart_due()
        for jump in step.jumps:
            self.clock_jumped(self.hosts[jump.host], jump.seconds)
        self._crashes = {crash.host: crash for crash in step.crashes}
        for address in step.writes:
            self.write(self.hosts[address])
        for lie in step.lies:
            self.liars.tell(lie)
        self._fetch(step)
        self._hop(step, self._spoken)
        self._fetch(step)
        for name in (name for name in TIMERS if name in step.timers):
            self._fire(TIMERS[name], step)
        self._crash_after_last()
        self.now += 1

    def _restart_due(self) -> None:
        self._down = {address: steps - 1 for address, steps in self._down.items()}
        for address in [address for address, steps in self._down.items() if steps <= 0]:
            del self._down[address]
            self.hosts[address].restart()

    def write(self, host: Host) -> None:
        """Have a host contribute, if it is up and may."""
        if not (host.up and host.member.may_contribute):
            return
        member = host.member
        columns = _columns(host.address, member.streams.tips[host.seat].seq + 1)
        if member.restates:
            columns = united([*unsaid(member), columns])
        host.perform(member.contribute(columns))

    def _fetch(self, step: Step) -> None:
        """Let what is not said to agree travel, and batches leave, until nothing moves."""
        for _ in range(FETCHES):
            moved = self._hop(step, self._fetched)
            joining = bool(self._joining)
            self._join()
            if not (moved or joining or self._fire(Timer.FLUSH, Step())):
                return

    def _hop(self, step: Step, under_way: UnderWay) -> bool:
        """Deliver what was sent so far and is heard; the rest waits or is lost. Returns whether anything arrived."""
        arriving: list[tuple[int, int, bytes]] = []
        for hearer, frames in enumerate(under_way):
            arriving += [(hearer, *frame) for frame in frames if step.heard(hearer, frame[0])]
            frames[:] = [frame for frame in frames if not (step.lost or step.heard(hearer, frame[0]))]
        for hearer, sender, frame in arriving:
            self.deliver(hearer, sender, frame)
        return bool(arriving)

    def deliver(self, hearer: int, sender: int, frame: bytes) -> None:
        """A frame of host `sender` arrives."""
        self._pulse.update(b"%d %d " % (hearer, sender) + frame)
        source = self.hosts[sender]
        self.hosts[hearer].meet(lambda member: member.receive(self.known_as(member.roster, source), frame))

    def _fire(self, name: Timer, step: Step) -> bool:
        due = sorted(address for address, timer in self._set if timer is name and address not in step.asleep)
        for address in due:
            life, timer = self._set.pop((address, name))
            self._fired(self.hosts[address], life, timer)
        return bool(due)

    def _fired(self, host: Host, life: int, timer: SetTimer) -> None:
        if host.life == life:
            host.meet(lambda member: member.timer(timer))

    def _is_spoken(self, frame: bytes) -> bool:
        message = self._engine.decode(frame)
        if isinstance(message, Bundle):
            return any(map(self._is_spoken, message.parts))
        return isinstance(message, Proposal | Votes | Commit)

    # --- the world of the hosts ---

    def send(self, host: Host, effect: Send) -> None:
        """Put a frame under way to every host of the members it is for."""
        owners = (self.owners(host.member.roster, peer) for peer in effect.to)
        hearers = [there.address for hosts in owners for there in hosts if there is not host]
        under_way = self._spoken if self._is_spoken(effect.frame) else self._fetched
        for hearer in hearers:
            if self._timeline is None:
                under_way[hearer].append((host.address, effect.frame))
            else:
                self._timeline.after(LATENCY, partial(self.deliver, hearer, host.address, effect.frame))

    def set_timer(self, host: Host, timer: SetTimer) -> None:
        """Fire a timer when a step says so, or when it is due."""
        if self._timeline is None:
            self._set[host.address, timer.name] = host.life, timer
        else:
            self._timeline.after(self.delay(host, timer), partial(self._fired, host, host.life, timer))

    def delay(self, host: Host, timer: SetTimer) -> float:
        """Seconds from now at which a timer set now is due. A monotonic clock knows no jumps."""
        return timer.delay

    def clock_jumped(self, host: Host, seconds: float) -> None:
        """The wall clock of a host was set: nothing to an honest host, whose timers are monotonic."""

    def window_opened(self, host: Host, round: int) -> None:
        """The host joins the round as soon as it is its turn."""
        self._joining.append((host, host.life, round))
        if self._timeline is not None:
            self._timeline.after(LATENCY, self._join)

    def _join(self) -> None:
        """Contribute to the rounds whose windows have opened, unless done by now."""
        joining, self._joining = self._joining, []
        for host, life, round in joining:
            member = host.member
            if host.life == life and member.consensus.round == round and member.me not in member.streams.ahead:
                self.write(host)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Tell everybody who watches; open the next round."""
        for witness in self.witnesses:
            witness.carried_out(host, effect)
        if isinstance(effect, Committed):
            self.window_opened(host, effect.state.round + 1)

    # --- crashes ---

    def _crashes_before(self, host: Host, effect: Effect) -> bool:
        """Whether the script has this host crash here: before this effect, or after the one before it."""
        crash = self._crashes.get(host.address)
        if crash is None:
            return False
        due = crash.skip < 0 or (self._passes(crash, effect) and not crash.after)
        if due:
            self._down[host.address] = self._crashes.pop(host.address).steps
        return due

    def _passes(self, crash: Crash, effect: Effect) -> bool:
        """Count an effect of the kind to crash at; returns whether it is the one."""
        if type(effect).__name__ == crash.effect:
            crash = self._crashes[crash.host] = msgspec.structs.replace(crash, skip=crash.skip - 1)
        return crash.skip < 0

    def _crash_after_last(self) -> None:
        """Those that were to crash after what turned out to be the last effect of the step."""
        for crash in [crash for crash in self._crashes.values() if crash.skip < 0]:
            self._down[crash.host] = crash.steps
            self.hosts[crash.host].stop()
        self._crashes = {}

    # --- healing ---

    def heal(self) -> str | None:
        """All honest hosts must agree on the newest round that any of them is in, by `_due_term` of it.

        Liars are silent from now on, so every honest host is needed. Returns what went wrong, or None.
        """
        self._timeline = Timeline()
        self._crashes = {}
        for host in self.hosts:
            self._to_heal(host)
        self._let_pass()
        goal = max(host.member.consensus.round for host in self.honest)
        allowed = self._due_term(goal)
        for host in self.honest:
            self.write(host)
        while self._timeline.now < HEALING and self._furthest(goal) <= allowed:
            opens = self._opens(goal)
            if not self._timeline.step():
                break
            if opens and self._furthest(goal) >= 0:  # each in the term whose leader it sees first
                allowed = self._due_term(goal)
            if self._lies_elect(goal, allowed):  # what liars said before has arrived
                allowed = self._fair_term(goal, allowed + 1)
            if all(host.member.state.round >= goal for host in self.honest):
                self.now += self._timeline.now
                return None
        return self._what_hangs(goal, allowed)

    def _to_heal(self, host: Host) -> None:
        if not host.honest:
            host.stop()
        elif not host.up:
            host.restart()

    def _let_pass(self) -> None:
        """What is under way arrives, what is set becomes due."""
        assert self._timeline is not None
        for hearer, frames in [*enumerate(self._spoken), *enumerate(self._fetched)]:
            for sender, frame in frames:
                self._timeline.after(LATENCY, partial(self.deliver, hearer, sender, frame))
            frames.clear()
        for (address, _), (life, timer) in self._set.items():
            host = self.hosts[address]
            self._timeline.after(self.delay(host, timer), partial(self._fired, host, life, timer))
        self._set.clear()

    def _furthest(self, round: int) -> int:
        """Highest term of this round that an honest host is in; -1 if none is in this round."""
        places = [host.member.consensus for host in self.honest]
        return max((place.term for place in places if place.round == round), default=-1)

    def _opens(self, round: int) -> bool:
        """Whether an honest host has still to begin with the terms of this round."""
        places = [host.member.consensus for host in self.honest]
        return any(place.round < round or (place.round == round and not place.window_closed) for place in places)

    def _due_term(self, round: int) -> int:
        """The first fair term after the furthest that anybody honest is in: all come together in it."""
        return self._fair_term(round, self._furthest(round) + 1)

    def _fair_term(self, round: int, term: int) -> int:
        """The first from `term` on that an honest member leads, elected by all honest ones alone: it has come to know
        the newest certificate. With a liar's vote in place of that of the only one who holds it, it need not."""
        place = next(host.member.consensus for host in self.honest if host.member.consensus.round == round)
        honest = {host.seat for host in self.honest}
        while place.leader(term) not in honest or self._lies_elect(round, term):
            term += 1
        return term

    def _lies_elect(self, round: int, term: int) -> bool:
        """Whether anybody honest counts a liar as done with the term before."""
        lying = mask_of(self.setup.lying)
        tallies = [host.member.consensus.tally for host in self.honest if host.member.consensus.round == round]
        return any(lying & (tally.slot(term - 1, SECOND).seen | tally.seen_from(term)) for tally in tallies)

    def _what_hangs(self, goal: int, allowed: int) -> str:
        behind = [host.address for host in self.honest if host.member.state.round < goal]
        return f"hosts {behind} have not agreed on round {goal} by term {allowed} of it"


@lru_cache(8)
def _genesis(setup: Setup) -> Genesis:
    """Timers matter while healing only."""
    config = FederationConfig(
        min_peers_for_consensus=3 if setup.evicting else setup.members,
        byzantine_threshold=0.0 if setup.crash_only else 0.33,
        max_items_per_round=16,
        vote_timeout_ms=600,
        timeout_step_ms=100,
        timeout_cap_ms=3_000,
    )
    return Genesis(quick_keys(0, setup.members).public, config)


@lru_cache(8)
def _engine(genesis: Genesis, make_member: Callable[..., Member]) -> Engine:
    """Runs of one federation do the same work, as far as its members are of one kind: they share the memory of it."""
    return shared_engine(genesis, quick_keys(0, genesis.members).verify)


@lru_cache(1024)
def _columns(address: int, seq: int) -> Columns:
    """What a host writes: the same in every run, so that results can be shared."""
    return random_columns(Random(f"{address} {seq}"), CELLS, UPDATES)
