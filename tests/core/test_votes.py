"""Votes: signers are counted, each in at most two bodies; what a quorum makes true is noticed when it becomes true."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core.messages import NIL, NO_TERM, Votes, bits
from qorum.core.quorum import Quorum
from qorum.core.votes import FIRST, SECOND, TERMS_AHEAD, TERMS_KEPT, Tally, well_formed

N = 7
ALL = (1 << N) - 1
QUORUM = Quorum.of(N, 0.33)
A, B, C = (bytes([letter]) * 32 for letter in b"ABC")
Body = tuple[bytes, int]


def signature(voter: int, body: Body) -> bytes:
    return (b"%d %d " % (voter, body[1]) + body[0]).ljust(64, b".")


def vote(
    *voters: int, value: bytes = A, term: int = 0, step: int = FIRST, cited: int = NO_TERM, members: int = N
) -> Votes:
    mask = sum(1 << voter for voter in voters).to_bytes(-(-members // 8), "little")
    signatures = b"".join(signature(voter, (value, cited)) for voter in sorted(voters))
    return Votes(step, 1, term, value, cited, mask, signatures)


def tally() -> Tally:
    return Tally(1, N, QUORUM.size)


# --- one message -------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 600)))
def test_bits_are_the_set_members_ascending(members: set[int]) -> None:
    assert list(bits(sum(1 << member for member in members))) == sorted(members)


@given(st.sets(st.integers(0, 99), min_size=1))
def test_signatures_belong_to_voters_in_order(voters: set[int]) -> None:
    votes = vote(*voters, members=100)
    assert votes.by_voter == {voter: signature(voter, (A, NO_TERM)) for voter in voters}


def changed(votes: Votes, **fields: Any) -> Votes:
    return Votes(*(fields.get(name, getattr(votes, name)) for name in Votes.__struct_fields__))


GOOD = [
    vote(0), vote(N - 1), vote(*range(N)), vote(3, value=NIL), vote(3, step=SECOND, value=NIL),
    vote(3, step=SECOND, value=NIL, term=4, cited=3), vote(3, step=SECOND),
]  # fmt: skip
BAD = {
    "nobody voted": changed(vote(0), voters=b"\0", signatures=b""),
    "voter beyond the last": vote(N),
    "signature missing": changed(vote(0, 1), signatures=bytes(64)),
    "signature too many": changed(vote(0), signatures=bytes(128)),
    "half a signature": changed(vote(0), signatures=bytes(63)),
    "half a hash": changed(vote(0), value=bytes(16)),
    "first vote cites": vote(0, value=NIL, term=4, cited=3),
    "vote for a value cites": vote(0, step=SECOND, term=4, cited=3),
    "cites its own term": vote(0, step=SECOND, value=NIL, term=4, cited=4),
    "cites a later term": vote(0, step=SECOND, value=NIL, term=4, cited=5),
}


@pytest.mark.parametrize("votes", GOOD)
def test_honest_votes_are_well_formed(votes: Votes) -> None:
    assert well_formed(votes, ALL)


@pytest.mark.parametrize("votes", BAD.values(), ids=BAD)
def test_malformed_votes_are_told(votes: Votes) -> None:
    assert not well_formed(votes, ALL)


def test_votes_of_a_seat_that_was_given_up_are_malformed() -> None:
    assert well_formed(vote(0, 3), ALL)
    assert not well_formed(vote(0, 3), ALL & ~(1 << 3))


# --- counting ----------------------------------------------------------------------------------------


def test_a_signer_counts_once_however_often_it_is_heard() -> None:
    t = tally()
    for _ in range(10):
        for voter in range(QUORUM.size - 1):
            t.add(vote(voter), 0)
    assert not t.has_quorum(0, FIRST)
    assert t.certificate(0, FIRST) is None
    assert t.add(vote(0, 1), 0) == (0, [], False)
    assert t.add(vote(QUORUM.size - 1), 0) == (1 << QUORUM.size - 1, [], True)
    assert t.has_quorum(0, FIRST)


def test_a_certificate_is_what_can_be_counted_again() -> None:
    t = tally()
    for voter in (6, 2, 0, 3, 5):
        t.add(vote(voter), 0)
    certificate = t.certificate(0, FIRST)
    assert certificate == vote(0, 2, 3, 5, 6)
    other = tally()
    assert other.add(certificate, 0).fresh.bit_count() == QUORUM.size
    assert other.certificate(0, FIRST) == certificate


def test_slots_of_other_terms_and_steps_are_apart() -> None:
    t = tally()
    t.add(vote(0, 1, 2), 0)
    t.add(vote(3, 4, term=1), 0)
    t.add(vote(5, 6, step=SECOND), 0)
    assert t.slot(0, FIRST).seen == 0b111
    assert not any(t.has_quorum(term, step) for term in (0, 1) for step in (FIRST, SECOND))


def test_whoever_is_in_a_later_term_is_done_with_those_before() -> None:
    t = tally()
    t.add(vote(0, 1, 2), 0)
    assert not t.is_done(0, FIRST)
    t.note(1 << 2, 1)
    t.note(1 << 3, 2)
    assert not t.is_done(0, FIRST)
    assert t.add(vote(4), 0).turning
    assert t.is_done(0, FIRST)
    assert not t.has_quorum(0, FIRST)
    assert not t.is_done(0, SECOND)
    assert not t.is_done(1, FIRST)


def test_nil_counts_whatever_it_cites() -> None:
    t = tally()
    t.add(vote(0, 1, 2, value=NIL, step=SECOND, term=2), 2)
    t.add(vote(2, 3, value=NIL, step=SECOND, term=2, cited=1), 2)
    assert not t.nil_quorum(2, SECOND)
    t.add(vote(4, value=NIL, step=SECOND, term=2, cited=0), 2)
    assert t.nil_quorum(2, SECOND)
    assert not t.nil_quorum(2, FIRST)


def test_nil_and_values_have_certificates_of_their_own() -> None:
    t = tally()
    t.add(vote(0, 1, 2, 3, 4, value=NIL), 0)
    assert t.nil_quorum(0, FIRST)
    assert t.certificate(0, FIRST) is None
    assert t.certificate(0, FIRST, nil=True) == vote(0, 1, 2, 3, 4, value=NIL)
    assert t.newest_first(NO_TERM) is None, "a quorum for nothing certifies no value"


def test_second_votes_for_nil_that_cite_different_terms_are_one_quorum_of_any() -> None:
    t = tally()
    for voter in range(QUORUM.size):
        t.add(vote(voter, step=SECOND, value=NIL, term=4, cited=voter - 1), 4)
    assert t.has_quorum(4, SECOND)
    assert t.certificate(4, SECOND, nil=True) is None
    assert t.cited(4) == QUORUM.size - 2
    assert t.cited(3) == NO_TERM
    assert t.decided() is None


def test_the_newest_first_certificate_wins() -> None:
    t = tally()
    for term, value in ((0, A), (2, B), (1, C)):
        t.add(vote(*range(5), value=value, term=term), 2)
    t.add(vote(*range(5), value=A, term=3, step=SECOND), 2)
    newest = t.newest_first(NO_TERM)
    assert newest is not None
    assert (newest.term, newest.value) == (2, B)
    assert t.newest_first(1) == newest
    assert t.newest_first(2) is None


def test_a_decision_counts_in_any_term() -> None:
    t = tally()
    t.add(vote(*range(4), step=SECOND, term=1), 5)
    assert t.decided() is None
    t.add(vote(6, step=SECOND, term=1), 5)
    assert t.decided() == vote(0, 1, 2, 3, 6, step=SECOND, term=1)


def test_news_is_what_is_not_yet_held_of_that_body() -> None:
    t = tally()
    t.add(vote(0, 1), 0)
    assert t.news(vote(0, 1, 2)) == 0b100
    assert t.news(vote(0, 1, value=B)) == 0b11
    assert t.news(vote(0, 1, term=1)) == 0b11


# --- equivocation ------------------------------------------------------------------------------------


def test_an_equivocator_counts_in_each_body_and_is_reported() -> None:
    t = tally()
    assert t.add(vote(0, 1), 0).twice == []
    assert t.add(vote(1, 2, value=B), 0) == (0b110, [1], False)
    assert t.slot(0, FIRST).seen == 0b111, "one voter, for the quorum of any"
    assert t.add(vote(2, 3, 4, 5), 0).twice == [2]
    assert t.certificate(0, FIRST) == vote(0, 1, 2, 3, 4, 5)


def test_second_bodies_are_handed_out_once_with_their_voters_also_those_in_certificates() -> None:
    t = tally()
    t.add(vote(0, 1), 0)
    t.add(vote(1, value=B), 0)
    certificate = vote(0, 2, 3, 4, 5, value=C)
    t.add(certificate, 0)
    assert t.take_twice() == [(vote(1, value=B), 1), (certificate, 0)]
    assert t.take_twice() == []


def test_only_two_bodies_of_a_voter_are_kept() -> None:
    t = tally()
    bodies = [bytes([i]) * 32 for i in range(1, 50)]
    reported = [t.add(vote(0, value=value), 0).twice for value in bodies]
    assert reported == [[], [0]] + [[]] * 47
    assert len(t.slot(0, FIRST).bodies) == len(t.slot(0, FIRST).masks) == 2


def test_bodies_of_all_voters_together_are_bounded() -> None:
    t = tally()
    for value in (bytes([i]) * 32 for i in range(1, 200)):
        t.add(vote(value[0] % N, value=value), 0)
    assert len(t.slot(0, FIRST).bodies) == len(t.slot(0, FIRST).masks) <= 2 * N


def test_a_certificate_counts_whole_though_its_signers_voted_twice_before() -> None:
    """Liars must not be able to blind a member to a decision by filling their room at it first."""
    t = tally()
    for value in (B, C):
        for liar in (0, 1):
            t.add(vote(liar, value=value, step=SECOND), 0)
    certificate = vote(0, 1, 2, 3, 4, step=SECOND)
    assert t.add(certificate, 0).turning
    assert t.decided() == certificate


# --- terms -------------------------------------------------------------------------------------------


def test_votes_outside_the_window_of_terms_are_not_kept() -> None:
    t, current = tally(), 100
    for term, kept in [
        (current + TERMS_AHEAD, True), (current + TERMS_AHEAD + 1, False), (2**31 - 1, False),
        (current - TERMS_KEPT, True), (current - TERMS_KEPT - 1, False), (0, False),
    ]:  # fmt: skip
        counted = t.add(vote(0, term=term), current)
        assert bool(counted.fresh) == kept
        assert (t.slot(term, FIRST).seen == 1) == kept
        assert counted.turning == (term > current), "someone is ahead: there may be a term to skip to"


def test_terms_long_past_are_forgotten() -> None:
    t = tally()
    for term in range(1000):
        t.add(vote(*range(N), term=term), term)
        t.add(vote(*range(N), term=term, step=SECOND, value=NIL), term)
    assert len(t._slots) <= 2 * (TERMS_KEPT + TERMS_AHEAD + 1)
    assert t.has_quorum(999 - TERMS_KEPT, FIRST)
    assert not t.has_quorum(500, FIRST)


def test_liars_alone_do_not_move_terms() -> None:
    t, f = tally(), QUORUM.tolerated
    for liar in range(f):
        t.add(vote(liar, term=2**31 - 1), 0)
    assert t.terms_above(f + 1) == NO_TERM
    t.add(vote(f, term=3), 0)
    assert t.terms_above(f + 1) == 3


def test_the_highest_term_of_a_member_never_falls() -> None:
    t = tally()
    for term in (5, 2, 7, 0):
        t.add(vote(0, term=term), 4)
    assert t.reached == {7: 0b1}


# --- turning -----------------------------------------------------------------------------------------


def facts(t: Tally, current: int, tolerated: int) -> dict[str, Any]:
    """All that the rules of consensus ask a tally, as truths that can only become true."""
    terms = range(0, current + TERMS_AHEAD + 1)
    found: dict[str, Any] = {"decided": t.decided() is not None, "skip": t.terms_above(tolerated + 1) > current}
    for term in terms:
        for step in (FIRST, SECOND):
            found[f"quorum of any {term} {step}"] = t.has_quorum(term, step)
            found[f"done {term} {step}"] = term == current and t.is_done(term, step)
        found[f"first {term}"] = t.certificate(term, FIRST) is not None
        found[f"nil {term}"] = t.nil_quorum(term, FIRST)
    newest = t.newest_first(NO_TERM)
    found["newest"] = newest is not None and newest.term
    return found


@st.composite
def any_votes(draw: st.DrawFn) -> Votes:
    voters = draw(st.sets(st.integers(0, N - 1), min_size=1, max_size=N))
    step, term = draw(st.sampled_from([FIRST, SECOND])), draw(st.sampled_from([0, 0, 2]))
    value = draw(st.sampled_from([A, B, C, NIL]))
    may_cite = step == SECOND and value == NIL
    cited = draw(st.integers(NO_TERM, term - 1)) if may_cite and term else NO_TERM
    return vote(*voters, value=value, term=term, step=step, cited=cited)


@pytest.mark.parametrize("step", [FIRST, SECOND])
def test_a_quorum_of_any_is_a_turn_though_nothing_has_a_quorum(step: int) -> None:
    t = tally()
    assert not t.add(vote(0, 1, step=step), 0).turning
    assert not t.add(vote(2, 3, value=B, step=step), 0).turning
    assert t.add(vote(4, value=NIL, step=step), 0).turning
    assert not t.add(vote(5, value=NIL, step=step), 0).turning


@given(st.lists(any_votes(), max_size=25), st.integers(0, 3))
def test_whenever_a_rule_could_newly_fire_the_votes_are_turning(heard: list[Votes], current: int) -> None:
    t = tally()
    before = facts(t, current, QUORUM.tolerated)
    for votes in heard:
        assert well_formed(votes, ALL)
        counted = t.add(votes, current)
        after = facts(t, current, QUORUM.tolerated)
        assert counted.turning or after == before
        before = after


@given(st.lists(any_votes(), max_size=25))
def test_the_tally_is_what_was_heard(heard: list[Votes]) -> None:
    t = tally()
    signed: dict[tuple[int, int], dict[Body, set[int]]] = {}
    for votes in heard:
        slot = signed.setdefault((votes.term, votes.step), {})
        held = slot.setdefault((votes.value, votes.cited), set())
        room = {v for v in bits(votes.mask) if sum(v in voters for voters in slot.values()) < 2}
        fresh = set(bits(votes.mask)) - held
        fresh = fresh if votes.mask.bit_count() >= QUORUM.size else fresh & room
        twice = sorted(v for v in fresh if any(v in voters for voters in slot.values()))
        counted = t.add(votes, 3)
        held |= fresh
        assert set(bits(counted.fresh)) == fresh
        assert counted.twice == twice
    for (term, step), slot in signed.items():
        masks = t.slot(term, step).masks
        assert {body: set(bits(mask)) for body, mask in masks.items()} == {b: v for b, v in slot.items() if v}
        for (value, cited), mask in masks.items():
            expected = vote(*bits(mask), value=value, term=term, step=step, cited=cited)
            assert t.votes(term, step, (value, cited), mask) == expected
