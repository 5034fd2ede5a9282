"""Shared results are the results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qorum.config import FederationConfig
from qorum.core import wire
from qorum.core.consensus import forged, vote_bytes
from qorum.core.genesis import Genesis
from qorum.core.messages import NO_TERM, Announce, Contribution, Item, Join, Votes, place
from qorum.core.sharing import STATES, shared_engine
from qorum.core.state import ORIGIN, State, contribution_bytes
from qorum.errors import ProtocolError
from qorum.identity import Identity, verify
from qorum.sim.keys import quick_keys

IDENTITY = Identity.from_seed(bytes(32))
GENESIS = Genesis((IDENTITY.public_key,), FederationConfig())


def test_results_are_those_of_the_functions_and_computed_once() -> None:
    engine = shared_engine(GENESIS, verify)
    frame = wire.encode(Announce(place(0, 1)))
    assert engine.decode(frame) == wire.decode(frame)
    assert engine.decode(frame) is engine.decode(bytes(frame))
    signature = IDENTITY.sign(b"message")
    assert engine.verify(IDENTITY.public_key, b"message", signature)
    assert not engine.verify(IDENTITY.public_key, b"another", signature)


def test_the_first_forged_vote_is_found_whatever_was_asked_before_and_each_vote_is_checked_once() -> None:
    keys, checked = quick_keys(0, 4), list[bytes]()

    def counting(key: bytes, data: bytes, signature: bytes) -> bool:
        checked.append(key)
        return keys.verify(key, data, signature)

    genesis = Genesis(keys.public, FederationConfig())
    engine, roster = shared_engine(genesis, counting), genesis.roster
    votes = Votes(1, 1, 0, bytes(32), NO_TERM, b"\x0f", bytes(4 * 64))
    data = vote_bytes(roster.federation, roster.epoch, votes)
    votes = votes.signed(b"".join(keys.sign(voter, data) if voter != 2 else bytes(64) for voter in range(4)))
    for voters in (0b0011, 0b1001, 0b1111, 0b0100, 0b1011):
        expected = forged(votes, voters, roster, keys.verify)
        assert engine.forged(votes, voters, roster, engine.verify) == expected == (2 if voters & 0b100 else None)
    assert [checked.count(key) for key in keys.public] == [1] * 4
    assert engine.forged(votes, 0b0001, replace(roster, epoch=1), engine.verify) == 0, "signed in another epoch"


def test_a_broken_frame_is_refused_every_time() -> None:
    engine = shared_engine(GENESIS, verify)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            engine.decode(b"\xff")


def test_states_are_shared_and_the_oldest_forgotten() -> None:
    engine = shared_engine(GENESIS, verify)
    state = State.initial(GENESIS)
    first = engine.apply(state, [], None)
    assert engine.apply(state, [], None) is first
    assert first.hash == state.apply([]).hash
    later = first
    for _ in range(STATES):
        later = engine.apply(later, [], None)
    again = engine.apply(state, [], None)
    assert again is not first
    assert again.hash == first.hash


def test_a_change_of_membership_leads_to_a_state_of_its_own() -> None:
    engine = shared_engine(GENESIS, verify)
    state, changes = State.initial(GENESIS), [None, Join(b"a" * 32), Join(b"b" * 32)]
    states = [engine.apply(state, [], change) for change in changes]
    assert [s.hash for s in states] == [state.apply([], change).hash for change in changes]
    assert len({s.hash for s in states}) == 3
    assert engine.apply(state, [], changes[1]) is states[1]


def test_items_are_read_once_for_each_key() -> None:
    engine = shared_engine(GENESIS, verify)
    body = Contribution(0, 0, 1, ORIGIN, 0, b"")
    unsigned = Item(wire.encode(body), bytes(64))
    data = contribution_bytes(GENESIS.federation, body, unsigned.hash)
    item = Item(unsigned.body, IDENTITY.sign(data))
    entry = engine.read(item, IDENTITY.public_key, GENESIS, engine.verify)
    assert entry.body == body
    assert engine.read(Item(bytes(item.body), item.signature), IDENTITY.public_key, GENESIS, engine.verify) is entry
    for wrong, key in ((unsigned, IDENTITY.public_key), (item, Identity.from_seed(b"1" * 32).public_key)):
        with pytest.raises(ProtocolError, match="not signed"):
            engine.read(wrong, key, GENESIS, engine.verify)


def test_another_predicate_may_stand_in_for_signatures() -> None:
    engine = shared_engine(GENESIS, lambda key, data, signature: signature == data)
    assert engine.verify(b"key", b"data", b"data")
    assert not engine.verify(b"key", b"data", b"other")
