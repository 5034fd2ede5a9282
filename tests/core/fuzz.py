"""Hostile frames, and a small federation to send them to.

`Net` runs members of `sim.host` in virtual time and records what they say. `Forger` turns that into frames that no
honest member sends: genuine ones with their bytes, fields or parts changed, and new ones that liars sign with their own
valid keys, aimed at where the victim stands, so that they get past form and signatures.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Any

import msgspec
import numpy as np

from qorum.config import FederationConfig
from qorum.core import membership, wire
from qorum.core.columns import EMPTY, Columns
from qorum.core.consensus import proposal_bytes, vote_bytes
from qorum.core.effects import Blame, Committed, Effect, Send, SetTimer, Sign
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.core.messages import (
    NIL,
    NO_TERM,
    Advance,
    Announce,
    Behind,
    Bundle,
    Change,
    Chunk,
    Commit,
    Contribution,
    Cut,
    CutBody,
    Digest,
    Epochs,
    Evict,
    Evidence,
    Fetch,
    Head,
    Item,
    Items,
    Join,
    Kind,
    Leave,
    Manifest,
    Message,
    Origin,
    Petition,
    Proposal,
    Pull,
    Record,
    Rekey,
    Root,
    Value,
    ValueBody,
    Votes,
    place,
)
from qorum.core.roster import MAX_SEATS
from qorum.core.sharing import shared_engine
from qorum.core.state import ORIGIN, contribution_bytes
from qorum.core.streams import KEPT_ROUNDS
from qorum.core.votes import FIRST, SECOND
from qorum.merge.fixed import Ints
from qorum.sim.host import Disk, Host
from qorum.sim.keys import Keys, quick_keys

GUEST = MAX_SEATS
"""Peers without a seat go by this number and more."""
SPARE = 64
"""Numbers of keys that are anybody's."""
SAMPLES = 48
"""Genuine frames kept of each kind."""
TOP = 2**31 - 1
INTEGERS = (0, 1, 2, 63, 127, 255, 4095, 4096, 65535, TOP - 1, TOP, TOP + 1, 2**32, 2**63 - 1, 2**64 - 1, -1, -(2**63))


def columns(random: Random, rows: int = 1) -> Columns:
    """Writes of `rows` cells that are new more often than not."""
    states = np.array(sorted(random.sample(range(1000), rows)), dtype=np.uint64)
    numbers = [np.array([random.randrange(top) for _ in range(rows)], dtype=np.int64) for top in (1 << 22, 9, 1 << 20)]
    none = np.zeros(0, dtype=np.int64)
    return Columns(none, states, np.zeros(rows, dtype=np.uint8), numbers[0], numbers[1] + 1, numbers[2])


