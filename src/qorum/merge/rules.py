"""`Rules`: the numbers of the merge, as integers, fixed by the genesis and equal at every member."""

from __future__ import annotations

import msgspec
import numpy as np

from qorum.config import EvidenceKind, FederationConfig
from qorum.merge.fixed import ONE, POWER_ONE, VALUE_LIMIT, Ints, visit_cap

FACTOR_ONE = 256  # unit of interval factors
PROBATION = 16
"""Rounds after which a newcomer weighs as much as a founder did at first."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the merge needs besides registers; values in units of 2^-20."""

    n_members: int
    tolerated: int
    """f: members that may lie."""
    evidence: EvidenceKind
    n_actions: int
    gamma: int
    keep: int
    """1 - alpha in units of 2^-30."""
    r_min: int
    r_max: int
    initial_q: int
    rewrite_threshold: int
    base_window: int
    visit_cap: int
    visit_budget_initial: int
    visit_budget_per_round: int
    interval_factor: int
    """In units of 1/256, like the two below."""
    gate_factor: int
    accusation_factor: int

    @classmethod
    def of(cls, config: FederationConfig, n_members: int, tolerated: int) -> Rules:
        """The rules of a federation of `n_members` that tolerates `tolerated` liars."""
        return cls(
            n_members=n_members,
            tolerated=tolerated,
            evidence=config.evidence,
            n_actions=config.n_actions,
            gamma=round(config.gamma * ONE),
            keep=round((1 - config.alpha) * POWER_ONE),
            r_min=round(config.r_min * ONE),
            r_max=round(config.r_max * ONE),
            initial_q=round(config.initial_q * ONE),
            rewrite_threshold=max(1, round(config.rewrite_threshold * ONE)),
            base_window=config.base_window,
            visit_cap=visit_cap(n_members),
            visit_budget_initial=config.visit_budget_initial,
            visit_budget_per_round=config.visit_budget_per_round,
            interval_factor=round(config.interval_factor * FACTOR_ONE),
            gate_factor=round(config.gate_factor * FACTOR_ONE),
            accusation_factor=round(config.accusation_factor * FACTOR_ONE),
        )

    def visit_budget(self, round: int, joined: Ints | int = 0) -> Ints:
        """Visits that the registers of a member may carry together; also for many members at once.

        Founders, who joined in round 0, begin with the whole initial budget; whoever is admitted later is on probation
        and earns it over `PROBATION` rounds.
        """
        rounds = round - np.asarray(joined, dtype=np.int64)
        earned = np.where(rounds == round, PROBATION, np.minimum(rounds, PROBATION))
        return np.asarray(self.visit_budget_initial * earned // PROBATION + self.visit_budget_per_round * rounds)

    def bounds(self, lowest: int, highest: int) -> tuple[int, int]:
        """What one Bellman backup of an agreed table in [lowest, highest] can yield; rounded outward."""
        low = self.r_min + (self.gamma * min(0, lowest)) // ONE
        high = self.r_max - (-self.gamma * max(0, highest)) // ONE
        return max(low, -VALUE_LIMIT), min(high, VALUE_LIMIT)
