"""A member as its host and its peers see it: frames and timers in, effects out."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core import wire
from qorum.core.columns import EMPTY
from qorum.core.consensus import Role
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
from qorum.core.member import EARLY_BYTES, Member
from qorum.core.membership import check_evidence
from qorum.core.messages import (
    NIL,
    NO_TERM,
    Advance,
    Announce,
    Behind,
    Bundle,
    Chunk,
    Commit,
    Cut,
    CutBody,
    Digest,
    Epochs,
    Evict,
    Evidence,
    Fetch,
    Item,
    Items,
    Join,
    Kind,
    Leave,
    Manifest,
    Origin,
    Proposal,
    Pull,
    Record,
    Rekey,
    Root,
    Value,
    ValueBody,
    Votes,
    place,
    places,
)
from qorum.core.state import ORIGIN, State
from qorum.core.status import status, tolerance
from qorum.core.streams import ALLOWANCE, KEPT_ROUNDS, WAITING, Streams
from qorum.core.votes import FIRST, SECOND
from qorum.errors import ProtocolError, QorumError, StoreError
from qorum.identity import Identity
from tests.core.harness import (
    ENGINE,
    Net,
    chain,
    columns,
    fake_sign,
    fake_verify,
    genesis_of,
    item_of,
    key,
    only,
    petition_of,
    proposal_of,
    read,
    sends,
    sent,
    sha,
    timer_named,
    votes_of,
)

GENESIS = genesis_of(4)
ME = GENESIS.leader(1, 3)
LEADER = GENESIS.leader(1, 0)
OTHERS = [member for member in range(4) if member != ME]
FAST: dict[str, Any] = {
    "collect_ms": 20,
    "propose_timeout_ms": 200,
    "vote_timeout_ms": 100,
    "timeout_step_ms": 50,
    "gossip_tick_ms": 50,
    "gossip_flush_ms": 5,
}


def member_of(me: int = ME, genesis: Genesis = GENESIS, seed: int = 0) -> Member:
    """A started member that has nothing left to do."""
    member = Member(genesis, me, ENGINE, Random(seed))
    member.start()
    return member


def tell(member: Member, *records: Record, peer: int = OTHERS[0]) -> list[Effect]:
    """Messages from a peer, and signatures as soon as the member asks for them."""
    effects: list[Effect] = []
    for record in records:
        effects += signed(member, member.receive(peer, wire.encode(record)))
    return effects


def signed(member: Member, effects: list[Effect]) -> list[Effect]:
    more = [
        effect
        for request in only(effects, Sign)
        for effect in signed(member, member.signed(request, fake_sign(member.me, request.data)))
    ]
    return effects + more


def voted(effects: list[Effect]) -> list[tuple[int, bytes]]:
    return [(votes.step, votes.value) for votes in sent(effects, Votes)]


CUTS: dict[bytes, Cut] = {}
"""The cuts of the values below."""


def value_of(
    items: list[Item],
    *,
    genesis: Genesis = GENESIS,
    result: bytes | None = None,
    cut: Cut | None = None,
    **fields: Any,
) -> bytes:
    """The value of round 1 whose cut takes these items, one a member, and the state they lead to."""
    entries = sorted((read(genesis, item) for item in items), key=lambda entry: entry.body.member)
    state = State.initial(genesis).apply(entries)
    cut = cut or Cut(tuple(Advance(entry.body.member, entry.head) for entry in entries))
    hash = sha(wire.encode(cut))
    value = Value(1, ORIGIN, epoch=0, cut=hash, result=result or state.hash, roster=genesis.roster.hash)
    encoded = wire.encode(msgspec.structs.replace(value, **fields))
    CUTS[encoded] = cut
    return encoded


def sketch_of(value: bytes, genesis: Genesis = GENESIS) -> bytes:
    """The sketch of the cut of a value of round 1."""
    advances = CUTS[value].advances if value in CUTS else ()
    return Streams(genesis, State.initial(genesis).heads).sketch((a.member, a.head.seq) for a in advances)


ITEMS = [chain(GENESIS, member, 1)[0] for member in range(4)]
VALUE = value_of(ITEMS)


def proposed(value: bytes = VALUE, **place: Any) -> Proposal:
    return proposal_of(GENESIS, value, sketch=sketch_of(value), **place)


def agreed(value: bytes = VALUE, *, voters: list[int] = OTHERS, **place: int) -> Commit:
    return Commit(value, votes_of(GENESIS, voters, SECOND, sha(value), **place), sketch_of(value))


def cut_body(value: bytes) -> CutBody:
    return CutBody(wire.encode(CUTS[value]))


def at(item: Item) -> bytes:
    """The place of a first item."""
    return place(read(GENESIS, item).body.member, 1)


def fingerprint(member: Member) -> tuple[object, ...]:
    """All of a member that a message without effect leaves as it was."""
    consensus = member.consensus
    return (
        wire.encode(consensus.durable),
        repr(sorted(consensus.tally._slots.items())),
        sorted(consensus.tally.reached.items()),
        sorted(consensus.proposals),
        len(consensus.values),
        tuple(member.streams.tips),
        len(member.streams._entries),
        member.state.round,
        len(member._early),
    )


# --- rounds on a network ---


@pytest.mark.parametrize("members", [3, 4, 7, 20])
def test_members_agree_on_round_after_round(members: int) -> None:
    net = Net(members, **FAST)
    for round in (1, 2):
        net.news(round)
        assert net.run(5, lambda round=round: min(net.rounds()) == round)
    assert len({member.state.hash for member in net.members}) == 1
    assert len(net.members[0].state.cells) == 2
    assert net.blames == []
    assert net.equivocations == []


def test_members_agree_with_real_signatures() -> None:
    net = Net(4, identities=[Identity.from_seed(bytes([i]) * 32) for i in range(4)], **FAST)
    for round in (1, 2):
        net.news(0)
        assert net.run(5, lambda round=round: min(net.rounds()) == round)
    assert net.blames == []


def test_no_news_no_round() -> None:
    net = Net(4, **FAST)
    for host in net.honest:
        net.contribute(host, EMPTY)
    net.run(5)
    assert net.rounds() == [0, 0, 0, 0]
    assert all(member.consensus.role is not Role.LEADER for member in net.members)


def test_crash_mode_needs_only_more_than_half() -> None:
    net = Net(5, byzantine_threshold=0.0, **FAST)
    net.stop(1)
    net.stop(3)
    net.news(0)
    assert net.run(10, lambda: min(net.rounds()) == 1)


def test_less_than_a_quorum_commits_nothing_and_goes_on_gossiping() -> None:
    net = Net(4, **FAST)
    net.side.update({2: 1, 3: 1})
    for _ in range(3):
        for host in (0, 2):
            net.news(host)
        net.run(2)
    assert net.rounds() == [0, 0, 0, 0]
    assert net.members[1].streams.tips[0].seq == net.members[0].streams.tips[0].seq == 3
    net.side.update({2: 0, 3: 0})
    assert net.run(10, lambda: min(net.rounds()) >= 1)
    assert len({member.state.hash for member in net.members}) == 1


def test_too_few_members_only_gossip() -> None:
    net = Net(2, **FAST)
    for host in (0, 1, 0):
        net.news(host)
        net.run(2)
    assert net.rounds() == [0, 0]
    assert [tip.seq for tip in net.members[1].streams.tips] == [2, 1]
    assert all(kind == Kind.CONTRIBUTION for host in net.who for kind, *_ in net.signed[host])


def agreement_holds(net: Net) -> bool:
    values: dict[int, set[bytes]] = {}
    for host in net.honest:
        for round, value in net.commits[host].items():
            values.setdefault(round, set()).add(value)
    return all(len(different) == 1 for different in values.values())


def storm(net: Net, random: Random, *, crashes: bool) -> None:
    """Loss, reorder, duplication, cuts and crashes at effect boundaries, for a while."""
    members = range(net.genesis.members)
    net.loss, net.duplicates, net.delay = random.choice([0.05, 0.2, 0.4]), 0.2, (0.001, 0.15)
    if crashes:
        net.crash = lambda host, effect: host in net.honest and random.random() < 0.004
    for _ in range(15):
        net.run(0.2)
        for host in net.who:
            if random.random() < 0.4:
                net.news(host)
        for host in sorted(net.down):
            if random.random() < 0.5:
                net.restart(host)
        if random.random() < 0.3:
            half = random.getrandbits(len(members)) if random.random() < 0.5 else 0
            net.side = {member: half >> member & 1 for member in members}


def heal(net: Net) -> bool:
    """The faults end; whether all members then agree on two further rounds."""
    net.crash, net.loss, net.side = lambda host, effect: False, 0.0, dict.fromkeys(net.side, 0)
    for host in sorted(net.down):
        net.restart(host)
    goal = max(net.rounds()) + 2
    for _ in range(40):
        for host in net.who:
            net.news(host)
        if net.run(0.5, lambda: min(net.rounds()) >= goal):
            return True
    return False


@pytest.mark.parametrize(("members", "twins"), [(4, ()), (4, (2,)), (7, (1, 4))])
@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 40))])
def test_no_two_members_commit_different_values_and_all_go_on_after_the_storm(
    members: int, twins: tuple[int, ...], crashes: bool, seed: int
) -> None:
    net, random = Net(members, seed, twins=twins, **FAST), Random(seed)
    storm(net, random, crashes=crashes)
    assert heal(net)
    assert agreement_holds(net)
    assert all(len(bodies) == 1 for host in net.honest for bodies in net.signed[host].values())
    assert {proof.member for proof in net.equivocations} <= set(twins)
    assert net.blamed <= set(twins)


def crash_run(boundary: int) -> tuple[Net, int]:
    """Member 1 crashes before its effect number `boundary` and is started again. Returns how many it was given."""
    net, effects = Net(4, **FAST), list[Effect]()

    def crash(host: int, effect: Effect) -> bool:
        if host == 1:
            effects.append(effect)
        return host == 1 and len(effects) == boundary + 1

    net.crash = crash
    net.news(0)
    net.news(1)
    net.run(0.4)
    if 1 in net.down:
        net.restart(1)
    net.news(1)
    for _ in range(20):
        net.news(2)
        if net.run(0.5, lambda: min(net.rounds()) >= 2):
            break
    return net, len(effects)


def test_crash_before_every_single_effect() -> None:
    boundary, reached = 0, 1
    while reached > boundary and boundary < 45:
        net, reached = crash_run(boundary)
        assert min(net.rounds()) >= 2, boundary
        assert all(len(bodies) == 1 for bodies in net.signed[1].values()), boundary
        assert agreement_holds(net), boundary
        boundary += 1
    assert boundary > 20


def test_all_members_restart_at_once_and_go_on() -> None:
    net = Net(4, **FAST)
    net.news(0)
    assert net.run(5, lambda: min(net.rounds()) == 1)
    net.news(1)
    net.run(0.02)
    for host in net.honest:
        net.stop(host)
    for host in net.honest:
        net.restart(host)
    assert heal(net)
    assert agreement_holds(net)


# --- effects ---


def test_agreed_state_then_record_then_what_they_imply() -> None:
    net, batches = Net(4, **FAST), list[list[Effect]]()
    perform = net.perform

    def watched(host: int, effects: Sequence[Effect]) -> None:
        batches.append(list(effects))
        perform(host, effects)

    net.perform = watched  # type: ignore[method-assign]
    net.news(0)
    assert net.run(5, lambda: min(net.rounds()) == 1)
    committing = [batch for batch in batches if only(batch, Committed)]
    assert len(committing) == 4
    for batch in batches:
        kinds = [type(effect) for effect in batch if not isinstance(effect, Blame)]
        assert kinds.count(Persist) <= 1
        order = [Committed, Keep, Persist]
        rank = [order.index(kind) if kind in order else len(order) for kind in kinds]
        assert rank == sorted(rank)
        if Sign in kinds:
            assert Persist in kinds


def test_committed_carries_the_proof_that_a_restart_needs() -> None:
    net = Net(4, **FAST)
    net.news(0)
    assert net.run(5, lambda: min(net.rounds()) == 1)
    state, commit = net.kept[0]
    assert commit == net.members[0].last_commit
    again = Member(net.genesis, 0, ENGINE, Random(0), state=state, commit=commit, record=net.records[0])
    assert again.state.hash == net.members[0].state.hash
    assert again.consensus.round == 2
    assert again.fresh_value() is None
    again.start()
    # The items of round 1 are gone, so a commit would not help who lacks it: it offers the state.
    (root,) = sent(again.receive(1, wire.encode(Root(1, 0, bytes(8)))), Root)
    assert root.round == 2
    (manifest,) = sent(again.receive(1, wire.encode(Behind(1, 0))), Manifest)
    assert manifest == Manifest(commit, state.chunk_hashes)


def test_a_state_older_than_the_record_is_refused() -> None:
    net = Net(4, **FAST)
    net.news(0)
    assert net.run(5, lambda: min(net.rounds()) == 1)
    with pytest.raises(StoreError):
        Member(net.genesis, 0, ENGINE, Random(0), record=net.records[0])


# --- contributions ---


def test_contribution_is_signed_sent_and_linked() -> None:
    member = member_of()
    effects = member.contribute(columns(1))
    (request,) = only(effects, Sign)
    assert not member.may_contribute
    with pytest.raises(QorumError):
        member.contribute(columns(2))
    effects = member.signed(request, fake_sign(ME, request.data))
    assert member.may_contribute
    assert member.uncommitted == 1
    assert only(effects, WindowOpened) == [WindowOpened(1)]
    assert {item.hash for items in sent(effects, Items) for item in items.items} == {member.streams.tips[ME].hash}
    signed(member, member.contribute(EMPTY))
    assert member.streams.tips[ME].seq == 2


def test_restart_signs_all_uncommitted_contributions_again_before_it_makes_new_ones() -> None:
    member = member_of()
    log = signed(member, member.contribute(columns(1))) + signed(member, member.contribute(columns(2)))
    record = only(log, Persist)[-1].record
    again = Member(GENESIS, ME, ENGINE, Random(1), record=record)
    assert not again.may_contribute
    effects = again.start()
    assert [r.data for r in only(effects, Sign)] == [r.data for r in only(log, Sign)]
    signed(again, effects)
    assert again.may_contribute
    assert again.streams.tips[ME] == member.streams.tips[ME]


def test_contribution_of_a_round_that_is_over_is_not_taken_again() -> None:
    """A crash after the agreed state was kept and before the record was: the record still has the contribution."""
    net = Net(4, **FAST)
    net.news(0)
    before = net.records[0]
    assert net.run(5, lambda: min(net.rounds()) == 1)
    assert net.members[0].consensus.durable.own == ()
    state, commit = net.kept[0]
    again = Member(net.genesis, 0, ENGINE, Random(0), state=state, commit=commit, record=before)
    effects = signed(again, again.start())
    assert only(effects, Sign)
    assert only(effects, WindowOpened) == []
    assert again.streams.tips[0] == state.heads[0]
    assert again.may_contribute


def test_own_contributions_that_no_round_takes_are_restated_instead_of_piling_up() -> None:
    member, limit = member_of(), GENESIS.config.max_items_per_round
    for made in range(100):
        assert member.restates == (member.uncommitted == limit)
        signed(member, member.contribute(columns(made)))
        assert 1 <= member.uncommitted <= limit
        assert len(member.consensus.durable.own) == member.uncommitted
    assert member.streams.tips[ME].seq == 100
    assert len(member.streams._entries) <= WAITING * limit


def test_restart_in_the_middle_of_restating_signs_the_same_again_and_nothing_that_it_replaced() -> None:
    member, limit = member_of(), GENESIS.config.max_items_per_round
    for made in range(limit):
        signed(member, member.contribute(columns(made)))
    assert member.restates
    (record,) = only(member.contribute(columns(99)), Persist)  # it crashes before the signature comes
    again = Member(GENESIS, ME, ENGINE, Random(1), record=record.record)
    (request,) = only(again.start(), Sign)
    assert not again.may_contribute
    again.signed(request, fake_sign(ME, request.data))
    assert (again.uncommitted, again.streams.tips[ME].seq) == (1, limit + 1)
    assert not again.restates
    signed(again, again.contribute(columns(100)))
    assert (again.uncommitted, again.streams.tips[ME].seq) == (2, limit + 2)


def test_restart_with_a_record_of_before_the_restating_goes_on_behind_it() -> None:
    """Its items were taken by a round that it heard of after the restart: it says all again past its head."""
    member = member_of()
    first = signed(member, member.contribute(columns(1)))
    own = next(item for items in sent(first, Items) for item in items.items)
    others = [ITEMS[m] for m in range(4) if m != ME]
    signed(member, member.contribute(columns(2)))
    value = value_of([*others, own])
    tell(member, *others, agreed(value))
    assert member.state.round == 1
    assert (member.state.heads[ME].seq, member.uncommitted, member.restates) == (1, 1, False)


def test_announced_item_is_pulled_taken_and_announced_on() -> None:
    member, item = member_of(), ITEMS[OTHERS[0]]
    effects = tell(member, Announce(at(item)))
    assert sends(effects) == [((OTHERS[0],), Pull(at(item)))]
    effects = tell(member, Items((item,)))
    assert member.streams.tips[OTHERS[0]].seq == 1
    assert only(effects, WindowOpened) == [WindowOpened(1)]
    (announced,) = {message.items for message in sent(member.timer(timer_named(effects, Timer.FLUSH)), Announce)}
    assert announced == at(item)
    assert tell(member, Announce(at(item)), item) == []


def test_items_are_served_when_pulled() -> None:
    member = member_of()
    tell(member, *ITEMS)
    asked = ITEMS[0].hash, sha(b"nothing"), ITEMS[1].hash
    assert sent(tell(member, Pull(b"", asked)), Items) == [Items((ITEMS[0], ITEMS[1]))]
    by_place = at(ITEMS[0]) + place(1, 7) + at(ITEMS[1])
    assert sent(tell(member, Pull(by_place)), Items) == [Items((ITEMS[0], ITEMS[1]))]
    assert sent(tell(member, Pull(at(ITEMS[0]), (ITEMS[0].hash,))), Items) == [Items((ITEMS[0],))]


def test_an_empty_item_opens_no_window_but_counts() -> None:
    member = member_of()
    idle = [item_of(GENESIS, member, 1, ORIGIN) for member in OTHERS]
    assert only(tell(member, *idle), WindowOpened) == []
    effects = tell(member, ITEMS[ME])
    assert only(effects, WindowOpened) == [WindowOpened(1)]
    assert member.consensus.window_closed  # all four have advanced


def test_window_closes_a_while_after_a_quorum_advanced() -> None:
    member = member_of()
    effects = tell(member, *(ITEMS[other] for other in OTHERS))
    collect = timer_named(effects, Timer.COLLECT)
    assert collect.delay == GENESIS.config.collect_ms / 1000
    member.timer(msgspec_free(collect, round=2))
    assert not member.consensus.window_closed
    assert timer_named(member.timer(collect), Timer.PROPOSE).term == 0


def msgspec_free(timer: SetTimer, *, round: int) -> SetTimer:
    return SetTimer(timer.name, timer.delay, round, timer.term)


def test_two_branches_of_a_stream_are_evidence_with_both_signatures() -> None:
    member, liar = member_of(), OTHERS[0]
    one, other = chain(GENESIS, liar, 1)[0], chain(GENESIS, liar, 1, mark=1)[0]
    (proof,) = only(tell(member, one, other), Equivocation)
    assert proof.member == liar
    assert (proof.evidence.kind, proof.evidence.bodies) == (Kind.CONTRIBUTION, tuple(sorted([one.hash, other.hash])))
    check_evidence(proof.evidence, GENESIS.roster, fake_verify)


# --- votes and proposals ---


def test_leader_proposes_and_everybody_applies_the_same_state() -> None:
    leader = member_of(LEADER)
    (proposal,) = sent(tell(leader, *ITEMS, peer=ME), Proposal)
    assert proposal.value == VALUE
    follower = member_of()
    tell(follower, *ITEMS)
    assert voted(tell(follower, proposal)) == [(FIRST, sha(VALUE))]
    effects = tell(follower, votes_of(GENESIS, OTHERS, FIRST, sha(VALUE)))
    assert voted(effects) == [(SECOND, sha(VALUE))]
    effects = tell(follower, votes_of(GENESIS, OTHERS, SECOND, sha(VALUE)))
    (committed,) = only(effects, Committed)
    assert committed.state.hash == wire.decode_body(Value, VALUE).result
    assert sent(effects, Commit)


def test_vote_waits_for_items_that_the_value_cites_and_pulls_them() -> None:
    member = member_of()
    effects = tell(member, *ITEMS[:3], proposed(VALUE))
    assert voted(effects) == []
    assert {pull.items for pull in sent(effects, Pull)} == {at(ITEMS[3])}
    assert voted(tell(member, ITEMS[3])) == [(FIRST, sha(VALUE))]


BAD_VALUES: dict[str, bytes] = {
    "wrong result": value_of(ITEMS, result=sha(b"another state")),
    "fewer than a quorum of origins": value_of(ITEMS[:2]),
    "another round": value_of(ITEMS, round=2),
    "another past": value_of(ITEMS, previous=sha(b"another value")),
    "another epoch": value_of(ITEMS, epoch=1),
    "another roster": value_of(ITEMS, roster=sha(b"another roster")),
    "members out of order": value_of(ITEMS, cut=Cut(CUTS[VALUE].advances[::-1])),
    "not a value": b"value",
}


@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_invalid_value_gets_nil(value: bytes) -> None:
    member = member_of()
    effects = tell(member, *ITEMS, proposed(value))
    if sent(effects, Pull):  # only a cut that no sketch stands for
        effects += tell(member, cut_body(value))
    assert voted(effects) == [(FIRST, NIL)]


def test_bodies_that_votes_name_are_pulled_and_served() -> None:
    member = member_of()
    effects = tell(member, *ITEMS, votes_of(GENESIS, OTHERS, SECOND, sha(VALUE)))
    assert Pull(b"", (sha(VALUE),)) in sent(effects, Pull)
    assert only(tell(member, ValueBody(b"something else")), Committed) == []
    assert member.consensus.body(sha(b"something else")) is None
    effects = tell(member, ValueBody(VALUE))  # of its cut there is no sketch
    assert Pull(b"", (sha(cut_body(VALUE).cut),)) in sent(effects, Pull)
    tell(member, cut_body(value_of(ITEMS[:3])))
    assert len(only(tell(member, cut_body(VALUE)), Committed)) == 1
    other = member_of()
    tell(other, *ITEMS, proposed(VALUE))
    asked = Pull(b"", (sha(VALUE), sha(cut_body(VALUE).cut)))
    assert [answer for _, answer in sends(tell(other, asked))] == [ValueBody(VALUE), cut_body(VALUE)]
    for body in ([answer] for _, answer in sends(tell(member, asked))):  # of a round that is over, too
        assert body[0] in (ValueBody(VALUE), cut_body(VALUE))


def test_votes_that_are_news_are_relayed_once() -> None:
    member = member_of()
    first = votes_of(GENESIS, OTHERS[:1], FIRST)
    effects = tell(member, first, first)
    assert len(only(effects, SetTimer)) == 1
    assert sent(member.timer(timer_named(effects, Timer.FLUSH)), Votes) == [first]


def test_relay_of_a_round_that_ended_is_dropped() -> None:
    member = member_of()
    effects = tell(member, votes_of(GENESIS, OTHERS[:1], FIRST), *ITEMS, agreed())
    assert member.state.round == 1
    flushed = member.timer(timer_named(effects, Timer.FLUSH))
    bundle = [wire.decode(part) for b in sent(flushed, Bundle) for part in b.parts]
    assert not any(isinstance(part, Votes) for part in bundle)


def test_equivocating_voter_is_proven_with_both_votes() -> None:
    member, liar = member_of(), OTHERS[0]
    one, other = votes_of(GENESIS, [liar], FIRST), votes_of(GENESIS, OTHERS[:2], FIRST, sha(VALUE))
    (proof,) = only(tell(member, one, other), Equivocation)
    assert proof.member == liar
    assert proof.evidence.kind is Kind.FIRST_VOTE
    check_evidence(proof.evidence, GENESIS.roster, fake_verify)
    assert not member.consensus.tally.certificate(0, FIRST)


def test_equivocating_leader_is_proven_once() -> None:
    member = member_of()
    tell(member, *ITEMS)
    other = proposed(value_of(ITEMS[:3]))
    effects = tell(member, proposed(VALUE), other, other, proposed(b"a third"))
    (proof,) = only(effects, Equivocation)
    assert proof.member == LEADER
    assert proof.evidence.kind is Kind.PROPOSAL
    check_evidence(proof.evidence, GENESIS.roster, fake_verify)
    assert voted(effects) == [(FIRST, sha(VALUE))]


def test_the_same_proposal_again_is_nothing() -> None:
    member = member_of()
    proposal = proposed(VALUE)
    tell(member, proposal)
    assert tell(member, proposal) == []


def test_late_answers_to_sign_requests_of_an_old_round_change_nothing() -> None:
    member = member_of()
    tell(member, *ITEMS)
    requests = only(member.receive(OTHERS[0], wire.encode(proposed(VALUE))), Sign)
    tell(member, agreed())
    before = fingerprint(member)
    for request in requests:
        member.signed(request, fake_sign(ME, request.data))
    leader = member_of(LEADER)
    leader_requests = only([e for i in ITEMS for e in leader.receive(ME, wire.encode(i))], Sign)
    tell(leader, agreed(), peer=ME)
    for request in leader_requests:
        leader.signed(request, fake_sign(LEADER, request.data))
    assert fingerprint(member) == before
    assert leader.consensus.proposals == {}


# --- what no honest member sends ---


def proof_of(liar: int) -> Evidence:
    """Evidence against a member that signed two branches of its stream."""
    branches = [chain(GENESIS, liar, 1, mark=mark)[0] for mark in (0, 1)]
    first, second = sorted(branches, key=lambda item: item.hash)
    signatures = (first.signature, second.signature)
    return Evidence(liar, Kind.CONTRIBUTION, 0, 1, 0, (first.hash, second.hash), signatures)


def corrupt(signatures: bytes) -> bytes:
    return signatures[:-1] + bytes([signatures[-1] ^ 1])


def bad_votes() -> dict[str, Record]:
    good, replace = votes_of(GENESIS, OTHERS, FIRST, sha(VALUE)), msgspec.structs.replace
    return {
        "vote of another federation": votes_of(genesis_of(5), OTHERS, FIRST, sha(VALUE)),
        "vote with a wrong signature": replace(good, signatures=corrupt(good.signatures)),
        "vote of another term": replace(good, term=1),
        "vote without a voter": replace(good, voters=b"", signatures=b""),
        "vote of a member beyond the last": replace(good, voters=bytes([0b10111])),
        "one signature for two voters": replace(good, signatures=good.signatures[:64] * 2 + good.signatures[64:]),
        "first vote that cites": replace(good, cited=0, term=1),
        "second vote that cites its own term": votes_of(GENESIS, OTHERS, SECOND, term=2, cited=2),
        "vote for half a hash": votes_of(GENESIS, OTHERS, FIRST, b"short"),
    }


def bad_proposals() -> dict[str, Record]:
    def cites(cited: Votes, term: int = 2) -> Record:
        return proposed(VALUE, term=term, cited=cited)

    good = votes_of(GENESIS, OTHERS, FIRST, sha(VALUE), term=1)
    twice = good.signatures[:64] + good.signatures[:64] + good.signatures[128:]
    replace = msgspec.structs.replace
    return {
        "proposal of the wrong leader": proposed(VALUE, by=GENESIS.leader(1, 1)),
        "proposal of another federation": proposal_of(genesis_of(5), VALUE),
        "proposal moved to another term": replace(proposed(VALUE), term=4),
        "certificate below a quorum": cites(votes_of(GENESIS, OTHERS[:2], FIRST, sha(VALUE), term=1)),
        "certificate of another value": cites(votes_of(GENESIS, OTHERS, FIRST, sha(b"other"), term=1)),
        "certificate of nil": cites(votes_of(GENESIS, OTHERS, FIRST, term=1)),
        "certificate of second votes": cites(votes_of(GENESIS, OTHERS, SECOND, sha(VALUE), term=1)),
        "certificate of its own term": cites(good, term=1),
        "certificate of another round": cites(votes_of(GENESIS, OTHERS, FIRST, sha(VALUE), term=1, round=2)),
        "certificate with one signer twice": cites(replace(good, signatures=twice)),
        "certificate with a foreign signer": cites(
            replace(good, voters=bytes([int.from_bytes(good.voters) & ~1 | 16]))
        ),
        "certificate with a wrong signature": cites(replace(good, signatures=corrupt(good.signatures))),
    }


def bad_commits() -> dict[str, Record]:
    good = agreed()
    replace = msgspec.structs.replace
    state = State.initial(GENESIS).apply([read(GENESIS, item) for item in ITEMS])
    forged = State.initial(GENESIS).apply([read(GENESIS, item) for item in ITEMS[:3]])
    early = value_of(ITEMS, round=3)
    return {
        "commit of another value": replace(good, value=value_of(ITEMS[:3])),
        "commit below a quorum": agreed(voters=OTHERS[:2]),
        "commit of first votes": Commit(VALUE, votes_of(GENESIS, OTHERS, FIRST, sha(VALUE))),
        "commit with a wrong signature": Commit(
            VALUE, replace(good.certificate, signatures=corrupt(good.certificate.signatures))
        ),
        "commit that is not a value": Commit(b"value", votes_of(GENESIS, OTHERS, SECOND, sha(b"value"))),
        "manifest of a forged state": Manifest(good, forged.chunk_hashes),
        "manifest of nothing": Manifest(good, b""),
        "manifest of bytes": Manifest(good, b"state"),
        "manifest of another value": Manifest(replace(good, value=value_of(ITEMS[:3])), forged.chunk_hashes),
        "manifest below a quorum": Manifest(agreed(voters=OTHERS[:2]), state.chunk_hashes),
        "manifest of another round": Manifest(agreed(early), state.chunk_hashes),
        "epochs that do not end": Epochs((good,)),
        "epochs below a quorum": Epochs((agreed(voters=OTHERS[:2]),)),
    }


def bad_changes() -> dict[str, Record]:
    roster, replace = GENESIS.roster, msgspec.structs.replace
    evidence = proof_of(OTHERS[0])
    join = petition_of(roster, Join(key(99)))
    swapped = evidence.bodies[1], evidence.bodies[0]
    return {
        "evidence with a wrong signature": replace(evidence, signatures=(evidence.signatures[0],) * 2),
        "evidence of one body": replace(evidence, bodies=(evidence.bodies[0],) * 2),
        "evidence out of order": replace(evidence, bodies=swapped, signatures=evidence.signatures[::-1]),
        "evidence of another slot": replace(evidence, round=2),
        "evidence against nobody": replace(evidence, member=7, kind=Kind.FIRST_VOTE),
        "evidence of consents": replace(evidence, kind=Kind.CONSENT),
        "join of a member": petition_of(roster, Join(key(2))),
        "join without consent": replace(join, consent=b""),
        "join with another's consent": petition_of(roster, Join(key(99)), consent=key(0)),
        "join below a quorum of endorsers": petition_of(roster, Join(key(99)), endorsers=[0, 1]),
        "join with one endorsement twice": replace(join, signatures=join.signatures[:64] * 4),
        "join with a foreign endorser": replace(join, endorsers=b"\x1e"),
        "leave without consent": petition_of(roster, Leave(2, 0), consent=key(1)),
        "leave of another incarnation": petition_of(roster, Leave(2, 1)),
        "leave of nobody": replace(petition_of(roster, Leave(2, 0)), change=Leave(9, 0)),
        "re-key below a quorum of endorsers": petition_of(roster, Rekey(2, 1, key(99)), endorsers=[0, 1]),
        "re-key without consent of the new key": petition_of(roster, Rekey(2, 1, key(99)), consent=key(2)),
        "re-key of another incarnation": petition_of(roster, Rekey(2, 2, key(99))),
        "re-key to a key that was in use": petition_of(roster, Rekey(2, 1, key(1))),
        "eviction below a quorum of endorsers": petition_of(roster, Evict(2, 0), endorsers=[0, 1]),
        "eviction of another than the evidence shows": replace(
            petition_of(roster, Evict(next(m for m in range(4) if m != evidence.member), 0), endorsers=[]),
            evidence=evidence,
        ),
    }


def bad_others() -> dict[str, Record]:
    good = ITEMS[OTHERS[0]]
    n = GENESIS.members
    return {
        "item with a wrong signature": Item(good.body, corrupt(good.signature)),
        "item of a member beyond the last": item_of(GENESIS, n, 1, ORIGIN),
        "item that is not canonical": Item(good.body + b"\x00", good.signature),
        "item with a broken payload": item_of(GENESIS, 0, 1, ORIGIN, payload=b"junk"),
        "item beyond the size limit": item_of(GENESIS, 0, 1, ORIGIN, payload=bytes(100_001)),
        "item that was cut short": Item(good.body[:-1], good.signature),
        "digest of another size": Digest(1, 0, wire.pack(bytes(4 * n + 4)), b"", b"", False, True, NO_TERM),
        "digest of bytes": Digest(1, 0, b"junk", b"", b"", False, True, NO_TERM),
        "bundle in a bundle": Bundle((wire.encode(Bundle(())),)),
        "bundle of bytes": Bundle((b"\xc1",)),
    }


BAD = bad_votes() | bad_proposals() | bad_commits() | bad_changes() | bad_others()


@pytest.mark.parametrize("record", BAD.values(), ids=BAD.keys())
def test_what_no_honest_member_sends_is_blamed_and_without_effect(record: Record) -> None:
    member = member_of()
    tell(member, *(ITEMS[other] for other in OTHERS[1:]))
    before = fingerprint(member)
    effects = member.receive(OTHERS[0], wire.encode(record))
    assert [blame.peer for blame in only(effects, Blame)] == [OTHERS[0]]
    assert [effect for effect in effects if not isinstance(effect, Blame)] == []
    assert fingerprint(member) == before


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_blamed(frame: bytes) -> None:
    member = member_of()
    before = fingerprint(member)
    effects = member.receive(OTHERS[0], frame)
    assert fingerprint(member) == before
    assert only(effects, Blame)


def specimens() -> list[bytes]:
    """A frame of every kind, each of some use to the member that gets it."""
    member = member_of()
    state = State.initial(GENESIS).apply([read(GENESIS, item) for item in ITEMS])
    records: list[Record] = [
        ITEMS[0],
        Items(tuple(ITEMS)),
        votes_of(GENESIS, OTHERS[:1], FIRST, sha(VALUE)),
        votes_of(GENESIS, OTHERS, SECOND, term=3, cited=1),
        proposed(VALUE),
        proposed(VALUE, term=2, cited=votes_of(GENESIS, OTHERS, FIRST, sha(VALUE), term=1)),
        agreed(),
        Announce(at(ITEMS[0]) + at(ITEMS[3])),
        Pull(at(ITEMS[0]), (ITEMS[2].hash, sha(VALUE))),
        ValueBody(VALUE),
        cut_body(VALUE),
        proof_of(OTHERS[0]),
        petition_of(GENESIS.roster, Join(key(99))),
        petition_of(GENESIS.roster, Leave(OTHERS[1], 0)),
        petition_of(GENESIS.roster, Rekey(OTHERS[1], 1, key(99))),
        petition_of(GENESIS.roster, Evict(OTHERS[1], 0)),
        Behind(1, 0),
        Origin(VALUE, GENESIS.roster.to_bytes()),
        Epochs((agreed(),)),
        Manifest(agreed(), state.chunk_hashes),
        Fetch(state.hash, (0, 1)),
        Chunk(state.hash, 0, wire.pack(state.to_bytes())),
        member._root(),
        Digest(1, 0, member.streams.versions(), b"\x01", b"", False, True, NO_TERM),
        Bundle((wire.encode(ITEMS[0]), wire.encode(Root(1, 0, bytes(8))))),
    ]
    return [wire.encode(record) for record in records]


SPECIMENS = specimens()


@given(st.sampled_from(SPECIMENS), st.data())
def test_mutated_frames_never_raise(frame: bytes, data: st.DataObject) -> None:
    mutated = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        change = data.draw(st.sampled_from(["set", "cut", "insert"]))
        if change == "set":
            mutated[at] = data.draw(st.integers(0, 255))
        elif change == "cut":
            del mutated[at : at + data.draw(st.integers(1, 8))]
        else:
            mutated[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        if not mutated:
            break
    member = member_of()
    tell(member, *ITEMS[:3])
    tell(member, proposed(VALUE))
    member.receive(OTHERS[0], bytes(mutated))
    assert member.state.round in (0, 1)
    if member.state.round == 1:
        assert member.state.hash == wire.decode_body(Value, VALUE).result


# --- floods ---


def test_early_messages_are_bounded_by_number_and_bytes() -> None:
    member = member_of()
    for term in range(100):
        tell(member, votes_of(GENESIS, OTHERS[:1], FIRST, round=2, term=term))
    assert len(member._early) <= 4 * GENESIS.members
    many = genesis_of(20)
    member, big = member_of(0, many), proposal_of(many, bytes(90_000), round=2)
    for _ in range(60):
        tell(member, big)
    assert 40 < len(member._early) < 60
    assert sum(len(wire.encode(message)) for _, message in member._early) <= EARLY_BYTES
    assert len(sends(tell(member, big))) <= 1


def test_early_messages_count_once_the_round_begins() -> None:
    member = member_of()
    tell(member, votes_of(GENESIS, OTHERS[:2], FIRST, round=2), *ITEMS)
    bad = msgspec.structs.replace(votes_of(GENESIS, OTHERS, FIRST, round=2), term=1)
    effects = tell(member, bad, agreed())
    assert member.state.round == 1
    assert member.consensus.tally.slot(0, FIRST).seen.bit_count() == 2
    assert len(only(effects, Blame)) == 1
    assert member._early == []


def test_votes_of_far_terms_and_of_many_bodies_are_not_kept() -> None:
    member, liar = member_of(), OTHERS[:1]
    for term in range(9, 400):
        tell(member, votes_of(GENESIS, liar, FIRST, term=term))
    for number in range(100):
        tell(member, votes_of(GENESIS, liar, FIRST, sha(b"%d" % number)))
    slots = member.consensus.tally._slots
    assert set(slots) == {(0, FIRST)}
    assert len(slots[0, FIRST].masks) == len(slots[0, FIRST].bodies) == 2
    assert member.consensus.term == 0


def test_items_beyond_the_allowance_are_not_taken_and_few_wait_even_if_announced() -> None:
    member, liar, limit = member_of(), OTHERS[0], GENESIS.config.max_items_per_round
    items = chain(GENESIS, liar, 100)
    effects = tell(member, *(record for n, item in enumerate(items, 1) for record in (Announce(place(liar, n)), item)))
    assert len(member.streams._entries) <= WAITING * limit
    assert len(sent(effects, Pull)) <= 100
    flushed = sent(member.timer(SetTimer(Timer.FLUSH, 0.0)), Announce)
    assert max(len(places(announce.items)) for announce in flushed) <= ALLOWANCE * limit + WAITING * limit


def test_items_of_the_past_are_not_kept() -> None:
    member = member_of()
    tell(member, *ITEMS, agreed())
    assert member.state.round == 1
    before = fingerprint(member)
    tell(member, chain(GENESIS, OTHERS[0], 1, mark=7)[0])
    assert fingerprint(member) == before


def test_pulls_are_answered_within_a_budget_and_each_hash_once() -> None:
    member = member_of()
    tell(member, *ITEMS, proposed(VALUE))
    served = tell(member, Pull(b"", (sha(VALUE), ITEMS[0].hash) * 256))
    assert len(sent(served, ValueBody)) == 1
    assert [len(items.items) for items in sent(served, Items)] == [1]
    budget = 2 * GENESIS.config.max_bytes_per_round
    total = sum(len(effect.frame) for _ in range(2000) for effect in only(tell(member, Pull(b"", (sha(VALUE),))), Send))
    assert total <= 1.5 * budget
    member.timer(SetTimer(Timer.TICK, 0))
    assert sent(tell(member, Pull(b"", (sha(VALUE),))), ValueBody)


def test_one_answer_per_peer_per_tick() -> None:
    member = member_of()
    tell(member, *ITEMS, agreed())
    old = [Root(1, 0, bytes(8))] * 20 + [votes_of(GENESIS, OTHERS[:1], FIRST, round=1)] * 20
    assert [type(message) for _, message in sends(tell(member, *old))] == [Commit, Root]
    ahead = [votes_of(GENESIS, OTHERS[:1], FIRST, round=9)] * 20
    assert len(sends(tell(member, *ahead))) == 1
    differs = [Root(2, 0, bytes(8))] * 20
    assert len(sends(tell(member, *differs))) == 1


# --- behind and back ---


def isolated_run(rounds: int) -> Net:
    """Member 3 is cut off while the others agree on some rounds."""
    net = Net(4, **FAST)
    net.side[3] = 1
    for round in range(1, rounds + 1):
        net.news(round % 3)
        assert net.run(20, lambda round=round: min(net.rounds()[:3]) == round)
    net.side[3] = 0
    return net


def test_a_member_a_little_behind_is_shown_commits_one_by_one() -> None:
    net = isolated_run(3)
    assert net.run(5, lambda: net.rounds() == [3, 3, 3, 3])
    assert sorted(net.commits[3]) == [1, 2, 3]
    assert net.blames == []


def test_a_member_far_behind_takes_a_snapshot_and_goes_on() -> None:
    rounds = KEPT_ROUNDS + 3
    net = isolated_run(rounds)
    assert net.run(10, lambda: net.rounds() == [rounds] * 4)
    assert len(net.commits[3]) < rounds
    assert net.members[3].state.hash == net.members[0].state.hash
    net.news(3)
    assert net.run(5, lambda: min(net.rounds()) == rounds + 1)
    assert len(net.members[0].service._proofs) <= KEPT_ROUNDS


def test_a_certificate_whose_voters_are_known_still_needs_their_signatures() -> None:
    member = member_of()
    commit = agreed()
    hollow = msgspec.structs.replace(commit.certificate, signatures=bytes(64 * len(OTHERS)))
    for voter in OTHERS[:-1]:  # one short of a quorum
        tell(member, votes_of(GENESIS, [voter], SECOND, sha(VALUE)))
    known = member_of()
    tell(known, votes_of(GENESIS, OTHERS, FIRST, sha(VALUE)))
    cited = msgspec.structs.replace(known.consensus.durable.best, signatures=hollow.signatures)
    state = State.initial(GENESIS).apply([read(GENESIS, item) for item in ITEMS])
    for record in (Commit(VALUE, hollow), Manifest(Commit(VALUE, hollow), state.chunk_hashes)):
        assert only(tell(member, record), Blame)
        assert member.state.round == 0
    with pytest.raises(ProtocolError):
        known._verify_certificate(cited, FIRST, GENESIS.roster)


def test_what_no_cut_can_take_closes_no_window() -> None:
    member = member_of()
    future = chain(GENESIS, OTHERS[0], 1, base=2**31 - 1)
    tell(member, *future, *(chain(GENESIS, m, 1)[0] for m in OTHERS[1:]))
    assert len(member.streams.ahead) == 3
    assert member.streams.advanced(1) == 2
    assert not member.consensus.window_closed
    assert only(member.timer(SetTimer(Timer.COLLECT, 0.0, round=7)), Send) == []


def test_a_newcomer_with_nothing_catches_up() -> None:
    net = Net(4, **FAST)
    net.stop(3)
    net.lose_store(3)
    for round in (1, 2):
        net.news(0)
        assert net.run(20, lambda round=round: min(net.rounds()) == round)
    net.restart(3)
    assert net.run(5, lambda: net.rounds() == [2, 2, 2, 2])


def test_a_hidden_certificate_is_served_to_whoever_lacks_it() -> None:
    holder, other = member_of(OTHERS[0]), member_of(ME, seed=1)
    voters = [m for m in range(4) if m != holder.me]
    tell(holder, votes_of(GENESIS, voters, FIRST, sha(VALUE), term=0), peer=voters[0])
    for member in (holder, other):  # both go on to a later term, where its votes are no longer passed on
        tell(member, *(votes_of(GENESIS, [voters[0]], FIRST, term=2), votes_of(GENESIS, [voters[1]], SECOND, term=2)))
    assert (holder.consensus.best_term, other.consensus.best_term) == (0, NO_TERM)
    assert holder.consensus.term == other.consensus.term == 2
    assert holder._root() != other._root()
    (digest,) = sent(tell(holder, other._root(), peer=other.me), Digest)
    for _, answer in sends(tell(other, digest, peer=holder.me)):
        for _, delta in sends(tell(holder, answer, peer=other.me)):
            tell(other, delta, peer=holder.me)
    assert other.consensus.best_term == 0


def test_anti_entropy_brings_items_votes_and_proposal() -> None:
    ahead, behind = member_of(OTHERS[0]), member_of(ME, seed=1)
    tell(ahead, *ITEMS, proposed(VALUE), votes_of(GENESIS, OTHERS[1:], FIRST, sha(VALUE)), peer=ME)
    assert sends(tell(ahead, ahead._root(), peer=ME)) == []
    (digest,) = sent(tell(behind, ahead._root(), peer=ahead.me), Digest)
    effects = tell(ahead, digest, peer=ME)
    assert {type(message) for _, message in sends(effects)} == {Announce, Proposal, Votes, Digest}
    for _, message in sends(effects):
        for pull in sent(tell(behind, message, peer=ahead.me), Pull):
            for items in sent(tell(ahead, pull, peer=ME), Items):
                tell(behind, items, peer=ahead.me)
    assert [tip.seq for tip in behind.streams.tips] == [1, 1, 1, 1]
    assert 0 in behind.consensus.proposals
    assert behind.consensus.durable.lock is not None
    assert behind.consensus.durable.lock.value == sha(VALUE)


def test_a_member_of_an_earlier_term_is_shown_why_that_is_over() -> None:
    ahead, behind = member_of(OTHERS[0]), member_of(ME, seed=1)
    tell(ahead, votes_of(GENESIS, OTHERS, SECOND, term=2), votes_of(GENESIS, OTHERS, FIRST, term=3))
    assert ahead.consensus.term == 3
    for _, message in sends(tell(ahead, behind._digest(answer=False), peer=ME)):
        tell(behind, message, peer=ahead.me)
    assert behind.consensus.term == 3
    assert behind.consensus.tally.has_quorum(2, SECOND)
    assert sends(tell(behind, ahead._digest(answer=False), peer=ahead.me)) == []
    # One in a later term gets nothing of the terms before.
    late = msgspec.structs.replace(behind._digest(answer=False), term=5)
    assert sent(tell(ahead, late, peer=OTHERS[1]), Votes) == []


def test_a_leader_asks_those_who_cite_a_certificate_for_it() -> None:
    leader = member_of(GENESIS.leader(1, 3))
    others = [peer for peer in range(4) if peer != leader.me]
    tell(leader, votes_of(GENESIS, others[:2], SECOND, term=2))
    asked = sends(tell(leader, votes_of(GENESIS, others[2:], SECOND, term=2, cited=1)))
    assert leader.consensus.role is Role.CANDIDATE
    assert [to for to, message in asked if isinstance(message, Digest)] == [tuple(others[2:])]


def test_a_leader_that_skipped_into_its_term_is_given_the_votes_that_elect_it() -> None:
    voter, leader = member_of(OTHERS[0]), member_of(GENESIS.leader(1, 3), seed=1)
    tell(voter, votes_of(GENESIS, OTHERS, SECOND, term=2), votes_of(GENESIS, OTHERS, FIRST, term=3))
    tell(leader, votes_of(GENESIS, OTHERS, FIRST, term=3))
    assert voter.consensus.term == leader.consensus.term == 3
    assert not leader.consensus.tally.has_quorum(2, SECOND)
    for _, message in sends(tell(voter, leader._digest(answer=False), peer=leader.me)):
        tell(leader, message, peer=voter.me)
    assert leader.consensus.tally.has_quorum(2, SECOND)


def test_digest_of_an_old_round_is_answered_with_the_commit() -> None:
    member = member_of()
    tell(member, *ITEMS, agreed())
    (commit,) = sent(tell(member, member_of(OTHERS[1])._digest(answer=True)), Commit)
    assert commit.value == VALUE


def test_digest_of_the_next_round_is_answered_with_a_digest_only_and_one_of_later_ones_with_how_far_behind() -> None:
    member = member_of()
    digest = msgspec.structs.replace(member._digest(answer=True), round=2)
    assert [type(m) for _, m in sends(tell(member, digest))] == [Digest]
    later = msgspec.structs.replace(digest, round=7)
    assert sends(tell(member, later)) == [((OTHERS[0],), Behind(1, 0))]


def test_commit_before_its_items_waits_for_them() -> None:
    member = member_of()
    effects = tell(member, agreed())
    assert only(effects, Committed) == []
    assert b"".join(pull.items for pull in sent(effects, Pull)) == b"".join(map(at, ITEMS))
    assert member.catching_up
    assert "fetching" in status(member)
    assert tell(member, agreed()) == []
    member.timer(SetTimer(Timer.TICK, 0))
    assert only(tell(member, *ITEMS[:3]), Committed) == []
    effects = tell(member, ITEMS[3])
    assert len(only(effects, Committed)) == 1
    assert not member.catching_up
    assert tell(member, agreed()) == []


def test_who_took_a_commit_asks_its_teacher_for_more() -> None:
    member = member_of()
    effects = tell(member, *ITEMS, agreed(), peer=OTHERS[1])
    assert ((OTHERS[1],), member._root()) in sends(effects)


def test_what_a_round_needed_is_pulled_no_more_once_it_is_over() -> None:
    member, ghost = member_of(), chain(GENESIS, OTHERS[0], 1, mark=9)
    cited = [item for item in ITEMS if item is not ITEMS[OTHERS[0]]] + ghost  # the last one nobody has
    value = value_of(cited)
    tell(member, *ITEMS, proposed(value))
    assert member.gossip.wanted(sha(cut_body(value).cut))
    tell(member, cut_body(value))
    assert member.gossip.wanted(ghost[0].hash)
    tell(member, agreed(term=1))
    assert member.state.round == 1
    assert not member.gossip.wanted(ghost[0].hash)


def test_manifest_of_a_past_round_is_ignored() -> None:
    member = member_of()
    tell(member, *ITEMS, agreed())
    assert tell(member, Manifest(agreed(), member.state.chunk_hashes)) == []


# --- more liars than tolerated ---


@pytest.mark.parametrize("name", ["wrong result", "members out of order", "not a value"])
def test_a_bad_value_that_was_agreed_on_halts_the_member(name: str) -> None:
    member, bad = member_of(), BAD_VALUES[name]
    by_votes = votes_of(GENESIS, OTHERS, SECOND, sha(bad)), ValueBody(bad)
    effects = tell(member, *ITEMS, *([agreed(bad)] if bad in CUTS else by_votes))
    if member.catching_up:
        effects = tell(member, cut_body(bad))
    assert [blame.peer for blame in only(effects, Blame)] == [LEADER]
    assert member.halted
    assert "halted" in status(member)
    assert member.state.round == 0
    effects = tell(member, proposed(VALUE), votes_of(GENESIS, OTHERS, FIRST, sha(VALUE)))
    assert only(effects, Sign) == []
    member.timer(SetTimer(Timer.TICK, 0))


# --- what the user is told ---


@pytest.mark.parametrize(
    ("members", "fields", "words"),
    [
        (3, {}, ["3 members", "no liar", "3 members or fewer", "all 3"]),
        (4, {}, ["up to 1 may lie", "any 3"]),
        (593, {}, ["up to 197", "any 396"]),
        (5, {"byzantine_threshold": 0.0}, ["crash faults only", "any 3"]),
        (10, {"byzantine_threshold": 0.05}, ["no liar", "all 10"]),
    ],
)
def test_tolerance_in_words(members: int, fields: dict[str, float], words: list[str]) -> None:
    line = tolerance(genesis_of(members, **fields).roster)
    assert all(word in line for word in words)
    assert "or fewer" not in line or members <= 3


def test_status_in_words() -> None:
    assert status(member_of(0, genesis_of(2))) == "gossip only: 2 members, and rounds need 3"
    member = member_of()
    assert status(member) == "round 1: 0 of 4 members heard from, 3 needed"
    tell(member, *ITEMS, proposed(VALUE))
    assert status(member) == f"round 1.0: led by member {LEADER}, 1 voted, 3 needed"
