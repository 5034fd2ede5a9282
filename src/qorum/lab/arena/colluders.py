"""`Colluders`: the liars of a swarm, who know what every agent has seen and decide together what each of them states.

They keep the protocol otherwise: they gossip, vote and lead as the others do. What an attack answers for a round is
what their registers hold after it, no more and no less, as in the arena. Those that equivocate really do: they sign two
contributions for one slot of their stream, one for the gossip and one for the other half of the members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import msgspec
import numpy as np
from numpy.typing import NDArray

from qorum.agent import QAgent
from qorum.core import wire
from qorum.core.author import Author
from qorum.core.columns import Columns
from qorum.core.effects import Effect, Send, Sign
from qorum.core.genesis import Genesis
from qorum.core.member import Engine
from qorum.core.messages import Contribution, Item, Items
from qorum.core.state import State, contribution_bytes
from qorum.core.table import FederatedQTable
from qorum.evidence import Evidence
from qorum.identity import Identity
from qorum.lab.arena.company import Liars
from qorum.lab.arena.places import Places
from qorum.lab.attacks import Claims, Scene
from qorum.lab.attacks.equivocation import Equivocation
from qorum.lab.tasks import Task
from qorum.merge.fixed import Ints, to_float
from qorum.sim.swarm import Swarm


class Colluders:
    """What all liars of one swarm share. They attack once a round, when the first of them is about to contribute.

    Args:
        task: what all agents live in.
        liars: who they are, and their attack.
        identities: of all members by index; liars sign with their own.
        accusing: whether each of them accuses every honest member, and stakes its standing against it.
    """

    def __init__(self, task: Task, liars: Liars, identities: Sequence[Identity], accusing: bool = False) -> None:
        self.identities = identities
        self.equivocating = isinstance(liars.attack, Equivocation)
        """Whether there is a second branch."""
        self._task, self._liars, self._accusing = task, liars, accusing
        self._places = Places(task)
        self._swarm: Swarm | None = None
        self._answers: dict[int, list[Claims]] = {}
        """Round -> what is stated in it, branch by branch."""

    def watch(self, swarm: Swarm) -> None:
        """See all that happens there from now on."""
        self._swarm = swarm

    def table(self, genesis: Genesis, me: int, engine: Engine, random: Random, agent: QAgent | None) -> FederatedQTable:
        """The table of a liar, for `Swarm`."""
        return Colluder(genesis, me, engine, random, agent, self)

    def accused(self, members: int) -> NDArray[np.bool_]:
        """bool[2, n]: whom each liar accuses, and against whom it stakes its standing."""
        honest = np.isin(np.arange(members), self._liars.members, invert=True)
        return np.stack([honest, honest]) & self._accusing

    def evidence(self, me: int, state: State, branch: int = 0) -> Evidence:
        """What liar `me` states on the ground of an agreed state; branch 1 is there where they equivocate."""
        if state.round not in self._answers:
            self._answers[state.round] = self._attacked(self._scene(state))
        answer = self._answers[state.round][branch]
        claims = answer.take(answer.member == me)
        states, actions = self._places.names(claims.cell)
        order = np.lexsort((actions, states))
        return Evidence(states[order], actions[order], claims.value[order], claims.visits[order], claims.spread[order])

    def _attacked(self, scene: Scene) -> list[Claims]:
        scenes = [scene]
        if self.equivocating:  # by whose account liars change branches with every round
            scenes.append(replace(scene, round=scene.round + 1))
        return [self._liars.attack(one) for one in scenes]

    def _scene(self, state: State) -> Scene:
        known, rules, round = self._known(state), state.rules, state.round + 1
        lying = np.isin(known.member, self._liars.members)
        left = np.intersect1d(self._liars.members, state.roster.active)
        low, high = (int(pick(initial=rules.initial_q)) for pick in (state.merged.value.min, state.merged.value.max))
        low, high = rules.bounds(low, high)
        return Scene(
            self._task, round, self._agreed(state), known.take(~lying), known.take(np.isin(known.member, left)), left,
            float(to_float(low)), float(to_float(high)), rules.visit_cap, int(rules.visit_budget(round)),
            self._liars.rng,
        )  # fmt: skip

    def _agreed(self, state: State) -> NDArray[np.float64]:
        value = np.full(self._task.n_states * self._task.n_actions, state.rules.initial_q, dtype=np.int64)
        value[self._places.cells(state.cells.state_hash, state.cells.action)] = state.merged.value
        return to_float(value).reshape(self._task.n_states, -1)

    def _known(self, state: State) -> Claims:
        """What every member knows right now, on the ground of that state's table."""
        assert self._swarm is not None, "colluders watch no swarm"
        for life in self._swarm.lives.values():
            life.live_until(self._swarm.timeline.now)
        found = [table.agent.evidence(state.table) for table in self._swarm.tables]
        member: Ints = np.repeat(np.arange(len(found)), [len(evidence) for evidence in found])
        states, actions, value, visits, spread = (
            np.concatenate([getattr(evidence, name) for evidence in found])
            for name in ("state_hash", "action", "value", "visits", "spread")
        )
        return Claims.of(self._places.cells(states, actions), member, value, visits, spread)


