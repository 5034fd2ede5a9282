"""`Scene`: a federation at one moment, as one of its members sees it."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

import msgspec
import numpy as np

from qorum.core.member import Member
from qorum.core.state import State
from qorum.core.status import status, tolerance
from qorum.core.votes import FIRST, SECOND

RECENT = 10
"""Rounds after which a member that took no part in any of them counts as gone, and not only as late."""


class Standing(StrEnum):
    """How a member gets on; one letter, since there may be hundreds."""

    LEADER = "L"
    """Scheduled to lead the attempt under way."""
    ABREAST = "A"
    """Took part in the newest agreed round."""
    LAGGING = "B"
    """Did not, but lately."""
    GONE = "C"
    """Not heard of for long: cut off, or down."""
    DISTRUSTED = "X"
    """Does not count in the merge."""
    LEFT = "-"


class Phase(StrEnum):
    """What the round under way waits for."""

    NEWS = "news"
    CONTRIBUTIONS = "contributions"
    PROPOSAL = "proposal"
    FIRST_VOTES = "first votes"
    SECOND_VOTES = "second votes"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Masks are of members, in hex, the least significant bit the first member's."""

    federation: str
    observer: int
    """Whose view it is; -1 for one without a seat."""
    agreed: int
    """Newest agreed round."""
    round: int
    """The one under way,"""
    term: int
    """and the attempt at it."""
    leader: int
    phase: Phase
    standings: str
    """A letter of `Standing` for each seat."""
    contributed: str
    """Whose contribution to the round is held,"""
    first: str
    second: str
    """and whose votes of this attempt."""
    here: list[int]
    """Members hosted where this one is,"""
    reachable: list[int]
    """and those at the end of a link as well."""
    quorum: int
    tolerated: int
    tolerance: str
    doing: str
    cells: int
    confirmed: int
    """Cells that liars alone could not have set."""
    conflicts: int
    """Cells that members report different values for."""
    moved: float
    """Largest change of a value by the newest round."""


def scene_of(member: Member, here: Collection[int], reachable: Collection[int]) -> Scene:
    """What `member` sees. here, reachable: as in `Scene`."""
    consensus, state, roster = member.consensus, member.state, member.roster
    leader = consensus.leader(consensus.term)
    quorum, tally = roster.quorum, consensus.tally
    return Scene(
        federation=roster.federation.hex(),
        observer=-1 if member.me is None else member.me,
        agreed=state.round,
        round=consensus.round,
        term=consensus.term,
        leader=leader,
        phase=phase_of(member),
        standings=standings(state, leader),
        contributed=_hex(contributed(member)),
        first=_hex(tally.slot(consensus.term, FIRST).seen),
        second=_hex(tally.slot(consensus.term, SECOND).seen),
        here=sorted(here),
        reachable=sorted(reachable),
        quorum=quorum.size,
        tolerated=quorum.tolerated,
        tolerance=tolerance(roster),
        doing=status(member),
        cells=len(state.cells),
        confirmed=int(state.merged.confirmed.sum()),
        conflicts=state.conflicts,
        moved=float(state.moves[0]) / (1 << 20),
    )


def phase_of(member: Member) -> Phase:
    """What the round under way waits for."""
    consensus, size = member.consensus, member.roster.quorum.size
    term, tally = consensus.term, consensus.tally
    if tally.slot(term, FIRST).seen.bit_count() >= size:
        return Phase.SECOND_VOTES
    if term in consensus.proposals:
        return Phase.FIRST_VOTES
    if consensus.window_closed or term > 0:
        return Phase.PROPOSAL
    return Phase.CONTRIBUTIONS if member.streams.advanced(consensus.round) else Phase.NEWS


def contributed(member: Member) -> int:
    """A mask of those whose contribution to the round under way is held."""
    round, streams = member.consensus.round, member.streams
    return sum(1 << one for one in streams.ahead if streams.has_advanced(one, round))


def standings(state: State, leader: int) -> str:
    """A letter of `Standing` for each seat."""
    bases = np.array([head.base for head in state.heads])
    letters = np.where(bases >= state.round - RECENT, Standing.LAGGING.value, Standing.GONE.value)
    letters[state.origins] = Standing.ABREAST.value
    letters[leader] = Standing.LEADER.value
    letters[state.excluded] = Standing.DISTRUSTED.value
    letters[[not seat.active for seat in state.roster.seats]] = Standing.LEFT.value
    return "".join(letters)


def _hex(mask: int) -> str:
    return f"{mask:x}"
