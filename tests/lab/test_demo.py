"""The demonstration shows what it claims, on a fleet small enough for the quick suite."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qorum.lab.demo import run
from qorum.lab.plan import Plan

SMALL = Plan(task="CliffWalking-v1", members=10, liars=3, steps=600, pace=20.0)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    shares: dict[str, list[float]] = {}
    outcome = run(SMALL, lambda act, share: shares.setdefault(act, []).append(share), workers=1)
    outcome["shares"] = shares
    return outcome


def test_the_fleet_solves_what_no_agent_solves_alone(result: dict[str, Any]) -> None:
    assert result["federated"]["normalised_value"] > 0.95
    assert result["partitioned"]["normalised_value"] > 0.95
    solved = next(steps for steps, value in result["federated"]["curve"] if value > 0.95)
    alone = [value for steps, value in result["isolated"]["curve"] if steps <= solved]
    assert alone[-1] < 0.5


def test_liars_are_caught_and_do_not_prevail(result: dict[str, Any]) -> None:
    attacked = result["attacked"]
    assert attacked["normalised_value"] == min(p["normalised_value"] for p in attacked["parts"].values()) > 0.9
    for part in attacked["parts"].values():
        assert part["excluded"][-1][1:] == [3, 0]
        assert part["agreed_tables_identical"]
        assert all(part["distrusted"][liar] > 3 for liar in part["liar_members"])


def test_the_naive_merge_counts_visits_again_and_again(result: dict[str, Any]) -> None:
    counting = result["naive"]["double_counting"]
    assert counting["true_visits"] == 10 * 600
    assert counting["claimed_visits"] > 100 * counting["true_visits"]


def test_nobody_agrees_while_the_network_is_in_halves_and_all_do_afterwards(result: dict[str, Any]) -> None:
    act = result["partitioned"]
    halves = act["partitions"][0]
    inside = [time for time, _, _ in act["agreements"] if halves["from_s"] + 2 < time < halves["to_s"]]
    assert inside == []
    assert act["agreed_tables_identical"]
    assert act["agreements"][-1][0] > act["partitions"][1]["to_s"]


def test_the_result_holds_what_is_promised_and_is_plain_json(result: dict[str, Any]) -> None:
    promised = {
        "task", "members", "liars", "steps_per_agent", "optimum", "trivial", "isolated", "naive", "federated",
        "attacked", "partitioned", "rounds", "terms", "bytes_received_per_member_per_round", "sync_latency_s",
        "agreed_tables_identical",
    }  # fmt: skip
    assert promised <= set(result)
    assert set(result["sync_latency_s"]) == {"p50", "p99", "max"}
    assert set(result["bytes_received_per_member_per_round"]) == {"mean", "max"}
    assert result["terms"] >= result["rounds"] > 0
    assert result["agreed_tables_identical"] is True
    assert json.loads(json.dumps(result)) == result


def test_every_act_reports_its_progress(result: dict[str, Any]) -> None:
    assert set(result["shares"]) == {"isolated", "naive", "federated", "partitioned", "sign_flip", "extreme_high"}
    assert all(0 <= share <= 1 for shares in result["shares"].values() for share in shares)


def test_without_liars_the_attacked_act_is_the_federated_one() -> None:
    plan = Plan(task="CliffWalking-v1", members=4, liars=0, steps=60)
    outcome = run(plan, workers=1)
    assert outcome["attacked"]["parts"] == {}
    assert outcome["attacked"]["normalised_value"] == outcome["federated"]["normalised_value"]


def test_every_act_takes_all_steps_even_where_merges_do_not_divide_them() -> None:
    plan = Plan(task="CliffWalking-v1", members=4, liars=0, steps=80)
    outcome = run(plan, workers=1)
    assert outcome["isolated"]["curve"][-1][0] == outcome["naive"]["curve"][-1][0] == 80
    assert outcome["naive"]["double_counting"]["true_visits"] == 4 * 80


def test_two_processes_give_the_same_as_one() -> None:
    plan = Plan(task="CliffWalking-v1", members=4, liars=1, steps=60)
    one, two = run(plan, workers=1), run(plan, workers=2)
    one.pop("wall_s"), two.pop("wall_s")
    assert one == two
