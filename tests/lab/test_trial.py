"""One trial: what it reports, and that it can be repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qorum.errors import ConfigError
from qorum.lab.trial import Trial

LAKE = Trial("FrozenLake-v1", "replay", agents=32, seed=0, steps=300, sync_every=5)


def test_a_trial_repeats_itself_but_for_the_time_it_took() -> None:
    one, two = LAKE.run(), LAKE.run()
    assert one.pop("wall_s") >= 0
    assert two.pop("wall_s") >= 0
    assert one == two


def test_the_curve_and_what_is_read_off_it() -> None:
    found = LAKE.run()
    steps, value, error = zip(*found["curve"], strict=True)
    assert list(steps) == sorted(set(steps))
    assert steps[0] == 5
    assert steps[-1] == 300
    assert (found["normalised_value"], found["relative_sup_error"]) == (value[-1], error[-1])
    assert found["steps_to_90"] == next(s for s, v, _ in found["curve"] if v >= 0.9)
    assert found["steps_to_90"] <= found["steps_to_99"] <= 300
    assert 0 < found["bytes_to_90"] <= found["bytes_to_99"] <= found["bytes_per_agent"]
    assert found["rounds"] == 60


def test_replay_comes_to_what_the_same_estimator_makes_of_all_its_samples() -> None:
    found = LAKE.run()
    assert found["relative_sup_error"] <= 1.1 * found["pooled_error"] + 0.005


def test_what_was_not_reached_is_none() -> None:
    found = replace(LAKE, task="Taxi-v4", agents=2, steps=20).run()
    assert found["steps_to_90"] is None
    assert found["bytes_to_99"] is None


def test_drawn_tasks_are_another_one_for_each_seed() -> None:
    case = Trial("GARNET(10,2,2)", "pooled", agents=1, seed=0, steps=20, sync_every=5)
    assert case.run()["curve"] != replace(case, seed=1).run()["curve"]


def test_a_coarser_rewrite_threshold_saves_bytes() -> None:
    coarse = replace(LAKE, rewrite_threshold=0.1).run()
    assert coarse["bytes_per_agent"] < 0.8 * LAKE.run()["bytes_per_agent"]


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"method": "averaging"}, "known methods: isolated"),
        ({"method": "equal"}, "equal needs one"),
        ({"step_size": 0.1}, "replay has none"),
        ({"sync_every": 301}, "sync_every"),
        ({"task": "Tax"}, "known tasks"),
    ],
)
def test_what_cannot_be_run_is_refused(wrong: dict[str, object], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        replace(LAKE, **wrong).run()
