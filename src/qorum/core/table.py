"""`FederatedQTable`: one agent's Q-table as part of a federation; the founding record's class.

It joins an agent to a member: evidence on the way into the federation, the personal view on the way back. Like the rest
of the core it does nothing by itself; a host carries its effects out.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from qorum.agent import QAgent
from qorum.config import FederationConfig
from qorum.core.author import Author
from qorum.core.consensus import Role
from qorum.core.effects import Committed, Effect
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.core.state import State
from qorum.core.status import status, tolerance
from qorum.core.view import personal_view
from qorum.errors import ConfigError, QorumError
from qorum.evidence import Evidence
from qorum.qtable import QTable, QUpdate


class ConsensusState(msgspec.Struct, frozen=True, tag=True):
    """What a member is in the current round: the founding record's enum.

    One of `ConsensusState.Follower()`, `.Candidate()` and `.Leader(term)`; match on the class.
    """

    Follower: ClassVar[type[Follower]]
    Candidate: ClassVar[type[Candidate]]
    Leader: ClassVar[type[Leader]]


class Follower(ConsensusState, frozen=True):
    """Another member is scheduled to lead this term."""


class Candidate(ConsensusState, frozen=True):
    """This member is scheduled to lead, and not yet elected."""


class Leader(ConsensusState, frozen=True):
    """This member leads."""

    term: int
    """Attempt inside the current round, from 0."""


ConsensusState.Follower, ConsensusState.Candidate, ConsensusState.Leader = Follower, Candidate, Leader


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync did."""

    updates_sent: int
    """Cells written and sent; a sync that has nothing to write sends one empty contribution, which counts as one."""
    updates_received: int
    """Cells that other members wrote, in the rounds agreed on since the sync before."""
    conflicts_resolved: int
    """Cells of the agreed table that members report different values for."""
    round: int
    """Newest agreed round."""
    term: int
    """Attempts that round took, less one."""
    agreed: bool
    """Whether a round was agreed on during this sync; False while cut off or waiting for a quorum."""


PATIENCE = 3
"""Contributions that may wait for a round while others are heard; then a member acts on what it has heard."""
NO_SEAT = -1
"""In place of a member's index."""


class Transport(Protocol):
    """Whatever carries a table's effects out: the in-process network, or a node."""

    def sync(self, table: FederatedQTable, timeout_s: float) -> bool:
        """Contribute and wait for the next agreed round; False if none came within `timeout_s`."""


