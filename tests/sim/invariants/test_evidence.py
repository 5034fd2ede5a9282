"""Evidence: fires on a proof against the honest, and on one that proves nothing."""

from __future__ import annotations

import msgspec
import pytest

from qorum.core.consensus import vote_bytes
from qorum.core.effects import Equivocation
from qorum.core.membership import evidence_of
from qorum.core.messages import NO_TERM, Evidence, Kind, Votes
from qorum.core.votes import FIRST
from qorum.sim.invariants.evidence import TrueEvidence
from tests.sim.invariants.histories import History, texts


def proof(history: History, signer: int = 3) -> Evidence:
    """Two first votes of member 3."""
    federation = history.cluster.genesis.federation
    votes = [Votes(FIRST, 1, 0, value, NO_TERM, b"\x08", bytes(64)) for value in (b"", bytes(32))]
    one, other = (vote_bytes(federation, 0, vote) for vote in votes)
    sign = history.cluster.keys.sign
    return evidence_of(3, (one, other), (sign(signer, one), sign(signer, other)))


def found(history: History, evidence: Evidence) -> str:
    watch = history.watch(TrueEvidence)
    watch.carried_out(history.cluster.hosts[0], Equivocation(evidence))
    return texts(watch.violations)


def test_a_true_proof_against_a_liar_is_fine() -> None:
    history = History(liars=[3])
    assert found(history, proof(history)) == ""


def test_it_fires_on_a_proof_against_the_honest() -> None:
    history = History()
    assert "which is honest" in found(history, proof(history))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": Kind.ENDORSEMENT}, "of no two bodies for one slot"),
        ({"bodies": (bytes(32), bytes(32))}, "of no two bodies for one slot"),
        ({"term": 1}, "does not verify"),
        ({"signatures": (bytes(64), bytes(64))}, "does not verify"),
        ({"epoch": 7}, "which had no key in that slot"),
        ({"member": 9}, "which had no key in that slot"),
        ({"kind": Kind.CONTRIBUTION, "epoch": 1}, "which had no key in that slot"),
    ],
)
def test_it_fires_on_a_proof_that_proves_nothing(fields: dict[str, object], expected: str) -> None:
    history = History(liars=[3])
    assert expected in found(history, msgspec.structs.replace(proof(history), **fields))


def test_it_fires_on_a_proof_that_another_signed() -> None:
    history = History(liars=[3])
    assert "does not verify" in found(history, proof(history, signer=2))