class Net:
    """Members in virtual time. The last founding seats are liars: until they are hushed they are as good as any."""

    def __init__(
        self,
        members: int,
        seed: int,
        *,
        family: int = 0,
        liars: int = 0,
        disks: Sequence[Disk | None] = (),
        **fields: Any,
    ) -> None:
        """family: seed of the keys. disks: what hosts restart from, by number of the key; spare keys come after the
        founding members'.
        """
        self.random, self.now = Random(seed), 0.0
        self.keys: Keys = quick_keys(family, members)
        self.genesis = Genesis(self.keys.public, FederationConfig(**fields))
        self._engine = Engine(self.keys.verify, apply=shared_engine(self.genesis, self.keys.verify).apply)
        self.liars = range(members - liars, members)
        self.spoken: dict[str, deque[bytes]] = {}
        """Kind of message -> genuine frames of it."""
        self.signed: dict[tuple[object, ...], set[bytes]] = {}
        """(key, kind and slot) -> what was signed there."""
        self.values: dict[int, set[bytes]] = {}
        """Round -> values that hosts agreed on."""
        self.blames: list[Blame] = []
        self.muted: Callable[[Host, Message], bool] = lambda target, message: False
        """Whether a message does not reach a host."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._checkpoints: dict[int, bytes] = {}
        self.hosts: list[Host] = []
        for number in range(max(members, len(disks))):
            self.add(number, disks[number] if number < len(disks) else None)

    def add(self, number: int, disk: Disk | None = None, checkpoint: bytes | None = None) -> Host:
        """Start a host that goes by the key of this number."""
        if checkpoint is not None:
            self._checkpoints[number] = checkpoint
        host = Host(number, number, number not in self.liars, self, self._birth, partial(self.keys.sign, number))
        self.hosts.append(host)
        if disk is not None:
            host.disk = copied(disk)
            host.member = self._birth(host)
        host.start()
        return host

    def hush(self) -> None:
        """Let the liars fall silent: from now on their keys are the forger's."""
        for number in self.liars:
            self.hosts[number].stop()

    def _birth(self, host: Host) -> Member:
        state, commit = host.disk.kept or (None, None)
        return Member(
            self.genesis, None, self._engine, Random(self.random.random()), key=self.keys.key(host.address),
            state=state, commit=commit, record=host.disk.record, epochs=host.disk.epochs, payloads=host.disk.payloads,
            checkpoint=self._checkpoints.get(host.address),
        )  # fmt: skip

    @property
    def honest(self) -> list[Host]:
        return [host for host in self.hosts if host.honest and host.up]

    # --- the world of the hosts ---

    def send(self, host: Host, effect: Send) -> None:
        self._record(effect.frame)
        roster = host.member.roster
        for peer in effect.to:
            owner = peer - GUEST if peer >= GUEST else None
            for target in [other for other in self.hosts if other.up]:
                known = target.address == owner if owner is not None else target.member.key == roster.key(peer)
                if known and target is not host:
                    self._after(self.random.uniform(0.001, 0.02), partial(self._arrive, target, host, effect.frame))

    def _record(self, frame: bytes) -> None:
        message = wire.decode(frame)
        samples = self.spoken.setdefault(type(message).__name__, deque(maxlen=SAMPLES))
        samples.append(frame)
        for part in message.parts if isinstance(message, Bundle) else ():
            self._record(part)

    def _arrive(self, target: Host, host: Host, frame: bytes) -> None:
        if not self.muted(target, wire.decode(frame)):
            seat = None if host.member.key is None else target.member.roster.seat_of(host.member.key)
            target.meet(lambda member: member.receive(GUEST + host.address if seat is None else seat, frame))

    def set_timer(self, host: Host, timer: SetTimer) -> None:
        self._after(timer.delay, lambda: host.meet(lambda member: member.timer(timer)))

    def window_opened(self, host: Host, round: int) -> None:
        self._after(0.01 * self.random.random(), partial(self.contribute, host, EMPTY))

    def carried_out(self, host: Host, effect: Effect) -> None:
        match effect:
            case Sign():
                kind, _, round, term, _ = wire.signed_parts(effect.data)
                slot = (host.address, kind, round, term, effect.data[33:37] if kind is Kind.CONTRIBUTION else b"")
                self.signed.setdefault(slot, set()).add(effect.data)
            case Committed():
                self.values.setdefault(effect.state.round, set()).add(effect.commit.value)
            case Blame():
                self.blames.append(effect)

    # --- time ---

    def _after(self, delay: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now + delay, self._count, action))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; returns whether `until` came true."""
        end = self.now + seconds
        while not until() and self._due and self._due[0][0] <= end:
            self.now, _, action = heapq.heappop(self._due)
            action()
        if not (came := until()):
            self.now = max(self.now, end)
        return came

    def contribute(self, host: Host, written: Columns) -> None:
        if host.up and host.member.may_contribute:
            host.perform(host.member.contribute(written))

    def news(self) -> None:
        """Everybody with a seat has something to say."""
        for host in self.honest:
            self.contribute(host, columns(self.random, 3))

    def agree(self, rounds: int, seconds: float = 120.0) -> bool:
        """Let all hosts agree on so many rounds more than any of them has; whether they did."""
        goal, end = max(self._rounds()) + rounds, self.now + seconds
        while min(self._rounds()) < goal and self.now < end:
            self.news()
            next_round = max(self._rounds()) + 1
            self.run(2.0, partial(self._reached, next_round))
        return self._reached(goal)

    def _rounds(self) -> list[int]:
        return [host.member.state.round for host in self.honest]

    def _reached(self, round: int) -> bool:
        return min(self._rounds()) >= round

    def petition(self, change: Change) -> Petition:
        """A change that everybody entitled wants."""
        roster = self.honest[0].member.roster
        numbers = {self.keys.key(number): number for number in range(SPARE)}
        wanted = roster.active
        data = membership.endorsement_bytes(roster.federation, change)
        mask = roster.active_mask.to_bytes(-(-roster.members // 8), "little")
        signatures = b"".join(self.keys.sign(numbers[roster.key(member)], data) for member in wanted)
        if isinstance(change, Evict):
            return Petition(change, b"", mask, signatures)
        key = roster.key(change.member) if isinstance(change, Leave) else change.key
        consent = self.keys.sign(numbers[key], membership.consent_bytes(roster.federation, change))
        return Petition(change, consent, mask, signatures)


def copied(disk: Disk) -> Disk:
    """A disk with the same content, that another host may write to."""
    return Disk(disk.record, disk.kept, disk.epochs, list(disk.payloads))


class Past:
    """A federation and a newcomer that it soon admitted: what their disks hold 40 rounds later, and what was said."""

    def __init__(self, members: int) -> None:
        net = Net(members, seed=1)
        net.agree(3)
        net.add(members)
        joining = Join(net.keys.key(members))
        net.honest[0].perform(net.honest[0].member.petition(net.petition(joining)))
        net.agree(3)
        net.hosts[1].stop()
        net.agree(KEPT_ROUNDS + 2)
        self.members = members
        self.checkpoint = net.hosts[0].disk.epochs[0].certificate.value
        """Hash of the value that admitted the newcomer."""
        self.disks = [copied(host.disk) for host in net.hosts]
        """By number of the key. Member 1 was down for so long that no commits can show it what it missed."""
        self.spoken = net.spoken
        self._ask(net.hosts[0])

    def _ask(self, host: Host) -> None:
        """Have a member say what the run did not bring about by itself, all of it genuine but for the evidence."""
        kept = host.disk.kept
        assert kept is not None
        commit, epoch = kept[1], kept[0].roster.epoch
        manifest = host.member.library.answer(Behind(0, epoch))
        assert isinstance(manifest, Manifest)
        fetched = wire.decode_body(Value, manifest.commit.value).result
        wanted = commit.certificate.value, wire.decode_body(Value, commit.value).cut
        questions = Behind(0, -1, self.checkpoint), Behind(0, 0), Fetch(fetched, (0,)), Pull(b"", wanted)
        answers = [e for q in questions for e in host.member.receive(GUEST + 99, wire.encode(q)) if isinstance(e, Send)]
        items = wire.decode(self.spoken["Items"][-1])
        assert isinstance(items, Items)
        evidence = Evidence(0, Kind.PROPOSAL, 0, 1, 0, (bytes(32), b"\x01" * 32), (bytes(64), bytes(64)))
        frames = [effect.frame for effect in answers]
        frames += map(wire.encode, (*questions, manifest, items.items[0], evidence))
        for frame in frames:
            self.spoken.setdefault(type(wire.decode(frame)).__name__, deque(maxlen=SAMPLES)).append(frame)


class Forger:
    """Makes hostile frames out of genuine ones and the liars' keys. Knows all that its victim knows."""

    def __init__(self, net: Net, spoken: dict[str, deque[bytes]], random: Random) -> None:
        self._net, self._random = net, random
        self._spoken = {kind: list(frames) for kind, frames in spoken.items()}
        self._kinds = sorted(self._spoken)
        self._liars = list(net.liars)
        self._bombs = BOMBS
        self.payloads = [_extreme_columns(random).pack() for _ in range(64)]
        self._sketches = [
            _sketch(random, members)
            for members in range(net.genesis.members, net.genesis.members + 3)
            for _ in range(3)
        ]
        self._recent: deque[bytes] = deque([b"\x00" * 32], maxlen=64)
        """Hashes that the victim may know."""
        self._made: list[Callable[[Member], Record]] = [
            self._vote, self._vote, self._certificate, self._proposal, self._contribution, self._contribution,
            self._items, self._commit, self._evidence, self._petition, self._announce, self._pull, self._root,
            self._digest, self._behind, self._fetch, self._chunk, self._manifest, self._epochs, self._body,
        ]  # fmt: skip

    def peer(self) -> int:
        """Who the frame comes from: a liar, or a guest."""
        return (
            GUEST + 50 + self._random.randrange(50) if self._random.random() < 0.2 else self._random.choice(self._liars)
        )

    def frame(self, victim: Member) -> bytes:
        """One hostile frame, for a member where it stands now."""
        draw = self._random.random()
        if draw < 0.45:
            return self._signed(victim)
        if draw < 0.70:
            return self._mangled(self._genuine())
        if draw < 0.90:
            return self._damaged(self._genuine())
        return self._bundle(victim) if draw < 0.93 else self._mangled(self._signed(victim))

    def _genuine(self) -> bytes:
        return self._random.choice(self._spoken[self._random.choice(self._kinds)])

    # --- bytes ---

    def _damaged(self, frame: bytes) -> bytes:
        """Bits flipped, bytes cut out, put in, repeated, spliced from elsewhere, or sizes that promise too much."""
        random, data = self._random, bytearray(frame)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            at = random.randrange(len(data) + 1)
            match random.randrange(7):
                case 0 if at < len(data):
                    data[at] ^= 1 << random.randrange(8)
                case 1:
                    del data[at:]
                case 2:
                    del data[at : at + random.randrange(1, 9)]
                case 3:
                    data[at:at] = random.randbytes(random.randrange(1, 9))
                case 4:
                    data[at:at] = data[at : at + random.randrange(1, 200)] * random.choice((1, 1, 50))
                case 5:
                    other = self._genuine()
                    data[at:] = other[random.randrange(len(other)) :]
                case _:
                    data[at : at + 5] = (
                        random.choice((b"\xdd", b"\xc6", b"\xdb", b"\xdf", b"\xc9")) + b"\xff\xff\xff\xf0"
                    )
        return bytes(data[: wire.MAX_FRAME + 1])

    def _mangled(self, frame: bytes) -> bytes:
        """The same frame with some of its fields changed, as msgpack that is sound."""
        try:
            tree = msgspec.msgpack.decode(frame)
        except msgspec.DecodeError:
            return self._damaged(frame)
        for _ in range(self._random.choice((1, 1, 2, 3))):
            tree = self._changed(tree)
        return msgspec.msgpack.encode(tree)

    def _changed(self, node: Any) -> Any:
        random = self._random
        if isinstance(node, list) and node and random.random() < 0.85:
            at = random.randrange(len(node))
            node = list(node)
            match random.randrange(12):
                case 0:
                    del node[at]
                case 1:
                    node.insert(at, node[at])
                case 2:
                    other = random.randrange(len(node))
                    node[at], node[other] = node[other], node[at]
                case 3:
                    node = node[: at + 1] * random.choice((2, 3, 600))
                case _:
                    node[at] = self._changed(node[at])
            return node
        match node:
            case bool():
                return random.choice((not node, None, 2, b""))
            case int():
                return random.choice(
                    (min(node + 1, 2**64 - 1), max(node - 1, -(2**63)), *INTEGERS, None, 0.5, float(node))
                )
            case bytes():
                return self._changed_bytes(node)
            case _:
                return random.choice(
                    (None, b"", [], 0, {}, "text", [[]], float("nan"), msgspec.msgpack.decode(self._genuine()))
                )

    def _changed_bytes(self, data: bytes) -> object:
        random = self._random
        match random.randrange(9):
            case 0:
                return data[:-1]
            case 1:
                return data + b"\x00" * random.choice((1, 1, 32, 64, 500))
            case 2:
                return b""
            case 3:
                return random.randbytes(len(data))
            case 4:
                return b"\xff" * len(data)
            case 5:
                return random.choice(self._bombs)
            case 6:
                return random.choice(self._recent)
            case 7:
                return data.decode("latin1")
            case _ if data:
                at = random.randrange(len(data))
                return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        return b"\x00"

    # --- what liars sign ---

    def _signed(self, victim: Member) -> bytes:
        self._watch(victim)
        made = self._random.choice(self._made)(victim)
        if self._random.random() < 0.05:
            made = Bundle((wire.encode(made),) * self._random.choice((1, 3)))
        return wire.encode(made)

    def _bundle(self, victim: Member) -> bytes:
        """Many small messages in one frame, or bundles in bundles."""
        draw, room = self._random.random(), wire.FRAME - 1000
        if draw < 0.3:
            nested = wire.encode(Bundle((self._genuine(),)))
            for _ in range(self._random.choice((1, 2, 100))):
                nested = wire.encode(Bundle((nested,)))
            return nested[:room]
        parts, size = list[bytes](), 0
        for _ in range(self._random.choice((3, 10, 60))):
            parts.append(self._signed(victim) if draw < 0.8 else self._mangled(self._genuine()))
            size += len(parts[-1])
            if size > room:
                break
        return wire.encode(Bundle(tuple(parts)))

    def _watch(self, victim: Member) -> None:
        consensus = victim.consensus
        self._recent.extend(list(consensus.values)[-4:])
        self._recent.extend(tip.hash for tip in victim.streams.tips[:3])
        self._recent.append(victim.state.hash)
        if victim.last_commit is not None:
            self._recent.append(victim.last_commit.certificate.value)
            self._recent.append(wire.decode_body(Value, victim.last_commit.value).cut)

    def _hash(self) -> bytes:
        return self._random.choice(self._recent) if self._random.random() < 0.7 else self._random.randbytes(32)

    def _near(self, number: int, spread: int = 2) -> int:
        """Around `number` most of the time, else anything."""
        if self._random.random() < 0.08:
            return self._random.choice([i for i in INTEGERS if 0 <= i <= TOP])
        step: int = self._random.choice((0, 0, 0, 0, *range(-spread, spread + 1)))
        return max(0, min(TOP, number + step))

    def _seat(self, victim: Member) -> tuple[int, int]:
        """(seat, number of its key) of a liar."""
        number = self._random.choice(self._liars)
        seat = victim.roster.seat_of(self._net.keys.key(number))
        return (number if seat is None else seat), number

    def _place(self, victim: Member) -> tuple[int, int]:
        return self._near(victim.consensus.round, 1), self._near(victim.consensus.term, 9)

    def _vote(self, victim: Member, voters: Sequence[int] | None = None) -> Votes:
        random = self._random
        round, term = self._place(victim)
        step = random.choice((FIRST, SECOND))
        value = random.choice((NIL, self._hash()))
        cited = (
            random.choice((NO_TERM, NO_TERM, self._near(max(term - 1, 0)))) if step == SECOND and not value else NO_TERM
        )
        seat, number = self._seat(victim)
        width = -(-victim.roster.members // 8)
        unsigned = Votes(step, round, term, value, cited, (1 << seat).to_bytes(width, "little"), b"")
        data = vote_bytes(self._net.genesis.federation, victim.roster.epoch, unsigned)
        votes = unsigned.signed(self._net.keys.sign(number, data))
        if random.random() < 0.1:  # of seats that there are not, or without a signature each
            return msgspec.structs.replace(votes, voters=random.randbytes(random.choice((0, 1, width, 512))))
        return votes

    def _certificate(self, victim: Member) -> Votes:
        """A quorum's worth of voters, of whom only the liars signed; or a genuine one with a part changed."""
        votes = self._vote(victim)
        data = vote_bytes(self._net.genesis.federation, victim.roster.epoch, votes)
        mask = self._random.choice((victim.roster.active_mask, self._random.getrandbits(victim.roster.members)))
        signatures = b"".join(
            self._net.keys.sign(self._random.choice(self._liars), data) for _ in range(mask.bit_count())
        )
        return msgspec.structs.replace(
            votes, voters=mask.to_bytes(-(-victim.roster.members // 8), "little"), signatures=signatures
        )

    def _value(self, victim: Member) -> bytes:
        """A value that is nearly right."""
        random = self._random
        held = [*victim.consensus.values.values()]
        if held and random.random() < 0.3:
            return random.choice(held)
        commit = victim.last_commit
        previous = ORIGIN if commit is None else commit.certificate.value
        change = self._petition(victim) if random.random() < 0.3 else None
        roster = victim.roster.hash
        cut = hashlib.sha256(wire.encode(self._cut(victim))).digest() if random.random() < 0.5 else self._hash()
        value = Value(
            self._near(victim.consensus.round, 1), previous, victim.roster.epoch, cut, victim.state.hash, roster, change
        )
        self._recent.append(hashlib.sha256(wire.encode(value)).digest())
        self._recent.append(cut)
        return self._mangled(wire.encode(value)) if random.random() < 0.2 else wire.encode(value)

    def _cut(self, victim: Member) -> Cut:
        tips = victim.streams.tips
        heads = [
            Advance(
                member,
                tip if self._random.random() < 0.8 else Head(0, self._near(tip.seq), self._hash(), self._near(0)),
            )
            for member, tip in enumerate(tips)
        ]
        return Cut(tuple(self._random.sample(heads, self._random.randint(0, len(heads)))))

    def _sketch(self, victim: Member) -> bytes:
        sketches = (b"", victim.streams.versions(), self._random.choice(self._bombs), *self._sketches)
        return self._random.choice(sketches)[: 2**14]

    def _proposal(self, victim: Member) -> Proposal:
        """For a term that a liar leads, if one is near."""
        random = self._random
        _, number = self._seat(victim)
        seat = victim.roster.seat_of(self._net.keys.key(number))
        term = self._near(victim.consensus.term, 3)
        near = range(victim.consensus.term, victim.consensus.term + 9)
        led = [t for t in near if victim.consensus.leader(t) == seat]
        term = random.choice(led) if led and random.random() < 0.8 else term
        cited = random.choice((None, None, self._certificate(victim), victim.consensus.durable.best))
        unsigned = Proposal(
            self._near(victim.consensus.round, 1), term, self._value(victim), self._sketch(victim), cited, bytes(64)
        )
        data = proposal_bytes(self._net.genesis.federation, victim.roster.epoch, unsigned)
        return unsigned.signed(self._net.keys.sign(number, data))

    def _payload(self, victim: Member) -> bytes:
        random, draw = self._random, self._random.random()
        if draw < 0.3:
            return b""
        if draw < 0.5:
            return random.choice(self._bombs)
        return random.choice(self.payloads)

    def _contribution(self, victim: Member) -> Item:
        random = self._random
        seat, number = self._seat(victim)
        tip = victim.streams.tips[seat] if seat < len(victim.streams.tips) else Head(0, 0, ORIGIN)
        links = (tip, tip, tip, victim.state.heads[seat] if seat < len(victim.state.heads) else tip)
        head = random.choice(links)
        body = Contribution(
            seat, self._near(head.incarnation, 1), self._near(head.seq + 1),
            random.choice((head.hash, head.hash, self._hash())),
            self._near(victim.state.round, 1), self._payload(victim),
        )  # fmt: skip
        unsigned = Item(wire.encode(body), bytes(64))
        signature = self._net.keys.sign(number, contribution_bytes(self._net.genesis.federation, body, unsigned.hash))
        return Item(unsigned.body, signature)

    def _items(self, victim: Member) -> Items:
        return Items(tuple(self._contribution(victim) for _ in range(self._random.choice((1, 2, 20)))))

    def _commit(self, victim: Member) -> Commit:
        random = self._random
        value = self._value(victim)
        certificate = self._certificate(victim)
        if random.random() < 0.7:
            certificate = msgspec.structs.replace(
                certificate, step=SECOND, value=hashlib.sha256(value).digest(), cited=NO_TERM
            )
        if victim.last_commit is not None and random.random() < 0.3:
            value, certificate = victim.last_commit.value, victim.last_commit.certificate
            certificate = msgspec.structs.replace(certificate, term=self._near(certificate.term))
        return Commit(value, certificate, self._sketch(victim))

    def _evidence(self, victim: Member) -> Evidence:
        """Of a liar against itself, true or not."""
        random = self._random
        seat, number = self._seat(victim)
        kind, epoch = random.choice(list(Kind)), self._near(victim.roster.epoch, 1)
        round, term = self._place(victim)
        bodies = sorted((random.randbytes(32), random.randbytes(32)), reverse=random.random() < 0.1)
        data = [wire.signed_bytes(kind, self._net.genesis.federation, epoch, round, term, body) for body in bodies]
        one, other = (self._net.keys.sign(number, d) for d in data)
        against = seat if random.random() < 0.7 else self._near(0, 5) % 4096
        # true evidence ends the liar's part in the story: rarely
        return Evidence(
            against, kind, epoch, round, term, (bodies[0], bodies[1]), (one, other if random.random() < 0.02 else one)
        )

    def _petition(self, victim: Member) -> Petition:
        random = self._random
        seat, number = self._seat(victim)
        incarnation, key = self._near(0, 1), random.choice((random.randbytes(32), self._net.keys.key(number)))
        change = random.choice(
            (
                Join(key),
                Leave(seat, incarnation),
                Rekey(seat, incarnation, key),
                Evict(self._near(seat) % 4096, incarnation),
            )
        )
        consent = self._net.keys.sign(number, membership.consent_bytes(victim.roster.federation, change))
        if isinstance(change, Leave) and random.random() < 0.98:  # one that is entitled to: rarely
            consent = random.choice((b"", consent[:-1], random.randbytes(64)))
        data = membership.endorsement_bytes(victim.roster.federation, change)
        mask = random.choice((0, victim.roster.active_mask, random.getrandbits(4096)))
        signatures = self._net.keys.sign(number, data) * random.choice((0, 1, mask.bit_count() if mask < 2**64 else 1))
        evidence = self._evidence(victim) if random.random() < 0.4 else None
        return Petition(change, consent, mask.to_bytes(-(-mask.bit_length() // 8), "little"), signatures, evidence)

    def _announce(self, victim: Member) -> Announce:
        random = self._random
        many = random.choice((600, 2000)) if random.random() < 0.05 else 1
        seats = (random.randrange(victim.roster.members), random.randrange(victim.roster.members), 65535)
        at = [place(seat, self._near(5, 5)) for seat in seats] + [random.randbytes(6) for _ in range(4)]
        return Announce(b"".join(at) * (many // 7 + 1) + random.randbytes(6 * (many // 8) + random.choice((0, 1))))

    def _pull(self, victim: Member) -> Pull:
        random = self._random
        many = random.choice((0, 1, 4, 512)) if random.random() < 0.2 else 2
        return Pull(self._announce(victim).items[: 6 * 512], tuple(self._hash() for _ in range(many)))

    def _root(self, victim: Member) -> Root:
        round, term = self._place(victim)
        return Root(round, term, self._random.randbytes(8))

    def _digest(self, victim: Member) -> Digest:
        random = self._random
        round, term = self._place(victim)
        masks = [random.randbytes(random.choice((0, 1, 1, 512))) for _ in range(2)]
        best = random.choice((NO_TERM, 0, TOP))
        return Digest(
            round, term, self._sketch(victim), masks[0], masks[1], random.random() < 0.5, random.random() < 0.5, best
        )

    def _behind(self, victim: Member) -> Behind:
        random = self._random
        epoch = random.choice((-1, 0, 1, victim.roster.epoch, TOP))
        return Behind(self._near(victim.consensus.round, 40), epoch, random.choice((b"", self._hash())))

    def _fetch(self, victim: Member) -> Fetch:
        kept = victim.library.answer(Behind(0, victim.roster.epoch))
        of = wire.decode_body(Value, kept.commit.value).result if isinstance(kept, Manifest) else self._hash()
        return Fetch(of, tuple(self._near(0) for _ in range(self._random.choice((0, 1, 3, 64)))))

    def _chunk(self, victim: Member) -> Chunk:
        download, random = victim.catchup.download, self._random
        state = download.value.result if download is not None else self._hash()
        data = random.choice((*self._bombs, wire.pack(random.randbytes(wire.CHUNK)), b""))
        return Chunk(state, self._near(0), data)

    def _manifest(self, victim: Member) -> Manifest | Origin:
        if self._random.random() < 0.2:
            return Origin(
                self._value(victim),
                self._random.choice((victim.roster.to_bytes(), b"", self._random.choice(self._bombs))),
            )
        return Manifest(self._commit(victim), self._random.randbytes(32 * self._random.choice((0, 1, 3, 500))))

    def _epochs(self, victim: Member) -> Epochs:
        commits = [self._commit(victim) for _ in range(self._random.choice((0, 1, 3)))]
        commits += [self._random.choice(victim.library.epochs)] if victim.library.epochs else []
        return Epochs(tuple(commits))

    def _body(self, victim: Member) -> Record:
        cuts = CutBody(wire.encode(self._cut(victim))), CutBody(self._random.randbytes(9))
        return self._random.choice((*cuts, ValueBody(self._value(victim))))


class Flood:
    """Frames without end of one kind, all in good form and signed by the liar who sends them."""

    def __init__(self, net: Net, victim: Member) -> None:
        self._net, self._victim = net, victim
        self._liar = net.liars[0]
        self._federation, self._epoch = net.genesis.federation, victim.roster.epoch

    def items(self, payload: bytes = b"") -> Iterator[Items]:
        """A chain."""
        head = self._victim.state.heads[self._liar]
        for seq in count(head.seq + 1):
            body = Contribution(self._liar, head.incarnation, seq, head.hash, self._victim.state.round, payload)
            item = Item(wire.encode(body), bytes(64))
            signed = contribution_bytes(self._federation, body, item.hash)
            item = Item(item.body, self._net.keys.sign(self._liar, signed))
            head = Head(head.incarnation, seq, item.hash, body.base)
            yield Items((item,))

    def votes(self, ahead: int = 0) -> Iterator[Record]:
        """Several for each slot of each term."""
        voter = (1 << self._liar).to_bytes(-(-self._victim.roster.members // 8), "little")
        for number in count():
            (term, slot), mark = divmod(number // 3, 2), number % 3
            round, step, value = self._victim.consensus.round + ahead, FIRST + slot, bytes([mark]) * 32
            unsigned = Votes(step, round, term, value, NO_TERM, voter, b"")
            data = vote_bytes(self._federation, self._epoch, unsigned)
            yield unsigned.signed(self._net.keys.sign(self._liar, data))

    def early_votes(self) -> Iterator[Record]:
        """Of the next round: nobody can tell yet what they are worth."""
        return self.votes(ahead=1)

    def proposals(self) -> Iterator[Record]:
        """Each of a cut of its own."""
        consensus, state = self._victim.consensus, self._victim.state
        for term in count():
            if consensus.leader(term) == self._liar:
                cut = hashlib.sha256(b"cut %d" % term).digest()
                value = Value(consensus.round, ORIGIN, self._epoch, cut, state.hash, state.roster.hash)
                sketch = _sketch(Random(term), self._victim.roster.members)
                unsigned = Proposal(consensus.round, term, wire.encode(value), sketch, None, bytes(64))
                data = proposal_bytes(self._federation, self._epoch, unsigned)
                yield unsigned.signed(self._net.keys.sign(self._liar, data))

    def announcements(self) -> Iterator[Record]:
        """Of items that there are not."""
        for start in count(10**6, 512):
            yield Announce(b"".join(place(self._liar, seq) for seq in range(start, start + 512)))

    def evidence(self) -> Iterator[Record]:
        """Of the liar against itself."""
        for term in count():
            bodies = bytes(32), b"\x01" * 32
            data = [wire.signed_bytes(Kind.PROPOSAL, self._federation, 0, 1, term, body) for body in bodies]
            one, other = (self._net.keys.sign(self._liar, each) for each in data)
            yield Evidence(self._liar, Kind.PROPOSAL, 0, 1, term, bodies, (one, other))

    def petitions(self) -> Iterator[Record]:
        """For a new key of the liar's, each for another one, and endorsed by everybody."""
        for number in range(self._net.genesis.members, SPARE):
            yield self._net.petition(Rekey(self._liar, 1, self._net.keys.key(number)))


def _extreme_columns(random: Random) -> Columns:
    """Rows at the bounds of what is allowed, and just past them."""

    def pick(*of: int) -> Ints:
        return np.array([random.choice(of) for _ in range(rows + len(known))], dtype=np.int64)

    known = np.array(sorted(random.sample(range(50), random.choice((0, 0, 1, 9)))), dtype=np.int64)
    rows, past = random.choice((0, 1, 1, 3, 3, 200)), random.choice(("action", "value", "spread", *[""] * 9))
    return Columns(
        known=known,
        states=np.array(sorted(random.sample(range(2**64 - 500, 2**64 - 1), rows)), dtype=np.uint64),
        actions=np.array([random.choice((0, 3, 4 if past == "action" else 1)) for _ in range(rows)], dtype=np.uint8),
        value=pick(0, 1 << 40, -(1 << 40), -(1 << 63) if past == "value" else 1),
        visits=pick(0, 1, 9, 65535),
        spread=pick(0, 1, 1 << 41, -1 if past == "spread" else 5),
        affirmed=random.choice(((), ((0, 1),), ((0, TOP), (3, 9)), ((5, 2),), ((0, 1),) * 9)),
        accused=random.choice((None, None, b"", b"\xff" * 512, bytes(1), b"\xff")),
        staked=random.choice((b"", b"", b"\xff", b"\xff" * 512, b"\xff" * 513)),
    )


def _sketch(random: Random, members: int) -> bytes:
    ahead = np.array([random.choice((0, 0, 1, 2, 5, TOP, 2**32 - 1)) for _ in range(members)])
    return wire.pack(wire.planes(ahead))


def _bombs() -> tuple[bytes, ...]:
    """Compressed bytes that promise, hold or hide more than they may."""
    zeros = wire.pack(bytes(wire.MAX_UNPACKED))
    declared = b"\x28\xb5\x2f\xfd"
    return (
        zeros, wire.pack(bytes(1 << 22)), zeros + zeros, zeros[:-3], wire.pack(b""), wire.pack(b"") * 1000,
        declared + b"\xe0" + (2**62).to_bytes(8, "little"), declared + b"\x00\xff" + bytes(20), declared + b"\x04\x58",
        declared + b"\x23\x00\x01\x02\x03", b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + bytes(4),
        b"\x50\x2a\x4d\x18\xff\xff\xff\xff", wire.pack(b"\x98" + b"\xdd\xff\xff\xff\xf0" * 8),
        wire.pack(b"\x98" + b"\xc4\x00" * 6 + b"\xdc\xff\xff" + b"\x92\x00\x01" * 65535 + b"\xc4\x00"),
        wire.pack(b"\x91" * 5000), bytes(16), zeros[:4],
    )  # fmt: skip


BOMBS = _bombs()
