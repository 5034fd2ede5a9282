"""`Defence`: the parts of qorum's rule that stand against liars, each of which can be taken out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from qorum.config import RANGES, VALUE_BOUND
from qorum.errors import ConfigError


@dataclass(frozen=True)
class Defence:
    """Which parts are in; all of them in a federation."""

    clamp: bool = True
    """Values are clamped to what one Bellman backup can yield."""
    budget: bool = True
    """A member's visits are limited by the rounds there were."""
    gate: bool = True
    """An agent believes the agreed table within its own intervals only."""
    accusations: bool = True
    """Members accuse those who contradict them, and more than f of them exclude."""
    pairs: bool = True
    """Whoever stakes its standing against another leaves the merge with it."""
    outliers: bool = True
    """Members that lean to one side throughout are excluded."""
    healing: bool = True
    """The table begins anew when those are out who had a part in it."""
    dispute: bool = True
    """Claims that others contradict are dropped; without, intervals are so wide that nobody contradicts."""

    def without(self, part: str) -> Defence:
        """The same with one part out, or with none in for "all"; "" leaves it as it is.

        Raises:
            ConfigError: no such part.
        """
        if part not in ("", *PARTS):
            raise ConfigError(f"unknown part {part!r} of the defence; known parts: {', '.join(PARTS)}")
        gone = PARTS[:-1] if part == "all" else (part,) if part else ()
        return replace(self, **dict.fromkeys(gone, False))

    @property
    def config(self) -> dict[str, Any]:
        """Fields of `FederationConfig` that take those parts out which are its parameters."""
        changed: dict[str, Any] = {}
        if not self.clamp:
            changed |= {"r_min": -VALUE_BOUND, "r_max": VALUE_BOUND}
        if not self.budget:
            changed["visit_budget_initial"] = RANGES["visit_budget_initial"][1]
        if not self.dispute:
            changed["interval_factor"] = RANGES["interval_factor"][1]
        return changed


PARTS = (*(field.name for field in fields(Defence)), "all")
"""What `Defence.without` takes."""
