"""Whom a member tells and asks, how often, and what a flood cannot make it do."""

from __future__ import annotations

from random import Random

import pytest

from qorum.core import wire
from qorum.core.effects import Send, SetTimer, Timer
from qorum.core.gossip import HEARD_LIMIT, PULL_LIMIT, PULL_TICKS, STRAIGHT, Gossip
from qorum.core.messages import Announce, Bundle, Pull, Root
from tests.core.harness import genesis_of, only, sends, sent, sha

RECORD = Root(1, 0, bytes(32))


def gossip_of(members: int, seed: int = 0, **fields: int) -> Gossip:
    return Gossip(genesis_of(members, **fields), 0, Random(seed))


def hashes(count: int, start: int = 0) -> list[bytes]:
    return [sha(b"%d" % number) for number in range(start, start + count)]


def drained(gossip: Gossip) -> list[object]:
    effects, gossip.effects = gossip.effects, []
    return list(effects)


@pytest.mark.parametrize("members", [2, 4, STRAIGHT])
def test_small_federations_are_told_straight(members: int) -> None:
    gossip = gossip_of(members)
    gossip.push(RECORD)
    assert [to for to, _ in sends(gossip.effects)] == [tuple(range(1, members))]


@pytest.mark.parametrize("fanout", [1, 3, 20])
def test_larger_ones_by_fanout(fanout: int) -> None:
    gossip = gossip_of(STRAIGHT + 1, gossip_fanout=fanout)
    gossip.push(RECORD)
    (to, _), *more = sends(gossip.effects)
    assert not more
    assert len(to) == len(set(to)) == min(fanout, STRAIGHT)
    assert 0 not in to


def test_peers_are_drawn_from_all_members_each_time() -> None:
    gossip = gossip_of(40)
    told: set[int] = set()
    for _ in range(200):
        gossip.push(RECORD)
        told |= set(sends(drained(gossip))[0][0])
    assert told == set(range(1, 40))
    assert {gossip.any_peer() for _ in range(1000)} == set(range(1, 40))


def test_a_lone_member_has_nobody_to_tell_or_ask() -> None:
    gossip = gossip_of(1)
    gossip.push(RECORD)
    gossip.want(hashes(1), None)
    gossip.announce(sha(b"x"))
    gossip.flush([])
    assert gossip.any_peer() is None
    assert only(gossip.effects, Send) == []


def test_announcements_wait_for_one_flush_and_go_in_one_frame() -> None:
    gossip = gossip_of(40, gossip_flush_ms=30)
    for hash in hashes(3):
        gossip.announce(hash)
    gossip.relay((1, 0, 1, (b"", -1)), 0b10)
    assert drained(gossip) == [SetTimer(Timer.FLUSH, 0.03)]
    gossip.flush([RECORD])
    ((to, bundle),) = sends(drained(gossip))
    assert len(to) == 3
    assert isinstance(bundle, Bundle)
    assert [wire.decode(part) for part in bundle.parts] == [RECORD, Announce(tuple(hashes(3)))]
    gossip.flush([])
    assert drained(gossip) == []
    gossip.announce(sha(b"next"))
    assert only(gossip.effects, SetTimer) == [SetTimer(Timer.FLUSH, 0.03)]


def test_a_single_message_needs_no_bundle() -> None:
    gossip = gossip_of(4)
    gossip.announce(sha(b"x"))
    gossip.flush([])
    assert sent(gossip.effects, Announce) == [Announce((sha(b"x"),))]


def test_more_announcements_than_one_message_holds_are_all_sent() -> None:
    gossip = gossip_of(4)
    for hash in hashes(PULL_LIMIT + 5):
        gossip.announce(hash)
    gossip.flush([])
    (bundle,) = sent(gossip.effects, Bundle)
    parts = [wire.decode(part) for part in bundle.parts]
    assert [hash for part in parts for hash in part.items] == hashes(PULL_LIMIT + 5)


def test_relayed_votes_of_one_slot_are_joined_and_taken_once() -> None:
    gossip = gossip_of(4)
    slot = (1, 0, 1, (b"", -1))
    gossip.relay(slot, 0b0010)
    gossip.relay(slot, 0b1000)
    assert gossip.take_relayed() == {slot: 0b1010}
    assert gossip.take_relayed() == {}


