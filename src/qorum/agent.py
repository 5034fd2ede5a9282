"""A tabular Q-learning agent shaped for Gymnasium, which gives evidence to a fleet and adopts its view.

The agent keeps two things apart: the table it acts on, which the fleet may replace at any time (`adopt`), and
its own experience, which nobody else can touch and which is all it ever gives as evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from operator import index
from random import Random
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from qorum.config import EVIDENCE_KINDS, EvidenceKind
from qorum.encoding import Encoder, hash_observation
from qorum.errors import UNREADABLE, ConfigError, EncodingError, StoreError
from qorum.evidence import Evidence
from qorum.experience import Experience, TDExperience, refusal
from qorum.qtable import MAX_VALUE, QTable

Schedule = Callable[[int], float]
"""Interactions so far -> probability of a random action, 0..1."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same epsilon for ever."""

    value: float

    def __post_init__(self) -> None:
        _check("epsilon", self.value, 0, 1)

    def __call__(self, interactions: int) -> float:
        """Epsilon after that many interactions."""
        return self.value


@dataclass(frozen=True, slots=True)
class LinearDecay:
    """From `start` to `end` in a straight line over `interactions`, then `end`."""

    start: float
    end: float
    interactions: int

    def __post_init__(self) -> None:
        _check("epsilon start", self.start, 0, 1)
        _check("epsilon end", self.end, 0, 1)
        _check("interactions of the decay", self.interactions, 1, np.inf)

    def __call__(self, interactions: int) -> float:
        """Epsilon after that many interactions."""
        return self.start + (self.end - self.start) * min(1.0, interactions / self.interactions)


@dataclass(frozen=True, slots=True)
class ExponentialDecay:
    """From `start` towards `end`, covering half of what is left in every `half_life` interactions."""

    start: float
    end: float
    half_life: float

    def __post_init__(self) -> None:
        _check("epsilon start", self.start, 0, 1)
        _check("epsilon end", self.end, 0, 1)
        _check("half_life of the decay", self.half_life, 1e-9, np.inf)

    def __call__(self, interactions: int) -> float:
        """Epsilon after that many interactions."""
        left: float = 0.5 ** (interactions / self.half_life)
        return self.end + (self.start - self.end) * left


