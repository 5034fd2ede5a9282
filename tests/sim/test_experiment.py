"""A measured run says what happened, repeats itself to the bit, and measures what it says it measures."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest

from qorum.core.cells import Cells
from qorum.core.columns import Columns
from qorum.errors import ConfigError
from qorum.sim.experiment import Experiment, Measured, named, script_of
from qorum.sim.faults import Crash, Partition


@cache
def calm() -> Measured:
    """Seven members, two of them silent, and nothing else goes wrong."""
    measured = Measured(Experiment(members=7, liars=2), traced=True)
    measured.run()
    return measured


def test_a_calm_run_agrees_and_delivers_everything() -> None:
    figures = calm().figures()
    assert (figures["members"], figures["liars"], figures["seeds_run"]) == (7, 2, 1)
    assert figures["rounds_committed"] >= 3
    assert figures["delivered_fraction"] == 1.0
    assert (figures["forks"], figures["violations"]) == (0, [])
    assert figures["equal_stores_after_heal_ticks"] is None


def test_latency_takes_two_links_at_least_and_is_ordered() -> None:
    latency = calm().figures()["sync_latency_s"]
    assert 2 * 0.020 < latency["p50"] <= latency["p99"] <= latency["max"] < 5


def test_every_byte_is_of_one_kind() -> None:
    size = calm().figures()["bytes_received_per_member_per_round"]
    kinds = sum(size[kind] for kind in ("votes", "payload", "certificates", "other"))
    assert kinds == pytest.approx(size["mean"], abs=2)  # each is rounded
    assert size["max"] >= size["mean"] > 1_000


def test_a_frame_is_at_least_as_large_as_what_one_member_contributes() -> None:
    figures = calm().figures()
    assert 100 < figures["largest_exchange_bytes"] <= figures["largest_frame_bytes"] < 100_000


def test_idle_members_say_little() -> None:
    assert 0 < calm().figures()["idle_bytes_per_s_per_member"] < 1_000


def test_up_to_sixteen_members_send_items_straight_to_everybody() -> None:
    meter = calm().meter
    assert meter.hops[1] > 0.9 * meter.hops.total()


def test_larger_federations_relay() -> None:
    measured = Measured(Experiment(members=48, rounds=1))
    figures = measured.run()
    assert 1 < figures["hops"]["mean"] <= figures["hops"]["max"] < 48
    assert figures["delivered_fraction"] == 1.0


def test_copies_are_counted_beyond_the_first() -> None:
    copies = calm().figures()["redundant_copies"]
    assert copies["control"] > copies["payload"] >= 0


def test_what_spreads_ends_where_everybody_has_it() -> None:
    """Each of five honest members holds each of five items and commits once, in every round."""
    for number in range(1, calm().rounds + 1):
        spread = calm().meter.spread[number]
        assert spread["items"].total() == 5 * calm().meter.cast[number, "items"]
        assert spread["commits"].total() == 5


def test_a_trace_holds_every_message_and_act() -> None:
    trace = calm().trace
    assert trace is not None
    assert all(arrow.sent + 0.020 <= arrow.arrived <= arrow.sent + 0.080 for arrow in trace.arrows)
    acts = [mark.act for mark in trace.marks if mark.round == 1]
    assert acts.count("commits") == acts.count("contributes") == 5
    assert acts.count("proposes") == 1
    assert acts.index("proposes") < acts.index("first vote") < acts.index("locks") < acts.index("commits")


def test_counting_changes_nothing() -> None:
    assert Measured(calm().experiment).run()["event_hash"] == calm().event_hash


def test_a_run_is_the_same_in_every_process() -> None:
    program = (
        "from qorum.sim.experiment import Experiment, Measured\n"
        "print(Measured(Experiment(members=5, rounds=1, loss=0.1, crashes=1)).run()['event_hash'])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1


def test_another_seed_gives_another_run() -> None:
    hashes = {Measured(Experiment(members=4, rounds=1, seed=seed)).run()["event_hash"] for seed in (1, 2)}
    assert len(hashes) == 2


def test_halves_agree_on_nothing_and_soon_after_hold_the_same() -> None:
    measured = Measured(Experiment(members=8, partition_s=4.0))
    figures = measured.run()
    (cut,) = measured.script
    assert isinstance(cut, Partition)
    times = [time for agreed in measured.meter.agreed.values() for time in agreed.times.values()]
    assert not any(cut.at + 0.2 < time < cut.at + cut.lasts for time in times)
    assert 1 <= figures["equal_stores_after_heal_ticks"] <= 50
    assert figures["delivered_fraction"] == 1.0


def test_those_who_crash_come_back_and_miss_nothing() -> None:
    measured = Measured(Experiment(members=7, crashes=2, rounds=4))
    figures = measured.run()
    assert sum(isinstance(fault, Crash) for fault in measured.script) == 2
    assert len({host.member.state.hash for host in measured.cluster.hosts}) == 1
    assert figures["rounds_committed"] >= 4
    assert figures["violations"] == []


@pytest.mark.parametrize("seed", [0, 1])
def test_random_faults_and_lies_break_nothing(seed: int) -> None:
    it = Experiment(members=7, liars=2, behaviours=("equivocate", "malformed"), adversary="random", seed=seed)
    figures = Measured(it).run()
    assert figures["violations"] == []
    assert figures["delivered_fraction"] == 1.0


def test_twins_and_real_keys() -> None:
    figures = Measured(Experiment(members=4, liars=1, behaviours=("twin",), keys="real", rounds=1)).run()
    assert figures["violations"] == []
    assert figures["rounds_committed"] >= 1


def test_too_many_silent_members_stop_everything_and_the_run_ends() -> None:
    figures = Measured(Experiment(members=4, liars=2, rounds=1)).run()
    assert figures["rounds_committed"] == 0
    assert figures["sync_latency_s"]["p50"] is None
    assert figures["bytes_received_per_member_per_round"]["mean"] is None
    assert figures["delivered_fraction"] == 0.0


def test_a_script_that_is_given_takes_the_place_of_the_drawn_one() -> None:
    it = Experiment(members=5, crashes=1, rounds=1)
    assert script_of(it) == script_of(it)
    assert len(script_of(it)) == 1
    assert Measured(it, ()).run()["event_hash"] != Measured(it).run()["event_hash"]


def test_what_is_restated_goes_by_name() -> None:
    cells = Cells.empty(4).extend(np.array([7, 3], np.uint64), np.array([1, 0], np.uint8))
    numbers = np.array([10, 20, 30], np.int64)
    columns = Columns(
        np.array([0, 1], np.int64), np.array([5], np.uint64), np.array([2], np.uint8), numbers, numbers, numbers
    )
    spelled = named(columns, cells)
    assert spelled.known.tolist() == []
    rows = list(zip(spelled.states.tolist(), spelled.actions.tolist(), spelled.value.tolist(), strict=True))
    assert rows == [(3, 0, 10), (5, 2, 30), (7, 1, 20)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"members": 2}, "members is 2"),
        ({"members": 4, "liars": 4}, "liars is 4; allowed: 0 to 3"),
        ({"delay_ms": (80, 20)}, "delay is 80-20 ms"),
        ({"loss": 1.0}, "loss is 1"),
        ({"crashes": 17}, "crash is 17"),
        ({"rounds": 0}, "rounds is 0"),
        ({"partition_s": -1.0}, "partition is -1"),
        ({"updates": 1001}, "updates is 1001"),
        ({"liars": 1, "behaviours": ("kind",)}, "unknown behaviour 'kind'; there are: equivocate"),
    ],
)
def test_what_is_out_of_range_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Experiment(**fields)
