"""Whole federations in virtual time: the same run from the same seed, and agreement under faults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from qorum.config import FederationConfig
from qorum.core.member import Member
from qorum.core.table import PATIENCE, FederatedQTable, agent_for, agreed_tables_identical
from qorum.lab.attacks.extreme_high import extreme_high
from qorum.lab.attacks.sign_flip import sign_flip
from qorum.lab.rollout import Rollout
from qorum.lab.tasks import load
from qorum.sim.liar import liar_with
from qorum.sim.network import Links
from qorum.sim.swarm import Swarm

CONFIG = FederationConfig(n_actions=4, r_min=-100, r_max=0, sync_interval_ms=2_000)


def cliff_swarm(members: int, seed: int = 0, steps: int = 200, links: Links | None = None, liars: int = 0) -> Swarm:
    """A swarm whose members live on CliffWalking at 20 steps a second."""
    task = load("CliffWalking-v1")
    agents = {me: agent_for(CONFIG, seed=me) for me in range(members)}
    attack = sign_flip if seed % 2 else extreme_high
    swarm = Swarm.of(
        CONFIG, members, seed=seed, links=links, agents=agents,
        make_table=lambda me: liar_with(attack) if me < liars else FederatedQTable,
    )  # fmt: skip
    swarm.settle({me: Rollout(task.make_env(me), agents[me], seed=me, steps=steps, rate=20.0) for me in agents})
    return swarm


def live(swarm: Swarm, seconds: float) -> None:
    swarm.run(swarm.timeline.now + seconds)


def assert_no_fork(swarm: Swarm) -> None:
    """Every round led every member that agreed on it to the same state."""
    by_round: dict[int, set[bytes]] = {}
    for agreement in swarm.log.agreements:
        by_round.setdefault(agreement.round, set()).add(agreement.state)
    assert all(len(states) == 1 for states in by_round.values())


def test_honest_members_agree_round_after_round_on_identical_tables() -> None:
    swarm = cliff_swarm(7)
    live(swarm, 20)
    assert agreed_tables_identical(swarm.tables)
    assert swarm.tables[0].member.state.round >= 5
    assert swarm.log.blames == []
    assert swarm.log.equivocations == []
    assert_no_fork(swarm)


def test_one_seed_gives_the_same_run_and_another_seed_another() -> None:
    def pulse(seed: int) -> str:
        swarm = cliff_swarm(5, seed=seed, steps=60, links=Links(loss=0.1))
        live(swarm, 8)
        return swarm.event_hash

    assert pulse(3) == pulse(3)
    assert pulse(3) != pulse(4)


def test_the_run_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    code = (
        "from tests.sim.test_swarm import cliff_swarm, live\n"
        "s = cliff_swarm(5, seed=2, steps=60)\nlive(s, 6)\nprint(s.event_hash)"
    )

    def pulse(hash_seed: str) -> str:
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout

    assert pulse("1") == pulse("2")


def test_lost_frames_delay_but_do_not_prevent_agreement() -> None:
    swarm = cliff_swarm(7, links=Links(loss=0.2))
    live(swarm, 40)
    assert swarm.network.frames_lost > 0
    assert agreed_tables_identical(swarm.tables)
    assert swarm.tables[0].member.state.round >= 3
    assert_no_fork(swarm)


def test_f_stopped_members_do_not_stop_the_rest() -> None:
    swarm = cliff_swarm(7)
    live(swarm, 3)
    swarm.network.stop(0)
    swarm.network.stop(1)
    before = swarm.tables[2].member.state.round
    live(swarm, 40)
    assert agreed_tables_identical(swarm.tables[2:])
    assert swarm.tables[2].member.state.round >= before + 3
    assert_no_fork(swarm)


def test_no_side_of_an_even_partition_agrees_and_all_catch_up_after_it() -> None:
    swarm = cliff_swarm(8, steps=400)
    live(swarm, 4)
    swarm.network.partition(range(4), range(4, 8))
    live(swarm, 2)  # what was under way may still end
    before = {table.member.state.round for table in swarm.tables}
    interactions = [table.agent.interactions for table in swarm.tables]
    live(swarm, 10)
    assert {table.member.state.round for table in swarm.tables} == before
    assert all(t.agent.interactions > then for t, then in zip(swarm.tables, interactions, strict=True))
    swarm.network.heal()
    live(swarm, 20)
    assert agreed_tables_identical(swarm.tables)
    assert swarm.tables[0].member.state.round > max(before)
    assert_no_fork(swarm)


def test_a_cut_off_side_still_learns_from_each_other() -> None:
    swarm = cliff_swarm(8, steps=0)
    swarm.network.partition(range(4), range(4, 8))
    one, other = swarm.tables[:2]
    one.agent.learn(5, 1, -1.0, 6, True)
    one.sync(timeout_s=1.0)
    other.agent.learn(9, 1, -1.0, 6, True)
    other.sync(timeout_s=3.0)
    other.sync(timeout_s=1.0)
    assert other.member.state.round == 0
    assert other.local_qtable.get(one.agent.table.state_hash[0].item(), 1) is not None


def test_the_view_of_a_cut_off_side_keeps_improving() -> None:
    swarm = cliff_swarm(8, steps=0)
    swarm.network.partition(range(4), range(4, 8))
    one, other = swarm.tables[:2]
    for state in range(7):  # more contributions than one round takes
        one.agent.learn(state, 1, -1.0, 99, True)
        one.sync(timeout_s=1.0)
    other.agent.learn(50, 1, -1.0, 99, True)
    other.sync(timeout_s=1.0)
    other.agent.learn(51, 1, -1.0, 99, True)
    other.sync(timeout_s=1.0)
    assert other.member.state.round == 0
    assert all(other.local_qtable.get(state, 1) is not None for state in one.agent.table.state_hash.tolist())


def test_who_hears_enough_others_waits_for_the_round_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """All contribute and nobody's vote arrives: a round may be slow, or never come."""
    monkeypatch.setattr(Member, "_on_votes", lambda *_: None)
    swarm = cliff_swarm(4, steps=0)
    one, other = swarm.tables[:2]
    knows = []
    for state in range(PATIENCE + 1):
        for table in swarm.tables:
            table.agent.learn(state, table.me, -1.0, 99, True)
        for table in swarm.tables[: 1 if state == 0 else 4]:  # the first to speak is joined by all others
            table.sync(timeout_s=1.0)
        knows.append(other.local_qtable.get(one.agent.table.state_hash[0].item(), one.me) is not None)
    assert other.member.state.round == 0
    assert (knows[:2], knows[-1]) == ([False, False], True)