def test_what_is_heard_of_is_pulled_from_who_said_so_and_once() -> None:
    gossip = gossip_of(40)
    gossip.hear(hashes(2), 7)
    gossip.hear(hashes(3), 8)
    assert sends(drained(gossip)) == [((7,), Pull(tuple(hashes(2)))), ((8,), Pull((hashes(3)[2],)))]


def test_an_unanswered_pull_goes_to_somebody_else() -> None:
    gossip = gossip_of(40, seed=1)
    gossip.hear(hashes(1), 7)
    drained(gossip)
    for _ in range(PULL_TICKS - 1):
        gossip.tick()
        assert sent(drained(gossip), Pull) == []
    gossip.tick()
    assert sends(drained(gossip)) != []
    for _ in range(2 * PULL_TICKS):  # then anti-entropy is enough: nobody may have what a liar spoke of
        gossip.tick()
    assert sent(drained(gossip), Pull) == []


def test_what_consensus_needs_is_pulled_until_it_comes() -> None:
    gossip = gossip_of(40)
    (needed,) = hashes(1)
    gossip.want([needed], None)
    gossip.want([needed], 3)
    assert len(sent(drained(gossip), Pull)) == 1
    asked: set[tuple[int, ...]] = set()
    for _ in range(40 * PULL_TICKS):
        gossip.tick()
        asked |= {to for to, message in sends(drained(gossip)) if isinstance(message, Pull)}
    assert len(asked) > 10
    assert gossip.wanted(needed)
    gossip.got(needed)
    assert not gossip.wanted(needed)
    for _ in range(PULL_TICKS):
        gossip.tick()
    assert sent(drained(gossip), Pull) == []


def test_only_what_consensus_needs_counts_as_wanted() -> None:
    gossip = gossip_of(4)
    gossip.hear(hashes(1), 2)
    assert not gossip.wanted(hashes(1)[0])


def test_a_new_round_needs_nothing_of_the_old_one() -> None:
    gossip = gossip_of(4)
    gossip.want(hashes(3), None)
    gossip.want_nothing()
    assert not any(map(gossip.wanted, hashes(3)))


def test_large_pulls_are_cut_into_messages() -> None:
    gossip = gossip_of(4)
    gossip.want(hashes(PULL_LIMIT + 1), 2)
    assert [len(pull.hashes) for pull in sent(gossip.effects, Pull)] == [PULL_LIMIT, 1]


def test_a_flood_of_announcements_is_forgotten_not_kept() -> None:
    gossip = gossip_of(4)
    for start in range(0, 3 * HEARD_LIMIT, PULL_LIMIT):
        gossip.hear(hashes(PULL_LIMIT, start), 2)
    assert len(gossip._heard) == HEARD_LIMIT
    drained(gossip)
    for _ in range(PULL_TICKS):
        gossip.tick()
    assert len(sent(gossip.effects, Pull)) == 1
    assert gossip._heard == {}


def test_one_answer_per_peer_and_kind_and_tick() -> None:
    gossip = gossip_of(4)
    assert gossip.may_serve(1, "digest")
    assert not gossip.may_serve(1, "digest")
    assert gossip.may_serve(2, "digest")
    assert gossip.may_serve(1, "delta")
    gossip.tick()
    assert gossip.may_serve(1, "digest")


def test_payload_to_a_peer_has_a_budget_of_bytes_a_tick() -> None:
    gossip = gossip_of(4, max_bytes_per_round=1000)
    served = sum(gossip.may_spend(1, 300) for _ in range(50)) * 300
    assert 1000 <= served <= 2000
    assert gossip.may_spend(2, 300)
    gossip.tick()
    assert gossip.may_spend(1, 1000)


def test_ticks_are_jittered_around_the_configured_length() -> None:
    gossip = gossip_of(4, gossip_tick_ms=100)
    for _ in range(300):
        gossip.tick()
    delays = [e.delay for e in only(gossip.effects, SetTimer)]
    assert 0.075 <= min(delays) < 0.08
    assert 0.12 < max(delays) <= 0.125
