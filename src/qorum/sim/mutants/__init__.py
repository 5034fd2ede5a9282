"""Planted mutants: members that lack one rule each. An adversary that does not catch them all proves nothing."""

from __future__ import annotations

from qorum.sim.mutants import (
    arrival_order,
    citation_unchecked,
    digest_trusted,
    foreign_epoch,
    lock_dropped,
    lock_kept,
    messages_counted,
    no_best_relay,
    no_commit_relay,
    no_lock_check,
    skip_at_f,
    small_quorum,
    unsaved_vote,
    wall_clock,
)
from qorum.sim.mutants.mutant import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for mutant in (
        no_lock_check.MUTANT,
        small_quorum.ONE_MORE,
        small_quorum.TEXTBOOK,
        unsaved_vote.NEVER,
        unsaved_vote.LATE,
        lock_dropped.MUTANT,
        citation_unchecked.MUTANT,
        messages_counted.MUTANT,
        skip_at_f.MUTANT,
        foreign_epoch.MUTANT,
        digest_trusted.MUTANT,
        wall_clock.MUTANT,
        no_commit_relay.MUTANT,
        no_best_relay.MUTANT,
        lock_kept.MUTANT,
        arrival_order.MUTANT,
    )
}
"""By name."""
