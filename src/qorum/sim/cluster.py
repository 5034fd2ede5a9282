"""`Cluster`: members without agents on a simulated network, with synthetic contributions: agreement under faults.

Where a `Swarm` shows learning, a cluster shows agreement. One seed gives the same run, event by event.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Protocol

import numpy as np

from qorum.core import wire
from qorum.core.columns import EMPTY, Columns
from qorum.core.effects import Committed, Effect, Send, SetTimer
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.core.messages import Contribution
from qorum.core.roster import Roster
from qorum.core.sharing import shared_engine
from qorum.merge.fixed import Ints
from qorum.sim.host import NO_SEAT, Host, never
from qorum.sim.keys import Keys
from qorum.sim.network import Links, Network, Timeline
from qorum.sim.operators import Operators

JOIN_SHARE = 0.25
"""Share of `collect_ms` within which an idle member joins an open window."""
_ARRIVAL = struct.Struct("<IId")
VALUES_KEPT = 64
GUESTS = 4096
"""Who has no seat is known to its peers by its address, from this number on."""


class Witness(Protocol):
    """Whoever watches a run: an invariant, a recorder, a counter."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """A host has carried out an effect."""


class Conduct(Protocol):
    """What a host does besides or instead of what its member wants: how liars are played."""

    def send(self, to: Sequence[int], frame: bytes) -> None:
        """Its member would send this frame to these addresses."""

    def hears(self, sender: int, frame: bytes) -> bool:
        """Whether its member is given a frame that came from address `sender`."""

    def write(self, columns: Columns) -> Columns:
        """What it contributes in place of these columns."""


class Cluster:
    """Hosts, the network between them, and what they contribute. It is the `World` of its hosts."""

    def __init__(
        self,
        genesis: Genesis,
        keys: Keys,
        seed: int,
        links: Links,
        *,
        liars: Sequence[int] = (),
        twins: Sequence[int] = (),
        engine: Engine | None = None,
        make_member: Callable[..., Member] = Member,
    ) -> None:
        """liars: seats whose hosts are not honest, beginning with those of `twins`, which run on two hosts each."""
        self.genesis, self.keys = genesis, keys
        self.random = Random(_seed(seed, "cluster"))
        self.timeline = Timeline()
        self.witnesses: list[Witness] = []
        self.write: Callable[[Host], Columns] = lambda host: EMPTY
        """What a host that joins a window contributes."""
        self.conduct: dict[int, Conduct] = {}
        """Address -> conduct, of those hosts that have one of their own."""
        self._make_member = make_member
        self._engine = engine or shared_engine(genesis, keys.verify)
        self._seed = seed
        self.links = links
        """What links are like while nothing goes wrong."""
        self._pulse = hashlib.sha256()
        self.wanted: dict[int, int] = {}
        """Address -> number of the key that a host goes by, or will once its member is re-keyed."""
        self._numbers: dict[int, int] = {}
        """Address -> number of the key that it goes by."""
        self._trusting: set[int] = set()
        """Addresses of newcomers that begin from a checkpoint."""
        self._values: list[bytes] = []
        """Hashes of the values that honest hosts agreed on, in order."""
        self._by_key: dict[bytes, list[Host]] = {}
        self.operators = Operators(self, Random(_seed(seed, "operators")))
        self.hosts: list[Host] = []
        dishonest = {*liars, *twins}
        for seat in [*range(genesis.members), *twins]:
            self._settle(seat, seat, honest=seat not in dishonest)
        self.at: dict[int, list[Host]] = {}
        """Seat -> the hosts that run a founding member."""
        for host in self.hosts:
            self.at.setdefault(host.seat, []).append(host)
        network_random = Random(_seed(seed, "network"))
        self.network = Network(self.timeline, links, network_random, len(self.hosts), self._deliver)

    def _settle(self, seat: int, number: int, *, honest: bool, trusting: bool = False) -> Host:
        """A host more, that goes by the key of this number."""
        address = len(self.hosts)
        self._numbers[address] = self.wanted[address] = number
        if trusting:
            self._trusting.add(address)
        host = Host(address, seat, honest, self, self._birth, partial(self.keys.sign, number))
        self._by_key.setdefault(host.key, []).append(host)
        self.hosts.append(host)
        return host

    def _birth(self, host: Host) -> Member:
        random = Random(_seed(self._seed, f"host {host.address} life {host.life}"))
        state, commit = host.disk.kept or (None, None)
        checkpoint = self._checkpoint() if state is None and host.address in self._trusting else None
        return self._make_member(
            self.genesis,
            None,
            self._engine,
            random,
            key=self.keys.key(self._numbers[host.address]),
            state=state,
            commit=commit,
            record=host.disk.record,
            epochs=host.disk.epochs,
            payloads=host.disk.payloads,
            checkpoint=checkpoint,
        )

    @property
    def honest(self) -> list[Host]:
        """Hosts that keep the protocol."""
        return [host for host in self.hosts if host.honest]

    @property
    def newest(self) -> Member:
        """The member of an honest host that is furthest."""
        return max((host.member for host in self.honest), key=lambda member: member.state.round)

    @property
    def roster(self) -> Roster:
        """The newest membership that an honest host knows."""
        return self.newest.roster

    def owners(self, roster: Roster, peer: int) -> list[Host]:
        """The hosts behind a peer, as a member with this roster knows it."""
        if peer >= GUESTS:
            return [self.hosts[peer - GUESTS]] if peer - GUESTS < len(self.hosts) else []
        return self._by_key.get(roster.key(peer), []) if peer < roster.members else []

    def known_as(self, roster: Roster, host: Host) -> int:
        """What a member with this roster knows a host as: its seat, or its address if it has none."""
        seat = roster.seat_of(host.key)
        return GUESTS + host.address if seat is None else seat

    @property
    def now(self) -> float:
        """Virtual time [s]."""
        return self.timeline.now

    @property
    def event_hash(self) -> str:
        """Hash over every arrival so far, who, when and what; equal runs have equal hashes."""
        return self._pulse.hexdigest()

    # --- running ---

    def start(self) -> None:
        """Let every host begin its life."""
        for host in self.hosts:
            host.start()

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let virtual time pass to `until` [s], or until `done()`; returns whether it was done."""
        while not (finished := done()) and self.timeline.now < until:
            if not self.timeline.step():
                break
        return finished

    def mend(self) -> None:
        """End all faults: links are as they were, everybody is up and keeps time, but for who lost its store."""
        self.network.links = self.links
        self.network.heal()
        for host in self.hosts:
            host.clock, host.crash_before = 1.0, never
            host.resume()
            waits_in_vain = host.up and host.member.catchup.roster is None  # its checkpoint may be forgotten by now
            if not (host.up or host.lost) or waits_in_vain:
                host.restart()

    def contribute(self, host: Host, columns: Columns) -> bool:
        """Have a host contribute; False if it is down, has no seat, or may not now."""
        if not (host.up and host.member.may_contribute) or host.paused:
            return False
        if host.member.restates:
            columns = united([*unsaid(host.member), columns])
        if host.address in self.conduct:
            columns = self.conduct[host.address].write(columns)
        host.perform(host.member.contribute(columns))
        return True

    # --- who comes and goes ---

    def join(self, *, trusting: bool) -> Host:
        """A newcomer starts and asks for a seat. trusting: it is told a checkpoint, else it knows the genesis only."""
        host = self._settle(NO_SEAT, self._spare(), honest=True, trusting=trusting)
        self.network.grow()
        host.start()
        self.operators.admit(self._numbers[host.address])
        return host

    def leave(self, host: Host) -> None:
        """A member asks to give up its seat."""
        if not host.lost:
            self.operators.leave(self._numbers[host.address])

    def rekey(self, host: Host) -> None:
        """A member asks for a new key; it goes on under the old one until it has it."""
        if not host.lost:
            self.operators.rekey(host, self._new_number(host))

    def replace(self, host: Host, *, trusting: bool) -> None:
        """A host whose store was lost comes back as an observer with a new key, and asks for its old seat."""
        self.operators.rekey(host, self._new_number(host))
        if trusting:
            self._trusting.add(host.address)
        host.lost = False
        self._change_key(host)

    def _new_number(self, host: Host) -> int:
        self.wanted[host.address] = self._spare()
        return self.wanted[host.address]

    def _spare(self) -> int:
        return max(*self.wanted.values(), *self._numbers.values(), self.genesis.members) + 1

    def _checkpoint(self) -> bytes | None:
        """The newest value that an honest member can say what it stands for; None before there is one."""
        known = (value for value in reversed(self._values) if self.newest.library.origin(value) is not None)
        return next(known, None)

    def _change_key(self, host: Host) -> None:
        """Restart a host under the key it wants. The record is of the old one: what it said is not for the new one."""
        number = self._numbers[host.address] = self.wanted[host.address]
        host.sign, host.disk.record = partial(self.keys.sign, number), None
        self._by_key.setdefault(self.keys.key(number), []).append(host)
        host.restart()

    def _rekeyed(self, host: Host) -> None:
        """A host may have learned that its member has the key it wants."""
        number = self.wanted[host.address]
        has_it = host.member.roster.seat_of(self.keys.key(number)) is not None
        if has_it and number != self._numbers[host.address] and host.up and not host.paused:
            self._change_key(host)

    # --- the world of the hosts ---

    def send(self, host: Host, effect: Send) -> None:
        """Put a frame on the links to every host of the peers it is for."""
        roster = host.member.roster
        to = [there.address for peer in effect.to for there in self.owners(roster, peer) if there is not host]
        if host.address in self.conduct:
            self.conduct[host.address].send(to, effect.frame)
        else:
            self.network.send(host.address, to, effect.frame)

    def set_timer(self, host: Host, timer: SetTimer) -> None:
        """Fire a timer in this life of the host."""
        self.timeline.after(timer.delay / host.clock, partial(self._fire, host, host.life, timer))

    def _fire(self, host: Host, life: int, timer: SetTimer) -> None:
        if host.life == life:
            host.meet(lambda member: member.timer(timer))

    def window_opened(self, host: Host, round: int) -> None:
        """Join the round at a random moment, unless the host has contributed to it by then."""
        delay = self.random.uniform(0, JOIN_SHARE * self.genesis.config.collect_ms / 1000)
        self.timeline.after(delay, partial(self._join, host, host.life, round))

    def _join(self, host: Host, life: int, round: int) -> None:
        member = host.member
        waits = member.consensus.round == round and member.me not in member.streams.ahead
        if host.up and host.life == life and waits:
            self.contribute(host, self.write(host))

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Tell everybody who watches."""
        for witness in self.witnesses:
            witness.carried_out(host, effect)
        if isinstance(effect, Committed):
            self._agreed(host, effect)

    def _agreed(self, host: Host, effect: Committed) -> None:
        value = effect.commit.certificate.value
        if host.honest and value not in self._values[-VALUES_KEPT:]:
            self._values.append(value)
        if self.wanted[host.address] != self._numbers[host.address]:
            self.timeline.after(0, partial(self._rekeyed, host))

    def _deliver(self, to: int, sender: int, frame: bytes) -> None:
        self._pulse.update(_ARRIVAL.pack(to, sender, self.now))
        self._pulse.update(frame)
        host = self.hosts[to]
        if to not in self.conduct or self.conduct[to].hears(sender, frame):
            source = self.hosts[sender]
            host.meet(lambda member: member.receive(self.known_as(member.roster, source), frame))


def unsaid(member: Member) -> list[Columns]:
    """What a member has signed and no round has taken yet."""
    bodies = (wire.decode_body(Contribution, signed.body) for signed in member.consensus.durable.own)
    return [Columns.unpack(body.payload, member.genesis.config.n_actions) for body in bodies]


def united(parts: Sequence[Columns]) -> Columns:
    """Columns that say all that `parts` say, the later ones over the earlier ones. Cells by name only."""
    rows: dict[tuple[int, int], tuple[int, ...]] = {}
    for part in parts:
        columns = (part.states, part.actions, part.value, part.visits, part.spread)
        for state, action, *numbers in zip(*(column.tolist() for column in columns), strict=True):
            rows[state, action] = tuple(numbers)
    cells = sorted(rows)
    return Columns(
        known=np.zeros(0, dtype=np.int64),
        states=np.array([state for state, _ in cells], dtype=np.uint64),
        actions=np.array([action for _, action in cells], dtype=np.uint8),
        value=np.array([rows[cell][0] for cell in cells], dtype=np.int64),
        visits=np.array([rows[cell][1] for cell in cells], dtype=np.int64),
        spread=np.array([rows[cell][2] for cell in cells], dtype=np.int64),
    )


def random_columns(random: Random, cells: int, updates: int, n_actions: int = 4) -> Columns:
    """A contribution of `updates` new values of cells drawn from the first `cells` states; by name, never by id."""
    states = np.array(sorted(random.sample(range(cells), updates)), dtype=np.uint64)

    def draw(low: int, high: int) -> Ints:
        return np.array([random.randint(low, high) for _ in states], dtype=np.int64)

    return Columns(
        known=np.zeros(0, dtype=np.int64),
        states=states,
        actions=(states % n_actions).astype(np.uint8),
        value=draw(-(1 << 20), 1 << 20),
        visits=draw(1, 64),
        spread=draw(0, 1 << 18),
    )


def _seed(seed: int, purpose: str) -> bytes:
    return hashlib.sha256(f"{seed} {purpose}".encode()).digest()
