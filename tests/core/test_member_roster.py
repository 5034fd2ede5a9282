"""A member while the members change: who may ask, how fast, and what it means to those who come and go."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest

from qorum.core import wire
from qorum.core.effects import Blame, Equivocation
from qorum.core.member import Member
from qorum.core.membership import check, check_evidence, eviction
from qorum.core.messages import Change, Commit, Evict, Evidence, Join, Kind, Leave, Petition, Rekey, Value
from qorum.core.roster import CHANGE_ROUNDS, Roster
from qorum.core.status import status
from qorum.core.votes import FIRST, SECOND
from qorum.errors import ProtocolError
from tests.core.harness import (
    ENGINE,
    GUEST,
    Net,
    chain,
    columns,
    fake_verify,
    genesis_of,
    key,
    only,
    petition_of,
    sends,
    sent,
    sha,
    votes_of,
)

FAST: dict[str, Any] = {
    "collect_ms": 20,
    "propose_timeout_ms": 200,
    "vote_timeout_ms": 100,
    "timeout_step_ms": 50,
    "gossip_tick_ms": 50,
    "gossip_flush_ms": 5,
}
GENESIS = genesis_of(5)


def ask(net: Net, host: int, change: Change, **how: Any) -> Petition:
    """The operators agree on a change, and one of them tells a member."""
    petition = petition_of(net.members[host].roster, change, **how)
    net.perform(host, net.members[host].petition(petition))
    return petition


def rounds(net: Net, count: int, hosts: list[int]) -> None:
    """So many further rounds, in each of which one of `hosts` has news."""
    for n in range(count):
        goal = max(net.members[host].state.round for host in hosts) + 1
        net.news(hosts[n % len(hosts)])
        assert net.run(20, lambda goal=goal: min(net.members[h].state.round for h in hosts) >= goal), net.rounds()


def admitted(net: Net, hosts: list[int]) -> set[bytes]:
    """The hashes of the rosters that hosts hold."""
    return {net.members[host].roster.hash for host in hosts}


def voted_in(net: Net, host: int, round: int) -> bool:
    return any(kind == Kind.SECOND_VOTE and at == round for kind, at, *_ in net.signed[host])


# --- joining, end to end ---


def test_a_newcomer_follows_is_admitted_contributes_and_votes() -> None:
    net = Net(4, **FAST)
    rounds(net, 3, [0, 1, 2, 3])
    new = net.newcomer(key(100))
    assert net.run(10, lambda: net.members[new].state.round == 3)
    observer = net.members[new]
    assert (observer.me, observer.may_contribute) == (None, False)
    assert status(observer) == "observer in round 4: holds no seat, follows and signs nothing"
    assert net.signed[new] == {}
    ask(net, 0, Join(key(100)))
    assert net.run(10, lambda: min(net.rounds()) == 4), "a petition opens a round"
    assert (observer.me, observer.roster.epoch, observer.roster.members) == (4, 1, 5)
    assert len(admitted(net, [0, 1, 2, 3, new])) == 1
    before = len(net.members[0].state.cells)
    rounds(net, 4, [new, 0])
    assert observer.state.heads[4].seq >= 2
    assert len(net.members[0].state.cells) == before + 4
    assert any(voted_in(net, new, round) for round in range(5, 9))
    assert net.blames == []


def test_a_federation_grows_round_after_round_and_the_newcomers_carry_it() -> None:
    net = Net(4, **FAST)
    hosts = [0, 1, 2, 3]
    for number in range(3):
        new = net.newcomer(key(100 + number))
        ask(net, hosts[number], Join(key(100 + number)))
        hosts.append(new)
        rounds(net, CHANGE_ROUNDS, hosts[:4])
        assert net.run(10, lambda new=new: net.members[new].me is not None)
    assert net.members[0].roster.quorum.size == 5
    for host in (0, 1):
        net.stop(host)
    rounds(net, 2, hosts[2:])
    assert net.blames == []


# --- leaving ---


def test_who_has_left_votes_no_more_and_the_others_go_on() -> None:
    net = Net(5, **FAST)
    rounds(net, 1, [0, 1, 2, 3, 4])
    ask(net, 2, Leave(4, 0), endorsers=[])
    rounds(net, 3, [0, 1, 2, 3])
    gone = net.members[4]
    assert net.run(10, lambda: gone.state.round >= 2)
    assert (gone.me, gone.may_contribute) == (None, False)
    last = gone.state.round
    assert not any(at > last for kind, at, *_ in net.signed[4] if kind != Kind.CONTRIBUTION)
    roster = net.members[0].roster
    assert (roster.active, roster.members, roster.quorum.members) == ((0, 1, 2, 3), 5, 4)
    assert net.blames == []


def test_a_seat_that_was_left_is_not_given_to_somebody_else() -> None:
    net = Net(5, **FAST)
    rounds(net, 1, [0, 1, 2, 3])
    ask(net, 2, Leave(4, 0), endorsers=[])
    rounds(net, CHANGE_ROUNDS, [0, 1, 2, 3])
    new = net.newcomer(key(100))
    ask(net, 0, Join(key(100)))
    rounds(net, 2, [0, 1, 2, 3])
    assert net.run(10, lambda: net.members[new].me == 5)


# --- re-keying ---


def test_a_member_that_lost_its_store_goes_on_in_its_seat_under_a_new_key() -> None:
    net = Net(4, **FAST)
    rounds(net, 3, [0, 1, 2, 3])
    seq = net.members[0].state.heads[3].seq
    net.stop(3)
    back = net.newcomer(key(100))
    assert net.run(10, lambda: net.members[back].state.round == 3)
    rounds(net, 1, [0, 1, 2])
    assert net.signed[back] == {}, "nothing while it waits to be admitted again"
    ask(net, 1, Rekey(3, 1, key(100)))
    assert net.run(10, lambda: net.members[back].me == 3)
    rounds(net, 3, [back, 0])
    head = net.members[0].state.heads[3]
    assert seq > 0
    assert (head.incarnation, head.seq) >= (1, 2)
    assert any(voted_in(net, back, round) for round in range(6, 9))
    assert net.equivocations == net.blames == []


def test_the_host_with_the_old_key_is_an_observer_from_then_on() -> None:
    net = Net(4, **FAST)
    rounds(net, 1, [0, 1, 2, 3])
    back = net.newcomer(key(100))
    ask(net, 1, Rekey(3, 1, key(100)))
    rounds(net, 2, [0, 1, 2])
    assert net.run(10, lambda: net.members[3].me is None and net.members[back].me == 3)


# --- evicting ---


def test_an_equivocating_twin_is_evicted_by_what_it_signed() -> None:
    net = Net(7, seed=3, twins=[2], **FAST)
    for _ in range(40):
        for host in net.who:
            net.news(host)
        if net.run(0.5, lambda: all(2 not in net.members[host].roster.active for host in net.honest)):
            break
    assert all(2 not in net.members[host].roster.active for host in net.honest)
    assert {proof.member for proof in net.equivocations} == {2}
    rounds(net, 2, net.honest)
    assert net.blamed <= {2}


def test_a_member_is_evicted_by_the_operators_of_a_quorum() -> None:
    net = Net(5, **FAST)
    rounds(net, 1, [0, 1, 2, 3])
    ask(net, 1, Evict(3, 0), endorsers=[0, 1, 2, 4])
    rounds(net, 2, [0, 1, 2, 4])
    assert net.members[0].roster.active == (0, 1, 2, 4)


def test_what_an_evicted_member_told_counts_no_more() -> None:
    net = Net(5, **FAST)
    rounds(net, 1, [3, 0, 1, 2, 4])
    assert set(net.members[0].state.registers.member) == {3}
    ask(net, 1, Evict(3, 0), endorsers=[0, 1, 2, 4])
    rounds(net, 1, [0, 1, 2, 4])
    assert 3 not in net.members[0].state.registers.member


def evidence_against(liar: int) -> Evidence:
    branches = sorted((chain(GENESIS, liar, 1, mark=mark)[0] for mark in (0, 1)), key=lambda item: item.hash)
    (one, other) = branches
    return Evidence(liar, Kind.CONTRIBUTION, 0, 1, 0, (one.hash, other.hash), (one.signature, other.signature))


def member_of(me: int) -> Member:
    member = Member(GENESIS, me, ENGINE, Random(0))
    member.start()
    return member


def test_evidence_is_taken_note_of_and_relayed_once() -> None:
    member, frame = member_of(0), wire.encode(evidence_against(2))
    effects = member.receive(1, frame)
    assert [proof.member for proof in only(effects, Equivocation)] == [2]
    ((to, relayed),) = sends(effects)
    assert (set(to), relayed) == ({1, 2, 3, 4}, evidence_against(2))
    assert member.receive(3, frame) == []
    other = Evidence(2, Kind.FIRST_VOTE, 0, 1, 0, (sha(b"a"), sha(b"b")), (bytes(64), bytes(64)))
    assert member.receive(3, wire.encode(other)) == [], "one proof is enough; others are not even looked at"


@pytest.mark.parametrize("step", [FIRST, SECOND])
def test_voters_are_convicted_by_votes_inside_certificates_too(step: int) -> None:
    member, liar = member_of(0), 3
    member.receive(1, wire.encode(votes_of(GENESIS, [liar], step, sha(b"one value"))))
    certificate = votes_of(GENESIS, [1, 2, 3, 4], step, sha(b"another"))
    effects = member.receive(1, wire.encode(certificate))
    (proof,) = only(effects, Equivocation)
    assert proof.member == liar
    check_evidence(proof.evidence, GENESIS.roster, fake_verify)
    assert sent(effects, Evidence) == [proof.evidence]
    assert eviction(proof.evidence, GENESIS.roster).change == Evict(liar, 0)


def test_a_voter_is_convicted_by_the_certificate_inside_a_commit() -> None:
    net = Net(5, **FAST)
    net.side[4] = 1
    rounds(net, 1, [0, 1, 2, 3])
    behind, commit = net.members[4], net.members[0].last_commit
    assert commit is not None
    liar = min(commit.certificate.by_voter)
    term = commit.certificate.term
    behind.receive(1, wire.encode(votes_of(net.genesis, [liar], SECOND, sha(b"another"), term=term)))
    proofs = only(behind.receive(1, wire.encode(commit)), Equivocation)
    assert [proof.member for proof in proofs] == [liar]


# --- how fast ---


def test_few_changes_in_any_ten_rounds_and_none_is_lost() -> None:
    net = Net(7, **FAST)
    hosts = list(range(7))
    new = [net.newcomer(key(100 + number)) for number in range(3)]
    for number in range(3):
        ask(net, 0, Join(key(100 + number)))
    changed = [0]
    for _ in range(32):
        rounds(net, 1, hosts)
        if net.members[0].roster.epoch > len(changed) - 1:
            changed.append(net.members[0].state.round)
        if len(changed) > 3:
            break
    assert len(changed) == 4, changed
    assert all(later - earlier >= CHANGE_ROUNDS for earlier, later in pairwise(changed[1:]))
    assert net.run(10, lambda: all(net.members[host].me is not None for host in new))


@pytest.mark.parametrize(("members", "allowed"), [(4, 1), (19, 1), (20, 2), (593, 59)])
def test_one_change_for_every_ten_members_in_ten_rounds(members: int, allowed: int) -> None:
    roster, round = genesis_of(members).roster, 7
    for number in range(allowed):
        assert roster.has_room(round)
        roster = roster.after(Rekey(number, 1, key(1000 + number)), round)
    assert not roster.has_room(round)
    assert not roster.has_room(round + CHANGE_ROUNDS - 1)
    assert roster.has_room(round + CHANGE_ROUNDS)


# --- what is refused ---


def refused() -> dict[str, tuple[Petition, str]]:
    roster = GENESIS.roster  # five members: q = 4
    endorsed = petition_of(roster, Join(key(100)))
    wide = petition_of(roster, Evict(2, 0))

    def but(petition: Petition, **fields: Any) -> Petition:
        return Petition(*(fields.get(name, getattr(petition, name)) for name in Petition.__struct_fields__))

    return {
        "key of a member": (petition_of(roster, Join(key(1))), "is or was a member's"),
        "re-key to the same": (petition_of(roster, Rekey(1, 1, key(1))), "is or was a member's"),
        "no such seat": (but(endorsed, change=Leave(5, 0)), "has no seat"),
        "old incarnation": (petition_of(roster, Rekey(1, 0, key(100))), "names incarnation 0"),
        "incarnation to come": (petition_of(roster, Evict(1, 1)), "names incarnation 1"),
        "no consent": (but(endorsed, consent=b""), "without the consent"),
        "consent of another key": (petition_of(roster, Leave(1, 0), consent=key(2)), "without the consent"),
        "consent for another change": (but(endorsed, change=Join(key(101))), "without the consent"),
        "too few": (petition_of(roster, Join(key(100)), endorsers=[0, 1, 2]), "endorsed by 3 members; 4 must"),
        "too few to evict": (petition_of(roster, Evict(2, 0), endorsers=[0, 1]), "endorsed by 2 members; 4 must"),
        "signatures short": (but(endorsed, signatures=endorsed.signatures[:-64]), "not with a signature each"),
        "another's signature": (but(wide, signatures=wide.signatures[64:] + wide.signatures[:64]), "not signed by it"),
        "endorsed by strangers": (but(endorsed, endorsers=b"\xfe"), "others than members"),
        "evidence against another": (
            but(wide, evidence=evidence_against(3)),
            "evidence against member 3 to evict 2",
        ),
    }


def test_who_asks_again_has_everybody_told_again_and_what_others_said_is_told_once() -> None:
    member, petition = member_of(0), petition_of(GENESIS.roster, Join(key(100)))
    for _ in range(2):
        told = [(to, said.change) for to, said in sends(member.petition(petition)) if isinstance(said, Petition)]
        assert told == [((1, 2, 3, 4), petition.change)]
    assert sent(member.receive(1, wire.encode(petition)), Petition) == []
    assert member.docket.petitions == [petition]


@pytest.mark.parametrize(("petition", "reason"), refused().values(), ids=refused())
def test_a_petition_that_is_not_entitled_is_refused_and_the_reason_told(petition: Petition, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        check(petition, GENESIS.roster, fake_verify)
    member = member_of(0)
    with pytest.raises(ProtocolError, match=reason):
        member.petition(petition)
    effects = member.receive(1, wire.encode(petition))
    assert [blame.peer for blame in only(effects, Blame)] == [1]
    assert (sends(effects), member.docket.petitions) == ([], [])


def test_a_petition_of_a_past_epoch_is_late_and_no_lie() -> None:
    net = Net(5, **FAST)
    petition = ask(net, 0, Leave(4, 0))
    rounds(net, 1, [0, 1, 2, 3])
    member = net.members[0]
    assert member.receive(1, wire.encode(petition)) == []
    assert member.receive(1, wire.encode(evidence_in(net, 4))) == []
    taken = petition_of(net.genesis.roster, Join(key(1)))
    assert member.receive(1, wire.encode(taken)) == []
    assert only(member.receive(1, wire.encode(msgspec.structs.replace(taken, epoch=1))), Blame)


def evidence_in(net: Net, liar: int) -> Evidence:
    one, other = sorted((chain(net.genesis, liar, 1, mark=m)[0] for m in (0, 1)), key=lambda item: item.hash)
    return Evidence(liar, Kind.CONTRIBUTION, 0, 1, 0, (one.hash, other.hash), (one.signature, other.signature))


@pytest.mark.parametrize("change", [Leave(2, 0), Evict(2, 0)])
def test_nobody_can_be_spared_at_the_least_number_of_members(change: Change) -> None:
    roster = genesis_of(3).roster
    with pytest.raises(ProtocolError, match="nobody can be spared"):
        check(petition_of(roster, change), roster, fake_verify)
    check(petition_of(roster, Rekey(2, 1, key(100))), roster, fake_verify)
    check(petition_of(roster, Join(key(100))), roster, fake_verify)


def test_a_liar_that_cannot_be_spared_stays() -> None:
    net = Net(3, **FAST)
    rounds(net, 1, [0, 1, 2])
    net.perform(0, net.members[0].receive(1, wire.encode(evidence_in(net, 2))))
    rounds(net, 2, [0, 1])
    assert net.members[0].roster.epoch == 0


# --- one epoch a round ---


def left(net: Net) -> tuple[Member, Roster]:
    """A member of a federation that member 4 has left, and the roster before."""
    before = net.genesis.roster
    ask(net, 2, Leave(4, 0), endorsers=[])
    rounds(net, 1, [0, 1, 2, 3])
    return net.members[0], before


def test_votes_of_a_former_member_do_not_count() -> None:
    net = Net(5, **FAST)
    member, _ = left(net)
    at = {"round": member.consensus.round, "roster": member.roster}
    effects = member.receive(GUEST + 4, wire.encode(votes_of(net.genesis, [4], FIRST, sha(b"value"), **at)))
    assert only(effects, Blame)
    assert member.consensus.tally.slot(0, FIRST).seen == 0
    three = votes_of(net.genesis, [1, 2, 4], SECOND, sha(b"value"), **at)
    assert only(member.receive(1, wire.encode(three)), Blame)
    assert member.consensus.tally.decided() is None


def test_what_was_signed_for_another_epoch_is_refused() -> None:
    net = Net(5, **FAST)
    member, before = left(net)
    old = votes_of(net.genesis, [1], FIRST, sha(b"value"), round=member.consensus.round, roster=before)
    current = votes_of(net.genesis, [1], FIRST, sha(b"value"), round=member.consensus.round, roster=member.roster)
    assert only(member.receive(1, wire.encode(old)), Blame)
    assert member.consensus.tally.slot(0, FIRST).seen == 0
    assert not only(member.receive(1, wire.encode(current)), Blame)
    assert member.consensus.tally.slot(0, FIRST).seen == 0b10


def test_a_commit_with_a_quorum_of_the_old_epoch_is_refused() -> None:
    net = Net(5, **FAST)
    member, before = left(net)
    round = member.consensus.round
    assert member.last_commit is not None
    value = wire.encode(Value(round, sha(member.last_commit.value), 0, bytes(32), bytes(32), before.hash))
    forged = votes_of(net.genesis, [1, 2, 3, 4], SECOND, sha(value), round=round, roster=before)
    assert only(member.receive(1, wire.encode(Commit(value, forged))), Blame)
    assert member.state.round == round - 1


def test_contributions_of_a_former_member_are_not_taken() -> None:
    net = Net(5, **FAST)
    member, _ = left(net)
    (item,) = chain(net.genesis, 4, 1, mark=9)
    assert only(member.receive(GUEST + 4, wire.encode(item)), Blame) == []
    assert item.hash not in member.streams


def test_a_change_and_a_restart() -> None:
    """What the effects have kept is all that a member needs to go on in the new epoch."""
    net = Net(5, **FAST)
    left(net)
    for host in (0, 1, 2, 3):
        net.stop(host)
        net.restart(host)
    assert {net.members[host].roster.epoch for host in (0, 1, 2, 3)} == {1}
    assert [len(net.members[host].library.epochs) for host in (0, 1, 2, 3)] == [1] * 4
    rounds(net, 2, [0, 1, 2, 3])


def test_a_newcomer_is_told_of_the_seat_it_has_lost_again() -> None:
    net = Net(4, **FAST)
    new = net.newcomer(key(100))
    ask(net, 0, Join(key(100)))
    rounds(net, CHANGE_ROUNDS, [0, 1, 2, 3])
    assert net.run(10, lambda: net.members[new].me == 4)
    net.contribute(new, columns(77))
    ask(net, 1, Evict(4, 0), endorsers=[0, 1, 2, 3])
    rounds(net, 2, [0, 1, 2, 3])
    assert net.run(10, lambda: net.members[new].me is None)
    assert net.members[new].consensus.durable.own == ()
