"""A node inside a program."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import qorum
from qorum.errors import ConfigError, QorumError
from tests.node.processes import federation, until


def live(agent: qorum.QAgent, steps: int = 12) -> None:
    for step in range(steps):
        agent.learn(step % 5, agent.act(step % 5), 0.5, (step + 1) % 5, False)


@pytest.mark.parametrize("over_zenoh", [False, True], ids=["websocket", "zenoh"])
def test_two_programs_learn_as_one_and_go_on_after_a_restart(tmp_path: Path, over_zenoh: bool) -> None:
    a, b = federation(tmp_path / "fed", members=4, hosts=2, over_zenoh=over_zenoh)
    with qorum.join(a, "agent-0") as one, qorum.join(b, 3) as two:
        agents = [one.agent(4, seed=1), two.agent(seed=2, epsilon=0.3)]
        for agent in agents:
            live(agent)
        until(lambda: all(f.status().members[0].round >= 1 for f in (one, two)), "they contribute of their own accord")
        live(agents[0])
        agents[0].learn(17, 1, 1.0, 2, False)
        result = one.sync()
        assert result.agreed
        until(lambda: two.agreed_table == one.agreed_table, "the same table")
        assert agents[1].greedy(17) == agents[0].greedy(17) == 1, "what one has seen, the other knows"
        assert one.status().state == "agreeing"
        table = one.agreed_table
    with qorum.join(a, "agent-0") as again:
        assert len(again.agreed_table) >= len(table)
        agent = again.agent(seed=3)
        assert agent.interactions == 25
        assert agent.greedy(17) == 1
    with pytest.raises(QorumError, match="was left"):
        again.sync()


def test_a_federation_in_the_callers_own_loop(tmp_path: Path) -> None:
    a, b = federation(tmp_path / "fed", members=4, hosts=2)

    async def scene() -> None:
        async with qorum.join_async(a, "agent-0") as one, qorum.join_async(b, "agent-2") as two:
            agent = one.agent(seed=1)
            live(agent, 8)
            assert (await one.sync()).agreed
            async with asyncio.timeout(10):
                while two.agreed_table != one.agreed_table:
                    await asyncio.sleep(0.01)
            assert two.status().members[0].round >= 1

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_members_are_named_and_the_wrong_ones_refused(tmp_path: Path) -> None:
    a, _ = federation(tmp_path / "fed", members=4, hosts=2)
    threads = threading.active_count()
    with pytest.raises(ConfigError, match=r"hosts no member 'agent-9'; it hosts agent-0 \(0\), agent-1 \(1\)"):
        qorum.join(a, "agent-9")
    with pytest.raises(ConfigError, match="hosts no member None"):
        qorum.join(a)
    assert threading.active_count() == threads, "nothing is left running"
    with qorum.join(a, 1) as fed, pytest.raises(ConfigError, match="n_actions"):
        fed.agent(7)


def test_importing_qorum_does_not_import_the_node() -> None:
    import subprocess
    import sys

    code = "import sys, qorum; assert 'aiohttp' not in sys.modules; qorum.join; assert 'aiohttp' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with pytest.raises(AttributeError, match="no attribute 'joint'"):
        qorum.joint  # noqa: B018
