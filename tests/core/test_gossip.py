"""Whom a member tells and asks, how often, and what a flood cannot make it do."""

from __future__ import annotations

from random import Random

import pytest

from qorum.core import wire
from qorum.core.effects import Send, SetTimer, Timer
from qorum.core.gossip import (
    AUTHOR_SHARE,
    HEARD_LIMIT,
    NEEDED_PEERS,
    PULL_LIMIT,
    PULL_TICKS,
    SOURCES,
    STRAIGHT,
    Gossip,
)
from qorum.core.messages import Announce, Bundle, Item, Items, Join, Leave, Message, Pull, Root, place, places
from tests.core.harness import genesis_of, key, only, sends, sent, sha

RECORD = Root(1, 0, bytes(8))


def gossip_of(members: int, seed: int = 0, **fields: int) -> Gossip:
    return Gossip(genesis_of(members, **fields), 0, Random(seed))


def hashes(count: int, start: int = 0) -> list[bytes]:
    return [sha(b"%d" % number) for number in range(start, start + count)]


def spots(count: int, start: int = 0) -> list[bytes]:
    return [place(number % 40, number) for number in range(start, start + count)]


def items(count: int, size: int = 100) -> list[Item]:
    return [Item(bytes([number]) * size, bytes(64)) for number in range(count)]


def parts(message: Message) -> list[Message]:
    return [wire.decode(part) for part in message.parts] if isinstance(message, Bundle) else [message]


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
    gossip.announce([place(0, 1)])
    gossip.flush([RECORD])
    gossip.tick(0)
    assert gossip.any_peer() is None
    assert gossip.some(3) == gossip.sample() == []
    assert only(gossip.effects, Send) == []


def test_announcements_wait_for_one_flush_and_go_with_the_votes_in_one_frame() -> None:
    gossip = gossip_of(40, gossip_flush_ms=30)
    for spot in spots(3):
        gossip.announce([spot])
    gossip.relay((1, 0, 1, (b"", -1)), 0b10)
    assert drained(gossip) == [SetTimer(Timer.FLUSH, 0.03)]
    gossip.flush([RECORD])
    told = sends(drained(gossip))
    announced = Announce(b"".join(spots(3)))
    assert [wire.encode(p) for _, message in told for p in parts(message)].count(wire.encode(announced)) >= 1
    (bundled,) = [(to, message) for to, message in told if isinstance(message, Bundle)]
    assert len(bundled[0]) == 3
    assert parts(bundled[1]) == [RECORD, announced]
    gossip.flush([])
    assert drained(gossip) == []
    gossip.announce([place(0, 1)])
    assert only(gossip.effects, SetTimer) == [SetTimer(Timer.FLUSH, 0.03)]


def told_of(effects: list[object], message: Message) -> list[int]:
    """Members that a message went to, alone or in a bundle."""
    return [peer for to, sent in sends(effects) if message in parts(sent) for peer in to]  # type: ignore[arg-type]


@pytest.mark.parametrize("fanout", [1, 3, 5, 8])
def test_of_one_flush_votes_go_to_few_and_announcements_to_more(fanout: int) -> None:
    gossip = gossip_of(200, gossip_fanout=fanout)
    gossip.announce([place(3, 1)])
    gossip.flush([RECORD])
    effects = drained(gossip)
    votes, announced = told_of(effects, RECORD), told_of(effects, Announce(place(3, 1)))
    assert len(set(votes)) == len(votes) == fanout
    assert len(set(announced)) == len(announced)
    assert set(votes) <= set(announced)
    assert len(announced) == 2 * fanout


def test_without_announcements_a_flush_tells_nobody_else_than_of_votes() -> None:
    gossip = gossip_of(200, gossip_fanout=8)
    gossip.flush([RECORD])
    ((to, message),) = sends(drained(gossip))
    assert (len(to), message) == (8, RECORD)


def test_an_own_item_goes_to_many_at_once() -> None:
    gossip = gossip_of(200, gossip_fanout=3)
    (item,) = items(1)
    gossip.spread(item)
    ((to, message),) = sends(drained(gossip))
    assert message == Items((item,))
    assert len(set(to)) == 3 * AUTHOR_SHARE


def test_a_single_message_needs_no_bundle() -> None:
    gossip = gossip_of(4)
    gossip.announce([place(1, 1)])
    gossip.flush([])
    assert {type(message) for _, message in sends(gossip.effects)} == {Announce}
    assert sorted(told_of(gossip.effects, Announce(place(1, 1)))) == [1, 2, 3]


def test_more_announcements_than_one_message_holds_are_all_sent() -> None:
    gossip = gossip_of(4)
    for spot in spots(PULL_LIMIT + 5):
        gossip.announce([spot])
    gossip.flush([])
    told = [part for _, message in sends(gossip.effects) for part in parts(message)]
    announced = [at for part in told if isinstance(part, Announce) for at in places(part.items)]
    assert sorted(set(announced)) == sorted(at for spot in spots(PULL_LIMIT + 5) for at in places(spot))
    assert {len(places(part.items)) for part in told if isinstance(part, Announce)} == {PULL_LIMIT, 5}