class QAgent:
    """An epsilon-greedy Q-learning agent; the same seed and the same calls give the same actions.

    Args:
        n_actions: 1..256.
        alpha: step of the temporal-difference update, in (0, 1]. Kind `replay` does not use it.
        gamma: discount, 0..1.
        epsilon: probability of a random action, or a schedule of it over the interactions.
        initial_q: value of every cell nobody knows, within +-2**20.
        bonus: count-based exploration: to act, a cell counts bonus / sqrt(1 + visits) more than its value, where the
            visits are those of the table last adopted, and its own since: the fleet's where a cell is confirmed, its
            own elsewhere. In units of reward, 0..2**20; a tenth of the difference between the highest and the lowest
            reward is a good one (decision 015). 0: none.
        evidence: what it tells the fleet, see `evidence`.
        seed: of its own random numbers; None draws one.
        encode: observation -> state_hash 0..2**64-1; by default `hash_observation`, for observations of
            integers; `encoder_for(env.observation_space, bins=...)` makes one for real numbers.

    Raises:
        ConfigError: an argument is out of its range.
    """

    def __init__(
        self,
        n_actions: int,
        *,
        alpha: float = 0.1,
        gamma: float = 0.95,
        epsilon: float | Schedule = 0.1,
        initial_q: float = 0.0,
        bonus: float = 0.0,
        evidence: EvidenceKind = "replay",
        seed: int | None = None,
        encode: Encoder | None = None,
    ) -> None:
        _check("n_actions", n_actions, 1, 256)
        _check("alpha", alpha, 1e-9, 1)
        _check("gamma", gamma, 0, 1)
        _check("initial_q", initial_q, -MAX_VALUE, MAX_VALUE)
        _check("bonus", bonus, 0, MAX_VALUE)
        if evidence not in _KINDS:
            raise ConfigError(f"evidence is {evidence!r}, allowed are {', '.join(_KINDS)}")
        self.n_actions, self.gamma = n_actions, gamma
        self.initial_q, self.kind = float(initial_q), evidence
        self._bonus = float(bonus)
        self.epsilon: Schedule = epsilon if callable(epsilon) else Constant(epsilon)
        self.interactions = 0
        """How many steps were learned from."""
        self._encode = encode or hash_observation
        self._random = Random(seed).random
        self._rows: dict[int, list[float]] = {}
        self._visits: dict[int, list[int]] = {}
        """What is known of the fleet's visits and its own, for `bonus`; the same states as in `_rows`."""
        self._own: Experience | TDExperience = (
            Experience(n_actions, gamma)
            if evidence == "replay"
            else TDExperience(alpha, self.initial_q, implied=evidence == "implied")
        )
        # Vector environments whose episode has just ended -> the state it ended in.
        self._ended: dict[int, int] = {}

    # ---- one environment

    def act(self, obs: Any) -> int:
        """An action 0..n_actions-1: random with probability epsilon, else a best one, drawn among equals."""
        draw = self._random
        if draw() < self.epsilon(self.interactions):
            return int(draw() * self.n_actions)
        state = self._encode(obs)
        row = self._rows.get(state)
        if row is None:
            return int(draw() * self.n_actions)
        if self._bonus:
            row = [value + self._bonus / sqrt(1 + n) for value, n in zip(row, self._visits[state], strict=True)]
        best = max(row)
        ties = row.count(best)
        if ties == 1:
            return row.index(best)
        return [action for action, value in enumerate(row) if value == best][int(draw() * ties)]

    def greedy(self, obs: Any) -> int:
        """The best known action; the lowest of equals. Draws nothing at random."""
        row = self._rows.get(self._encode(obs))
        return row.index(max(row)) if row else 0

    def learn(
        self, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool = False
    ) -> None:
        """Learn from one step, given what Gymnasium's `step` returned.

        Nothing follows a termination. A truncation only cuts the episode: the value of `next_obs` counts as
        usual, so `next_obs` must be the observation before any reset.

        Raises:
            EvidenceError: the action is out of range, or the reward not finite or too large; nothing changes.
            EncodingError: `encode` gave something else than 0..2**64-1; nothing changes.
        """
        self.learn_encoded(self._encode(obs), action, reward, self._encode(next_obs), bool(terminated))

    def learn_encoded(
        self, state_hash: int, action: int, reward: float, next_hash: int, terminated: bool
    ) -> None:
        """As `learn`, from observations that are encoded already. Raises as it does."""
        self._apply(*self._checked(state_hash, action, reward, next_hash, terminated))

    # ---- many environments at once

    def act_many(self, obs: Any) -> NDArray[np.int64]:
        """i64[num_envs]: an action for each observation of a Gymnasium vector environment."""
        return np.array([self.act(one) for one in _each(obs)], dtype=np.int64)

    def learn_many(
        self,
        obs: Any,
        actions: Iterable[Any],
        rewards: Iterable[Any],
        next_obs: Any,
        terminated: Iterable[Any],
        truncated: Iterable[Any],
        infos: Mapping[str, Any],
    ) -> int:
        """Learn from one step of a Gymnasium vector environment; returns how many transitions were learned.

        Right in any autoreset mode, for the mode shows in the data. SAME_STEP: the true last observations are
        in `infos["final_obs"]`. NEXT_STEP: the step after an end starts from the last observation and only
        resets; it is no step of the task and is left out. Use an agent with one vector environment at a time.
        All transitions are checked, and their targets taken, before any is learned.

        Raises:
            EvidenceError, EncodingError: as `learn`, for any of the transitions; nothing changes.
        """
        lasts = infos.get("final_obs")
        steps, ended = [], {}
        columns = (_each(obs), actions, rewards, _each(next_obs), terminated, truncated)
        for env, (one, action, reward, after, final, cut) in enumerate(zip(*columns, strict=True)):
            state, done = self._encode(one), bool(final or cut)
            if self._ended.get(env) == state and not done:
                continue
            has_last = done and lasts is not None and lasts[env] is not None
            next_state = self._encode(lasts[env] if has_last else after)  # type: ignore[index]
            steps.append(self._checked(state, action, reward, next_state, bool(final)))
            if done and not has_last:
                ended[env] = next_state
        self._ended = ended
        for step in steps:
            self._apply(*step)
        return len(steps)

    # ---- the fleet

    def adopt(self, table: QTable) -> None:
        """Act on the fleet's view from now on; a cell that the table lacks counts `initial_q`.

        States that only this agent knows keep the values it acts on, except for kind `implied`, whose steps
        of the next round must start from what the fleet agreed.

        Raises:
            TableError: the table has an action that this agent has not; nothing is changed.
        """
        states, rows = table.matrix(self.n_actions, self.initial_q)
        adopted = dict(zip(states.tolist(), rows.tolist(), strict=True))
        self._rows = adopted if self.kind == "implied" else self._rows | adopted
        if self._bonus:
            counts = dict(zip(states.tolist(), table.visit_matrix(self.n_actions)[1].tolist(), strict=True))
            self._visits = counts if self.kind == "implied" else self._visits | counts
        if isinstance(self._own, TDExperience):
            self._own.begin_round()

    def evidence(self, agreed: QTable) -> Evidence:
        """What this agent knows from its own experience alone, by kind.

        - `replay`: of every own cell, the mean of its targets over all visits, under the table `agreed`;
        - `implied`: of every cell visited since the last `adopt`, the target its steps imply;
        - `q`: of every own cell, its own Q-value, as if it had always learned alone from what it acted on.
        """
        if isinstance(self._own, Experience):
            return self._own.replay(agreed, self.initial_q)
        return self._own.evidence()

    @property
    def steady(self) -> bool:
        """Whether all it has seen speaks for a world without chance: see `merge.accusation`."""
        return isinstance(self._own, Experience) and self._own.steady

    def values(self, observations: Iterable[Any]) -> NDArray[np.float64]:
        """f64[m, n_actions]: what it takes the actions to be worth in m observations; `initial_q` where it knows none.

        Raises:
            EncodingError: as `act` does.
        """
        unknown = [self.initial_q] * self.n_actions
        rows = [self._rows.get(self._encode(obs), unknown) for obs in observations]
        return np.array(rows, dtype=np.float64).reshape(-1, self.n_actions)

    @property
    def table(self) -> QTable:
        """A copy of what it acts on, with its own visits; without cells not visited and at `initial_q`."""
        states, actions, visits = self._own.visits()
        counts = QTable.from_columns(states, actions, np.zeros(len(states)), np.minimum(visits, 2**32 - 1))
        rows = np.array(list(self._rows.values())).reshape(-1, self.n_actions)
        owner = np.repeat(np.array(list(self._rows), dtype=np.uint64), self.n_actions)
        action = np.tile(np.arange(self.n_actions), len(rows))
        at, found = counts.lookup(owner, action)
        visited = np.zeros(owner.size, dtype=np.int64)
        visited[found] = counts.visits[at[found]]
        kept = found | (rows.ravel() != self.initial_q)
        return QTable.from_columns(owner[kept], action[kept], rows.ravel()[kept], visited[kept])

    def dump(self) -> bytes:
        """Its own experience, for a store on the same machine."""
        return msgspec.msgpack.encode((self.kind, self.n_actions, self.interactions, self._own.dump()))

    def restore(self, dumped: bytes) -> None:
        """Take back the experience that `dump` gave, before the first step; what to act on comes with `adopt`.

        Raises:
            StoreError: it is none, or of an agent of another kind; nothing is changed.
        """
        try:
            kind, n_actions, interactions, own = msgspec.msgpack.decode(dumped, type=tuple[str, int, int, bytes])
            if (kind, n_actions) != (self.kind, self.n_actions) or self.interactions:
                raise StoreError(
                    f"experience of kind {kind} with {n_actions} actions cannot go on in an agent of kind {self.kind} "
                    f"with {self.n_actions} actions and {self.interactions} steps behind it"
                )
            self._own.restore(own)
        except UNREADABLE as error:
            raise StoreError(f"this is no experience that an agent has dumped: {error}") from error
        self.interactions = interactions

    # ---- internal

    def _checked(
        self, state: int, action: Any, reward: Any, next_state: int, terminated: bool
    ) -> tuple[int, int, float, int, bool, float]:
        """The step with its target, or an error."""
        if not (0 <= state <= _MAX_HASH and 0 <= next_state <= _MAX_HASH):
            raise EncodingError(f"encode gave {state} and {next_state}; a state_hash is 0..2**64-1")
        try:
            move, gain = index(action), float(reward)
        except (TypeError, ValueError):
            raise refusal(action, reward, self.n_actions) from None
        target = gain if terminated else gain + self.gamma * self._value_of(next_state)
        # NaN fails every comparison, so it is refused too.
        within = -MAX_VALUE <= target <= MAX_VALUE and -MAX_VALUE <= gain <= MAX_VALUE
        if not (within and 0 <= move < self.n_actions):
            raise refusal(action, reward, self.n_actions)
        return state, move, gain, next_state, terminated, target

    def _apply(
        self, state: int, action: int, reward: float, next_state: int, terminated: bool, target: float
    ) -> None:
        row = self._rows.get(state)
        if row is None:
            row = self._rows[state] = [self.initial_q] * self.n_actions
        if self._bonus:
            self._visits.setdefault(state, [0] * self.n_actions)[action] += 1
        own = self._own
        if isinstance(own, Experience):
            own.record(state, action, reward, next_state, terminated)
            row[action] = own.estimate(state, action, self._value_of)
        else:
            own.record(state, action, target)
            row[action] += own.alpha * (target - row[action])
        self.interactions += 1

    def _value_of(self, state: int) -> float:
        row = self._rows.get(state)
        return max(row) if row else self.initial_q


_KINDS = EVIDENCE_KINDS
_MAX_HASH = 2**64 - 1


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, allowed is {low}..{high}")


def _each(batch: Any) -> list[Any]:
    """The single observations in a batched one: Dict and Tuple spaces batch member by member."""
    if isinstance(batch, Mapping):
        parts = zip(*(_each(part) for part in batch.values()), strict=True)
        return [dict(zip(batch, part, strict=True)) for part in parts]
    if isinstance(batch, tuple):
        return list(zip(*(_each(part) for part in batch), strict=True))
    if isinstance(batch, np.ndarray) and batch.ndim == 1:
        batch = batch.tolist()  # plain numbers encode much faster than NumPy's
    return list(batch)