class Colluder(FederatedQTable):
    """States what the colluders have decided, and accuses nobody that lies."""

    def __init__(
        self, genesis: Genesis, me: int, engine: Engine, random: Random, agent: QAgent | None, colluders: Colluders
    ) -> None:
        super().__init__(genesis, me, engine, random, agent)
        self._colluders = colluders
        self._author = Restater(genesis, me)
        self._author.accuse(colluders.accused(genesis.members))

    def _stated(self, evidence: Evidence) -> Evidence:
        return self._colluders.evidence(self.me, self.member.state)

    def _caught(self, state: State) -> NDArray[np.bool_]:
        return self._colluders.accused(state.roster.members)

    def contribute(self, *, only_news: bool = False) -> list[Effect]:
        """State one thing, and to every other member another, where the colluders equivocate."""
        state, effects = self.member.state, super().contribute(only_news=only_news)
        request = next((effect for effect in effects if isinstance(effect, Sign)), None)
        if request is None or not self._colluders.equivocating:
            return effects
        said = wire.decode_body(Contribution, request.body)
        columns = self._author.write(self._colluders.evidence(self.me, state, branch=1), state)
        item = self._signed(msgspec.structs.replace(said, payload=columns.pack()))
        half = tuple(peer for peer in range(self.genesis.members) if peer != self.me and (peer + said.seq) % 2)
        return [*effects, Send(half, wire.encode(Items((item,))))]

    def _signed(self, body: Contribution) -> Item:
        item = Item(wire.encode(body), bytes(64))
        data = contribution_bytes(self.genesis.federation, body, item.hash)
        return Item(item.body, self._colluders.identities[self.me].sign(data))


class Restater(Author):
    """Writes all of its registers anew each time, and erases those that it no longer states."""

    def __init__(self, genesis: Genesis, me: int) -> None:
        super().__init__(genesis, me)
        self._genesis = genesis

    def write(self, evidence: Evidence, state: State, *, afresh: bool = False) -> Columns:
        """The columns that leave exactly `evidence` in the registers of this member."""
        forgetful = Author(self._genesis, self._me)
        forgetful.accuse(self._caught)
        columns = forgetful.write(evidence, state)
        own = state.registers.cell[(state.registers.member == self._me) & (state.registers.visits > 0)]
        return _erasing(columns, np.setdiff1d(own, columns.known))


def _erasing(columns: Columns, gone: Ints) -> Columns:
    """The columns with registers of known cells erased that they do not write. gone: int64[m], their ids."""
    known = np.concatenate([columns.known, gone])
    order, old = np.argsort(known), len(columns.known)

    def joined(column: Ints) -> Ints:
        return np.concatenate([np.append(column[:old], np.zeros_like(gone))[order], column[old:]])

    value, visits, spread = (joined(column) for column in (columns.value, columns.visits, columns.spread))
    return replace(columns, known=known[order], value=value, visits=visits, spread=spread, affirmed=())