class FederatedQTable:
    """An agent, its evidence on the way into the federation, and the federation's view on the way back."""

    def __init__(
        self,
        genesis: Genesis,
        me: int,
        engine: Engine,
        random: Random,
        agent: QAgent | None = None,
        *,
        member: Member | None = None,
    ) -> None:
        """The table of member `me`. member: it, if it goes on after a restart; its agent then acts on what it agreed.

        A newcomer that waits to be admitted, or who has left, goes by `NO_SEAT`.

        Raises `ConfigError` if the agent learns something else than the federation agreed on.
        """
        self.genesis = genesis
        self.config = genesis.config
        self.me = me
        """Index of the member; `NO_SEAT` before a round has admitted it, and once it has left."""
        self.member = member or Member(genesis, me, engine, random)
        self.agent = agent or agent_for(genesis.config, seed=random.getrandbits(32))
        _check_fits(self.agent, self.config)
        self.transport: Transport | None = None
        self._author = Author(genesis, me)
        self._contributed_at = 0
        """Interactions of the agent at its last contribution."""
        self._unanswered = 0
        """Contributions since the last agreed round."""
        self._heard = self.member.streams.mark()
        """What had been heard at the last contribution."""
        self.said_news = False
        """Whether the newest contribution wrote or accused."""
        self._sent = self._received = 0
        self._heads = self.member.state.heads
        if member is not None:
            if me != NO_SEAT:
                self._author.resume(member.state)
            self.agent.adopt(self.view)

    # --- the founding record's fields ---

    @property
    def local_qtable(self) -> QTable:
        """What the agent acts on, with its own visits; a copy."""
        return self.agent.table

    @property
    def peers(self) -> tuple[str, ...]:
        """Public keys, in hex, of the other members."""
        roster = self.member.roster
        return tuple(roster.key(member).hex() for member in roster.active if member != self.me)

    @property
    def consensus_state(self) -> ConsensusState:
        """Role and term in the current round."""
        consensus = self.member.consensus
        match consensus.role:
            case Role.LEADER:
                return Leader(consensus.term)
            case Role.CANDIDATE:
                return Candidate()
        return Follower()

    @property
    def pending_updates(self) -> list[QUpdate]:
        """Own evidence that the next contribution would write, as records."""
        evidence = self._evidence()
        rows = self._author.changed(evidence, self.member.state)
        peer = (self.member.key or b"").hex()
        columns = (evidence.state_hash, evidence.action, evidence.value, evidence.visits)
        return [
            QUpdate(peer, int(s), int(a), float(q), int(v), timestamp=self.member.state.round)
            for s, a, q, v in zip(*(column[rows] for column in columns), strict=True)
        ]

    @property
    def sync_interval_ms(self) -> int:
        """Longest time between two syncs while there is news."""
        return self.config.sync_interval_ms

    @property
    def agreed_table(self) -> QTable:
        """The newest table that the federation agreed on; the same bits at every member."""
        return self.member.state.table

    @property
    def view(self) -> QTable:
        """What the agent is given to act on after a round: the agreed table, gated by its own evidence."""
        return personal_view(self.member.state, self._evidence())

    def status(self) -> str:
        """Two lines for a person: what the member is doing or waiting for, and what its federation can bear."""
        return f"{status(self.member)}\n{tolerance(self.member.roster)}"

    # --- driven by whoever hosts the member ---

    @property
    def next_due(self) -> int | None:
        """Interactions of the agent at which it should contribute; None while its last contribution is not agreed on.

        Evidence computed on the newest agreed table compares with that of others directly, so a member waits for the
        round; only if it waits longer than `sync_interval_ms`, its host lets it contribute all the same.
        """
        return None if self._unanswered else self._contributed_at + self.config.sync_after_interactions

    @property
    def may_contribute(self) -> bool:
        """Whether the member has a seat, and all it has said so far is signed."""
        return self.me != NO_SEAT and self.member.may_contribute

    @property
    def has_news(self) -> bool:
        """Whether the agent has learned since the last contribution, or that one is not agreed on."""
        return self._unanswered > 0 or self.agent.interactions > self._contributed_at

    def contribute(self, *, only_news: bool = False) -> list[Effect]:
        """State the agent's evidence in a signed contribution; an empty one if nothing changed.

        only_news: rather none than an empty one. Nobody opens a round for that, and its author would wait for one.
        """
        if not self.may_contribute:
            raise QorumError(f"cannot contribute now: {status(self.member)}")
        state, evidence = self.member.state, self._evidence()
        columns = self._author.write(self._stated(evidence), state, afresh=self.member.restates)
        self.said_news = columns.is_news
        self._contributed_at = self.agent.interactions
        if only_news and not columns.is_news:
            return []
        self._sent += max(1, len(columns.value))
        effects = self.member.contribute(columns)
        if self._cut_off:  # act on what this side has heard since
            newer = self.member.streams.newer(state.round + 1)
            self.agent.adopt(personal_view(state, evidence, newer))
        self._unanswered, self._heard = self._unanswered + 1, self.member.streams.mark()
        return effects

    @property
    def _cut_off(self) -> bool:
        """Whether no round is to be expected soon: none has come for long, or fewer than a quorum have been heard.

        Otherwise a view of one's own until it comes is not worth a merge.
        """
        heard = self.member.streams.moved_since(self._heard)
        few = self._unanswered > 0 and heard < self.member.roster.quorum.size
        return few or self._unanswered >= PATIENCE

    def on_committed(self, committed: Committed) -> None:
        """Act on a newly agreed round: catch liars, and take over the new view."""
        state = committed.state
        self._take_seat(state)
        self._received += state.written_since(self._heads, but_by=self.me)
        self._heads = state.heads
        if self.me != NO_SEAT:
            self._author.accuse(self._caught(state))
        self.agent.adopt(personal_view(state, self._evidence()))
        self._unanswered = 0

    def _take_seat(self, state: State) -> None:
        """Write as whom the newest membership says this is."""
        seat = None if self.member.key is None else state.roster.seat_of(self.member.key)
        if seat is None:
            self.me = NO_SEAT
        elif seat != self.me:
            self.me, self._author = seat, Author(self.genesis, seat)
            self._author.resume(state)

    def go_on_as(self, member: Member) -> None:
        """Another key has the seat now. member: whoever goes by it, on the same agreed state, and has said nothing yet.

        What the old key said and no round took is void, so it is said again.
        """
        self.member, self.me = member, NO_SEAT
        self._take_seat(member.state)
        self._contributed_at = self._unanswered = 0

    def replace_agent(self, agent: QAgent) -> None:
        """Let another agent, which has no experience yet, live as this member: it goes on with that of the one before.

        Raises `ConfigError` if it learns something else than the federation agreed on, and `StoreError` if it has
        experience; nothing is changed.
        """
        _check_fits(agent, self.config)
        agent.restore(self.agent.dump())
        self.agent = agent
        agent.adopt(self.view)

    def _evidence(self) -> Evidence:
        return self.agent.evidence(self.member.state.table)

    def _stated(self, evidence: Evidence) -> Evidence:
        """What this member says its evidence is; a liar says something else."""
        return evidence

    def _caught(self, state: State) -> NDArray[np.bool_]:
        """bool[2, n]: whom this member accuses, and against whom it stakes its standing."""
        return state.accusations(self.me, steady=self.agent.steady)

    # --- sync ---

    def sync(self, timeout_s: float = 10.0) -> SyncResult:
        """Contribute, wait until a round is agreed or `timeout_s` of the transport's time has passed, and report."""
        if self.transport is None:
            raise ConfigError("this table is on no network; create it with create_federated_qtable or join a swarm")
        return self.result(self.transport.sync(self, timeout_s))

    def result(self, agreed: bool) -> SyncResult:
        """What was done since the last time this was asked. agreed: whether a round was agreed on."""
        state = self.member.state
        commit = self.member.last_commit
        result = SyncResult(
            updates_sent=self._sent,
            updates_received=self._received,
            conflicts_resolved=state.conflicts,
            round=state.round,
            term=commit.certificate.term if commit else 0,
            agreed=agreed,
        )
        self._sent = self._received = 0
        return result


def _check_fits(agent: QAgent, config: FederationConfig) -> None:
    """An agent that learns something else than the federation agreed on would look like a liar."""
    mine = (agent.n_actions, agent.kind, agent.gamma, agent.initial_q)
    fleet = (config.n_actions, config.evidence, config.gamma, config.initial_q)
    for name, own, agreed in zip(("n_actions", "evidence", "gamma", "initial_q"), mine, fleet, strict=True):
        if own != agreed:
            raise ConfigError(f"agent has {name} {own!r}, the federation {agreed!r}; build both with the same")


def agent_for(config: FederationConfig, seed: int, *, bonus: float = 0.0) -> QAgent:
    """An agent that learns what the federation agreed on."""
    return QAgent(
        config.n_actions,
        alpha=config.alpha,
        gamma=config.gamma,
        initial_q=config.initial_q,
        evidence=config.evidence,
        bonus=bonus,
        seed=seed,
    )


def agreed_tables_identical(tables: list[FederatedQTable]) -> bool:
    """Whether these members hold the very same agreed state, bit for bit."""
    return len({(table.member.state.round, table.member.state.hash) for table in tables}) == 1


