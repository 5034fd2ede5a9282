"""Cells have the same place by number and by name."""

from __future__ import annotations

import numpy as np

from qorum.encoding import hash_observation
from qorum.lab.arena.places import Places
from qorum.lab.tasks import load


def test_names_are_those_that_agents_give_and_lead_back() -> None:
    task = load("GARNET(20,3,2)")
    places, cells = Places(task), np.arange(60)
    states, actions = places.names(cells)
    assert states[17] == hash_observation(5)
    assert actions[17] == 2
    assert (places.cells(states, actions) == cells).all()
    assert (places.cells(states[::-1], actions[::-1]) == cells[::-1]).all()
