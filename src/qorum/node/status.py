"""What a node says of itself: who it is, what its members do, whom it reaches, and how far its federation has come."""

from __future__ import annotations

import msgspec

from qorum.core.member import Member
from qorum.core.status import tolerance
from qorum.node.host import Host


class MemberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One member that this node hosts."""

    index: int
    """-1 while it holds no seat."""
    name: str
    key: str
    """Public key, in hex."""
    role: str
    """follower, candidate or leader."""
    round: int
    """Newest agreed round."""
    state: str
    """Hash of the agreed state, in hex: equal at all members that have agreed on the same rounds."""
    term: int
    """Attempt at the round that is under way, from 0."""
    doing: str
    """One line: what it does or waits for."""
    backlog: int
    """Own contributions that no round has taken yet."""
    interactions: int
    """Steps its agent has learned from."""
    cells: int
    """Cells of the agreed table."""
    up: bool
    """Whether it takes part; False once its store has failed."""


class LinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One connection to another node."""

    peer: str
    """Address."""
    members: tuple[int, ...]
    """Members that it has proven to host."""
    state: str
    sent_bytes: int
    received_bytes: int
    queued_bytes: int
    """Not yet sent."""


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of a time [s]; None where nothing was measured."""

    p50: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, times: list[float]) -> Seconds:
        """Quantiles of these times."""
        if not times:
            return cls()
        ordered = sorted(times)
        last = len(ordered) - 1
        return cls(p50=ordered[last // 2], p99=ordered[round(0.99 * last)], max=ordered[last])


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A node, at one moment."""

    federation: str
    """Hash of the genesis, in hex."""
    version: str
    uptime_s: float
    listen: str
    data: str
    state: str
    """agreeing; following; gossip only: N of Q reachable; catching up; halted; store failed: why."""
    tolerance: str
    """How many members may lie or be away."""
    founders: int
    members: tuple[MemberStatus, ...]
    """Those it hosts."""
    links: tuple[LinkStatus, ...]
    rounds_committed: int
    """At the member that is furthest, since the node started."""
    sync_latency_s: Seconds
    """From a contribution to the commit that holds it, at its author; over the newest ones."""
    excluded: tuple[int, ...]
    """Members found lying: they do not count in the merge."""
    rss_mb: float
    """Memory in use."""


def member_status(host: Host, name: str) -> MemberStatus:
    """What one member does."""
    member = host.member
    return MemberStatus(
        index=host.me,
        name=name,
        key=host.key.hex(),
        role=member.consensus.role.name.lower(),
        round=member.state.round,
        state=member.state.hash.hex(),
        term=member.consensus.term,
        doing=host.status() if member.me is not None or not host.is_up else f"{host.status()}; {seatless(member)}",
        backlog=member.uncommitted,
        interactions=host.table.agent.interactions,
        cells=len(member.state.cells),
        up=host.is_up,
    )


def seatless(member: Member) -> str:
    """Why somebody holds no seat, and what to do about it."""
    key, seats = member.key or b"", enumerate(member.roster.seats)
    index, seat = next(((index, seat) for index, seat in seats if key in seat.keys), (None, None))
    if seat is None:
        return "a quorum has to admit it: qorum admit"
    if not seat.active:
        return f"member {index} has left, or was evicted: a newcomer needs a new key"
    return f"member {index} goes by a new key, which is not here"


def standing_of(hosts: list[Host], reachable: int) -> str:
    """In few words: how the members of a node get on. reachable: members that it hosts or has links to."""
    failed = next((host.failure for host in hosts if host.failure is not None), None)
    if failed is not None:
        return failed
    members = [host.member for host in hosts]
    if all(member.me is None for member in members):
        return "following: hosts nobody with a seat"
    if any(member.halted for member in members):
        return "halted"
    quorum = min(member.roster.quorum.size for member in members)
    if not members[0].roster.agrees:
        return f"gossip only: {members[0].roster.members} members, and rounds need more"
    if reachable < quorum:
        return f"gossip only: {reachable} of {quorum} reachable"
    if any(member.catching_up or member.catchup.download is not None for member in members):
        return "catching up"
    return "agreeing"


def tolerance_of(host: Host) -> str:
    """One line: how many members of the federation may lie or be away."""
    return tolerance(host.member.roster)
