"""Waits grow from 0.1 s to 10 s and are drawn at random."""

from __future__ import annotations

from random import Random

from qorum.node.backoff import Backoff


def test_waits_double_up_to_a_bound_and_begin_anew() -> None:
    backoff = Backoff(Random(1))
    bounds = [min(0.1 * 2**number, 10.0) for number in range(12)]
    for bound in bounds:
        assert bound / 2 <= backoff.next() <= bound
    backoff.reset()
    assert backoff.next() <= 0.1


def test_no_two_nodes_are_in_step() -> None:
    waits = {tuple(Backoff(Random(seed)).next() for _ in range(3)) for seed in range(20)}
    assert len(waits) == 20
