"""Whatever bytes the network brings, a member does not fail, does not grow, and goes on agreeing once they stop.

`fuzz` makes the bytes. A storm sends them to members in one situation after another; while it lasts nobody may raise,
sign two bodies for one slot or disagree; afterwards every container must be within its bound, and with the liars silent
all must agree on new rounds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core import wire
from qorum.core.catchup import FETCHED_AT_ONCE, SNAPSHOTS
from qorum.core.columns import Columns
from qorum.core.consensus import VALUES_KEPT, vote_bytes
from qorum.core.docket import PETITIONS
from qorum.core.effects import Blame, Equivocation, Send, Timer
from qorum.core.genesis import Genesis
from qorum.core.gossip import HEARD_LIMIT, SOURCES
from qorum.core.member import EARLY_BYTES, Member
from qorum.core.messages import (
    MAX_PARTS,
    NIL,
    NO_TERM,
    Behind,
    Bundle,
    Chunk,
    Contribution,
    Cut,
    Fetch,
    Items,
    Manifest,
    Message,
    Value,
    Votes,
)
from qorum.core.state import Entry, State
from qorum.core.streams import ALLOWANCE, KEPT_ROUNDS, WAITING, WAITING_ROWS
from qorum.core.values import KEPT
from qorum.core.votes import FIRST, SECOND, TERMS_AHEAD, TERMS_KEPT
from qorum.errors import ProtocolError
from qorum.sim.host import Host
from tests.core.fuzz import BOMBS, GUEST, SAMPLES, Flood, Forger, Net, Past, columns

past = cache(Past)

PEERS = 50
"""Guests that the forger speaks as, beside the liars."""


# --- what a member may hold ---


def held(member: Member) -> dict[str, int]:
    """Size of every container that a member has, by part and name; of nested ones also of all inner ones together."""
    parts = {
        "member": member, "docket": member.docket, "streams": member.streams, "values": member.values,
        "consensus": member.consensus, "durable": member.consensus.durable, "tally": member.consensus.tally,
        "gossip": member.gossip, "service": member.service, "library": member.library, "catchup": member.catchup,
        "download": member.catchup.download,
    }  # fmt: skip
    sizes: dict[str, int] = {}
    for part, owner in parts.items():
        for name in getattr(owner, "__dict__", ()) or getattr(owner, "__struct_fields__", ()):
            value = getattr(owner, name)
            if isinstance(value, dict | list | set | tuple) and not hasattr(value, "_fields"):
                inside = value.values() if isinstance(value, dict) else value
                inner = [len(each) for each in inside if isinstance(each, list | dict | set)]
                sizes |= {f"{part}.{name}": len(value)} | ({f"{part}.{name}.*": sum(inner)} if inner else {})
    tally = member.consensus.tally
    sizes["tally.votes"] = sum(len(votes) for slot in tally._slots.values() for votes in slot.bodies.values())
    sizes["streams.waiting"] = max(map(len, member.streams._waiting))
    sizes["streams.bytes"] = max((len(entry.item.body) for entry in member.streams._entries.values()), default=0)
    sizes["streams.rows"] = max((sum(e.rows for e in waiting[1:]) for waiting in member.streams._waiting), default=0)
    sizes["gossip.sources"] = max((len(asked.sources) for asked in member.gossip._asked.values()), default=0)
    sizes["early bytes"] = member._early_bytes
    return sizes


def bounds(member: Member) -> dict[str, int]:
    """What each of them may come to: n members, i items a round, t terms of this round so far."""
    n, config = member.roster.members, member.genesis.config
    i, t, epochs = config.max_items_per_round, member.consensus.term + 1, member.roster.epoch + 1
    slots = 2 * (TERMS_KEPT + TERMS_AHEAD + 1)
    needed = (t + TERMS_AHEAD) * n * (i + 1)  # what the values of liars that led a term can cite
    cited = len(member.streams.needed)
    uncommitted = n * WAITING * i + cited
    flushed = 2 * n * ALLOWANCE * i + needed  # in the moment between two flushes at most one refill comes
    kept = uncommitted + n * i * KEPT_ROUNDS
    download, roster = member.catchup.download, member.catchup.roster
    proven = max(epochs, 0 if roster is None else roster.epoch + 1)
    chunks = download.size if download else 0
    return {
        "member._effects": 0, "member._agreed": 0, "member._keeps": 0, "service._proofs": KEPT_ROUNDS,
        "member._early": 4 * n, "member._twofaced": t + TERMS_AHEAD, "member._gaps": KEPT, "member._undelivered": 2,
        "member._unsigned": WAITING * i, "early bytes": EARLY_BYTES,
        "docket.evidence": n, "docket.petitions": PETITIONS,
        "streams.committed": n, "streams.tips": n, "streams._entries": kept, "streams._at": kept, "streams._at.*": kept,
        "streams._branch": n, "streams._branch.*": uncommitted, "streams.ahead": n, "streams._waiting": n,
        "streams._waiting.*": uncommitted, "streams.waiting": WAITING * i + cited,
        "streams.bytes": config.max_bytes_per_round,
        "streams.rows": WAITING_ROWS, "streams._bases": n * (1 + ALLOWANCE * i),
        "streams._taken": n, "streams.needed": needed, "streams._late": needed, "streams._retired": KEPT_ROUNDS,
        "streams._retired.*": n * i * KEPT_ROUNDS,
        "values._cuts": KEPT, "values._sketches": KEPT, "values._outcomes": KEPT, "values._handed_out": t + TERMS_AHEAD,
        "consensus._effects": 0, "consensus._leaders": n, "consensus.proposals": TERMS_AHEAD + 2,
        "consensus.values": VALUES_KEPT, "consensus._timed": len(Timer) * t,
        "durable.signed": 4, "durable.own": WAITING * i + t, "durable.lock": 2,
        "tally._slots": slots, "tally.reached": n, "tally._twice": 0, "tally.votes": 2 * slots * n,
        "gossip._others": n, "gossip._announced": flushed,
        "gossip._relayed": 2 * slots * n, "gossip._asked": HEARD_LIMIT + needed, "gossip.sources": SOURCES,
        "gossip._served": (n + PEERS) * (12 + KEPT_ROUNDS), "gossip._spent": n + PEERS, "gossip.effects": 0,
        "library.epochs": epochs, "library._states": SNAPSHOTS, "library._admitting": 1, "library._open": SNAPSHOTS + 1,
        "catchup.epochs": proven, "download.chunks": chunks, "download.asked": FETCHED_AT_ONCE,
    }  # fmt: skip


def assert_bounded(member: Member) -> None:
    limits = bounds(member)
    sizes = held(member)
    assert sizes.keys() <= limits.keys(), f"no bound is stated for {sizes.keys() - limits.keys()}"
    assert not {name: (size, limits[name]) for name, size in sizes.items() if size > limits[name]}


# --- storms ---


def _fresh(past: Past, seed: int, liars: int) -> tuple[Net, Host]:
    net = Net(past.members, seed, family=1, liars=liars)
    return net, net.hosts[0]


def _changed(past: Past, seed: int, liars: int) -> tuple[Net, Host]:
    """In the epoch after a change of membership; one member has just caught up."""
    net = Net(past.members, seed, liars=liars, disks=past.disks)
    assert net.run(60, lambda: net.hosts[1].member.state.round >= net.hosts[0].member.state.round)
    return net, net.hosts[0]


def _proposed(past: Past, seed: int, liars: int) -> tuple[Net, Host]:
    net, host = _changed(past, seed, liars)
    net.news()
    net.run(10, lambda: bool(host.member.consensus.proposals))
    return net, host


def _fetching(past: Past, seed: int, liars: int) -> tuple[Net, Host]:
    """Decided, and the contributions it took are still being fetched."""
    net, host = _changed(past, seed, liars)
    net.muted = lambda target, message: target is host and isinstance(message, Items | Bundle)
    net.news()
    assert net.run(60, lambda: host.member.catching_up)
    return net, host


def _downloading(past: Past, seed: int, liars: int) -> tuple[Net, Host]:
    net = Net(past.members, seed, liars=liars, disks=past.disks)
    net.muted = lambda target, message: isinstance(message, Chunk)
    assert net.run(60, lambda: net.hosts[1].member.catchup.download is not None)
    return net, net.hosts[1]


def _observing(past: Past, seed: int, liars: int) -> tuple[Net, Host]:
    net, _ = _changed(past, seed, liars)
    return net, net.add(past.members + 2)


def _trusting(past: Past, seed: int, liars: int) -> tuple[Net, Host]:
    """A newcomer that has yet to hear what its checkpoint stands for."""
    net, _ = _changed(past, seed, liars)
    return net, net.add(past.members + 1, checkpoint=past.checkpoint)


SCENES: tuple[Callable[[Past, int, int], tuple[Net, Host]], ...] = (
    _fresh, _changed, _proposed, _fetching, _downloading, _observing, _trusting,
)  # fmt: skip


def storm(net: Net, victim: Host, forger: Forger, inputs: int, random: Random) -> None:
    """Send each hostile frame to the victim, or to somebody else, and then to one more; let some time pass."""
    for number in range(inputs // 2):
        aim = victim if random.random() < 0.5 else random.choice(net.honest)
        frame, peer = forger.frame(aim.member), forger.peer()
        for host in (aim, random.choice(net.honest)):
            effects = host.member.receive(peer, frame)
            assert not _is_no_message(host.member, frame) or Blame in map(type, effects)
            assert {effect.peer for effect in effects if isinstance(effect, Blame)} <= {peer, *_early_peers(net)}
            host.perform(effects)
        if number % 50 == 49:
            net.run(0.05)
        if number % 500 == 499:
            net.news()


def _is_no_message(member: Member, frame: bytes) -> bool:
    try:
        wire.decode(frame)
    except ProtocolError:
        return True
    return False


def _early_peers(net: Net) -> Iterator[int]:
    """Whom a message that waited for its round may be blamed on."""
    yield from net.liars
    yield from range(GUEST, GUEST + 100)


def weather(members: int, seed: int, inputs: int, scene: Callable[[Past, int, int], tuple[Net, Host]]) -> None:
    random, liars = Random(seed), (members - 1) // 3
    net, victim = scene(past(members), seed, liars)
    net.hush()
    storm(net, victim, Forger(net, past(members).spoken, random), inputs, random)
    for host in net.honest:
        assert_bounded(host.member)
    net.muted = lambda target, message: False
    net.run(2.0)
    assert net.agree(2, seconds=600.0), "no round is agreed after the storm"
    assert all(len(bodies) == 1 for bodies in net.signed.values()), "somebody honest signed two bodies for one slot"
    assert all(len(values) == 1 for values in net.values.values()), "two values were agreed for one round"


def test_every_kind_of_message_was_recorded() -> None:
    assert past(4).spoken.keys() == {kind.__name__ for kind in Message.__args__}
    assert max(map(len, past(4).spoken.values())) <= SAMPLES


@pytest.mark.parametrize("scene", SCENES)
def test_a_short_storm_does_no_harm(scene: Callable[[Past, int, int], tuple[Net, Host]]) -> None:
    weather(4, seed=1, inputs=2_800, scene=scene)


@pytest.mark.long
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("members", [4, 7])
def test_a_long_storm_does_no_harm(members: int, scene: Callable[[Past, int, int], tuple[Net, Host]]) -> None:
    for seed in range(12):
        weather(members, seed=100 + seed, inputs=6_000, scene=scene)


# --- floods ---


@pytest.mark.parametrize(
    ("kind", "many"),
    [("items", 500), ("votes", 600), ("early_votes", 200), ("proposals", 150), ("announcements", 20), ("evidence", 20),
     ("petitions", 40)],
)  # fmt: skip
def test_a_flood_finds_its_bound(kind: str, many: int) -> None:
    net = Net(4, seed=1, liars=1)
    net.hush()
    member = net.hosts[0].member
    for message in islice(getattr(Flood(net, member), kind)(), many):
        member.receive(net.liars[0], wire.encode(message))
        assert_bounded(member)
    assert net.agree(2)


def test_items_larger_than_a_round_allows_are_not_kept() -> None:
    net = Net(4, seed=1, liars=1, max_bytes_per_round=1_000)
    member = net.hosts[0].member
    written = columns(Random(1), rows=300).pack()
    (blame,) = member.receive(3, wire.encode(next(Flood(net, member).items(written))))
    assert isinstance(blame, Blame)
    assert_bounded(member)


def test_whatever_columns_have_the_form_can_be_applied() -> None:
    net = Net(4, seed=1, liars=1)
    state = net.hosts[0].member.state
    for payload in Forger(net, past(4).spoken, Random(1)).payloads:
        with contextlib.suppress(ProtocolError):
            (item,) = next(Flood(net, net.hosts[0].member).items(payload)).items
            entry = Entry.read(item, net.keys.key(3), net.genesis, net.keys.verify)
            state = state.apply([entry])
    assert len(state.cells) > 100
    assert State.from_bytes(state.to_bytes(), net.genesis).hash == state.hash


# --- frames that cost more than they should, or did harm once ---


def _bundle(*messages: Message) -> bytes:
    return wire.encode(Bundle(tuple(map(wire.encode, messages))))


def _votes(net: Net, voters: tuple[int, ...], step: int, value: bytes, term: int) -> Votes:
    mask = sum(1 << voter for voter in voters).to_bytes(1, "little")
    unsigned = Votes(step, 1, term, value, NO_TERM, mask, b"")
    data = vote_bytes(net.genesis.federation, 0, unsigned)
    return unsigned.signed(b"".join(net.keys.sign(voter, data) for voter in voters))


def test_a_jump_of_terms_right_after_two_votes_of_a_liar_is_survived() -> None:
    net = Net(4, seed=1)
    far = TERMS_KEPT + TERMS_AHEAD
    frame = _bundle(
        _votes(net, (3,), FIRST, bytes(32), 0), _votes(net, (3,), FIRST, b"\x01" * 32, 0),
        _votes(net, (1, 2), SECOND, NIL, far), _votes(net, (1,), FIRST, NIL, far),
    )  # fmt: skip
    member = net.hosts[0].member
    effects = member.receive(3, frame)
    assert member.consensus.term == far
    assert not [effect for effect in effects if isinstance(effect, Blame | Equivocation)]


def test_a_third_vote_for_one_slot_is_not_worth_a_verification() -> None:
    net = Net(4, seed=1)
    member, checked = net.hosts[0].member, list[bytes]()
    verify = member._engine.verify

    def noted(key: bytes, data: bytes, signature: bytes) -> bool:
        checked.append(data)
        return verify(key, data, signature)

    member._engine = member._engine._replace(verify=noted)
    for number in range(5):
        member.receive(3, wire.encode(_votes(net, (3,), FIRST, bytes([number]) * 32, 0)))
    assert len(checked) == 2


def test_one_frame_holds_few_messages() -> None:
    net = Net(4, seed=1)
    root = wire.decode(past(4).spoken["Root"][-1])
    effects = net.hosts[0].member.receive(3, _bundle(*[root] * MAX_PARTS))
    assert not [effect for effect in effects if isinstance(effect, Blame)]
    (blame,) = net.hosts[0].member.receive(3, _bundle(*[root] * (MAX_PARTS + 1)))
    assert isinstance(blame, Blame)
    assert blame.peer == 3


def test_votes_for_many_bodies_are_relayed_in_several_frames() -> None:
    net = Net(4, seed=1)
    gossip = net.hosts[0].member.gossip
    gossip.effects.clear()
    gossip.flush([_votes(net, (3,), FIRST, bytes([number]) * 32, 0) for number in range(2 * MAX_PARTS)])
    frames = [wire.decode(effect.frame) for effect in gossip.effects if isinstance(effect, Send)]
    assert [len(frame.parts) for frame in frames if isinstance(frame, Bundle)] == [MAX_PARTS, MAX_PARTS]


def test_a_peer_that_asks_for_chunks_over_and_over_has_few_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(4, seed=1, disks=past(4).disks)
    member, packed, pack = net.hosts[0].member, list[bytes](), wire.pack

    def noted(data: bytes) -> bytes:
        packed.append(data)
        return pack(data)

    manifest = member.library.answer(Behind(0, member.roster.epoch))
    assert isinstance(manifest, Manifest)
    monkeypatch.setattr(wire, "pack", noted)
    fetch = Fetch(wire.decode_body(Value, manifest.commit.value).result, (0,) * 64)
    effects = member.receive(3, _bundle(*[fetch] * MAX_PARTS))
    sent = [len(effect.frame) for effect in effects if isinstance(effect, Send)]
    assert 0 < sum(sent) <= 3 * net.genesis.config.max_bytes_per_round
    assert len(packed) <= len(sent) + MAX_PARTS, "packed to be refused, once a message"


def test_what_is_needed_is_asked_of_others_when_its_source_never_answers() -> None:
    gossip = Net(4, seed=1).hosts[0].member.gossip
    gossip.effects.clear()
    for _ in range(40):
        gossip.want([bytes(32)], 3)
        gossip.tick(0)
    pulls = [effect.to for effect in gossip.effects if isinstance(effect, Send)]
    assert any(set(to) - {3} for to in pulls)


# --- bytes below the messages ---


@st.composite
def mangled(draw: st.DrawFn, genuine: st.SearchStrategy[bytes]) -> bytes:
    """Good bytes with a stretch flipped, cut out, put in or repeated, or with a size that promises too much."""
    data = bytearray(draw(genuine))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 8)))
        huge = draw(st.sampled_from((b"\xdd", b"\xc6", b"\xdf"))) + b"\xff\xff\xff\xf0"
        data[start:stop] = draw(st.binary(max_size=8) | st.just(bytes(data[start:stop]) * 2) | st.just(huge))
    return bytes(data)


GENUINE = st.deferred(lambda: st.sampled_from([frame for frames in past(4).spoken.values() for frame in frames]))
KEPT_STATE = st.deferred(lambda: st.just(_state().to_bytes()))
ROSTER = st.deferred(lambda: st.just(_state().roster.to_bytes()))


def _state() -> State:
    kept = past(4).disks[0].kept
    assert kept is not None
    return kept[0]


def _bodies(message: Message) -> Iterator[bytes]:
    """What of a message is hashed or signed as bytes."""
    if isinstance(message, Items):
        yield from (item.body for item in message.items)
    for name in ("value", "cut", "body"):
        yield getattr(message, name, b"")


@given(mangled(GENUINE))
def test_a_mangled_frame_is_refused_or_means_what_it_says(frame: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        message = wire.decode(frame)
        assert wire.decode(wire.encode(message)) == message


@given(GENUINE.flatmap(lambda frame: mangled(st.sampled_from([*_bodies(wire.decode(frame)), frame]))))
def test_a_mangled_body_is_refused_or_canonical(body: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert wire.encode(wire.decode_body(Contribution, body)) == body
    with contextlib.suppress(ProtocolError):
        assert wire.encode(wire.decode_body(Value, body)) == body
    with contextlib.suppress(ProtocolError):
        assert wire.encode(wire.decode_body(Cut, body)) == body


@given(mangled(st.sampled_from(BOMBS)) | st.sampled_from(BOMBS), st.integers(0, wire.MAX_UNPACKED))
def test_what_is_unpacked_keeps_within_the_limit(data: bytes, limit: int) -> None:
    with contextlib.suppress(ProtocolError):
        assert len(wire.unpack(data, limit)) <= limit
    with contextlib.suppress(ProtocolError):
        Columns.unpack(data, n_actions=4)
    with contextlib.suppress(ProtocolError):
        Columns.unpack(wire.pack(data), n_actions=4)


@given(mangled(KEPT_STATE), mangled(ROSTER))
def test_a_mangled_state_or_roster_is_refused_cleanly(state: bytes, roster: bytes) -> None:
    net_genesis = _genesis()
    with contextlib.suppress(ProtocolError):
        State.from_bytes(state, net_genesis)
    with contextlib.suppress(ProtocolError):
        net_genesis.roster.decode(roster)


@cache
def _genesis() -> Genesis:
    return Net(4, seed=1).genesis
