"""Reading a store: what a member is given after a restart, and what an onlooker may see while a node runs."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from qorum.core.effects import Keep
from qorum.core.genesis import Genesis
from qorum.core.messages import Commit
from qorum.core.state import State
from qorum.errors import UNREADABLE, ConfigError, ProtocolError, StoreError
from qorum.qtable import QTable
from qorum.store.kept import Kept, Payload, unpack_table
from qorum.store.schema import VERSION, check_kind, connect, copy, database, explained
from qorum.store.seal import damaged, unseal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


_commit = msgspec.msgpack.Decoder(Commit)
_payload = msgspec.msgpack.Decoder(Payload)
_genesis = msgspec.msgpack.Decoder(Genesis)


class Reader:
    """A store that others may be writing. Every method sees one moment, and raises `StoreError` if it cannot read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._states: WeakValueDictionary[bytes, State] = WeakValueDictionary()
        """Members of one node share what they stand on."""

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment."""
        with explained(self.path), closing(connect(self.path, "ro")) as db:
            db.execute("BEGIN")
            yield db

    @cached_property
    def genesis(self) -> Genesis:
        """Of the federation whose members these are."""
        with self.reading() as db:
            id, data = federation(db, self.path)
        try:
            genesis = _genesis.decode(data)
        except (*UNREADABLE, ConfigError) as error:
            raise StoreError(f"store {self.path} was made by another version of qorum: {error}") from error
        if genesis.federation != id:
            raise StoreError(f"store {self.path} was made by another version of qorum: use that one")
        return genesis

    def members(self) -> list[bytes]:
        """Public keys of all members there is anything of, sorted."""
        query = " UNION ".join(f"SELECT member FROM {table}" for table in ("record", "newest", "keeps", "experience"))
        with self.reading() as db:
            return sorted(key for (key,) in db.execute(query))

    def load(self, key: bytes) -> Kept | None:
        """What a member kept; None if nothing. Raises `StoreError` if any of it is not as it was written."""
        with self.reading() as db:
            record = self._sealed(db, "record", key)
            newest = db.execute("SELECT state, proof FROM newest WHERE member = ?", (key,)).fetchone()
            state = None if newest is None else self._state(db, newest[0])
            commit = None if newest is None else self.proof(newest[1])
            epochs = db.execute("SELECT proof FROM epoch WHERE member = ? ORDER BY number", (key,)).fetchall()
            query = "SELECT hash, data FROM keeps JOIN payload ON hash = payload WHERE member = ? ORDER BY id"
            payloads = tuple(self._keep(*row) for row in db.execute(query, (key,)))
        if record is None and newest is None and not payloads:
            return None
        return Kept(state, commit, record, tuple(self.proof(sealed) for (sealed,) in epochs), payloads)

    def load_experience(self, key: bytes) -> bytes | None:
        """What `Store.experience` was given last; None if nothing."""
        with self.reading() as db:
            return self._sealed(db, "experience", key)

    def starting_table(self) -> QTable | None:
        """The table that was imported for agents to begin with; None if none was."""
        with self.reading() as db:
            row = db.execute("SELECT data FROM start").fetchone()
        if row is None:
            return None
        return unpack_table(unseal(row[0], f"store {self.path}: the imported table"))

    def newest(self) -> State | None:
        """The newest agreed state that any member here stands on; None before the first."""
        with self.reading() as db:
            row = db.execute("SELECT hash FROM state ORDER BY round DESC LIMIT 1").fetchone()
            return None if row is None else self._state(db, row[0])

    def backup(self, path: str | Path) -> None:
        """Write a copy of this moment to a new file: to look at, and to export from. A running node goes on.

        No node starts from it: its members may have signed since, and would contradict themselves. Raises
        `StoreError`; then there is no such file.
        """
        target = Path(path)
        if target.exists():
            raise StoreError(f"{target} exists and was left alone; give the backup another name")
        partial = target.with_name(f"{target.name}.partial")
        try:
            with self.reading() as db, explained(target):
                partial.unlink(missing_ok=True)
                copy(db, partial)
                partial.replace(target)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    # --- from rows ---

    def _sealed(self, db: sqlite3.Connection, table: str, key: bytes) -> bytes | None:
        row = db.execute(f"SELECT data FROM {table} WHERE member = ?", (key,)).fetchone()
        return None if row is None else unseal(row[0], f"store {self.path}: {table} of member {key.hex()[:8]}")

    def proof(self, sealed: bytes) -> Commit:
        return _commit.decode(unseal(sealed, f"store {self.path}: the commit of a round"))

    def _keep(self, hash: bytes, data: bytes) -> Keep:
        if sha256(data).digest() != hash:
            raise damaged(f"store {self.path}: the payload of a value")
        payload = _payload.decode(data)
        return Keep(payload.cut, payload.items)

    def _state(self, db: sqlite3.Connection, hash: bytes) -> State:
        state = self._states.get(hash)
        if state is None:
            row = db.execute("SELECT round, packed FROM state WHERE hash = ?", (hash,)).fetchone()
            state = None if row is None else self._unpacked(row[1])
            if state is None or state.hash != hash:
                raise damaged(f"store {self.path}: the agreed state {hash.hex()[:8]}")
            self._states[hash] = state
        return state

    def _unpacked(self, packed: bytes) -> State | None:
        try:
            return State.from_bytes(zstd.decompress(packed), self.genesis)
        except (zstd.ZstdError, ProtocolError):
            return None


def federation(db: sqlite3.Connection, path: Path) -> tuple[bytes, bytes]:
    """Id of the federation, 32 bytes, and its encoded genesis."""
    data = unseal(db.execute("SELECT data FROM federation").fetchone()[0], f"store {path}: the genesis")
    return data[:32], data[32:]


def open_read_only(path: str | Path) -> Reader:
    """Look into the store at `path`, a file or a node's data folder, whether a node is running on it or not.

    Raises `StoreError`: there is none, or it is of another version.
    """
    file = database(path)
    if not file.exists():
        raise StoreError(f"there is no store at {file}; give the data folder of a node, or the file in it")
    reader = Reader(file)
    with reader.reading() as db:
        version = check_kind(db, file)
    if version < VERSION:
        raise StoreError(f"store {file} is of version {version}, older than {VERSION}: start its node once")
    return reader
