"""A member's way to a new key, cut short at any step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qorum.core.effects import Committed
from qorum.core.messages import Change, Rekey
from qorum.core.state import State
from qorum.errors import IdentityError
from qorum.identity import Identity
from qorum.node.succession import former_keys, identity_at, next_key, next_path, swap
from qorum.store import Store
from tests.node.test_petition_file import GENESIS, MEMBERS, NEWCOMER, roster
from tests.store.recorded import recording

OLD, NEW = MEMBERS[1], NEWCOMER
REKEYED = Rekey(1, 1, NEW.public_key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the key in use, with the next one beside it."""
    keys = tmp_path / "keys"
    keys.mkdir()
    OLD.save(keys / "agent-1.pem")
    NEW.save(keys / "agent-1.next.pem")
    return keys / "agent-1.pem"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data", GENESIS) as opened:
        yield opened


def agree(store: Store, key: Identity, *changes: Change) -> None:
    """Let a member stand on a state after these changes."""
    story = recording()
    some = next(effect for _, effect in story.steps if isinstance(effect, Committed))
    state = replace(State.initial(GENESIS), roster=roster(*changes))
    store.committed(key.public_key, replace(some, state=state, epochs=())).result(20)


def key_at(path: Path) -> bytes:
    return Identity.load(path).public_key


def test_the_next_key_lies_beside_the_one_in_use(path: Path) -> None:
    assert next_path(path).name == "agent-1.next.pem"
    found = next_key(path)
    assert found is not None
    assert found.public_key == NEW.public_key
    assert next_key(path.parent / "agent-2.pem") is None


def test_a_swap_keeps_the_old_key_aside_and_can_be_done_again(path: Path) -> None:
    swap(path)
    assert key_at(path) == NEW.public_key
    assert [key.public_key for key in former_keys(path)] == [OLD.public_key]
    assert not next_path(path).exists()
    Identity.from_seed(b"3" * 32).save(next_path(path))
    swap(path)
    assert {key.public_key for key in former_keys(path)} == {OLD.public_key, NEW.public_key}
    assert len(list(path.parent.iterdir())) == 3
    with pytest.raises(IdentityError, match="cannot put"):
        swap(path)
    assert path.exists()


def test_a_swap_that_was_cut_short_is_finished(path: Path) -> None:
    aside = path.with_name(f"agent-1.was-{OLD.public_key.hex()[:8]}.pem")
    aside.hardlink_to(path)
    swap(path)
    assert key_at(path) == NEW.public_key
    assert key_at(aside) == OLD.public_key


def test_until_a_round_has_made_the_change_the_old_key_is_used(path: Path, store: Store) -> None:
    assert identity_at(path, store).public_key == OLD.public_key
    agree(store, OLD)
    assert identity_at(path, store).public_key == OLD.public_key
    assert next_path(path).exists()


def test_a_node_that_was_killed_right_after_the_round_takes_the_new_key_over(path: Path, store: Store) -> None:
    agree(store, OLD, REKEYED)
    store.experience(OLD.public_key, b"all it saw").result(20)
    store.persist(OLD.public_key, b"what it signed").result(20)
    assert identity_at(path, store).public_key == NEW.public_key
    assert key_at(path) == NEW.public_key
    assert store.load_experience(NEW.public_key) == b"all it saw"
    kept = store.load(NEW.public_key)
    assert kept is not None
    assert kept.record is None, "what the old key said binds the old key"
    assert identity_at(path, store).public_key == NEW.public_key


def test_a_node_that_was_killed_between_its_store_and_its_files_does_not_go_back(path: Path, store: Store) -> None:
    agree(store, OLD, REKEYED)
    store.rekey(OLD.public_key, NEW.public_key).result(20)
    assert identity_at(path, store).public_key == NEW.public_key
    assert key_at(path) == NEW.public_key


def test_a_key_file_that_is_gone_is_replaced_by_the_next(path: Path, store: Store) -> None:
    path.unlink()
    assert identity_at(path, store).public_key == NEW.public_key
    assert key_at(path) == NEW.public_key
    assert former_keys(path) == []
    with pytest.raises(IdentityError, match="no identity at"):
        identity_at(path.parent / "agent-9.pem", store)
