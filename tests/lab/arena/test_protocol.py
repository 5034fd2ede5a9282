"""A bout that goes through the protocol: what members agree on under attack is what the direct merge gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qorum.cli import app
from qorum.errors import ConfigError
from qorum.lab.arena.bout import QORUM, Bout
from qorum.lab.arena.defended import rules_for
from qorum.lab.arena.protocol import GRID, Auditor, Federation, ProtocolBout, federation_config, protocol_arena
from qorum.lab.methods import Setting
from qorum.lab.tasks import load
from qorum.merge.rules import Rules


def bout(attack: str, task: str = "CliffWalking-v1", members: int = 7, rounds: int = 5, **given) -> ProtocolBout:
    liars = 0 if attack == "none" else (members - 1) // 3
    return ProtocolBout(task, QORUM, attack, members, liars, seed=0, steps=10 * rounds, sync_every=10, **given)


@pytest.mark.parametrize(("attack", "task", "members"), [
    ("none", "FrozenLake-v1", 7), ("sign_flip", "CliffWalking-v1", 13), ("rare_cell_high", "GARNET(20,3,3)", 10),
    ("extreme_high", "Taxi-v4", 10), ("equivocation", "CliffWalking-v1", 10), ("withholding", "FrozenLake-v1", 7),
])  # fmt: skip
def test_members_hold_the_bits_of_the_direct_merge(attack: str, task: str, members: int) -> None:
    one = bout(attack, task, members)
    found = one.run()
    assert found["same_bits"]
    assert (found["forks"], found["differences"]) == (0, {})
    assert found["rounds"] == 5
    assert found["agreements"] == 5 * (members - one.liars)
    assert found["false_positive_rate"] == 0
    assert found["worst_honest_value"] <= found["normalised_value"] <= 1
    assert (found["evicted"] > 0) == (attack == "equivocation")
    assert json.loads(json.dumps(found)) == found


def test_equal_bouts_give_equal_results() -> None:
    one, other = (bout("sign_flip", rounds=3).run() for _ in range(2))
    assert {**one, "wall_s": 0} == {**other, "wall_s": 0}


def test_liars_are_those_of_the_direct_bout_and_are_caught() -> None:
    one = bout("sign_flip", members=10, accusing=True)
    task, liars = one.cast()
    assert (liars.members == one._company(task).liars.members).all()
    found = one.run()
    assert found["true_positive_rate"] == 1
    assert found["same_bits"]


def test_rules_are_those_of_the_arena() -> None:
    task = load("Taxi-v4")
    for every in (10, 100):
        assert Rules.of(federation_config(task, every), 64, 21) == rules_for(Setting(task, 64, every), 21)


def test_the_auditor_notices_what_is_not_the_same() -> None:
    one = bout("sign_flip", rounds=3)
    federation, rounds = Federation(one), []
    federation.swarm.on_round = rounds.append
    federation.live()
    agreed = [(committed.state.round, committed.state.hash) for committed in rounds]
    auditor = Auditor(federation.swarm.genesis, Setting(load(one.task), 7, 10))
    for committed in rounds[:2]:
        auditor.check(committed)
    assert auditor.outcome(agreed[:2])["same_bits"]
    assert not auditor.outcome([])["same_bits"]
    auditor.check(replace(rounds[2], entries=rounds[2].entries[:-1]))
    found = auditor.outcome(agreed)
    assert (found["agreements"], found["forks"], found["same_bits"]) == (3, 1, False)
    assert found["differences"]["registers"] == 1


@pytest.mark.parametrize(("given", "message"), [
    ({"rule": "median"}, "rule 'median'"), ({"part": "gate"}, "part 'gate'"), ({"attack": "rude"}, "unknown attack"),
])  # fmt: skip
def test_other_rules_do_not_go_through_the_protocol(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(bout("sign_flip"), **given)


def test_a_grid_is_run_both_ways_and_goes_on_where_it_was(tmp_path: Path) -> None:
    grid = replace(GRID, tasks=("CliffWalking-v1",), attacks=("sign_flip", "alie", "worst_case"), members=7, steps=30)
    result = protocol_arena(grid, tmp_path)
    assert [row["attack"] for row in result["rows"]] == ["sign_flip", "alie"]
    row = result["rows"][0]
    assert row == {**row, "members": 7, "liars": 2, "rounds": 3, "same_bits": True}
    direct = Bout(**{name: row[name] for name in Bout.__dataclass_fields__}).run()
    assert row["direct"].items() <= direct.items()
    shown = CliRunner().invoke(
        app,
        ["arena", "--protocol", "--task", "CliffWalking-v1", "--attack", "sign_flip", "--attack", "alie",
         "--members", "7", "--steps", "30", "--folder", str(tmp_path), "--json"],
    )  # fmt: skip
    assert json.loads(shown.stdout)["rows"] == result["rows"]
    with pytest.raises(ConfigError, match="all parts of the defence"):
        protocol_arena(replace(grid, ablation=True), tmp_path)
