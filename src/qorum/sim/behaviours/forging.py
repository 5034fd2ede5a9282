"""A second valid value, by other means than a member's own: what a lying leader proposes to the other half."""

from __future__ import annotations

from qorum.core.member import Member
from qorum.core.messages import Advance


def another_value(member: Member) -> bytes | None:
    """An encoded value whose cut leaves an origin out; None if no origin can be spared."""
    streams, round = member.streams, member.consensus.round
    cut = streams.cut(round)
    if len(cut) <= member.roster.quorum.size or member.consensus.decided:
        return None

    def shorter(round: int) -> tuple[Advance, ...]:
        return cut[:-1]

    streams.cut = shorter  # type: ignore[method-assign]
    try:
        return member.fresh_value()
    finally:
        del streams.cut
