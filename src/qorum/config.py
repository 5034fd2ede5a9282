"""`FederationConfig`: what a federation is told before it starts, as the founding record names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from qorum.errors import ConfigError

EvidenceKind = Literal["replay", "implied", "q"]

EVIDENCE_KINDS: tuple[EvidenceKind, ...] = ("replay", "implied", "q")

VALUE_BOUND = 2.0**20  # largest |q| the fixed point of the merge can hold

# field -> (lowest, highest), both allowed
RANGES: dict[str, tuple[float, float]] = {
    "sync_interval_ms": (10, 86_400_000),
    "sync_after_interactions": (1, 1_000_000),
    "sync_jitter": (0.0, 0.5),
    "min_peers_for_consensus": (1, 4096),
    "byzantine_threshold": (0.0, 1 / 3),
    "gossip_fanout": (1, 64),
    "n_actions": (1, 256),
    "gamma": (0.0, 0.9999),
    "alpha": (1e-6, 1.0),
    "r_min": (-VALUE_BOUND, VALUE_BOUND),
    "r_max": (-VALUE_BOUND, VALUE_BOUND),
    "initial_q": (-VALUE_BOUND, VALUE_BOUND),
    "rewrite_threshold": (2.0**-20, VALUE_BOUND),
    "base_window": (0, 64),
    "visit_budget_initial": (1, 2**23 - 1),
    "visit_budget_per_round": (0, 2**23 - 1),
    "interval_factor": (0.0, 64.0),
    "gate_factor": (0.0, 64.0),
    "accusation_factor": (0.0, 64.0),
    "collect_ms": (0, 600_000),
    "propose_timeout_ms": (1, 600_000),
    "vote_timeout_ms": (1, 600_000),
    "timeout_step_ms": (0, 600_000),
    "timeout_cap_ms": (1, 3_600_000),
    "gossip_tick_ms": (1, 60_000),
    "gossip_flush_ms": (0, 1_000),
    "max_items_per_round": (1, 64),
    "max_bytes_per_round": (1_000, 98_000),
}


class FederationConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a federation agrees on before its first round.

    Raises `ConfigError` naming the field, its value and the allowed range.
    """

    # --- the founding record's fields ---
    sync_interval_ms: int = 60_000
    """A member contributes at least this often [ms] while it has news, or sooner:"""
    sync_after_interactions: int = 10
    """after this many interactions of its agents."""
    sync_jitter: float = 0.1
    """Each wait is lengthened by a random share of itself up to this, against sync storms."""
    min_peers_for_consensus: int = 3
    """A federation of fewer members only gossips; it agrees on no rounds."""
    byzantine_threshold: float = 0.33
    """Share of lying members to tolerate; 0 = crash faults only; >= 0.33 means a third."""
    gossip_fanout: int = 3
    """How many members each control message is pushed on to."""

    # --- the task, as the genesis fixes it ---
    n_actions: int = 4
    gamma: float = 0.95
    alpha: float = 0.1
    """Step of the TD learner behind `q` and `implied` evidence."""
    r_min: float = -100.0
    r_max: float = 100.0
    """Bounds of a single reward; a claim outside what they allow is clamped."""
    initial_q: float = 0.0
    """Value of a cell nobody has reported."""
    evidence: EvidenceKind = "replay"
    rewrite_threshold: float = 2.0**-10
    """A member writes a cell again only when its value moved by more than this."""

    # --- robustness of the merge ---
    base_window: int = 4
    """A claim counts while the table it was computed on is at most this many rounds older than the newest."""
    visit_budget_initial: int = 512
    visit_budget_per_round: int = 64
    """Visits that one member's registers may carry together: initial + per_round * rounds since it joined."""
    interval_factor: float = 3.0
    """Half-width of a claim's interval in standard errors, where claims are in dispute."""
    gate_factor: float = 4.5
    """Standard errors of its own evidence beyond which an agent does not believe the agreed table."""
    accusation_factor: float = 6.0
    """Standard errors between two claims before one accuses the other."""

    # --- rounds and gossip; local timers, never part of what is agreed ---
    collect_ms: int = 300
    propose_timeout_ms: int = 1_500
    vote_timeout_ms: int = 1_000
    timeout_step_ms: int = 500
    timeout_cap_ms: int = 15_000
    gossip_tick_ms: int = 200
    gossip_flush_ms: int = 60
    max_items_per_round: int = 4
    max_bytes_per_round: int = 98_000
    """Of one member's contributions, signatures aside: an exchange stays below 100 kB."""

    def __post_init__(self) -> None:
        for field, (low, high) in RANGES.items():
            value = getattr(self, field)
            _check_range(field, value, low, high)
            if isinstance(low, float):  # 1 and 1.0, 0.0 and -0.0 are equal: they must be the same federation
                msgspec.structs.force_setattr(self, field, float(value) + 0.0)
        if self.evidence not in EVIDENCE_KINDS:
            raise ConfigError(f"evidence is {self.evidence!r}; choose one of {', '.join(EVIDENCE_KINDS)}")
        if self.r_min > self.r_max:
            raise ConfigError(f"r_min is {self.r_min}, above r_max {self.r_max}; allowed: r_min <= r_max")

    @classmethod
    def of(cls, config: FederationConfig | Mapping[str, Any] | None = None, **fields: Any) -> FederationConfig:
        """A configuration from another one, a mapping, keywords, or all of them; keywords win.

        Raises `ConfigError` for an unknown field, a wrong type or a value out of range.
        """
        if not isinstance(config, FederationConfig | Mapping | None):
            raise ConfigError(f"{config!r} is not a configuration; give a FederationConfig, a mapping or keywords")
        given = msgspec.structs.asdict(config) if isinstance(config, FederationConfig) else dict(config or {})
        given |= fields
        unknown = sorted(set(given) - set(cls.__struct_fields__), key=str)
        if unknown:
            known = ", ".join(cls.__struct_fields__)
            raise ConfigError(f"unknown field {unknown[0]} = {given[unknown[0]]!r}; the fields are: {known}")
        return cls(**given)


def _check_range(field: str, value: Any, low: float, high: float) -> None:
    wants_int = isinstance(low, int)
    right_type = isinstance(value, int if wants_int else (int, float)) and not isinstance(value, bool)
    if not right_type or not low <= value <= high:
        kind = "a whole number" if wants_int else "a number"
        raise ConfigError(f"{field} is {value!r}; allowed: {kind} from {low:.10g} to {high:.10g}")
