"""The ledger knows a certificate when it sees one, and the items of a round."""

from __future__ import annotations

import msgspec

from qorum.core.messages import NIL, Head, Kind, Leave
from qorum.core.votes import FIRST, SECOND
from qorum.sim.invariants.agreement import Agreement
from qorum.sim.invariants.ledger import hash_of
from tests.sim.invariants.histories import History


def test_only_a_quorum_of_good_signatures_for_a_value_proves() -> None:
    history = History()
    ledger = history.watch(Agreement).ledger
    votes = history.committed(2).commit.certificate
    change = msgspec.structs.replace
    assert ledger.proves(votes, SECOND)
    assert ledger.proves(votes, SECOND), "from memory too"
    assert not ledger.proves(votes, FIRST)
    assert not ledger.proves(change(votes, value=NIL), SECOND)
    assert not ledger.proves(change(votes, term=votes.term + 1), SECOND)
    assert not ledger.proves(change(votes, signatures=votes.signatures[:64] * votes.mask.bit_count()), SECOND)


def test_the_items_of_a_round_are_those_of_its_origins_in_order() -> None:
    history = History()
    ledger, effect = history.watch(Agreement).ledger, history.committed(2)
    entries, cut = ledger.entries(effect), effect.cut
    assert entries is not None
    assert cut is not None
    places = [(entry.body.member, entry.body.seq) for entry in entries]
    assert places == sorted(places)
    assert {member for member, _ in places} == {advance.member for advance in cut}
    signed = {hash_of(sign.body) for sign in history.signs(Kind.CONTRIBUTION)}
    assert ledger.items[history.cluster.hosts[0].key][0, 1] in signed


def test_votes_of_who_has_no_seat_prove_nothing() -> None:
    history = History()
    ledger = history.watch(Agreement).ledger
    votes = history.committed(2).commit.certificate
    voter = max(votes.by_voter)
    ledger.rosters[2] = ledger.roster(2).after(Leave(voter, 0), 1)
    ledger._proven.clear()
    assert not ledger.proves(votes, SECOND)


def test_heads_are_signed_by_the_key_of_their_incarnation() -> None:
    history = History()
    ledger, state = history.watch(Agreement).ledger, history.committed(2).state
    assert ledger.signed(state.roster, state.heads[1], 1)
    assert not ledger.signed(state.roster, state.heads[1], 2)
    assert not ledger.signed(state.roster, Head(1, 1, state.heads[1].hash), 1), "there was no second key"
    assert ledger.signed(state.roster, Head(1, 0, bytes(32)), 1), "the origin of a stream is nobody's"
