"""What `replay` agrees on for many agents at once is what real members agree on, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.core.author import Author
from qorum.core.genesis import Genesis
from qorum.core.state import State
from qorum.evidence import Evidence
from qorum.experience import Experience
from qorum.lab.fleet import config_for, entry_of
from qorum.lab.methods import METHODS, Setting
from qorum.lab.tasks import Steps, Task, Walkers, load

AGENTS, EVERY = 7, 5
ROUNDING = 2 * 2.0**-20


class Members:
    """Real authors and a real state, fed with the steps that a method is fed with."""

    def __init__(self, task: Task, evidence: str, threshold: float) -> None:
        keys = tuple(bytes([me]) * 32 for me in range(AGENTS))
        config = config_for(task, evidence=evidence, byzantine_threshold=threshold, alpha=0.3)
        self.genesis = Genesis(keys, config)
        self.state = State.initial(self.genesis)
        self.authors = [Author(self.genesis, me) for me in range(AGENTS)]
        self.hashes = task.state_hashes()
        self.experience = [Experience(task.n_actions, task.gamma) for _ in range(AGENTS)]

    def learn(self, steps: Steps, actions: np.ndarray) -> None:
        for me, own in enumerate(self.experience):
            state, after = (int(self.hashes[at[me]]) for at in (steps.state, steps.next_state))
            own.record(state, int(actions[me]), float(steps.reward[me]), after, bool(steps.terminated[me]))

    def sync(self) -> None:
        evidence = [own.replay(self.state.table, 0.0) for own in self.experience]
        self.state = self.state.apply([self._entry(me, said) for me, said in enumerate(evidence)])

    def _entry(self, me: int, said: Evidence):
        return entry_of(self.state, me, self.authors[me].write(said, self.state))

    def table(self, task: Task) -> np.ndarray:
        q = np.zeros((task.n_states, task.n_actions))
        where = {int(state): at for at, state in enumerate(self.hashes)}
        table = self.state.table
        for state, action, value in zip(table.state_hash, table.action, table.value, strict=True):
            q[where[int(state)], action] = value
        return q


@pytest.mark.parametrize("name", ["FrozenLake-v1", "Taxi-v4", "CellSleep"])
@pytest.mark.parametrize(("method", "threshold"), [("replay", 0.0), ("replay_robust", 0.33)])
def test_the_agreed_table_is_that_of_real_members(name: str, method: str, threshold: float) -> None:
    task, rng = load(name), np.random.default_rng(0)
    fleet = METHODS[method](Setting(task, AGENTS, EVERY))
    members, walkers = Members(task, "replay", threshold), Walkers(task, AGENTS, rng)
    for step in range(1, 151):
        actions = rng.integers(task.n_actions, size=AGENTS)
        steps = walkers.step(actions)
        fleet.learn(steps.state * task.n_actions + actions, steps)
        members.learn(steps, actions)
        if step % EVERY == 0:
            fleet.sync()
            members.sync()
            # Rewards that vary are averaged in another order, which may round the last bit of a claim.
            assert np.abs(fleet.learned[0] - members.table(task)).max() <= ROUNDING, f"step {step}"
