"""What a user of the founding record's class and functions relies on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import qorum
from qorum.core.table import agreed_tables_identical
from qorum.errors import ConfigError
from qorum.sim.swarm import Swarm

CHAIN = {"n_actions": 2, "r_min": 0.0, "r_max": 1.0}


def walk(table: qorum.FederatedQTable, steps: int) -> None:
    """A little chain: action 1 goes right, five steps to a reward of 1."""
    position = 0
    for _ in range(steps):
        action = table.agent.act(position)
        after = min(position + 1, 5) if action else 0
        table.agent.learn(position, action, float(after == 5), after, after == 5)
        position = 0 if after == 5 else after


def test_the_founding_records_integration_example_runs_as_written() -> None:
    fqt = qorum.create_federated_qtable(
        {"sync_interval_ms": 60000, "min_peers_for_consensus": 3, "byzantine_threshold": 0.33}
    )
    result = qorum.federated_sync(fqt)
    assert result.updates_sent > 0
    assert result.conflicts_resolved >= 0


def test_some_member_leads_each_round_and_knows_its_term() -> None:
    swarm = Swarm.of(qorum.FederationConfig.of(CHAIN), 4, seed=1)
    walk(swarm.tables[0], 40)
    led: list[qorum.ConsensusState] = []

    def watch() -> bool:
        states = [table.consensus_state for table in swarm.tables]
        led.extend(state for state in states if isinstance(state, qorum.ConsensusState.Leader))
        return bool(led)

    swarm._contribute(0)
    assert swarm.run(5.0, done=watch)
    assert led[0] == qorum.ConsensusState.Leader(0)


def test_a_sync_without_news_anywhere_agrees_on_nothing_and_says_so() -> None:
    result = qorum.federated_sync(qorum.create_federated_qtable(), timeout_s=1.0)
    assert (result.agreed, result.round, result.updates_sent) == (False, 0, 1)


def test_founding_fields_and_defaults() -> None:
    table = qorum.create_federated_qtable()
    assert table.sync_interval_ms == 60_000
    assert len(table.peers) == 3
    assert len(set(table.peers)) == 3
    assert len(table.local_qtable) == 0
    assert table.pending_updates == []
    assert table.consensus_state in (qorum.ConsensusState.Follower(), qorum.ConsensusState.Candidate())


def test_what_is_learned_is_pending_then_agreed_by_all() -> None:
    table = qorum.create_federated_qtable(CHAIN)
    walk(table, 40)
    pending = table.pending_updates
    assert pending
    assert all(isinstance(update, qorum.QUpdate) for update in pending)
    result = table.sync()
    assert result.agreed
    assert result.round == 1
    assert result.updates_sent == len(pending)
    assert table.pending_updates == []
    assert {(u.state_hash, u.action) for u in pending} == {(e.state_hash, e.action) for e in table.agreed_table}
    swarm = table.transport
    assert isinstance(swarm, Swarm)
    swarm.run(swarm.timeline.now + 2)
    assert agreed_tables_identical(swarm.tables)


def test_members_learn_from_each_other_and_conflicts_are_counted() -> None:
    swarm = Swarm.of(qorum.FederationConfig.of(CHAIN), 4, seed=1)
    one, other = swarm.tables[:2]
    one.agent.learn(0, 1, 1.0, 1, True)
    other.agent.learn(0, 1, 0.0, 1, True)
    other.agent.learn(7, 0, 1.0, 8, True)
    assert one.sync().agreed
    result = one.sync() if one.member.state.registers.value.size < 3 else None
    swarm.run(swarm.timeline.now + 3)
    assert one.member.state.conflicts == 1
    assert one.local_qtable.get(qorum.hash_observation(7), 0) is not None
    assert result is None or result.conflicts_resolved == 1


def test_updates_received_counts_what_others_wrote_since_the_last_sync() -> None:
    swarm = Swarm.of(qorum.FederationConfig.of(CHAIN), 4, seed=1)
    for state in range(6):
        swarm.tables[1].agent.learn(state, 0, 1.0, 99, True)
    swarm.tables[0].agent.learn(50, 0, 1.0, 99, True)
    first = swarm.tables[0].sync()
    assert first.updates_received == 6
    assert swarm.tables[0].sync(timeout_s=1.0).updates_received == 0
    swarm.tables[0].agent.learn(60, 0, 1.0, 99, True)
    swarm.tables[1].agent.learn(70, 0, 1.0, 99, True)
    second = swarm.tables[0].sync()
    assert second.agreed
    assert second.updates_received == 1  # that its author still stands by the other six is no news


@pytest.mark.parametrize("kind", ["replay", "implied", "q"])
def test_every_kind_of_evidence_reaches_agreement_and_a_policy(kind: str) -> None:
    table = qorum.create_federated_qtable(CHAIN, evidence=kind)
    for _ in range(12):
        walk(table, 60)
        assert table.sync().agreed
    right = [table.agent.greedy(position) for position in range(5)]
    assert right == [1] * 5


def test_an_agent_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="n_actions 3, the federation 2"):
        qorum.create_federated_qtable(CHAIN, agent=qorum.QAgent(3))
    with pytest.raises(ConfigError, match=r"gamma 0\.5, the federation 0\.95"):
        qorum.create_federated_qtable(CHAIN, agent=qorum.QAgent(2, gamma=0.5))
    with pytest.raises(ConfigError, match=r"initial_q 7\.0, the federation 0\.0"):
        qorum.create_federated_qtable(CHAIN, agent=qorum.QAgent(2, initial_q=7.0))


@pytest.mark.parametrize("config", [5, [1], "text"])
def test_a_configuration_that_is_none_is_refused(config: object) -> None:
    with pytest.raises(ConfigError):
        qorum.create_federated_qtable(config)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [("byzantine_threshold", 0.5, "0 to 0.333333"), ("gossip_fanout", 0, "1 to 64"), ("sync_jitter", -1, "0 to 0.5")],
)
def test_invalid_configuration_names_field_value_and_range(field: str, value: float, allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} is {value}.*{allowed}"):
        qorum.create_federated_qtable({field: value})


def test_unknown_configuration_field_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"gossip_fanuot.*gossip_fanout"):
        qorum.create_federated_qtable({"gossip_fanuot": 3})


def test_the_readmes_example_prints_what_the_readme_says() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python\n")[1].split("```")[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert f"# {printed[0]}" in code
    assert printed[1].endswith("cells agreed on by all 4 members")
