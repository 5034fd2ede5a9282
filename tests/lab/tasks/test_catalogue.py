"""Tasks by name."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.tasks import KNOWN, load


def test_every_known_name_loads_and_so_does_the_name_of_what_it_gives() -> None:
    for name in KNOWN:
        task = load(name)
        assert task.name.startswith(name)
        np.testing.assert_array_equal(load(task.name).probability, task.probability)


def test_sizes_and_a_seed_are_in_the_name() -> None:
    assert load("GARNET(7,2,3)").probability.shape == (7, 2, 3)
    assert load("TwoState(4)").n_actions == 4
    np.testing.assert_array_equal(load("GARNET(7,2,3)").reward, load("GARNET(7,2,3)#0").reward)
    assert (load("GARNET(7,2,3)").reward != load("GARNET(7,2,3)#3").reward).all()
    assert load("TwoState(4)#3").name == "TwoState(4)#3"


@pytest.mark.parametrize(
    "name",
    ["Pong", "", "taxi-v4", "Taxi-v4#1", "GARNET", "GARNET(7,2)", "GARNET(7,2,3)#", "GARNET(7,-2,3)", "TwoState(a)"],
)
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown task '.*Taxi-v4, FrozenLake-v1.*Handover.*GARNET\(100,4,5\)"):
        load(name)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"GARNET\(3,2,4\)#0: branches is 4"):
        load("GARNET(3,2,4)")
    with pytest.raises(ConfigError, match=r"TwoState\(1\)#0: actions is 1"):
        load("TwoState(1)")
