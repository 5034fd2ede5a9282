"""Clusters agree, carry faults, and end them."""

from __future__ import annotations

from random import Random

from qorum.config import FederationConfig
from qorum.core.genesis import Genesis
from qorum.core.messages import Leave
from qorum.sim.cluster import GUESTS, Cluster, random_columns, united
from qorum.sim.keys import quick_keys, real_keys
from qorum.sim.network import Links


def cluster(members: int = 4, *, seed: int = 1, real: bool = False, twins: tuple[int, ...] = ()) -> Cluster:
    keys = (real_keys if real else quick_keys)(1, members)
    config = FederationConfig(collect_ms=20, propose_timeout_ms=200, gossip_tick_ms=100, gossip_flush_ms=10)
    made = Cluster(Genesis(keys.public, config), keys, seed, Links(delay=(0.005, 0.01)), twins=twins)
    made.start()
    return made


def agree(made: Cluster, round: int) -> bool:
    """Contribute and run until every honest host that is up has agreed on `round`."""
    made.contribute(made.hosts[0], random_columns(Random(round), 8, 2))
    up = [host for host in made.honest if host.up and not host.paused]
    return made.run(made.now + 20, lambda: min(host.member.state.round for host in up) >= round)


def advance(made: Cluster, rounds: int) -> bool:
    """Agree on so many rounds more."""
    return all(agree(made, made.newest.state.round + 1) for _ in range(rounds))


def test_members_agree_with_quick_keys_and_with_real_ones() -> None:
    for real in (False, True):
        made = cluster(real=real)
        assert agree(made, 1)
        assert len({host.member.state.hash for host in made.hosts}) == 1


def test_one_seed_gives_one_run() -> None:
    hashes = []
    for seed in (1, 1, 2):
        made = cluster(seed=seed)
        assert agree(made, 1)
        hashes.append(made.event_hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_who_is_down_paused_or_cut_off_does_not_hold_the_others_up() -> None:
    for fault in ("stop", "pause", "cut"):
        made = cluster()
        victim = made.hosts[3]
        if fault == "stop":
            victim.stop()
        elif fault == "pause":
            victim.paused = True
        else:
            made.network.partition([3])
        made.run(1.0)
        assert made.contribute(victim, random_columns(Random(1), 8, 2)) == (fault == "cut")
        made.contribute(made.hosts[0], random_columns(Random(1), 8, 2))
        assert made.run(20.0, lambda made=made: min(h.member.state.round for h in made.hosts[:3]) >= 1)
        assert victim.member.state.round == 0
        made.mend()
        assert agree(made, 2)
        assert victim.member.state.hash == made.hosts[0].member.state.hash


def test_a_mend_leaves_those_down_that_lost_their_store() -> None:
    made = cluster()
    made.hosts[3].lost = True
    made.hosts[3].stop()
    made.hosts[2].clock = 0.1
    made.mend()
    assert [host.up for host in made.hosts] == [True, True, True, False]
    assert made.hosts[2].clock == 1.0
    assert agree(made, 1)


def test_a_fast_clock_fires_timers_early() -> None:
    ticks = []
    for rate in (1.0, 4.0):
        made = cluster()
        made.hosts[0].clock = rate
        made.hosts[1].stop()
        made.run(5.0)
        ticks.append(made.network.traffic[2].frames)
    assert ticks[1] > 1.3 * ticks[0]


def test_peers_are_known_by_seat_or_by_address() -> None:
    made = cluster(twins=(3,))
    roster = made.genesis.roster
    assert [made.known_as(roster, host) for host in made.hosts] == [0, 1, 2, 3, 3]
    without = roster.after(Leave(1, 0), 1)
    assert made.known_as(without, made.hosts[1]) == GUESTS + 1
    assert made.owners(without, GUESTS + 1) == [made.hosts[1]]
    assert made.owners(roster, 3) == made.hosts[3:]
    assert made.owners(roster, 4) == made.owners(roster, GUESTS + 99) == []


def test_what_no_round_has_taken_is_said_again() -> None:
    made = cluster()
    made.network.partition([0])
    said = [random_columns(Random(number), 8, 2) for number in range(9)]
    for columns in said:
        assert made.contribute(made.hosts[0], columns)
    made.mend()
    made.run(made.now + 5.0)
    held = made.newest.state.registers
    own = held.take(held.member == 0)
    assert len(own.cell) == len(united(said).states)
    assert sorted(own.value.tolist()) == sorted(united(said).value.tolist())


def test_twins_are_two_hosts_on_one_seat_and_not_honest() -> None:
    made = cluster(twins=(3,))
    assert [host.seat for host in made.hosts] == [0, 1, 2, 3, 3]
    assert [host.address for host in made.at[3]] == [3, 4]
    assert len(made.honest) == 3
    assert agree(made, 1)


def test_contributions_name_each_cell_once() -> None:
    columns = random_columns(Random(3), 8, 5)
    assert len(set(columns.states.tolist())) == 5
    assert len(columns.value) == len(columns.visits) == len(columns.spread) == 5
