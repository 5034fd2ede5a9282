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
from qorum.core.consensus import proposal_bytes, vote_bytes
from qorum.core.effects import (
    Blame,
    Committed,
    Effect,
    Equivocation,
    Keep,
    Persist,
    Send,
    SetTimer,
    Sign,
    Timer,
    WindowOpened,
)
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.core.membership import consent_bytes, endorsement_bytes
from qorum.core.messages import (
    NIL,
    NO_TERM,
    Bundle,
    Change,
    Commit,
    Contribution,
    Evict,
    Item,
    Kind,
    Message,
    Petition,
    Proposal,
    Votes,
)
from qorum.core.roster import MAX_SEATS, Roster
from qorum.core.state import Entry, State, contribution_bytes
from qorum.core.verify import Verify
from qorum.identity import Identity, verify


def key(member: int) -> bytes:
    """The public key of a founding member; the fake signature below needs no other. Newcomers take larger numbers."""
    return hashlib.sha256(b"key %d" % member).digest()


def seal(public_key: bytes, data: bytes) -> bytes:
    """A fake signature."""
    return hashlib.sha512(public_key + data).digest()


def fake_sign(member: int, data: bytes) -> bytes:
    return seal(key(member), data)


def fake_verify(public_key: bytes, data: bytes, signature: bytes) -> bool:
    return seal(public_key, data) == signature


def genesis_of(members: int, **fields: Any) -> Genesis:
    return Genesis(tuple(key(member) for member in range(members)), FederationConfig(**fields))


def _engine() -> Engine:
    """The core's functions, remembering the costly pure ones: many members and many runs do the same work."""
    read: dict[tuple[bytes, bytes, bytes], Entry] = {}
    applied: dict[tuple[Hashable, ...], State] = {}

    def read_item(item: Item, key: bytes, genesis: Genesis, check: Verify) -> Entry:
        found = read.get((genesis.federation, key, item.body))
        if found is None or found.item != item:
            found = read[genesis.federation, key, item.body] = Entry.read(item, key, genesis, check)
        return found

    def apply(state: State, entries: list[Entry], change: Change | None) -> State:
        at = (state.roster.federation, state.hash, change, *(entry.hash for entry in entries))
        if at not in applied:
            applied[at] = state.apply(entries, change)
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


def read(genesis: Genesis, item: Item) -> Entry:
    """An item of a founding member, as the network gives it."""
    return Entry.read(item, key(wire.decode_body(Contribution, item.body).member), genesis, fake_verify)


def item_of(
    genesis: Genesis,
    member: int,
    seq: int,
    previous: bytes,
    *,
    base: int = 0,
    payload: bytes = b"",
    incarnation: int = 0,
    by: bytes | None = None,
) -> Item:
    """An item signed by founding member `member`, or by the key `by`."""
    contribution = Contribution(member, incarnation, seq, previous, base, payload)
    body = wire.encode(contribution)
    data = contribution_bytes(genesis.federation, contribution, sha(body))
    return Item(body, seal(by or key(member), data))


