"""The rules of the agreed round, each as a script: what a member hears, and what it then signs, sets and keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from qorum.core import wire
from qorum.core.consensus import (
    VALUES_KEPT,
    Consensus,
    Lock,
    Role,
    Step,
    Verdict,
    proposal_bytes,
    signed_data,
    vote_bytes,
)
from qorum.core.effects import Effect, Persist, SetTimer, Sign, Timer
from qorum.core.genesis import Genesis
from qorum.core.membership import consent_bytes, endorsement_bytes
from qorum.core.messages import NIL, NO_TERM, Contribution, Evict, Join, Kind, Leave, Proposal, Votes
from qorum.core.state import ORIGIN, contribution_bytes
from qorum.core.votes import FIRST, SECOND
from qorum.errors import StoreError
from tests.core.harness import genesis_of, proposal_of, sha, slot_of, votes_of

V, W, FRESH = b"value v", b"value w", b"fresh value"
GENESIS = genesis_of(4)  # f = 1, q = 3
LEADERS = [GENESIS.leader(1, term) for term in range(12)]
FOLLOWER = LEADERS[3]
"""Leads no term before the fourth."""
OTHERS = [member for member in range(4) if member != FOLLOWER]
CONTRIBUTION = Contribution(FOLLOWER, 0, 1, ORIGIN, 0, b"")
BODY = wire.encode(CONTRIBUTION)


@dataclass
class Judge:
    """An application whose answers the test sets."""

    fresh: bytes | None = FRESH
    verdicts: dict[bytes, Verdict] = field(default_factory=dict)
    wanted: list[bytes] = field(default_factory=list)
    decided: list[tuple[bytes, Votes]] = field(default_factory=list)
    absent: set[int] = field(default_factory=set)
    asked: list[list[int]] = field(default_factory=list)

    def compare_with(self, members: Sequence[int]) -> None:
        self.asked.append(list(members))

    def takes_part(self, member: int) -> bool:
        return member not in self.absent

    def fresh_value(self) -> bytes | None:
        return self.fresh

    def judge(self, value: bytes) -> Verdict:
        return self.verdicts.get(value, Verdict.VALID)

    def sketch(self, value: bytes) -> bytes:
        return b"sketch of " + value

    def want(self, value_hash: bytes) -> None:
        self.wanted.append(value_hash)

    def decide(self, value: bytes, certificate: Votes) -> None:
        self.decided.append((value, certificate))


class Script:
    """One member under test. Its own votes count as soon as it asks for their signature, as if signing took no time."""

    def __init__(
        self, me: int | None = FOLLOWER, genesis: Genesis = GENESIS, record: bytes | None = None, *, signs: bool = True
    ) -> None:
        self.genesis, self.me, self.signs = genesis, me, signs
        self.judge = Judge()
        self.consensus = Consensus(genesis, me, self.judge, record)
        self.log: list[Effect] = []

    def settle(self) -> Script:
        """Carry out what is asked for until nothing is."""
        while effects := self.consensus.take_effects():
            self.log += effects
            for effect in effects:
                if isinstance(effect, Sign) and self.signs:
                    self._signed(effect)
        return self

    def _signed(self, request: Sign) -> None:
        if request.kind is Kind.CONTRIBUTION:
            return
        message = wire.decode(request.body)
        if isinstance(message, Votes):
            self.consensus.on_votes(message)
        else:
            assert isinstance(message, Proposal)
            self.consensus.on_proposal(message)

    def open(self) -> Script:
        self.consensus.close_window()
        return self.settle()

    def votes(
        self, step: int, value: bytes, term: int = 0, by: list[int] | None = None, cited: int = NO_TERM
    ) -> Script:
        hashed = sha(value) if value else NIL
        voters = by if by is not None else OTHERS
        self.consensus.on_votes(votes_of(self.genesis, voters, step, hashed, term=term, cited=cited))
        return self.settle()

    def proposal(self, value: bytes, term: int = 0, cited: Votes | None = None) -> Script:
        self.consensus.on_proposal(proposal_of(self.genesis, value, term=term, cited=cited))
        return self.settle()

    def fire(self, name: Timer, term: int | None = None, round: int = 1) -> Script:
        """A timer fires, whether or not it was set."""
        self.consensus.on_timer(SetTimer(name, 0.0, round, self.consensus.term if term is None else term))
        return self.settle()

    def reach(self, term: int) -> Script:
        """Enter a term because all others are in it."""
        return self.votes(FIRST, NIL, term, by=OTHERS[:1]).votes(SECOND, NIL, term, by=OTHERS[1:2])

    @property
    def said(self) -> list[tuple[Kind, int, bytes]]:
        """(kind, term, value) of all it asked to sign; of a proposal the value proposed."""
        out = []
        for effect in self.log:
            if isinstance(effect, Sign):
                value = getattr(wire.decode(effect.body), "value")  # noqa: B009
                out.append((effect.kind, effect.term, value))
        return out

    @property
    def voted(self) -> list[tuple[int, int, bytes]]:
        """(step, term, value hash) of all votes."""
        steps = {Kind.FIRST_VOTE: FIRST, Kind.SECOND_VOTE: SECOND}
        return [(steps[kind], term, value) for kind, term, value in self.said if kind in steps]

    @property
    def proposed(self) -> list[tuple[int, bytes]]:
        return [(term, value) for kind, term, value in self.said if kind is Kind.PROPOSAL]

    @property
    def timers(self) -> list[tuple[Timer, int]]:
        return [(e.name, e.term) for e in self.log if isinstance(e, SetTimer)]

    @property
    def record(self) -> bytes:
        return [e.record for e in self.log if isinstance(e, Persist)][-1]


def certificate(value: bytes, term: int, step: int = FIRST) -> Votes:
    return votes_of(GENESIS, OTHERS, step, sha(value), term=term)


# --- the happy round ---


def test_happy_round_is_proposal_two_votes_and_commit() -> None:
    member = Script().open().proposal(V).votes(FIRST, V).votes(SECOND, V)
    assert member.voted == [(FIRST, 0, sha(V)), (SECOND, 0, sha(V))]
    assert [value for value, _ in member.judge.decided] == [V]
    assert member.judge.decided[0][1].mask.bit_count() >= 3


def test_leader_proposes_a_fresh_value_once_its_window_closes() -> None:
    leader = Script(LEADERS[0])
    assert leader.consensus.role is Role.CANDIDATE
    assert leader.settle().proposed == []
    leader.open()
    assert leader.consensus.role is Role.LEADER
    assert leader.proposed == [(0, FRESH)]
    assert leader.voted == [(FIRST, 0, sha(FRESH))]


def test_leader_proposes_only_once_a_term() -> None:
    leader = Script(LEADERS[0]).open()
    leader.judge.fresh = W
    leader.consensus.close_window()
    leader.consensus.advance()
    leader.settle()
    assert leader.proposed == [(0, FRESH)]


def test_leader_below_a_quorum_of_origins_waits() -> None:
    leader = Script(LEADERS[0])
    leader.judge.fresh = None
    assert leader.open().proposed == []
    leader.judge.fresh = V
    leader.consensus.advance()
    assert leader.settle().proposed == [(0, V)]


def test_others_are_followers_and_never_propose() -> None:
    member = Script().open()
    assert member.consensus.role is Role.FOLLOWER
    assert member.proposed == []


def test_no_timer_runs_before_the_window_closes() -> None:
    member = Script().settle()
    assert member.timers == []
    assert member.open().timers == [(Timer.PROPOSE, 0)]


def test_a_federation_that_is_too_small_agrees_on_nothing() -> None:
    pair = genesis_of(2, min_peers_for_consensus=3)
    member = Script(pair.leader(1, 0), pair).open().proposal(V).votes(FIRST, V, by=[0, 1]).votes(SECOND, V, by=[0, 1])
    assert member.said == []
    assert member.judge.decided == []


def test_three_members_tolerate_no_liar_and_need_everybody() -> None:
    three = genesis_of(3)
    me, *others = sorted(range(3), key=lambda m: m == three.leader(1, 0))
    member = Script(me, three).open().proposal(V).votes(FIRST, V, by=others[:1])
    assert member.voted == [(FIRST, 0, sha(V))]
    assert member.votes(FIRST, V, by=others[1:]).voted[-1] == (SECOND, 0, sha(V))


def test_a_lone_member_may_agree_with_itself() -> None:
    one = genesis_of(1, min_peers_for_consensus=1)
    assert [value for value, _ in Script(0, one).open().judge.decided] == [FRESH]


# --- rosters and seats ---


def test_an_observer_signs_nothing_and_enters_no_term_but_learns_what_was_decided() -> None:
    observer = Script(None).open().proposal(V).votes(FIRST, V).reach(2).fire(Timer.PROPOSE).fire(Timer.SECOND)
    assert (observer.said, observer.consensus.term) == ([], 0)
    assert observer.consensus.best_term == 0, "it serves the certificate to others"
    assert [value for value, _ in observer.votes(SECOND, V).judge.decided] == [V]


def test_an_observer_that_was_a_member_asks_for_no_signature_after_a_restart() -> None:
    member = Script().open().proposal(V)
    member.consensus.contribute(0, BODY, restates=False)
    again = Script(None, record=member.settle().record)
    again.consensus.resume()
    assert again.settle().said == []


def test_a_round_is_decided_by_the_roster_it_was_entered_with() -> None:
    grown = GENESIS.roster.after(Join(b"j" * 32), 1)  # 5 members: q = 4
    member = Script().settle()
    member.consensus.enter_round(2, (), grown, (FOLLOWER, 4), FOLLOWER)
    member.settle()
    assert [member.consensus.leader(term) for term in range(4)] == [FOLLOWER, 4, FOLLOWER, 4]
    assert member.consensus.role is Role.CANDIDATE
    others = [m for m in range(5) if m != FOLLOWER]

    def hear(step: int, voters: list[int]) -> None:
        member.consensus.on_votes(votes_of(GENESIS, voters, step, sha(V), round=2, roster=grown))
        member.settle()

    member.consensus.on_value(V)
    hear(FIRST, others[:3])
    assert member.voted == [], "three of four are a quorum no more"
    hear(FIRST, others[3:])
    assert member.voted == [(SECOND, 0, sha(V))]
    (request,) = [e for e in member.log if isinstance(e, Sign)]
    assert request.data == vote_bytes(GENESIS.federation, 1, votes_of(GENESIS, [0], SECOND, sha(V), round=2))
    hear(SECOND, others[:3])
    assert [value for value, _ in member.judge.decided] == [V]


def test_a_contribution_that_restates_takes_the_place_of_all_before() -> None:
    member = Script(signs=False)
    bodies = [wire.encode(replace(CONTRIBUTION, seq=seq)) for seq in (1, 2, 3)]
    member.consensus.contribute(0, bodies[0], restates=False)
    member.consensus.contribute(0, bodies[1], restates=False)
    assert [signed.body for signed in member.consensus.durable.own] == bodies[:2]
    member.consensus.contribute(0, bodies[2], restates=True)
    assert [signed.body for signed in member.consensus.durable.own] == bodies[2:]
    again = Script(record=member.settle().record, signs=False)
    again.consensus.resume()
    again.settle()
    assert [e.body for e in again.log if isinstance(e, Sign)] == bodies[2:]


# --- terms change ---


def test_silent_leader_gets_nil_twice_and_the_next_term() -> None:
    member = Script().open().fire(Timer.PROPOSE)
    assert member.voted == [(FIRST, 0, NIL)]
    member.votes(FIRST, NIL)
    assert member.voted == [(FIRST, 0, NIL), (SECOND, 0, NIL)]
    member.votes(SECOND, NIL)
    assert (member.consensus.term, member.consensus.durable.step) == (1, Step.PROPOSE), "nothing is left to wait for"
    assert member.timers[-1] == (Timer.PROPOSE, 1)


def test_where_a_value_may_still_be_decided_the_rest_is_waited_for() -> None:
    member = Script().open().fire(Timer.PROPOSE).votes(FIRST, NIL)
    member.votes(SECOND, NIL, by=OTHERS[:1]).votes(SECOND, V, by=OTHERS[1:2])
    assert member.timers[-1] == (Timer.SECOND, 0)
    member.fire(Timer.SECOND)
    assert (member.consensus.term, member.consensus.durable.step) == (1, Step.PROPOSE)


def opened(me: int, *absent: int) -> Script:
    """A member whose window closes without a contribution of the leaders of these terms."""
    member = Script(me)
    member.judge.absent = {LEADERS[term] for term in absent}
    return member.open()


def test_for_leaders_that_take_no_part_nobody_waits() -> None:
    member = opened(FOLLOWER, 0, 1)
    assert (member.consensus.term, member.consensus.durable.step) == (2, Step.PROPOSE)
    assert (member.voted, member.timers) == ([], [(Timer.PROPOSE, 2)])
    assert member.proposal(V, 2).voted == [(FIRST, 2, sha(V))]


def test_the_first_leader_that_takes_part_opens_the_round() -> None:
    assert opened(LEADERS[1], 0).said[0] == (Kind.PROPOSAL, 1, FRESH)
    assert opened(LEADERS[2], 0).said == []
    later = opened(LEADERS[2], 0).votes(SECOND, NIL, 1)
    assert later.said[0] == (Kind.PROPOSAL, 2, FRESH)


def test_where_no_leader_takes_part_the_first_is_waited_for() -> None:
    assert opened(FOLLOWER, 0, 1, 2, 3).consensus.term == 0


def test_leaders_are_passed_over_at_the_start_of_a_round_only() -> None:
    member = Script()
    member.judge.absent = set(LEADERS)
    member.votes(FIRST, V)
    member.judge.absent = {LEADERS[0]}
    assert member.open().consensus.term == 0, "it has voted there"
    observer = Script(None)
    observer.judge.absent = {LEADERS[0]}
    assert observer.open().consensus.term == 0


def test_divided_first_votes_start_a_timer_and_then_a_nil_vote() -> None:
    member = Script().open().proposal(V).votes(FIRST, W, by=OTHERS[:1]).votes(FIRST, NIL, by=OTHERS[1:2])
    assert member.timers[-1] == (Timer.FIRST, 0)
    assert member.voted == [(FIRST, 0, sha(V))]
    assert member.fire(Timer.FIRST).voted[-1] == (SECOND, 0, NIL)


@pytest.mark.parametrize("name", [Timer.PROPOSE, Timer.FIRST, Timer.SECOND, Timer.GATHER])
@pytest.mark.parametrize(("round", "term"), [(1, 2), (1, 4), (2, 3), (0, 3)])
def test_timer_of_another_term_or_round_is_ignored(name: Timer, round: int, term: int) -> None:
    member = Script().reach(3).fire(Timer.PROPOSE)
    before = (len(member.log), wire.encode(member.consensus.durable))
    member.fire(name, term, round)
    assert (len(member.log), wire.encode(member.consensus.durable)) == before


def test_timer_whose_step_has_passed_is_ignored() -> None:
    member = Script().open().proposal(V).votes(FIRST, V)
    voted = list(member.voted)
    assert member.fire(Timer.PROPOSE).fire(Timer.FIRST).voted == voted


def test_no_timer_matters_once_decided() -> None:
    member = Script().open().proposal(V).votes(FIRST, V).votes(SECOND, V)
    assert member.fire(Timer.SECOND).consensus.term == 0


def test_timers_are_set_once_a_term_and_grow_up_to_the_cap() -> None:
    config = GENESIS.config
    member = Script().open().open()
    assert member.timers.count((Timer.PROPOSE, 0)) == 1
    member.reach(6).reach(200)
    delays = {e.term: e.delay for e in member.log if isinstance(e, SetTimer) and e.name is Timer.PROPOSE}
    assert delays[0] == config.propose_timeout_ms / 1000
    assert delays[6] == (config.propose_timeout_ms + 6 * config.timeout_step_ms) / 1000
    assert delays[200] == config.timeout_cap_ms / 1000


def test_skip_needs_more_members_than_may_lie() -> None:
    member = Script().open().votes(FIRST, NIL, term=5, by=OTHERS[:1])
    assert member.consensus.term == 0
    member.votes(SECOND, NIL, term=7, by=OTHERS[:1])
    assert member.consensus.term == 0
    member.votes(FIRST, NIL, term=3, by=OTHERS[1:2])
    assert member.consensus.term == 3


def test_skip_counts_terms_too_far_ahead_to_keep_votes_of() -> None:
    member = Script().open().votes(FIRST, V, term=900, by=OTHERS[:2])
    assert member.consensus.term == 900


def test_a_proposal_shows_its_leader_in_that_term() -> None:
    term = next(t for t in range(1, 8) if LEADERS[t] not in (FOLLOWER, OTHERS[0]))
    member = Script().open().votes(FIRST, NIL, term=term, by=[OTHERS[0]]).proposal(V, term)
    assert member.consensus.term == term


@pytest.mark.parametrize("term", [1, 13])
def test_proposal_of_a_term_far_off_is_not_kept(term: int) -> None:
    member = Script().reach(4)
    assert not member.consensus.on_proposal(proposal_of(GENESIS, V, term=term))
    assert member.consensus.proposals == {}


def test_second_proposal_of_a_term_is_no_news() -> None:
    member = Script().open().proposal(V)
    assert not member.consensus.on_proposal(proposal_of(GENESIS, W))
    assert member.settle().voted == [(FIRST, 0, sha(V))]


# --- rule 8: the first vote ---


@pytest.mark.parametrize("lock", [None, (V, 1), (W, 1), (W, 2), (W, 0)])
@pytest.mark.parametrize("cited", [None, 0, 1, 2])
@pytest.mark.parametrize("valid", [True, False])
def test_first_vote(lock: tuple[bytes, int] | None, cited: int | None, valid: bool) -> None:
    member = Script().reach(3)
    if lock is not None:
        member.consensus.durable.lock = Lock(sha(lock[0]), lock[1])
    member.judge.verdicts[V] = Verdict.VALID if valid else Verdict.INVALID
    member.proposal(V, 3, None if cited is None else certificate(V, cited))
    unlocked = lock is None or lock[0] == V or (cited is not None and lock[1] <= cited)
    assert member.voted == [(FIRST, 3, sha(V) if valid and unlocked else NIL)]


def test_citation_of_another_value_or_of_no_earlier_term_does_not_release_the_lock() -> None:
    for cited in (certificate(W, 2), certificate(V, 3)):
        member = Script().reach(3)
        member.consensus.durable.lock = Lock(sha(W), 1)
        member.consensus.proposals[3] = proposal_of(GENESIS, V, term=3, cited=cited)
        member.consensus.advance()
        assert member.settle().voted[0] == (FIRST, 3, NIL)


def test_first_vote_waits_for_what_the_value_cites() -> None:
    member = Script().open()
    member.judge.verdicts[V] = Verdict.UNKNOWN
    assert member.proposal(V).voted == []
    member.judge.verdicts[V] = Verdict.VALID
    member.consensus.advance()
    assert member.settle().voted == [(FIRST, 0, sha(V))]


def test_one_first_vote_a_term() -> None:
    member = Script().open().fire(Timer.PROPOSE).proposal(V)
    assert member.voted == [(FIRST, 0, NIL)]


# --- rule 9: lock and best ---


def test_quorum_of_first_votes_locks_and_is_voted_for() -> None:
    member = Script().open().proposal(V).votes(FIRST, V)
    durable = member.consensus.durable
    assert durable.lock == Lock(sha(V), 0)
    assert durable.best is not None
    assert (durable.best.value, durable.best.term, durable.best_value) == (sha(V), 0, V)


def test_a_member_without_a_first_vote_of_its_own_still_locks() -> None:
    member = Script().open().votes(FIRST, V)
    assert member.voted == [(SECOND, 0, sha(V))]
    assert member.consensus.durable.lock == Lock(sha(V), 0)


def test_certificate_of_an_earlier_term_updates_best_and_never_the_lock() -> None:
    member = Script().reach(3).votes(FIRST, V, term=1)
    assert member.consensus.best_term == 1
    assert member.consensus.durable.lock is None
    assert member.voted == []


@pytest.mark.parametrize("step", list(Step))
def test_best_is_updated_at_any_step(step: Step) -> None:
    member = Script().reach(3)
    if step >= Step.FIRST_VOTE:
        member.fire(Timer.PROPOSE)
    if step == Step.SECOND_VOTE:
        member.votes(FIRST, NIL, term=3)
    assert member.consensus.durable.step == step
    member.votes(FIRST, V, term=2)
    assert member.consensus.best_term == 2


def test_late_first_votes_after_a_second_vote_for_nil_do_not_lock() -> None:
    member = Script().open().fire(Timer.PROPOSE).votes(FIRST, NIL)
    # Those who voted nil now sign for V as well: only with liars, and the certificate counts them all the same.
    member.votes(FIRST, V)
    assert member.consensus.durable.lock is None
    assert member.consensus.best_term == 0
    assert member.voted == [(FIRST, 0, NIL), (SECOND, 0, NIL)]


def test_best_never_goes_back() -> None:
    member = Script().reach(3).votes(FIRST, V, term=2).votes(FIRST, W, term=1)
    assert member.consensus.best_term == 2


def test_nil_does_not_release_the_lock() -> None:
    member = Script().open().proposal(V).votes(FIRST, V)
    member.votes(SECOND, NIL)
    member.fire(Timer.PROPOSE).votes(FIRST, NIL, 1).votes(SECOND, NIL, 1)
    assert member.consensus.term == 2
    assert member.consensus.durable.lock == Lock(sha(V), 0)
    assert member.proposal(W, 2).voted[-1] == (FIRST, 2, NIL)


def test_second_vote_for_nil_cites_the_best_certificate() -> None:
    member = Script().reach(3).votes(FIRST, V, term=1).fire(Timer.PROPOSE).votes(FIRST, NIL, term=3)
    last = [e for e in member.log if isinstance(e, Sign)][-1]
    vote = wire.decode(last.body)
    assert isinstance(vote, Votes)
    assert (vote.step, vote.value, vote.cited) == (SECOND, NIL, 1)


def test_body_of_the_best_value_is_asked_for_and_kept_when_it_comes() -> None:
    member = Script().open().votes(FIRST, V)
    assert sha(V) in member.judge.wanted
    assert member.consensus.durable.best_value == b""
    member.consensus.on_value(V)
    member.consensus.advance()
    assert member.settle().consensus.durable.best_value == V
    restarted = Script(record=member.record)
    assert restarted.consensus.body(sha(V)) == V


# --- rules 5 and 6 at later terms: election, gathering, the hidden lock ---


def later_leader() -> tuple[int, int]:
    """(term > 0, its leader) where the leader led no term before."""
    term = next(t for t in range(1, 4) if LEADERS[t] not in LEADERS[:t])
    return term, LEADERS[term]


def test_leader_of_a_later_term_waits_for_its_election_votes() -> None:
    term, me = later_leader()
    others = [m for m in range(4) if m != me]
    leader = Script(me).votes(FIRST, NIL, term, by=others[:2])
    assert leader.consensus.role is Role.CANDIDATE
    assert leader.proposed == []
    leader.votes(SECOND, NIL, term - 1, by=others)
    assert leader.consensus.role is Role.LEADER
    assert leader.proposed == [(term, FRESH)]


def test_leader_gathers_the_cited_certificate_and_proposes_its_value() -> None:
    """A hidden lock: only one member saw the certificate, and cites it in its election vote."""
    term, me = later_leader()
    others = [m for m in range(4) if m != me]
    term, leader = term + 4, Script(me)
    leader.votes(FIRST, NIL, term, by=others[:2])
    leader.votes(SECOND, NIL, term - 1, by=others[:2]).votes(SECOND, NIL, term - 1, by=others[2:], cited=1)
    assert leader.proposed == []
    assert leader.consensus.role is Role.CANDIDATE
    assert leader.timers[-1] == (Timer.GATHER, term)
    assert leader.judge.asked == [others[2:]], "only they are known to have it"
    leader.consensus.on_value(V)
    leader.votes(FIRST, V, 1, by=others)
    assert leader.proposed == [(term, V)]
    proposal = wire.decode(next(e for e in leader.log if isinstance(e, Sign) and e.kind is Kind.PROPOSAL).body)
    assert isinstance(proposal, Proposal)
    assert proposal.cited is not None
    assert (proposal.cited.value, proposal.cited.term) == (sha(V), 1)
    # A member locked on something older is released by that certificate.
    locked = Script()
    locked.reach(term).consensus.durable.lock = Lock(sha(W), 0)
    assert locked.proposal(V, term, proposal.cited).voted == [(FIRST, term, sha(V))]


def test_a_citation_of_nothing_delays_the_leader_only_for_a_while() -> None:
    term, me = later_leader()
    others, term = [m for m in range(4) if m != me], term + 4
    leader = Script(me).votes(FIRST, NIL, term, by=others[:2]).votes(SECOND, NIL, term - 1, by=others, cited=2)
    assert leader.proposed == []
    assert leader.fire(Timer.GATHER).proposed == [(term, FRESH)]
    assert leader.consensus.role is Role.LEADER


def test_gathering_takes_less_time_than_others_wait_for_the_proposal_at_any_term() -> None:
    genesis = genesis_of(4, gossip_tick_ms=60_000)
    for term in (1, 5, 40, 400):
        me = genesis.leader(1, term)
        others = [m for m in range(4) if m != me]
        leader = Script(me, genesis).votes(FIRST, NIL, term, by=others[:2])
        leader.votes(SECOND, NIL, term - 1, by=others, cited=term - 2) if term > 1 else None
        delays = {e.name: e.delay for e in leader.log if isinstance(e, SetTimer) and e.term == term}
        assert delays.get(Timer.GATHER, 0) < delays[Timer.PROPOSE] / 2


def test_asking_for_the_role_changes_nothing() -> None:
    term, me = later_leader()
    others, term = [m for m in range(4) if m != me], term + 4
    leader = Script(me, signs=False).votes(FIRST, NIL, term, by=others[:2])
    leader.consensus.tally.add(votes_of(GENESIS, others, SECOND, term=term - 1, cited=1), term)
    assert leader.consensus.role is Role.CANDIDATE
    assert leader.consensus.take_effects() == []


def test_leader_without_the_body_of_its_best_value_asks_for_it() -> None:
    term, me = later_leader()
    others = [m for m in range(4) if m != me]
    leader = Script(me).votes(FIRST, NIL, term + 4, by=others[:2]).votes(FIRST, V, 0, by=others)
    leader.votes(SECOND, NIL, term + 3, by=others)
    assert leader.proposed == []
    assert sha(V) in leader.judge.wanted


# --- rule 10: commit ---


def test_commit_on_second_votes_of_an_older_term() -> None:
    member = Script().proposal(V).reach(3).votes(SECOND, V, term=0)
    assert [value for value, _ in member.judge.decided] == [V]


def test_commit_waits_for_the_body_and_asks_for_it() -> None:
    member = Script().open().votes(SECOND, V)
    assert member.judge.decided == []
    assert sha(V) in member.judge.wanted
    member.consensus.on_value(V)
    member.consensus.advance()
    assert [value for value, _ in member.judge.decided] == [V]


def test_commit_needs_a_quorum_for_one_value() -> None:
    member = Script().open().proposal(V).votes(SECOND, V, by=OTHERS[:2]).votes(SECOND, W, by=OTHERS[2:])
    assert member.judge.decided == []
    assert member.timers[-1] == (Timer.SECOND, 0)


def test_a_value_is_decided_once() -> None:
    member = Script().open().proposal(V).votes(FIRST, V).votes(SECOND, V).votes(SECOND, V, by=list(range(4)))
    member.consensus.advance()
    assert len(member.judge.decided) == 1


def test_next_round_starts_free_of_lock_and_best() -> None:
    member = Script().open().proposal(V).votes(FIRST, V).votes(SECOND, V)
    member.consensus.enter_round(2, (), GENESIS.roster, LEADERS, FOLLOWER)
    member.settle()
    durable = member.consensus.durable
    assert (durable.round, durable.term, durable.step, durable.lock, durable.best) == (2, 0, Step.PROPOSE, None, None)
    assert member.consensus.proposals == {}
    assert not member.consensus.decided


# --- liars ---


def test_whoever_a_round_evicts_has_no_part_in_the_next_one() -> None:
    member = Script().open().proposal(V)

    def evicted(value: bytes, certificate: Votes) -> None:
        member.consensus.enter_round(2, (), GENESIS.roster, LEADERS, None)
        member.consensus.tally.add(votes_of(GENESIS, OTHERS, FIRST, sha(W), round=2), 0)

    member.judge.decide = evicted  # type: ignore[method-assign]
    member.votes(SECOND, V)
    assert member.consensus.round == 2
    assert member.consensus.best_term == 0, "it follows"
    assert {request.round for request in member.log if isinstance(request, Sign)} == {1}, "and says nothing"


def test_equivocating_leader_gets_one_vote_of_each_and_cannot_split() -> None:
    one, other = Script().open().proposal(V), Script().open().proposal(W)
    assert one.voted == [(FIRST, 0, sha(V))]
    assert other.voted == [(FIRST, 0, sha(W))]
    one.votes(FIRST, V, by=OTHERS[:1]).votes(FIRST, W, by=OTHERS[1:2])
    assert one.fire(Timer.FIRST).voted[-1] == (SECOND, 0, NIL)


def test_equivocating_voter_counts_for_both_values_and_once_for_each() -> None:
    member = Script().open().proposal(V)
    liar = OTHERS[0]
    member.votes(FIRST, V, by=[liar]).votes(FIRST, W, by=[liar]).votes(FIRST, V, by=[liar])
    assert member.voted == [(FIRST, 0, sha(V))]
    assert member.votes(FIRST, V, by=OTHERS[1:2]).voted[-1] == (SECOND, 0, sha(V))


def test_a_certificate_counts_even_a_signer_that_signed_two_other_bodies() -> None:
    member = Script().open()
    liar = OTHERS[0]
    member.votes(SECOND, W, by=[liar]).votes(SECOND, NIL, by=[liar])
    member.consensus.on_value(V)
    member.votes(SECOND, V)
    assert [value for value, _ in member.judge.decided] == [V]


def test_bodies_of_values_are_bounded_and_none_is_lost_for_good() -> None:
    member = Script().open().proposal(V).votes(FIRST, V)
    for number in range(2 * VALUES_KEPT):
        member.consensus.on_value(b"value %d" % number)
    assert len(member.consensus.values) == VALUES_KEPT
    assert member.consensus.body(sha(V)) == V  # certified: kept durably
    member.votes(SECOND, W)
    assert member.judge.wanted[-1] == sha(W)
    member.consensus.on_value(W)
    member.consensus.advance()
    assert [value for value, _ in member.judge.decided] == [W]


# --- rule 4: durable first ---


def test_one_record_an_event_ahead_of_everything_it_implies() -> None:
    member = Script(signs=False)
    events = [
        member.consensus.close_window,
        lambda: member.consensus.on_proposal(proposal_of(GENESIS, V)),
        lambda: member.consensus.on_votes(votes_of(GENESIS, OTHERS, FIRST, sha(V))),
        lambda: member.consensus.on_votes(votes_of(GENESIS, OTHERS, SECOND)),
        lambda: member.consensus.on_timer(SetTimer(Timer.SECOND, 0, 1, 0)),
        lambda: member.consensus.contribute(0, BODY, restates=False),
    ]
    for event in events:
        event()
        effects = member.consensus.take_effects()
        persisted = [i for i, effect in enumerate(effects) if isinstance(effect, Persist)]
        assert persisted in ([], [0])
        assert persisted == [0] or not any(isinstance(effect, Sign) for effect in effects)
        for effect in effects[1:]:
            if isinstance(effect, Sign):
                assert effect.body in effects[0].record


def test_restart_asks_for_the_same_bytes_again() -> None:
    member = Script().open().proposal(V).votes(FIRST, V)
    first_life = {slot_of(e): e.data for e in member.log if isinstance(e, Sign)}
    again = Script(record=member.record, signs=False)
    again.consensus.resume()
    again.settle()
    assert {slot_of(e): e.data for e in again.log if isinstance(e, Sign)} == first_life
    assert again.consensus.durable.lock == Lock(sha(V), 0)


def test_restart_does_not_sign_again_what_belongs_to_an_old_round() -> None:
    member = Script().open().proposal(V).votes(FIRST, V).votes(SECOND, V)
    member.consensus.enter_round(2, (), GENESIS.roster, LEADERS, FOLLOWER)
    member.settle()
    again = Consensus(GENESIS, FOLLOWER, Judge(), member.record, round=2)
    again.resume()
    assert [e for e in again.take_effects() if isinstance(e, Sign)] == []


def test_restart_after_the_state_was_kept_and_the_record_was_not() -> None:
    member = Script().open().proposal(V).votes(FIRST, V)
    member.consensus.contribute(0, BODY, restates=False)
    member.settle()
    again = Consensus(GENESIS, FOLLOWER, Judge(), member.record, round=2)
    assert (again.round, again.term, again.durable.lock, len(again.durable.own)) == (2, 0, None, 1)


def test_a_state_older_than_the_record_is_refused() -> None:
    member = Script().open()
    member.consensus.enter_round(5, (), GENESIS.roster, LEADERS, FOLLOWER)
    member.settle()
    with pytest.raises(StoreError, match="round 5"):
        Consensus(GENESIS, FOLLOWER, Judge(), member.record, round=3)


def test_restart_in_a_later_term_waits_for_its_leader_again() -> None:
    member = Script().reach(3)
    again = Script(record=member.record)
    again.consensus.resume()
    assert again.settle().timers == [(Timer.PROPOSE, 3)]


def test_restart_with_a_certificate_of_the_current_term_locks_on_it() -> None:
    """Were it to vote nil instead, it could not even cite it: votes cite earlier terms only."""
    member = Script().open().proposal(V)
    member.consensus.durable.best = certificate(V, 0)
    again = Script(record=wire.encode(member.consensus.durable))
    again.consensus.resume()
    assert again.settle().voted[-1] == (SECOND, 0, sha(V))


scripts = st.lists(
    st.one_of(
        st.tuples(st.just("votes"), st.sampled_from([FIRST, SECOND]), st.sampled_from([NIL, V, W]),
                  st.integers(0, 3), st.sets(st.sampled_from(OTHERS), min_size=1), st.integers(NO_TERM, 1)),
        st.tuples(st.just("proposal"), st.sampled_from([V, W]), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("timer"), st.sampled_from([Timer.PROPOSE, Timer.FIRST, Timer.SECOND, Timer.GATHER])),
        st.tuples(st.just("window")),
    ),
    max_size=12,
)  # fmt: skip


def play(script: Script, event: tuple[object, ...]) -> None:
    match event:
        case ("votes", int(step), bytes(value), int(term), set(by), int(cited)):
            may_cite = step == SECOND and value == NIL and cited < term
            script.votes(step, value, term, sorted(by), cited if may_cite else NO_TERM)
        case ("proposal", bytes(value), int(term), bool(cites)):
            script.proposal(value, term, certificate(value, term - 1) if cites and term else None)
        case ("timer", Timer() as name):
            script.fire(name)
        case ("window",):
            script.open()


@given(scripts, scripts, st.integers(0, 40), st.integers(0, 3))
def test_never_two_bodies_for_a_slot_whenever_it_crashes(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]], boundary: int, me: int
) -> None:
    """Crash before any one effect, restart from the last record carried out, and live another script."""
    first = Script(me)
    first.settle()
    for event in before:
        play(first, event)
    survived = first.log[:boundary]
    records = [e.record for e in survived if isinstance(e, Persist)]
    second = Script(me, record=records[-1] if records else None)
    second.consensus.resume()
    second.settle()
    for event in after:
        play(second, event)
    bodies: dict[tuple[int, ...], set[bytes]] = {}
    for effect in survived + second.log:
        if isinstance(effect, Sign):
            bodies.setdefault(slot_of(effect), set()).add(effect.data)
    assert all(len(data) == 1 for data in bodies.values())


@given(scripts, st.integers(0, 3))
def test_term_and_step_never_go_back_and_locks_only_rise(events: list[tuple[object, ...]], me: int) -> None:
    script = Script(me)
    seen = [(0, 0, -1, -1)]
    for event in events:
        play(script, event)
        durable = script.consensus.durable
        lock = durable.lock.term if durable.lock else -1
        assert (durable.term, durable.step) >= seen[-1][:2]
        assert lock >= seen[-1][2]
        assert script.consensus.best_term >= max(seen[-1][3], lock)
        seen.append((durable.term, durable.step, lock, script.consensus.best_term))


# --- what is signed ---


def test_no_signature_serves_two_purposes() -> None:
    federation, other = GENESIS.federation, genesis_of(5).federation
    vote = votes_of(GENESIS, [0], FIRST, sha(V))
    proposal = proposal_of(GENESIS, V)
    variants = [
        vote_bytes(federation, 0, vote),
        vote_bytes(other, 0, vote),
        vote_bytes(federation, 1, vote),
        vote_bytes(federation, 0, votes_of(GENESIS, [0], SECOND, sha(V))),
        vote_bytes(federation, 0, votes_of(GENESIS, [0], FIRST)),
        vote_bytes(federation, 0, votes_of(GENESIS, [0], FIRST, sha(V), term=1)),
        vote_bytes(federation, 0, votes_of(GENESIS, [0], FIRST, sha(V), round=2)),
        vote_bytes(federation, 0, votes_of(GENESIS, [0], SECOND, NIL, term=5)),
        vote_bytes(federation, 0, votes_of(GENESIS, [0], SECOND, NIL, term=5, cited=3)),
        proposal_bytes(federation, 0, proposal),
        proposal_bytes(other, 0, proposal),
        proposal_bytes(federation, 1, proposal),
        proposal_bytes(federation, 0, proposal_of(GENESIS, V, term=2)),
        proposal_bytes(federation, 0, proposal_of(GENESIS, V, term=2, cited=certificate(V, 1))),
        contribution_bytes(federation, CONTRIBUTION, sha(V)),
        contribution_bytes(other, CONTRIBUTION, sha(V)),
        contribution_bytes(federation, replace(CONTRIBUTION, seq=2), sha(V)),
        contribution_bytes(federation, replace(CONTRIBUTION, incarnation=1), sha(V)),
        consent_bytes(federation, Leave(0, 0)),
        endorsement_bytes(federation, Leave(0, 0)),
        endorsement_bytes(federation, Evict(0, 0)),
        endorsement_bytes(federation, Evict(0, 1)),
    ]
    assert len(set(variants)) == len(variants)


def test_the_sketch_of_a_proposal_is_no_part_of_what_its_leader_signs() -> None:
    plain, sketched = proposal_of(GENESIS, V), proposal_of(GENESIS, V, sketch=b"anything")
    assert proposal_bytes(GENESIS.federation, 0, sketched) == proposal_bytes(GENESIS.federation, 0, plain)


def test_a_proposal_carries_the_sketch_of_its_value() -> None:
    leader = Script(LEADERS[0]).open()
    (request,) = [e for e in leader.log if isinstance(e, Sign) and e.kind is Kind.PROPOSAL]
    proposal = wire.decode(request.body)
    assert isinstance(proposal, Proposal)
    assert proposal.sketch == leader.judge.sketch(FRESH)


def test_what_is_asked_to_be_signed_is_what_others_check() -> None:
    leader = Script(LEADERS[0]).open()
    leader.consensus.contribute(0, BODY, restates=False)
    leader.consensus.take_effects()
    for effect in leader.log:
        if isinstance(effect, Sign):
            message = wire.decode(effect.body)
            check = vote_bytes if isinstance(message, Votes) else proposal_bytes
            assert effect.data == check(GENESIS.federation, 0, message)  # type: ignore[arg-type]
    own = leader.consensus.durable.own[0]
    assert signed_data(GENESIS.federation, 0, own) == contribution_bytes(GENESIS.federation, CONTRIBUTION, sha(BODY))
