"""What to tell a user of a member: what it is doing now, and what its federation can bear."""

from __future__ import annotations

from qorum.core.member import Member
from qorum.core.roster import Roster


def status(member: Member) -> str:
    """One line: which round and term, what the member waits for, and how much is there of it."""
    roster, consensus = member.roster, member.consensus
    n, _, q, _ = roster.quorum
    advanced = member.streams.advanced(consensus.round)
    if member.catchup.download is not None:
        download = member.catchup.download
        return f"fetching the state of round {download.value.round}: {len(download.chunks)} of {download.size} chunks"
    if member.me is None:
        return f"observer in round {consensus.round}: holds no seat, follows and signs nothing"
    if not roster.agrees:
        return f"gossip only: {n} members, and rounds need {roster.config.min_peers_for_consensus}"
    if member.halted:
        return f"halted in round {consensus.round}: more members lie than are tolerated; see the log"
    if member.catching_up:
        return f"round {consensus.round} is agreed; fetching its contributions"
    if consensus.term == 0 and not consensus.proposals and advanced < q:
        return f"round {consensus.round}: {advanced} of {n} members heard from, {q} needed"
    voted = max(consensus.tally.slot(consensus.term, step).seen.bit_count() for step in (1, 2))
    leader = consensus.leader(consensus.term)
    return f"round {consensus.round}.{consensus.term}: led by member {leader}, {voted} voted, {q} needed"


def tolerance(roster: Roster) -> str:
    """One line: how many members may lie or be away."""
    n, f, q, crash_only = roster.quorum
    if crash_only:
        return f"{n} members, crash faults only: no liar is tolerated, any {q} agree"
    if f == 0:
        few = " (3 members or fewer leave no room for one)" if n <= 3 else ""
        return f"{n} members, no liar is tolerated{few}: all {q} must agree"
    return f"{n} members, up to {f} may lie or be away: any {q} agree"