def chain(genesis: Genesis, member: int, length: int, *, base: int = 0, mark: int = 0) -> list[Item]:
    """The first items of a member's stream, each writing a cell of its own."""
    items: list[Item] = []
    for seq in range(1, length + 1):
        payload = columns(1000 * mark + 10 * member + seq).pack()
        previous = items[-1].hash if items else b""
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
    roster: Roster | None = None,
) -> Votes:
    """Votes that each of `voters` signed as members of `roster`: the founding one unless given."""
    roster = roster or genesis.roster
    mask = sum(1 << voter for voter in voters).to_bytes(-(-roster.members // 8), "little")
    unsigned = Votes(step, round, term, value, cited, mask, b"")
    data = vote_bytes(genesis.federation, roster.epoch, unsigned)
    keys = [roster.key(v) if v < roster.members else key(v) for v in sorted(voters)]
    return msgspec.structs.replace(unsigned, signatures=b"".join(seal(key, data) for key in keys))


def proposal_of(
    genesis: Genesis,
    value: bytes,
    *,
    round: int = 1,
    term: int = 0,
    cited: Votes | None = None,
    by: int | None = None,
    sketch: bytes = b"",
    roster: Roster | None = None,
) -> Proposal:
    """A proposal signed by the scheduled leader, if all had a part in the round before, or by somebody else."""
    roster = roster or genesis.roster
    unsigned = Proposal(round, term, value, sketch, cited, bytes(64))
    order = roster.order(round)
    signer = order[term % len(order)] if by is None else by
    data = proposal_bytes(genesis.federation, roster.epoch, unsigned)
    return msgspec.structs.replace(unsigned, signature=seal(roster.key(signer), data))


def petition_of(
    roster: Roster, change: Change, *, endorsers: Sequence[int] | None = None, consent: bytes | None = None
) -> Petition:
    """A change with the consent of the key it concerns, or of the key `consent`, and endorsed by all, or by some."""
    wanted = roster.active if endorsers is None else endorsers
    data = endorsement_bytes(roster.federation, change)
    mask = sum(1 << member for member in wanted).to_bytes(-(-roster.members // 8), "little")
    signatures = b"".join(seal(roster.key(member), data) for member in sorted(wanted))
    if isinstance(change, Evict):
        return Petition(change, endorsers=mask, signatures=signatures)
    own = consent or getattr(change, "key", None) or roster.key(change.member)  # type: ignore[union-attr]
    return Petition(change, seal(own, consent_bytes(roster.federation, change)), mask, signatures)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def sends(effects: Sequence[Effect]) -> list[tuple[tuple[int, ...], Message]]:
    """What effects send, decoded."""
    return [(effect.to, wire.decode(effect.frame)) for effect in effects if isinstance(effect, Send)]


def sent(effects: Sequence[Effect], kind: type[Any]) -> list[Any]:
    """The messages of one kind that effects send, those inside bundles too."""
    parts: list[Message] = []
    for _, message in sends(effects):
        parts += [wire.decode(part) for part in message.parts] if isinstance(message, Bundle) else []
        parts.append(message)
    return [message for message in parts if isinstance(message, kind)]


def only(effects: Sequence[Effect], kind: type[Any]) -> list[Any]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def slot_of(sign: Sign) -> tuple[int, ...]:
    """What an honest member signs only one body for."""
    if sign.kind is Kind.CONTRIBUTION:
        body = wire.decode_body(Contribution, sign.body)
        return (sign.kind, body.incarnation, body.seq)
    return (sign.kind, sign.round, sign.term)


GUEST = MAX_SEATS
"""A host without a seat goes by this number more than its own."""


class Net:
    """Members on a network in virtual time. Faults are fields that a test may change while it runs.

    A host is known to its peers by the seat of its key in the roster that they hold, else by a number beyond all seats.
    """

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
        self.identities = {identity.public_key: identity for identity in identities}
        """Real keys; without them signatures are hashes."""
        if identities:
            self.genesis = Genesis(tuple(self.identities), self.genesis.config)
        self.random = Random(seed)
        self.now = 0.0
        self.loss = self.duplicates = 0.0
        self.delay = (0.005, 0.03)
        self.down: set[int] = set()
        self.side = dict.fromkeys(range(members), 0)
        """By number of a founding member, or of a host that came later."""
        self.twins = set(twins)
        """Liars: two hosts with one key, each hearing some of what is sent to it."""
        hosts = [*range(members), *twins]
        self.who = dict(enumerate(hosts))
        self.keys = {host: self.genesis.public_keys[member] for host, member in self.who.items()}
        self.checkpoints: dict[int, bytes] = {}
        self.commits: dict[int, dict[int, bytes]] = {host: {} for host in self.who}
        """Host -> round -> value committed."""
        self.blames: list[tuple[int, Blame]] = []
        self.equivocations: list[Equivocation] = []
        self.signed: dict[int, dict[tuple[int, ...], set[bytes]]] = {host: {} for host in self.who}
        self.records: dict[int, bytes] = {}
        self.kept: dict[int, tuple[State, Commit]] = {}
        self.epochs: dict[int, list[Commit]] = {host: [] for host in self.who}
        self.payloads: dict[int, list[Keep]] = {host: [] for host in self.who}
        self.largest = 0
        """Bytes of the largest frame so far."""
        self.lives = dict.fromkeys(self.who, 0)
        self.crash: Callable[[int, Effect], bool] = lambda host, effect: False
        """Asked before each effect is carried out."""
        self.watch: Callable[[int, Effect], None] = lambda host, effect: None
        """Told each effect that is carried out."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._todo: dict[int, deque[Effect]] = {host: deque() for host in self.who}
        self.members = [self._member(host) for host in self.who]
        for host in self.who:
            self.perform(host, self.members[host].start())

    def _member(self, host: int) -> Member:
        state, commit = self.kept.get(host, (None, None))
        engine = Engine(verify=verify) if self.identities else ENGINE
        return Member(
            self.genesis, None, engine, Random(self.random.random()), key=self.keys[host], state=state, commit=commit,
            record=self.records.get(host), epochs=self.epochs[host], checkpoint=self.checkpoints.get(host),
            payloads=self.payloads[host],
        )  # fmt: skip

    def newcomer(self, public_key: bytes, checkpoint: bytes | None = None) -> int:
        """Start a host without a seat; returns its number."""
        host = len(self.members)
        self.who[host], self.keys[host] = GUEST + host, public_key
        self.side[GUEST + host] = 0
        self.commits[host], self.signed[host], self.epochs[host], self.payloads[host] = {}, {}, [], []
        self.lives[host], self._todo[host] = 0, deque()
        if checkpoint is not None:
            self.checkpoints[host] = checkpoint
        self.members.append(self._member(host))
        self.perform(host, self.members[host].start())
        return host

    @property
    def honest(self) -> list[int]:
        return [host for host in self.who if self.who[host] not in self.twins]

    @property
    def blamed(self) -> set[int]:
        """Who was blamed, as `who` has it; one that lost its seat is blamed as a guest."""
        return {self.who[blame.peer - GUEST] if blame.peer >= GUEST else blame.peer for _, blame in self.blames}

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
                if todo:  # a watcher may have stopped this host
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
                self.perform(host, self.members[host].signed(effect, self.sign(host, effect.data)))
            case Keep():
                self.payloads[host].append(effect)
            case Committed():
                self.payloads[host].clear()
                self.kept[host] = effect.state, effect.commit
                self.epochs[host] += effect.epochs
                self.commits[host][effect.state.round] = effect.commit.value
            case WindowOpened():
                self.after(self.random.random() * 0.02, lambda: self._join(host, effect.round))
            case Blame():
                self.blames.append((host, effect))
            case Equivocation():
                self.equivocations.append(effect)
        self.watch(host, effect)

    def sign(self, host: int, data: bytes) -> bytes:
        identity = self.identities.get(self.keys[host])
        return identity.sign(data) if identity else seal(self.keys[host], data)

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

    def name(self, host: int, roster: Roster) -> int:
        """What those who hold `roster` know a host as."""
        seat = roster.seat_of(self.keys[host])
        return GUEST + host if seat is None else seat

    def _send(self, host: int, peer: int, frame: bytes) -> None:
        self.largest = max(self.largest, len(frame))
        roster = self.members[host].roster
        for target in [h for h in self.who if h != host and self.name(h, roster) == peer]:
            copies = 1 + (self.random.random() < self.duplicates)
            if self._apart(host, target) or self.random.random() < self.loss:
                continue
            if self.who[target] in self.twins and self.random.random() < 0.5:
                continue
            for _ in range(copies):
                self.after(self.random.uniform(*self.delay), lambda to=target: self._arrive(to, host, frame))

    def _apart(self, host: int, other: int) -> bool:
        return self.side.get(self.who[host], 0) != self.side.get(self.who[other], 0)

    def _arrive(self, target: int, host: int, frame: bytes) -> None:
        if target not in self.down and not self._apart(host, target):
            member = self.members[target]
            self.perform(target, member.receive(self.name(host, member.roster), frame))

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
        self.epochs[host], self.payloads[host] = [], []


def timer_named(effects: Sequence[Effect], name: Timer) -> SetTimer:
    """The timer of that name among effects."""
    found: list[SetTimer] = [e for e in effects if isinstance(e, SetTimer) and e.name is name]
    return found[-1]
