"""Each fault does what it says and ends; scripts come from seeds and go to JSON and back."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from qorum.core import wire
from qorum.core.effects import Effect, Persist
from qorum.core.messages import NIL, NO_TERM, Announce, Bundle, Votes
from qorum.sim.cluster import Cluster
from qorum.sim.faults import (
    KINDS,
    AnyFault,
    Bridge,
    Clock,
    Clog,
    Crash,
    Join,
    Leave,
    Lose,
    OneWay,
    Partition,
    Pause,
    Rekey,
    Replay,
    Script,
    Sieve,
    Sleep,
    Weather,
    apply,
    changes,
    draw,
    in_order,
    kind_of,
    losses,
)
from qorum.sim.host import Host
from tests.sim.test_cluster import advance, agree, cluster


def heard(made: Cluster) -> set[tuple[int, int]]:
    """(from, to) of everything that arrives in half a second from now."""
    pairs: set[tuple[int, int]] = set()
    deliver, made.network.deliver = made.network.deliver, lambda to, sender, frame: pairs.add((sender, to))
    for sender in range(4):
        made.network.send(sender, [to for to in range(4) if to != sender], b"x")
    made.run(made.now + 0.05)
    made.network.deliver = deliver
    return pairs


EVERY = {(a, b) for a in range(4) for b in range(4) if a != b}


@pytest.mark.parametrize(
    ("fault", "lost"),
    [
        (Partition(at=1.0, lasts=1.0, sides=((0, 1),)), {(a, b) for a, b in EVERY if (a < 2) != (b < 2)}),
        (OneWay(at=1.0, lasts=1.0, senders=(0,), to=(1, 2)), {(0, 1), (0, 2)}),
        (Bridge(at=1.0, lasts=1.0, left=(0,), right=(2, 3)), {(0, 2), (0, 3), (2, 0), (3, 0)}),
        (Clog(at=1.0, lasts=1.0, senders=(3,), to=(0,)), {(3, 0)}),
        (Weather(at=1.0, lasts=1.0, delay=(0.0, 0.0), loss=1.0), EVERY),
    ],
    ids=lambda value: type(value).__name__,
)
def test_faults_of_links_begin_and_end(fault: AnyFault, lost: set[tuple[int, int]]) -> None:
    made = cluster()
    apply((fault,), made)
    made.run(0.5)
    assert heard(made) == EVERY
    made.run(1.5)
    assert heard(made) == EVERY - lost
    made.run(2.5)
    assert heard(made) == EVERY


def test_a_sieve_catches_kinds() -> None:
    vote = Votes(1, 1, 0, NIL, NO_TERM, b"\1", bytes(64))
    frames = {
        "first vote": wire.encode(vote),
        "second vote": wire.encode(msgspec.structs.replace(vote, step=2)),
        "announce": wire.encode(Bundle((wire.encode(Announce(b"")), wire.encode(vote)))),
    }
    for kind, frame in frames.items():
        assert kind_of(frame) == kind
        assert kind in KINDS
        sieve = Sieve(at=0, kinds=(kind,), to=(1,))
        assert [other for other, frame in frames.items() if sieve.catches(0, 1, frame)] == [kind]
        assert not sieve.catches(0, 2, frame)
    assert not Sieve(at=0, kinds=KINDS, to=(1,)).catches(0, 1, b"noise")


def test_a_federation_agrees_once_its_second_votes_get_through() -> None:
    made = cluster()
    apply((Sieve(at=0.0, lasts=3.0, kinds=("second vote", "commit"), to=(0, 1, 2, 3)),), made)
    made.run(0.1)
    assert not agree(made, 1) or made.now > 3.0
    assert made.network.sieves == []


@pytest.mark.parametrize("after", range(12))
@pytest.mark.parametrize("writing", [False, True])
def test_a_crash_at_any_effect_is_survived(after: int, writing: bool) -> None:
    made = cluster()
    deaths: list[Effect] = []
    apply((Crash(at=0.2, lasts=1.0, host=1, after=after, writing=writing),), made)
    made.run(0.2)
    dies = made.hosts[1].crash_before

    def noted(host: Host, effect: Effect) -> bool:
        dead = dies(host, effect)
        if dead:
            deaths.append(effect)
        return dead

    made.hosts[1].crash_before = noted
    assert agree(made, 1)
    made.run(max(made.now, 1.5))
    assert agree(made, 2)
    assert made.hosts[1].life == len(deaths) <= 1
    if writing and deaths:
        assert type(deaths[0]).__name__ in ("Persist", "Committed")


def test_an_interrupted_write_leaves_the_record_before() -> None:
    made = cluster()
    apply((Crash(at=0.1, lasts=1.0, host=1, writing=True),), made)
    made.run(0.2)
    host = made.hosts[1]
    host.perform([Persist(b"torn")])
    assert not host.up
    assert host.disk.record != b"torn"


def test_who_loses_its_store_stays_down() -> None:
    made = cluster()
    apply((Lose(at=0.5, host=2), Crash(at=0.4, lasts=1.0, host=2)), made)
    made.run(2.0)
    assert not made.hosts[2].up
    assert agree(made, 1)


@pytest.mark.parametrize("trusting", [False, True])
def test_who_loses_its_store_comes_back_with_a_new_key_and_takes_part(trusting: bool) -> None:
    made = cluster()
    assert advance(made, 2)
    apply((Lose(at=made.now, lasts=0.5, host=2, trusting=trusting),), made)
    host, old = made.hosts[2], made.hosts[2].key
    made.run(made.now + 0.51)
    assert host.up
    assert host.member.me is None
    assert advance(made, 3)
    made.run(made.now + 1.0)
    assert host.key != old
    assert made.roster.seats[2].keys == (old, host.key)
    assert made.operators.wishes == []
    assert advance(made, 3)
    assert host.member.state.heads[2].incarnation == 1
    assert host.member.state.heads[2].seq > 0


@pytest.mark.parametrize("trusting", [False, True])
def test_a_newcomer_joins_and_takes_part(trusting: bool) -> None:
    made = cluster()
    assert advance(made, 2)
    apply((Join(at=made.now, trusting=trusting),), made)
    made.run(made.now + 0.6)
    assert advance(made, 3)
    newcomer = made.hosts[4]
    assert (newcomer.seat, newcomer.member.me) == (4, 4)
    assert advance(made, 3)
    assert newcomer.member.state.heads[4].seq > 0
    assert len(newcomer.disk.epochs) == 1


def test_who_leaves_goes_on_as_an_observer() -> None:
    made = cluster(5)
    apply((Leave(at=0.1, host=1),), made)
    made.run(0.2)
    assert advance(made, 3)
    assert made.roster.active == (0, 2, 3, 4)
    assert made.hosts[1].member.me is None
    made.run(made.now + 3.0)
    assert made.hosts[1].member.state.round == made.newest.state.round


def test_a_member_goes_on_under_its_new_key() -> None:
    made = cluster()
    old = made.hosts[1].key
    apply((Rekey(at=0.1, host=1),), made)
    made.run(0.2)
    assert advance(made, 3)
    made.run(made.now + 1.0)
    assert made.roster.seats[1].keys == (old, made.hosts[1].key)
    assert made.hosts[1].member.me == 1
    assert advance(made, 3)
    assert made.newest.state.heads[1].incarnation == 1


def test_a_sleeper_is_woken_when_the_others_are_far_enough_or_time_is_up() -> None:
    for rounds, woken in ((2, True), (50, False)):
        made = cluster()
        apply((Sleep(at=0.1, lasts=30.0, host=3, rounds=rounds),), made)
        made.run(0.2)
        assert not made.hosts[3].up
        assert advance(made, 2)
        made.run(made.now + 0.3)
        assert made.hosts[3].up == woken
        made.run(31.0)
        assert made.hosts[3].up


def test_a_pause_and_a_wrong_clock_pass() -> None:
    made = cluster()
    apply((Pause(at=0.1, lasts=1.0, host=0), Clock(at=0.1, lasts=1.0, host=1, rate=3.0)), made)
    made.run(0.5)
    assert made.hosts[0].paused
    assert made.hosts[1].clock == 3.0
    made.run(1.5)
    assert not made.hosts[0].paused
    assert made.hosts[1].clock == 1.0
    assert agree(made, 1)


def test_replays_need_a_memory() -> None:
    made = cluster()
    apply((Replay(at=1.0, frames=50),), made)
    assert made.network.remembers
    assert agree(made, 1)


def test_what_lasts_beyond_the_heal_ends_there() -> None:
    made = cluster()
    apply((Partition(at=0.5, lasts=50.0, sides=((0, 1),)), Lose(at=3.0, host=0)), made, until=2.0)
    made.run(2.5)
    assert heard(made) == EVERY
    assert all(host.up for host in made.hosts)


def test_scripts_go_to_json_and_back() -> None:
    for seed in range(20):
        random = Random(seed)
        faults = [*draw(random, 7, 6.0, 4.0), *losses(random, 6.0, (1, 2)), *changes(random, 6.0, 7, (3, 4))]
        script = in_order([*faults, Sleep(at=1.0, lasts=2.0, host=0, rounds=40)])
        data = msgspec.json.encode(script)
        assert msgspec.json.decode(data, type=Script) == script
        assert [fault.at for fault in script] == sorted(fault.at for fault in script)
        assert {fault.host for fault in script if isinstance(fault, Lose)} == {1, 2}


def test_a_seed_draws_one_script_and_all_kinds_occur() -> None:
    assert draw(Random(5), 4, 6.0, 2.0) == draw(Random(5), 4, 6.0, 2.0)
    kinds = {type(fault) for seed in range(60) for fault in draw(Random(seed), 4, 6.0, 4.0)}
    assert len(kinds) == 10
    asked = {type(fault) for seed in range(60) for fault in changes(Random(seed), 6.0, 4, (3,))}
    assert asked == {Join, Leave, Rekey}
    back = {fault.lasts > 0 for seed in range(60) for fault in losses(Random(seed), 6.0, (0,))}
    assert back == {True, False}
