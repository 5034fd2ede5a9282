"""What the tests of the protocol share: members with keys, and a network in memory that loses, delays and crashes."""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from random import Random
from typing import Any

import msgspec
import numpy as np

from qorum.config import FederationConfig
from qorum.core import wire
from qorum.core.columns import EMPTY, Columns
from qorum.core.consensus import contribution_bytes, proposal_bytes, vote_bytes
from qorum.core.effects import (
    Blame,
    Committed,
    Effect,
    Equivocation,
    Persist,
    Send,
    SetTimer,
    Sign,
    Timer,
    WindowOpened,
)
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.core.messages import NIL, NO_TERM, Commit, Contribution, Item, Kind, Message, Proposal, Votes
from qorum.core.state import ORIGIN, Entry, State
from qorum.identity import Identity, verify


def key(member: int) -> bytes:
    """The public key of a member; the fake signature below needs no other."""
    return hashlib.sha256(b"key %d" % member).digest()


def fake_sign(member: int, data: bytes) -> bytes:
    return hashlib.sha512(key(member) + data).digest()


def fake_verify(public_key: bytes, data: bytes, signature: bytes) -> bool:
    return hashlib.sha512(public_key + data).digest() == signature


def genesis_of(members: int, **fields: Any) -> Genesis:
    return Genesis(tuple(key(member) for member in range(members)), FederationConfig(**fields))


def _engine() -> Engine:
    """The core's functions, remembering the costly pure ones: many members and many runs do the same work."""
    read: dict[tuple[bytes, bytes], Entry] = {}
    applied: dict[tuple[Hashable, ...], State] = {}

    def read_item(item: Item, genesis: Genesis) -> Entry:
        found = read.get((genesis.federation, item.body))
        if found is None or found.item != item:
            found = read[genesis.federation, item.body] = Entry.read(item, genesis)
        return found

    def apply(state: State, entries: list[Entry]) -> State:
        at = (state.rules, state.hash, *(entry.hash for entry in entries))
        if at not in applied:
            applied[at] = state.apply(entries)
        return applied[at]

    return Engine(verify=fake_verify, read=read_item, apply=apply)


ENGINE = _engine()


def columns(state: int, value: int = 1 << 20, visits: int = 1) -> Columns:
    """A contribution that writes one cell, by name."""
    one = lambda number: np.array([number], dtype=np.int64)  # noqa: E731
    return Columns(
        known=np.zeros(0, dtype=np.int64),
        states=np.array([state], dtype=np.uint64),
        actions=np.zeros(1, dtype=np.uint8),
        value=one(value),
        visits=one(visits),
        spread=one(0),
    )


def item_of(genesis: Genesis, member: int, seq: int, previous: bytes, *, base: int = 0, payload: bytes = b"") -> Item:
    body = wire.encode(Contribution(member, 0, seq, previous, base, payload))
    return Item(body, fake_sign(member, contribution_bytes(genesis.federation, base, body)))


def chain(genesis: Genesis, member: int, length: int, *, base: int = 0, mark: int = 0) -> list[Item]:
    """The first items of a member's stream, each writing a cell of its own."""
    items: list[Item] = []
    for seq in range(1, length + 1):
        payload = columns(1000 * mark + 10 * member + seq).pack()
        previous = items[-1].hash if items else ORIGIN
        items.append(item_of(genesis, member, seq, previous, base=base, payload=payload))
    return items


