"""Sign flip: every value negated, visits and spread as they are."""

from __future__ import annotations

from dataclasses import replace

from qorum.evidence import Evidence


def sign_flip(evidence: Evidence) -> Evidence:
    """The evidence with every value negated."""
    return replace(evidence, value=-evidence.value)
