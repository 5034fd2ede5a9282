"""Petitions as files: what they hold, who signs, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.config import FederationConfig
from qorum.core import membership
from qorum.core.genesis import Genesis
from qorum.core.messages import Change, Evict, Join, Leave, Rekey
from qorum.core.roster import CHANGE_ROUNDS, MAX_SEATS, Roster
from qorum.errors import ConfigError
from qorum.identity import Identity, verify
from qorum.node.petition_file import PetitionFile, load_petition, save_petition
from qorum.node.records import RosterView

MEMBERS = [Identity.from_seed(bytes([me + 1]) * 32) for me in range(4)]
NEWCOMER = Identity.from_seed(b"n" * 32)
GENESIS = Genesis(tuple(one.public_key for one in MEMBERS), FederationConfig(n_actions=2))


def view(*changes: Change) -> RosterView:
    return RosterView.of(roster(*changes), CHANGE_ROUNDS * len(changes))


def roster(*changes: Change) -> Roster:
    """Who the members are after these, made as soon after each other as may be."""
    after = GENESIS.roster
    for number, change in enumerate(changes, 1):
        after = after.after(change, CHANGE_ROUNDS * number)
    return after


def joining() -> PetitionFile:
    return PetitionFile.of(GENESIS.federation, Join(NEWCOMER.public_key), NEWCOMER)


@pytest.mark.parametrize(
    ("change", "consents"),
    [
        (Join(NEWCOMER.public_key), NEWCOMER),
        (Rekey(2, 1, NEWCOMER.public_key), NEWCOMER),
        (Leave(1, 0), MEMBERS[1]),
        (Evict(3, 0), None),
    ],
)
def test_what_a_quorum_has_endorsed_entitles_to_the_change(
    tmp_path: Path, change: Change, consents: Identity | None
) -> None:
    file = PetitionFile.of(GENESIS.federation, change, consents).endorsed(MEMBERS[:2])
    save_petition(file, tmp_path / "a.petition")
    file = load_petition(tmp_path / "a.petition").endorsed(MEMBERS[3:])
    assert file.change == change
    file.check(view())
    assert file.is_endorsed(view())
    assert not file.is_made(view())
    membership.check(file.petition(view()), roster(), verify)
    assert file.is_made(view(change))


def test_one_short_of_a_quorum_is_not_enough() -> None:
    file = joining().endorsed(MEMBERS[:2])
    assert not file.is_endorsed(view())
    assert not file.endorsed([MEMBERS[1], NEWCOMER]).is_endorsed(view()), "twice, or without a seat, counts for nothing"
    assert file.endorsed([MEMBERS[2]]).is_endorsed(view())


def test_endorsements_outlive_what_happens_to_others_and_fall_with_their_key() -> None:
    file = joining().endorsed(MEMBERS[:3])
    other = Identity.from_seed(b"o" * 32)
    grown = Join(other.public_key)
    assert list(file.endorsers(view(grown))) == [0, 1, 2]
    assert (view(grown).quorum, file.is_endorsed(view(grown))) == (4, False)
    changed = Rekey(0, 1, other.public_key)
    assert list(file.endorsers(view(changed))) == [1, 2]
    again = file.endorsed([other])
    membership.check(again.petition(view(changed)), roster(changed), verify)
    assert list(file.endorsers(view(Evict(1, 0)))) == [0, 2]


def test_no_more_signatures_are_sent_than_are_needed() -> None:
    petition = joining().endorsed(MEMBERS).petition(view())
    assert len(petition.signatures) == 3 * 64
    membership.check(petition, roster(), verify)


OLD = Rekey(1, 1, NEWCOMER.public_key)


@pytest.mark.parametrize(
    ("change", "before", "says"),
    [
        (Join(NEWCOMER.public_key), [Join(NEWCOMER.public_key)], "is that of member 4 already: there is nothing left"),
        (Join(NEWCOMER.public_key), [Join(NEWCOMER.public_key), Evict(4, 0)], "no key comes back: make a new one"),
        (Join(MEMBERS[1].public_key), [OLD], "no key comes back"),
        (Evict(4, 0), [], "there is no member 4; the last one is 3"),
        (Evict(1, 0), [Leave(1, 0)], "member 1 has no seat any more: there is nothing left to do"),
        (Evict(1, 0), [OLD], "out of date: member 1 has changed its key 1 times by now; begin a new petition"),
        (Rekey(1, 1, b"k" * 32), [OLD], "out of date"),
        (OLD, [OLD], "is that of member 1 already"),
        (Leave(1, 0), [Leave(0, 0)], "3 members, and rounds need 3: admit somebody else first"),
    ],
)
def test_what_cannot_come_true_is_refused_with_what_to_do(change: Change, before: list[Change], says: str) -> None:
    file = PetitionFile.of(GENESIS.federation, change, None if isinstance(change, Evict) else NEWCOMER)
    with pytest.raises(ConfigError, match=says):
        file.check(view(*before))


def test_a_petition_for_another_federation_is_refused() -> None:
    file = PetitionFile.of(b"x" * 32, Join(NEWCOMER.public_key), NEWCOMER)
    with pytest.raises(ConfigError, match="give the configuration of a node of the former"):
        file.check(view())


def test_a_spoiled_file_is_refused_and_names_whose_signature_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.petition"

    def refused(says: str, **fields: Any) -> None:
        content = msgspec.to_builtins(joining().endorsed(MEMBERS[:1])) | fields
        path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
        with pytest.raises(ConfigError, match=says):
            load_petition(path)

    key = MEMBERS[0].public_key.hex()
    refused(f"a.petition: the endorsement by key {key[:16]} is not signed by it", endorsements={key: "00" * 64})
    refused("has not signed its consent", consent="00" * 64)
    refused("has not signed its consent", federation="00" * 32, endorsements={})
    refused("lacks a field, or has one too many", member=1)
    refused("lacks a field, or has one too many", consent=None)
    refused("holds no petition", ask="rule")
    refused("holds no petition", key="00")
    refused("unknown field", motto="trust me")
    path.write_bytes(b"\xff{")
    with pytest.raises(ConfigError, match="holds no petition"):
        load_petition(path)
    with pytest.raises(ConfigError, match="cannot read the petition"):
        load_petition(tmp_path / "none")


def test_writing_leaves_the_old_file_or_the_new_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.petition"
    save_petition(joining(), path)
    save_petition(joining().endorsed(MEMBERS[:1]), path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.petition"]
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(ConfigError, match="cannot write the petition"):
        save_petition(joining(), tmp_path / "no folder" / "a.petition")


def test_a_roster_says_from_which_round_on_it_may_change_again() -> None:
    assert view().room_from == 1
    assert view(Leave(0, 0)).room_from == 20
    assert roster(Leave(0, 0)).has_room(20)
    assert not roster(Leave(0, 0)).has_room(19)


@given(st.binary(max_size=200))
def test_no_bytes_make_more_than_an_error(data: bytes) -> None:
    try:
        file = msgspec.json.decode(data, type=PetitionFile)
    except msgspec.DecodeError:
        return
    assert (file.member or 0) < MAX_SEATS