@pytest.mark.parametrize("members", [4, 40, 900])
def test_no_frame_is_larger_than_a_member_takes(members: int) -> None:
    gossip, limit = gossip_of(members, gossip_fanout=3), wire.frame_limit(members)
    many = items(9, size=30_000)
    gossip.send_items([1], many)
    assert [item for frame in sent(gossip.effects, Items) for item in frame.items] == many
    sizes = [len(effect.frame) for effect in only(drained(gossip), Send)]
    assert max(sizes) <= limit < sum(sizes)
    votes = [Items((item,)) for item in items(9, size=40_000)]
    gossip.flush(votes)
    effects = drained(gossip)
    assert max(len(effect.frame) for effect in only(effects, Send)) <= limit
    for vote in votes:
        assert len(told_of(effects, vote)) == 3


def test_a_thing_larger_than_the_room_of_a_frame_goes_alone() -> None:
    gossip = gossip_of(4)
    large, small = Item(bytes(99_900), bytes(64)), Item(b"small", bytes(64))
    gossip.send_items([1], [small, large, small])
    assert sent(gossip.effects, Items) == [Items((small,)), Items((large,)), Items((small,))]


def test_relayed_votes_of_one_slot_are_joined_and_taken_once() -> None:
    gossip = gossip_of(4)
    slot = (1, 0, 1, (b"", -1))
    gossip.relay(slot, 0b0010)
    gossip.relay(slot, 0b1000)
    assert gossip.take_relayed() == {slot: 0b1010}
    assert gossip.take_relayed() == {}


def test_what_is_heard_of_is_pulled_from_who_said_so_and_once() -> None:
    gossip = gossip_of(40)
    gossip.hear(spots(2), 7)
    gossip.hear(spots(3), 8)
    assert sends(drained(gossip)) == [((7,), Pull(b"".join(spots(2)))), ((8,), Pull(spots(3)[2]))]


def pulls_over(gossip: Gossip, ticks: int) -> list[tuple[tuple[int, ...], Pull]]:
    drained(gossip)
    for _ in range(ticks):
        gossip.tick(0)
    return [(to, message) for to, message in sends(drained(gossip)) if isinstance(message, Pull)]


def test_an_unanswered_pull_goes_to_who_else_announced_it_and_to_nobody_else() -> None:
    gossip = gossip_of(40, seed=1)
    gossip.hear(spots(1), 7)
    gossip.hear(spots(1), 8)
    gossip.hear(spots(1), 9)
    assert pulls_over(gossip, PULL_TICKS - 1) == []
    assert pulls_over(gossip, 1) == [((8,), Pull(spots(1)[0]))]
    assert pulls_over(gossip, PULL_TICKS) == [((9,), Pull(spots(1)[0]))]
    assert pulls_over(gossip, 3 * PULL_TICKS) == [], "anti-entropy is enough: nobody may have what a liar spoke of"
    gossip.hear(spots(1), 8)
    assert sent(drained(gossip), Pull) != [], "it was forgotten"


def test_so_many_sources_are_remembered_of_what_is_pulled() -> None:
    gossip = gossip_of(40)
    for peer in range(1, 30):
        gossip.hear(spots(1), peer)
    asked = [to for to, _ in pulls_over(gossip, 30 * PULL_TICKS)]
    assert asked == [(peer,) for peer in range(2, 2 + SOURCES)]


def test_what_has_come_is_asked_for_no_more() -> None:
    gossip = gossip_of(40)
    gossip.hear(spots(2), 7)
    gossip.hear(spots(2), 8)
    gossip.got([spots(1)[0], b"what nobody asked for"])
    assert pulls_over(gossip, PULL_TICKS) == [((8,), Pull(spots(2)[1]))]


def test_what_consensus_needs_is_pulled_until_it_comes() -> None:
    gossip = gossip_of(40)
    (needed,) = hashes(1)
    gossip.want([needed], None)
    gossip.want([needed], 3)
    ((to, pull),) = sends(drained(gossip))
    assert len(set(to)) == NEEDED_PEERS
    assert pull == Pull(b"", (needed,))
    asked: set[int] = set()
    first, *later = pulls_over(gossip, 40 * PULL_TICKS)
    assert first == ((3,), Pull(b"", (needed,)))
    for to, pull in later:
        assert pull == Pull(b"", (needed,))
        assert len(set(to)) == NEEDED_PEERS
        asked |= set(to)
    assert len(asked) > 10
    assert gossip.wanted(needed)
    gossip.got([needed])
    assert not gossip.wanted(needed)
    assert pulls_over(gossip, PULL_TICKS) == []


def test_what_consensus_needs_is_pulled_from_who_is_known_to_have_it_first() -> None:
    gossip = gossip_of(40)
    gossip.want([*spots(2), *hashes(1)], 5)
    assert sends(drained(gossip)) == [((5,), Pull(b"".join(spots(2)), tuple(hashes(1))))]