def votes_of(
    genesis: Genesis,
    voters: Sequence[int],
    step: int,
    value: bytes = NIL,
    *,
    round: int = 1,
    term: int = 0,
    cited: int = NO_TERM,
) -> Votes:
    """Votes that each of `voters` signed."""
    mask = sum(1 << voter for voter in voters).to_bytes(-(-genesis.members // 8), "little")
    unsigned = Votes(step, round, term, value, cited, mask, b"")
    data = vote_bytes(genesis.federation, unsigned)
    return msgspec.structs.replace(unsigned, signatures=b"".join(fake_sign(v, data) for v in sorted(voters)))


def proposal_of(
    genesis: Genesis, value: bytes, *, round: int = 1, term: int = 0, cited: Votes | None = None, by: int | None = None
) -> Proposal:
    """A proposal signed by the scheduled leader, or by somebody else."""
    unsigned = Proposal(round, term, value, cited, bytes(64))
    signer = genesis.leader(round, term) if by is None else by
    return msgspec.structs.replace(
        unsigned, signature=fake_sign(signer, proposal_bytes(genesis.federation, unsigned))
    )


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def sends(effects: Sequence[Effect]) -> list[tuple[tuple[int, ...], Message]]:
    """What effects send, decoded."""
    return [(effect.to, wire.decode(effect.frame)) for effect in effects if isinstance(effect, Send)]


def sent(effects: Sequence[Effect], kind: type[Any]) -> list[Any]:
    """The messages of one kind that effects send."""
    return [message for _, message in sends(effects) if isinstance(message, kind)]


def only(effects: Sequence[Effect], kind: type[Any]) -> list[Any]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def slot_of(sign: Sign) -> tuple[int, ...]:
    """What an honest member signs only one body for."""
    if sign.kind is Kind.CONTRIBUTION:
        body = wire.decode_body(Contribution, sign.body)
        return (sign.kind, body.incarnation, body.seq)
    return (sign.kind, sign.round, sign.term)


class Net:
    """Members on a network in virtual time. Faults are fields that a test may change while it runs."""

    def __init__(
        self,
        members: int,
        seed: int = 0,
        *,
        twins: Sequence[int] = (),
        identities: Sequence[Identity] = (),
        **fields: Any,
    ) -> None:
        self.genesis = genesis_of(members, **fields)
        self.identities = identities
        """Real keys; without them signatures are hashes."""
        if identities:
            keys = tuple(identity.public_key for identity in identities)
            self.genesis = Genesis(keys, self.genesis.config)
        self.random = Random(seed)
        self.now = 0.0
        self.loss = self.duplicates = 0.0
        self.delay = (0.005, 0.03)
        self.down: set[int] = set()
        self.side = dict.fromkeys(range(members), 0)
        self.twins = set(twins)
        """Liars: two hosts with one key, each hearing some of what is sent to it."""
        hosts = [*range(members), *twins]
        self.who = dict(enumerate(hosts))
        self.commits: dict[int, dict[int, bytes]] = {host: {} for host in self.who}
        """Host -> round -> value committed."""
        self.blames: list[tuple[int, Blame]] = []
        self.equivocations: list[Equivocation] = []
        self.signed: dict[int, dict[tuple[int, ...], set[bytes]]] = {host: {} for host in self.who}
        self.records: dict[int, bytes] = {}
        self.kept: dict[int, tuple[State, Commit]] = {}
        self.lives = dict.fromkeys(self.who, 0)
        self.crash: Callable[[int, Effect], bool] = lambda host, effect: False
        """Asked before each effect is carried out."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._todo: dict[int, deque[Effect]] = {host: deque() for host in self.who}
        self.members = [self._member(host) for host in self.who]
        for host in self.who:
            self.perform(host, self.members[host].start())

    def _member(self, host: int) -> Member:
        state, commit = self.kept.get(host, (None, None))
        engine = Engine(verify=verify) if self.identities else ENGINE
        random = Random(self.random.random())
        record = self.records.get(host)
        return Member(self.genesis, self.who[host], engine, random, state=state, commit=commit, record=record)

    @property
    def honest(self) -> list[int]:
        return [host for host in self.who if self.who[host] not in self.twins]

    def rounds(self) -> list[int]:
        """Newest agreed round of each honest member that is up."""
        return [self.members[host].state.round for host in self.honest if host not in self.down]

    # --- time ---

    def after(self, delay: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now + delay, self._count, action))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; returns whether `until` came true."""
        end = self.now + seconds
        while not until() and self._due and self._due[0][0] <= end:
            self.now, _, action = heapq.heappop(self._due)
            action()
        if not until():
            self.now = end
        return until()

    # --- hosting ---

    def perform(self, host: int, effects: Sequence[Effect]) -> None:
        """Carry effects out in order; those that follow from them come after them."""
        todo, busy = self._todo[host], bool(self._todo[host])
        todo.extend(effects)
        while todo and not busy and host not in self.down:
            if self.crash(host, todo[0]):
                self.stop(host)
            else:
                self._carry_out(host, todo[0])
                todo.popleft()

    def _carry_out(self, host: int, effect: Effect) -> None:
        match effect:
            case Send():
                for peer in effect.to:
                    self._send(host, peer, effect.frame)
            case SetTimer():
                life = self.lives[host]
                self.after(effect.delay, lambda: self._fire(host, life, effect))
            case Persist():
                self.records[host] = effect.record
            case Sign():
                self.signed[host].setdefault(slot_of(effect), set()).add(effect.data)
                me = self.who[host]
                signature = self.identities[me].sign(effect.data) if self.identities else fake_sign(me, effect.data)
                self.perform(host, self.members[host].signed(effect, signature))
            case Committed():
                self.kept[host] = effect.state, effect.commit
                self.commits[host][effect.state.round] = effect.commit.value
            case WindowOpened():
                self.after(self.random.random() * 0.02, lambda: self._join(host, effect.round))
            case Blame():
                self.blames.append((host, effect))
            case Equivocation():
                self.equivocations.append(effect)

    def _fire(self, host: int, life: int, timer: SetTimer) -> None:
        if host not in self.down and life == self.lives[host]:
            self.perform(host, self.members[host].timer(timer))

    def _join(self, host: int, round: int) -> None:
        member = self.members[host]
        if host not in self.down and member.consensus.round == round and member.me not in member.streams.ahead:
            self.contribute(host, EMPTY)

    def contribute(self, host: int, written: Columns) -> None:
        if host not in self.down and self.members[host].may_contribute:
            self.perform(host, self.members[host].contribute(written))

    def news(self, host: int) -> None:
        """A contribution that opens a round."""
        self.contribute(host, columns(self.random.getrandbits(60), self.random.getrandbits(20)))

    def _send(self, host: int, peer: int, frame: bytes) -> None:
        for target in [h for h, member in self.who.items() if member == peer]:
            copies = 1 + (self.random.random() < self.duplicates)
            if self.side[self.who[host]] != self.side[peer] or self.random.random() < self.loss:
                continue
            if peer in self.twins and self.random.random() < 0.5:
                continue
            for _ in range(copies):
                self.after(self.random.uniform(*self.delay), lambda to=target: self._arrive(to, host, frame))

    def _arrive(self, target: int, host: int, frame: bytes) -> None:
        if target not in self.down and self.side[self.who[host]] == self.side[self.who[target]]:
            self.perform(target, self.members[target].receive(self.who[host], frame))

    def stop(self, host: int) -> None:
        self.down.add(host)
        self._todo[host].clear()

    def restart(self, host: int) -> None:
        """Start again from what was made durable."""
        self.down.discard(host)
        self.lives[host] += 1
        self.members[host] = self._member(host)
        self.perform(host, self.members[host].start())

    def lose_store(self, host: int) -> None:
        """A newcomer: nothing was made durable."""
        self.records.pop(host, None)
        self.kept.pop(host, None)


def timer_named(effects: Sequence[Effect], name: Timer) -> SetTimer:
    """The timer of that name among effects."""
    found: list[SetTimer] = [e for e in effects if isinstance(e, SetTimer) and e.name is name]
    return found[-1]
