"""Shared results are the results."""

from __future__ import annotations

import pytest

from qorum.config import FederationConfig
from qorum.core import wire
from qorum.core.genesis import Genesis
from qorum.core.messages import Announce
from qorum.core.state import State
from qorum.errors import ProtocolError
from qorum.identity import Identity
from qorum.sim.sharing import STATES, shared_engine

IDENTITY = Identity.from_seed(bytes(32))
GENESIS = Genesis((IDENTITY.public_key,), FederationConfig())


def test_results_are_those_of_the_functions_and_computed_once() -> None:
    engine = shared_engine(GENESIS)
    frame = wire.encode(Announce((bytes(32),)))
    assert engine.decode(frame) == wire.decode(frame)
    assert engine.decode(frame) is engine.decode(bytes(frame))
    signature = IDENTITY.sign(b"message")
    assert engine.verify(IDENTITY.public_key, b"message", signature)
    assert not engine.verify(IDENTITY.public_key, b"another", signature)


def test_a_broken_frame_is_refused_every_time() -> None:
    engine = shared_engine(GENESIS)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            engine.decode(b"\xff")


def test_states_are_shared_and_the_oldest_forgotten() -> None:
    engine = shared_engine(GENESIS)
    state = State.initial(GENESIS)
    first = engine.apply(state, [])
    assert engine.apply(state, []) is first
    later = first
    for _ in range(STATES):
        later = engine.apply(later, [])
    again = engine.apply(state, [])
    assert again is not first
    assert again.hash == first.hash