def test_status_says_what_is_waited_for() -> None:
    swarm = cliff_swarm(7, steps=0)
    swarm.network.partition(range(2))
    swarm.tables[0].agent.learn(0, 1, -1.0, 1, True)
    assert not swarm.tables[0].sync(timeout_s=2.0).agreed
    assert swarm.tables[0].status().splitlines() == [
        "round 1: 2 of 7 members heard from, 5 needed",
        "7 members, up to 2 may lie or be away: any 5 agree",
    ]


def test_a_minority_cut_off_for_long_comes_back_through_a_snapshot() -> None:
    swarm = cliff_swarm(7, steps=1_000)
    live(swarm, 3)
    swarm.network.partition(range(2))
    live(swarm, 30)
    lag = swarm.tables[2].member.state.round - swarm.tables[0].member.state.round
    assert lag > 8
    swarm.network.heal()
    live(swarm, 40)
    assert agreed_tables_identical(swarm.tables)
    assert any(agreement.skipped for agreement in swarm.log.agreements)
    assert_no_fork(swarm)


@pytest.mark.parametrize("seed", [0, 1])
def test_liars_are_caught_by_their_claims_and_nobody_honest_is(seed: int) -> None:
    swarm = cliff_swarm(10, seed=seed, steps=600, liars=3)
    live(swarm, 34)
    state = swarm.tables[5].member.state
    assert state.excluded[:3].all()
    assert not state.excluded[3:].any()
    assert agreed_tables_identical(swarm.tables[3:])


def test_latencies_and_traffic_are_counted() -> None:
    swarm = cliff_swarm(5, steps=100)
    live(swarm, 10)
    assert swarm.log.latencies
    assert all(0 < latency < 5 for latency in swarm.log.latencies)
    assert all(traffic.bytes > traffic.frames > 0 for traffic in swarm.network.traffic)
