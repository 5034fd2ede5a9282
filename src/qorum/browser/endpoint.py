"""`Endpoint`: what JavaScript talks to: one agent, alone at first, then a member of a federation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from qorum.agent import QAgent
from qorum.browser.platform import Platform
from qorum.browser.shelf import EXPERIENCE
from qorum.browser.tab import Tab
from qorum.config import FederationConfig
from qorum.core.genesis import Genesis
from qorum.core.table import FederatedQTable
from qorum.encoding import hash_observation
from qorum.errors import ConfigError, IdentityError
from qorum.federation import create_federated_qtable
from qorum.node.genesis_file import read_genesis
from qorum.node.links import UNTRIED
from qorum.node.refused import Reason, Refused
from qorum.node.status import LinkStatus, MemberStatus, member_status, standing_of, tolerance_of
from qorum.node.transport import Closed
from qorum.qtable import QTable
from qorum.store.kept import pack_table, unpack_table
from qorum.store.seal import seal, unseal

TABLE = "table"
"""Name of what an agent acted on when it was saved."""
OWN = ("epsilon", "bonus", "seed")
"""Fields of a configuration that are the agent's own; all others are the federation's."""
LEARNED = ("gamma", "alpha", "initial_q", "evidence")
"""Fields of a federation that its agents have to share."""
LINK_S = 30.0
"""Seconds that a first link may take."""
POLL_S = 0.02

Floats = NDArray[np.float32]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """An agent, at one moment."""

    standing: str
    """In few words: how it gets on with the others."""
    tolerance: str
    federation: str
    member: MemberStatus
    members: int
    """Of the federation."""
    reachable: list[int]
    links: tuple[LinkStatus, ...]
    excluded: list[int]
    """Members found lying."""
    lies: bool
    revivals: int
    """Starts that a signature which nobody foresaw has cost."""


class Endpoint:
    """One agent in a page. Methods that take a wait are coroutines; what they give is JSON, or columns of numbers."""

    def __init__(self, platform: Platform, config: str) -> None:
        """config: JSON of fields of `FederationConfig`, and of `OWN`. Raises `ConfigError`."""
        given = msgspec.json.decode(config, type=dict[str, Any])
        self._own = {name: given.pop(name) for name in OWN if name in given}
        self._given = given
        self._config = FederationConfig.of(given)
        self._platform = platform
        self._agent = self._make_agent(self._config)
        self._tab: Tab | None = None
        self._local: FederatedQTable | None = None
        self._shown: Floats = np.zeros((0, 0), np.float32)

    def _make_agent(self, config: FederationConfig) -> QAgent:
        learned = {name: getattr(config, name) for name in LEARNED}
        return QAgent(config.n_actions, **learned, **self._own)

    # --- learning ---

    def act(self, observation: Any) -> int:
        """See `QAgent.act`."""
        return self._agent.act(observation)

    def learn(self, observation: Any, action: int, reward: float, following: Any, terminated: bool) -> None:
        """See `QAgent.learn`. Tells the federation in time."""
        self._agent.learn(observation, action, reward, following, terminated)
        if self._tab is not None:
            self._tab.host.lived()

    def step(self, observation: Any, action: int, reward: float, following: Any, terminated: bool, then: Any) -> int:
        """Learn, and choose what to do next where `then` is seen."""
        self.learn(observation, action, reward, following, terminated)
        return self._agent.act(then)

    def values(self, observations: Sequence[Any]) -> Floats:
        """f32[m * n_actions]: what the agent acts on. Good until the next call."""
        return self._show(self._agent.values(observations))

    def agreed(self, observations: Sequence[Any]) -> Floats:
        """f32[m * n_actions]: what the federation has agreed on. Good until the next call."""
        table = self._table
        values = np.full((len(observations), self._config.n_actions), self._config.initial_q)
        if table is not None:
            states = np.array([hash_observation(one) for one in observations], np.uint64)
            actions = np.arange(self._config.n_actions)
            owner, action = np.repeat(states, len(actions)), np.tile(actions, len(states))
            at, found = table.lookup(owner, action)
            values.ravel()[found] = table.value[at[found]]
        return self._show(values)

    @property
    def _table(self) -> QTable | None:
        tables = [self._tab.host.table] if self._tab is not None else [self._local] if self._local else []
        return tables[0].agreed_table if tables else None

    def _show(self, values: NDArray[np.float64]) -> Floats:
        """JavaScript looks right at this memory, so it has to stay."""
        self._shown = np.ascontiguousarray(values, np.float32).reshape(-1)
        return self._shown

    # --- the federation ---

    async def sync(self, timeout_s: float) -> str:
        """Contribute and wait for a round; a `SyncResult`. Before `connect` in a federation of its own in this process.

        Raises `StoreError`.
        """
        if self._tab is not None:
            return _json(await self._tab.host.sync(timeout_s))
        if self._local is None:
            self._local = create_federated_qtable(self._config, agent=self._agent)
        return _json(self._local.sync(timeout_s))

    async def connect(self, genesis: str, nodes: Sequence[str], member: int | None) -> None:
        """Become a member of the federation with this genesis, a JSON file's content, by way of some nodes.

        member: which seat the key is said to hold.

        Raises `ConfigError` for another task, `IdentityError` for another key, `Refused` by a node, `Closed` if none
        can be reached, `StoreError`. The agent then learns on alone.
        """
        if self._tab is not None:
            raise ConfigError("this agent is in a federation already; close it first")
        founded = read_genesis(genesis.encode(), "what the node sent")
        self._check_seat(founded, member)
        agent = self._agent_for(founded.config)
        if not agent.interactions:
            await self.load()
        tab = Tab(self._platform, founded, agent, nodes)
        try:
            await tab.start()
            await _linked(tab)
        except BaseException:
            await tab.stop()
            raise
        self._config, self._tab, self._local = founded.config, tab, None

    def _check_seat(self, genesis: Genesis, member: int | None) -> None:
        keys, own = genesis.public_keys, self._platform.public_key
        if member is not None and (member >= len(keys) or keys[member] != own):
            raise IdentityError(f"member {member} of this federation has another key than {own.hex()[:16]}")

    def _agent_for(self, config: FederationConfig) -> QAgent:
        """The agent, if it learns what the federation agreed on, or can begin to."""
        for name in ("n_actions", *LEARNED):
            mine, agreed = getattr(self._config, name), getattr(config, name)
            if mine != agreed and (name in self._given or self._agent.interactions):
                raise ConfigError(f"this agent has {name} {mine!r}, the federation {agreed!r}; make one with the same")
        if not self._agent.interactions:
            self._agent = self._make_agent(config)
        return self._agent

    # --- keeping ---

    async def save(self) -> None:
        """Keep what the agent has seen, and what it acts on. Raises `StoreError`."""
        data = {EXPERIENCE: self._agent.dump(), TABLE: pack_table(self._agent.table)}
        await self._platform.write({name: seal(part) for name, part in data.items()})

    async def load(self) -> bool:
        """Take back what was kept, before the first step; whether there was anything. Raises `StoreError`."""
        experience, table = [await self._platform.read(name) for name in (EXPERIENCE, TABLE)]
        if experience is None:
            return False
        self._agent.restore(unseal(experience, "what this agent has seen"))
        if table is not None:
            self._agent.adopt(unpack_table(unseal(table, "what this agent acted on")))
        return True

    # --- for people ---

    def status(self) -> str:
        """A `Status`; of an agent on its own, what it has learned."""
        if self._tab is None:
            alone = {"standing": "alone", "interactions": self._agent.interactions}
            return _json(alone)
        tab, host = self._tab, self._tab.host
        return _json(
            Status(
                standing=standing_of([host], len(tab.reachable)),
                tolerance=tolerance_of(host),
                federation=host.table.genesis.federation.hex(),
                member=member_status(host, "this agent"),
                members=len(host.member.roster.active),
                reachable=tab.reachable,
                links=tab.links,
                excluded=np.flatnonzero(host.member.state.excluded).tolist(),
                lies=tab.lies,
                revivals=tab.revivals,
            )
        )

    async def cut(self, off: bool) -> None:
        """Be cut off from all nodes, or reach for them again."""
        if self._tab is not None:
            await (self._tab.hang_up() if off else self._tab.dial())

    def lie(self, lies: bool) -> None:
        """Tell the others the opposite of what the agent has seen, or the truth again."""
        if self._tab is not None:
            self._tab.lie(lies)

    async def close(self) -> None:
        """Leave the network; what the agent has seen is kept."""
        tab, self._tab = self._tab, None
        if tab is not None:
            await tab.stop()


async def _linked(tab: Tab) -> None:
    """Wait until a node has taken the agent in. Raises `Refused` or `Closed`, which say what every node answered."""
    loop = asyncio.get_running_loop()
    end = loop.time() + LINK_S
    while not any(link.state.startswith("up") for link in tab.links):
        states = [link.state for link in tab.links]
        if refusal := next((state for state in states if "refused" in state), None):
            raise _refused(refusal)
        if loop.time() > end or UNTRIED not in states:
            raise Closed("; ".join(f"{link.peer} {link.state}" for link in tab.links))
        await asyncio.sleep(POLL_S)


def _refused(state: str) -> Refused:
    """What a node gave as its reason, or this agent."""
    reason = next((reason for reason in Reason if reason.value in state), Reason.MALFORMED)
    return Refused(reason, state)


def _json(answer: object) -> str:
    return msgspec.json.encode(answer).decode()
