"""Genesis: one id for one federation, wherever it is computed, and a leader schedule nobody can choose."""

import hashlib
import os
import subprocess
import sys
from typing import Any

import pytest

from qorum.config import RANGES, FederationConfig
from qorum.core.genesis import Genesis
from qorum.core.roster import MAX_SEATS, Seat
from qorum.errors import ConfigError
from tests.core.builders import genesis_of

KEYS = tuple(bytes([i]) * 32 for i in range(1, 8))

SCRIPT = """
from qorum.config import FederationConfig
from qorum.core.genesis import Genesis
genesis = Genesis(tuple(bytes([i]) * 32 for i in range(1, 8)), FederationConfig(gamma=0.9))
print(genesis.federation.hex(), [genesis.leader(3, term) for term in range(7)])
"""


def other_value(field: str) -> Any:
    """A value of a field that is allowed and not the default."""
    default = getattr(FederationConfig(), field)
    if field == "evidence":
        return "q"
    high = RANGES[field][1]
    if isinstance(default, int):
        return default + 1 if default < high else default - 1
    return default * 0.5 if default else 0.5


@pytest.mark.parametrize("field", FederationConfig.__struct_fields__)
def test_any_field_of_the_configuration_makes_another_federation(field: str) -> None:
    base = Genesis(KEYS, FederationConfig())
    changed = Genesis(KEYS, FederationConfig(**{field: other_value(field)}))
    assert changed.federation != base.federation


def test_members_and_their_order_make_another_federation() -> None:
    ids = {Genesis(keys, FederationConfig()).federation for keys in (KEYS, KEYS[:-1], KEYS[::-1])}
    assert len(ids) == 3
    assert {len(id) for id in ids} == {32}


def test_equal_configurations_are_the_same_federation() -> None:
    whole = FederationConfig(r_min=-10, r_max=20, initial_q=0, alpha=1)
    floats = FederationConfig(r_min=-10.0, r_max=20.0, initial_q=-0.0, alpha=1.0)
    assert whole == floats
    assert Genesis(KEYS, whole).federation == Genesis(KEYS, floats).federation


def test_every_process_computes_the_same_id_and_schedule() -> None:
    outputs = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True)
        outputs.add(run.stdout)
    genesis = Genesis(KEYS, FederationConfig(gamma=0.9))
    here = f"{genesis.federation.hex()} {[genesis.leader(3, term) for term in range(7)]}"
    assert [output.decode().strip() for output in outputs] == [here]


@pytest.mark.parametrize("members", [1, 2, 7, 593])
def test_every_member_leads_once_in_n_terms(members: int) -> None:
    genesis = genesis_of(members)
    turns = [genesis.leader(5, term) for term in range(2 * members)]
    assert sorted(turns[:members]) == list(range(members))
    assert turns[:members] == turns[members:]


def test_the_schedule_changes_with_round_and_federation() -> None:
    one, other = genesis_of(50), genesis_of(50, gamma=0.9)

    def order(genesis: Genesis, round: int) -> tuple[int, ...]:
        return tuple(genesis.leader(round, term) for term in range(50))

    assert len({order(one, 1), order(one, 2), order(other, 1)}) == 3
    assert order(one, 1) == order(genesis_of(50), 1), "going back to a round gives its order again"


def test_first_leaders_are_spread_over_the_members() -> None:
    genesis = genesis_of(4)
    firsts = [genesis.leader(round, 0) for round in range(400)]
    assert all(60 < firsts.count(member) < 140 for member in range(4))


def test_sizes_and_rules_follow_from_it() -> None:
    genesis = genesis_of(7, gamma=0.5)
    assert (genesis.members, genesis.quorum.size, genesis.quorum.tolerated) == (7, 5, 2)
    assert (genesis.rules.n_members, genesis.rules.tolerated, genesis.rules.gamma) == (7, 2, 1 << 19)


def test_its_roster_is_that_of_epoch_0() -> None:
    genesis = genesis_of(7, gamma=0.5)
    roster = genesis.roster
    assert (roster.federation, roster.config) == (genesis.federation, genesis.config)
    assert (roster.epoch, roster.changes) == (0, ())
    assert roster.seats == tuple(Seat((key,), 0, True) for key in genesis.public_keys)
    assert (genesis.quorum, genesis.rules, genesis.agrees) == (roster.quorum, roster.rules, roster.agrees)


@pytest.mark.parametrize(("members", "agrees"), [(1, False), (4, False), (5, True), (6, True)])
def test_too_small_a_federation_agrees_on_nothing(members: int, agrees: bool) -> None:
    assert genesis_of(members, min_peers_for_consensus=5).agrees == agrees


@pytest.mark.parametrize("keys", [(), (KEYS[0], KEYS[0]), (KEYS[0], b"short"), (KEYS[0] + b"x",)])
def test_impossible_members_are_refused(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ConfigError):
        Genesis(keys, FederationConfig())


def test_more_members_than_a_merge_can_weigh_are_refused() -> None:
    keys = tuple(hashlib.sha256(i.to_bytes(2, "big")).digest() for i in range(MAX_SEATS + 1))
    with pytest.raises(ConfigError, match="4097 members"):
        Genesis(keys, FederationConfig())
    assert Genesis(keys[1:], FederationConfig()).rules.visit_cap * MAX_SEATS < 1 << 23
