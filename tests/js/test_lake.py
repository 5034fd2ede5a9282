"""The page's lake is Gymnasium's: the same map, the same chances, the same worth of a policy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from qorum.lab.browser.assets import built
from qorum.lab.browser.consoles import console
from qorum.lab.tasks import load
from tests.js.engines import needs

ASK = """
const { outcomes, kind, chance, CELLS, ACTIONS } = await import(%r);
const all = [];
for (let cell = 0; cell < CELLS; cell++) {
  for (let action = 0; action < ACTIONS; action++) all.push(outcomes(cell, action));
}
return { all, kinds: Array.from({ length: CELLS }, (_, cell) => kind(cell)), chance: chance(Float32Array.from(%r)) };
"""


def test_the_page_has_the_lake_of_gymnasium(tmp_path: Path) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    needs("npm", "node")
    task = load("FrozenLake8x8-v1")
    values = task.optimal_q.ravel().tolist()

    async def play() -> dict[str, list[object]]:
        async with console("node", tmp_path) as at:
            return dict(await at.run(ASK % (f"{built()}/page/lake.js", values)))

    told = asyncio.run(play())
    table = gymnasium.make("FrozenLake8x8-v1").unwrapped.P
    for at, found in enumerate(told["all"]):
        cell, action = divmod(at, 4)
        if told["kinds"][cell] in ("start", "ice"):
            assert found == [following for _, following, _, _ in table[cell][action]]
            ends = [told["kinds"][following] in ("hole", "goal") for following in found]
            assert ends == [terminated for *_, terminated in table[cell][action]]
            rewards = [float(told["kinds"][following] == "goal") for following in found]
            assert rewards == [reward for _, _, reward, _ in table[cell][action]]
    assert told["chance"] == pytest.approx(_chance(table, task.optimal_q.argmax(axis=1)), abs=1e-6)


def _chance(table: dict[int, dict[int, list[tuple[float, int, float, bool]]]], policy: np.ndarray) -> float:
    """That an episode of 200 steps reaches the goal."""
    reached = np.zeros(64)
    for _ in range(200):
        reached = np.array(
            [sum(p * (r if end else reached[to]) for p, to, r, end in table[cell][policy[cell]]) for cell in range(64)]
        )
    return float(reached[0])
