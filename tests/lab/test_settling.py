"""Merges until a fleet has made of its samples what can be made of them."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest

from qorum.lab.settling import SETTLED, merges_to_settle
from qorum.lab.tasks import load

TASK = load("GARNET(20,3,3)")


@pytest.mark.parametrize("gamma", [0.5, 0.8, 0.95])
def test_the_error_falls_by_gamma_a_merge(gamma: float) -> None:
    merges = merges_to_settle(replace(TASK, gamma=gamma), agents=8, steps=100, seed=0)
    assert merges == pytest.approx(log(SETTLED) / log(gamma), rel=0.25, abs=2)


def test_it_ends_even_if_nothing_settles() -> None:
    assert merges_to_settle(TASK, agents=2, steps=20, seed=0, most=3) == 3
