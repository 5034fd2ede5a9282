"""A result looked up: which population is the main one, and what stands for what was not run."""

import pytest

from qorum.lab.learning_study import POINTS, Study, points, thinned
from tests.lab.learning_results import learning_result, learning_row


def _study(*rows: tuple[str, str, int]) -> Study:
    return Study({"tasks": {}, "rows": [learning_row(*row) for row in rows]})


@pytest.mark.parametrize(
    ("agents", "shared"),
    [
        ({"Lake": (1, 64, 593, 1024), "GARNET(20,3,3)": (8, 593, 1024)}, 593),
        ({"Lake": (1, 64, 593), "GARNET(20,3,3)": (8, 64)}, 64),
        ({"Lake": (1, 8), "GARNET(20,3,3)": (64,)}, 64),
        ({"Lake": (1024,)}, 1024),
        ({}, 0),
    ],
)
def test_the_main_population_is_593_or_the_largest_that_all_tasks_have(
    agents: dict[str, tuple[int, ...]], shared: int
) -> None:
    rows = [(task, method, n) for task, numbers in agents.items() for n in numbers for method in ("replay", "pooled")]
    assert _study(*rows).agents == shared


def test_agents_alone_need_no_company() -> None:
    study = _study(("Lake", "isolated", 1), ("Lake", "isolated", 8), ("Lake", "replay", 64))
    assert study.agents == 64
    alone = study.row("Lake", "isolated")
    assert alone is not None
    assert alone["agents"] == 8
    assert study.row("Lake", "equal") is None
    assert study.row("Lake", "replay", 8) is None


def test_two_methods_are_compared_where_both_were_run() -> None:
    study = _study(("Lake", "replay", 64), ("Lake", "replay", 1024), ("Lake", "pooled", 64), ("Lake", "pooled", 593))
    row = study.row_of_most("Lake", "replay", "pooled")
    assert row is not None
    assert (row["method"], row["agents"]) == ("replay", 64)
    assert study.row_of_most("Lake", "replay", "equal") is None


def test_methods_come_in_an_order_of_their_own_and_unknown_ones_last() -> None:
    strange = {**learning_row("Lake", "replay", 8), "method": "by_carrier_pigeon"}
    known = [learning_row("Lake", method, 8) for method in ("isolated", "visit_weighted", "replay", "pooled")]
    study = Study({"tasks": {}, "rows": [strange, *known]})
    keys = [method.key for method in study.methods]
    assert keys == ["pooled", "replay", "visit_weighted", "isolated", "by_carrier_pigeon"]
    assert [method.key for method in study.methods if method.leads] == ["replay"]
    assert len({(method.colour, str(method.dash)) for method in study.methods}) == 5


def test_merges_are_counted_up_to_the_level() -> None:
    row = {**learning_row("Lake", "replay", 8), "steps_to_99": 101.5, "rounds": 40, "steps_per_agent": 400}
    study = Study({"tasks": {}, "rows": [row, {**row, "method": "equal", "steps_to_99": None}]})
    assert study.merges_to_99("Lake", "replay") == 11
    assert study.merges_to_99("Lake", "equal") is None
    assert study.merges_to_99("Lake", "implied") is None


def test_the_horizon_follows_from_the_discount() -> None:
    study = Study(learning_result())
    assert study.horizon("Lake") == pytest.approx(20)
    assert study.horizon("nowhere") is None


def test_points_without_error_are_left_out() -> None:
    assert points({"points": [[1, 0.5], [8, 0.0], [64, None]]}) == [(1, 0.5)]


def test_a_curve_is_thinned_evenly_on_a_log_axis_and_keeps_its_ends() -> None:
    row = {"curve": [[steps, 0.5, 0.4, 0.6, 0.1] for steps in range(0, 10_001, 10)]}
    steps = [point[0] for point in thinned(row)]
    assert (steps[0], steps[-1]) == (10, 10_000)
    assert len(steps) <= POINTS
    assert sum(at <= 316 for at in steps) > POINTS / 3
    assert thinned({"curve": [[5, 0.25, None, None, None]]}) == [(5, 0.25, 0.25, 0.25)]
    assert thinned({"curve": []}) == thinned(None) == []