def test_what_was_announced_first_and_is_needed_later_is_pulled_until_it_comes() -> None:
    gossip = gossip_of(40)
    gossip.hear(spots(1), 7)
    gossip.want(spots(1), None)
    assert gossip.wanted(spots(1)[0])
    assert len(pulls_over(gossip, 9 * PULL_TICKS)) == 9


def test_only_what_consensus_needs_counts_as_wanted() -> None:
    gossip = gossip_of(4)
    gossip.hear(spots(1), 2)
    assert not gossip.wanted(spots(1)[0])


def test_a_new_round_needs_nothing_of_the_old_one() -> None:
    gossip = gossip_of(4)
    gossip.want(hashes(3), None)
    gossip.hear(spots(1), 2)
    gossip.hear(spots(1), 3)
    gossip.want_nothing()
    assert not any(map(gossip.wanted, hashes(3)))
    assert pulls_over(gossip, PULL_TICKS) == [((3,), Pull(spots(1)[0]))], "what was announced is still to come"


def test_large_pulls_are_cut_into_messages() -> None:
    gossip = gossip_of(4)
    gossip.want(hashes(PULL_LIMIT + 1), 2)
    assert [len(pull.hashes) for pull in sent(drained(gossip), Pull)] == [PULL_LIMIT, 1]
    gossip.want([*spots(PULL_LIMIT, 99), *hashes(PULL_LIMIT, 9999)], 2)
    pulls = [(len(places(pull.items)), len(pull.hashes)) for pull in sent(gossip.effects, Pull)]
    assert pulls == [(PULL_LIMIT, 0), (0, PULL_LIMIT)]


def test_a_flood_of_announcements_is_forgotten_not_kept() -> None:
    gossip = gossip_of(4)
    gossip.want(hashes(3), 1)
    for start in range(0, 3 * HEARD_LIMIT, PULL_LIMIT):
        gossip.hear(spots(PULL_LIMIT, start), 2)
        assert len(gossip._asked) <= HEARD_LIMIT
    assert all(map(gossip.wanted, hashes(3))), "what consensus waits for is not"
    pulls_over(gossip, PULL_TICKS)
    assert set(gossip._asked) == set(hashes(3))


def test_a_changed_membership_is_met() -> None:
    genesis = genesis_of(4)
    gossip = Gossip(genesis, 0, Random(0))
    roster = genesis.roster.after(Join(key(9)), 1).after(Leave(2, 0), 2)
    gossip.meet(roster, 0)
    gossip.push(RECORD)
    assert [to for to, _ in sends(drained(gossip))] == [(1, 3, 4)]
    gossip.meet(roster, None)
    gossip.push(RECORD)
    assert [to for to, _ in sends(drained(gossip))] == [(0, 1, 3, 4)], "an observer tells all members"
    assert Gossip(genesis, 4, Random(0), roster).some(9) != []


def test_one_answer_per_peer_and_kind_and_tick() -> None:
    gossip = gossip_of(4)
    assert gossip.may_serve(1, "digest")
    assert not gossip.may_serve(1, "digest")
    assert gossip.may_serve(2, "digest")
    assert gossip.may_serve(1, "delta")
    gossip.tick(0)
    assert gossip.may_serve(1, "digest")


def test_payload_to_a_peer_has_a_budget_of_bytes_a_tick() -> None:
    gossip = gossip_of(4, max_bytes_per_round=1000)
    served = sum(gossip.may_spend(1, 300) for _ in range(50)) * 300
    assert 1000 <= served <= 2000
    assert gossip.may_spend(2, 300)
    gossip.tick(0)
    assert gossip.may_spend(1, 1000)
    assert not gossip.may_spend(1, 1001)
    assert gossip.may_spend(1, 1000), "what was refused was not spent"


@pytest.mark.parametrize("haste", [0, 1, 3])
def test_ticks_are_jittered_around_the_configured_length_and_faster_in_haste(haste: int) -> None:
    gossip = gossip_of(4, gossip_tick_ms=100 * (1 + haste))
    for _ in range(300):
        gossip.tick(haste)
    delays = [e.delay for e in only(gossip.effects, SetTimer)]
    assert 0.075 <= min(delays) < 0.08
    assert 0.12 < max(delays) <= 0.125


def test_whoever_must_have_it_is_asked_next() -> None:
    gossip = gossip_of(40)
    (needed,) = hashes(1)
    gossip.want([needed], None)
    gossip.hint([needed, b"what nobody asked for"], [7])
    gossip.hint([needed], [8])
    drained(gossip)
    assert pulls_over(gossip, PULL_TICKS)[0] == ((7,), Pull(b"", (needed,)))


def test_who_must_have_it_and_does_not_answer_is_asked_once() -> None:
    gossip = gossip_of(40)
    (needed,) = hashes(1)
    gossip.want([needed], None)
    drained(gossip)
    asked: list[tuple[int, ...]] = []
    for _ in range(20):
        gossip.hint([needed], [7])
        asked += [to for to, _ in pulls_over(gossip, PULL_TICKS)]
    assert asked.count((7,)) == 1
    assert {len(to) for to in asked} == {1, NEEDED_PEERS}
