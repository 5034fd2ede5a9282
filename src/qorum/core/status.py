"""What to tell a user of a member: what it is doing now, and what its federation can bear."""

from __future__ import annotations

from qorum.core.genesis import Genesis
from qorum.core.member import Member


def status(member: Member) -> str:
    """One line: which round and term, what the member waits for, and how much is there of it."""
    genesis, consensus = member.genesis, member.consensus
    q, advanced = genesis.quorum.size, member.streams.advanced(consensus.round)
    if member.backlog_is_full:
        return f"{member.uncommitted} contributions wait for a round; the agent learns on and states no more till then"
    if not genesis.agrees:
        least = genesis.config.min_peers_for_consensus
        return f"gossip only: {genesis.members} members, and rounds need {least}"
    if member.halted:
        return f"halted in round {consensus.round}: more members lie than are tolerated; see the log"
    if member.catching_up:
        return f"round {consensus.round} is agreed; fetching its contributions"
    if consensus.term == 0 and not consensus.proposals and advanced < q:
        return f"round {consensus.round}: {advanced} of {genesis.members} members heard from, {q} needed"
    voted = max(consensus.tally.slot(consensus.term, step).seen.bit_count() for step in (1, 2))
    leader = genesis.leader(consensus.round, consensus.term)
    return f"round {consensus.round}.{consensus.term}: led by member {leader}, {voted} voted, {q} needed"


def tolerance(genesis: Genesis) -> str:
    """One line: how many members may lie or be away."""
    n, f, q, crash_only = genesis.quorum
    if crash_only:
        return f"{n} members, crash faults only: no liar is tolerated, any {q} agree"
    if f == 0:
        few = " (3 members or fewer leave no room for one)" if n <= 3 else ""
        return f"{n} members, no liar is tolerated{few}: all {q} must agree"
    return f"{n} members, up to {f} may lie or be away: any {q} agree"
