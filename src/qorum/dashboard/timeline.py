"""`Timeline`: how rounds came about, as one member saw it: who was heard when, and what was waited for."""

from __future__ import annotations

from collections import deque

import msgspec

from qorum.core.member import Member
from qorum.core.votes import FIRST, SECOND
from qorum.dashboard.scene import Phase, phase_of

ROUNDS = 48
"""Newest rounds that are remembered."""
POINTS = 64
"""Of each round; past that every other one is dropped, and half as many are taken."""
SILENT_S = 2.0
"""Seconds after which what is waited for is worth a word."""


class Point(msgspec.Struct, frozen=True, array_like=True):
    """How far a round had come at some time."""

    after_s: float
    """Since the first that was heard of it."""
    term: int
    contributed: int
    """Members whose contribution was held,"""
    first: int
    second: int
    """and whose votes of this attempt."""


class Course(msgspec.Struct, kw_only=True):
    """One round."""

    round: int
    begun_s: float
    """On the clock of whoever notes it."""
    points: list[Point] = []
    took_s: float | None = None
    """Until it was agreed on; None while it is not."""
    term: int = 0
    """The attempt that succeeded, or the one under way."""
    part: int = 0
    """Members that had a part in it."""


class Timeline:
    """Told after each event of a member; times are of any clock that does not jump."""

    def __init__(self) -> None:
        self.courses: deque[Course] = deque(maxlen=ROUNDS)
        """The oldest first."""
        self.changes = 0
        """How often anything was noted."""
        self._seen: tuple[int, ...] = ()
        self._phase, self._since = Phase.NEWS, 0.0

    def note(self, member: Member, now: float) -> None:
        """Look at the member, and take down what has changed. Cheap where nothing has."""
        consensus, tally = member.consensus, member.consensus.tally
        term, round = consensus.term, consensus.round
        votes = [tally.slot(term, step).seen.bit_count() for step in (FIRST, SECOND)]
        proposed, advanced = term in consensus.proposals, member.streams.advanced(round)
        seen = (round, term, advanced, *votes, proposed, consensus.window_closed)
        if seen == self._seen:
            return
        self._seen, self.changes = seen, self.changes + 1
        self._end_rounds(member, now)
        self._note_phase(phase_of(member), now, is_new=not self.courses or self.courses[-1].round != round)
        if self._phase is not Phase.NEWS:
            self._course(round, now, term).points.append(
                Point(now - self.courses[-1].begun_s, term, seen[2], votes[0], votes[1])
            )
            self._thin(self.courses[-1])

    def _end_rounds(self, member: Member, now: float) -> None:
        for course in self.courses:
            if course.took_s is None and course.round <= member.state.round:
                course.took_s = now - course.begun_s
                course.part = int(member.state.origins.sum())
                if member.last_commit is not None and member.state.round == course.round:
                    course.term = member.last_commit.certificate.term

    def _note_phase(self, phase: Phase, now: float, *, is_new: bool) -> None:
        if phase is not self._phase or is_new:
            self._phase, self._since = phase, now

    def _course(self, round: int, now: float, term: int) -> Course:
        if not self.courses or self.courses[-1].round != round:
            self.courses.append(Course(round=round, begun_s=now))
        self.courses[-1].term = term
        return self.courses[-1]

    def _thin(self, course: Course) -> None:
        if len(course.points) > POINTS:
            course.points = course.points[::2]

    def alerts(self, member: Member, reachable: int, now: float) -> list[str]:
        """What somebody should know, in words."""
        consensus, quorum, waits = member.consensus, member.roster.quorum, now - self._since
        alerts = []
        if member.halted:
            alerts.append(f"halted in round {consensus.round}: more members lie than are tolerated")
        if reachable < quorum.size:
            alerts.append(f"{reachable} of {quorum.size} members are within reach: no round can be agreed on")
        if self._phase is not Phase.NEWS and waits > SILENT_S and self._seen:
            alerts.append(self._waiting(member, waits))
        if out := [str(one) for one, is_out in enumerate(member.state.excluded) if is_out]:
            alerts.append(f"found lying and not counted: member{'s' * (len(out) > 1)} {', '.join(out)}")
        return alerts

    def _waiting(self, member: Member, waits: float) -> str:
        _, _, advanced, first, second, *_ = self._seen
        size, consensus = member.roster.quorum.size, member.consensus
        if self._phase is Phase.PROPOSAL:
            leader = consensus.leader(consensus.term)
            return f"round {consensus.round}.{consensus.term}: leader {leader} silent for {waits:.1f} s"
        have = {Phase.CONTRIBUTIONS: advanced, Phase.FIRST_VOTES: first, Phase.SECOND_VOTES: second}[self._phase]
        more = f"waits for {size - have} more" if have < size else "has enough"
        return f"round {consensus.round}.{consensus.term} {more} {self._phase.value}, for {waits:.1f} s"
