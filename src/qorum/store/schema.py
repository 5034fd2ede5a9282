"""The database: its tables, how an older one becomes a newer one, and how connections to it are opened.

A member is named by its public key. Everything that has to come back as it was is sealed (`seal`), or named by a hash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from qorum.errors import StoreError

FILE = "qorum.sqlite"
"""Name of the database inside a node's data folder."""
APPLICATION = 0x514F5255
"""Marks the file as one of ours: "QORU"."""
BUSY_S = 5.0
"""How long to wait for another program that writes the file, against the rules."""
LOG_BYTES = 64 << 20
"""What the write-ahead log shrinks to once nobody reads it any more."""

MIGRATIONS = (
    """
    CREATE TABLE federation (one INTEGER PRIMARY KEY CHECK (one = 1), data BLOB NOT NULL);
    CREATE TABLE life (one INTEGER PRIMARY KEY CHECK (one = 1), transactions INTEGER NOT NULL, backup INTEGER NOT NULL);
    CREATE TABLE record (member BLOB PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE state (hash BLOB PRIMARY KEY, round INTEGER NOT NULL, size INTEGER NOT NULL, packed BLOB NOT NULL);
    CREATE TABLE newest (
        member BLOB PRIMARY KEY, state BLOB NOT NULL REFERENCES state (hash), proof BLOB NOT NULL);
    CREATE TABLE epoch (
        member BLOB NOT NULL, number INTEGER NOT NULL, proof BLOB NOT NULL, PRIMARY KEY (member, number));
    CREATE TABLE payload (hash BLOB PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE keeps (
        id INTEGER PRIMARY KEY, member BLOB NOT NULL, payload BLOB NOT NULL REFERENCES payload (hash),
        UNIQUE (member, payload));
    CREATE TABLE history (
        round INTEGER NOT NULL, value BLOB NOT NULL, unix_s REAL NOT NULL, items INTEGER NOT NULL,
        cells INTEGER NOT NULL, excluded BLOB NOT NULL, proof BLOB NOT NULL, PRIMARY KEY (round, value));
    """,
    """
    CREATE TABLE experience (member BLOB PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE start (one INTEGER PRIMARY KEY CHECK (one = 1), data BLOB NOT NULL);
    """,
)
"""What leads from each version to the next, from an empty file on. Add to the end; never change what is there."""
VERSION = len(MIGRATIONS)

_ADVICE = {
    "SQLITE_FULL": "the disk is full. Make room and start again",
    "SQLITE_READONLY": "it can only be read. Make file, folder and disk writable and start again",
    "SQLITE_CORRUPT": "the file is damaged. Its members must not sign again: give each a new key",
    "SQLITE_NOTADB": "the file is damaged, or no database. Its members must not sign again: give each a new key",
    "SQLITE_IOERR": "the disk fails. Look at what the system says of it, and start again",
    "SQLITE_CANTOPEN": "it cannot be opened. See that folder and file exist and may be used",
    "SQLITE_BUSY": "another program writes it. End that program and start again",
}


def explain(path: Path, error: BaseException) -> str:
    """What went wrong with a store, and what to do."""
    is_garbled = isinstance(error, UnicodeDecodeError)  # a name in the database
    name = "SQLITE_CORRUPT" if is_garbled else getattr(error, "sqlite_errorname", None) or ""
    advice = next((words for start, words in _ADVICE.items() if name.startswith(start)), "")
    return f"store {path}: {advice} ({error})" if advice else f"store {path}: {error}"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of the database and of its files as `StoreError`."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
        raise StoreError(explain(path, error)) from error


def database(path: str | Path) -> Path:
    """The database file that a path means: itself, if it is a file or is named like one, or that in a data folder."""
    path = Path(path)
    is_file = path.is_file() or (path.suffix == Path(FILE).suffix and not path.is_dir())
    return path if is_file else path / FILE


def connect(path: Path, mode: Literal["ro", "rw", "rwc"]) -> sqlite3.Connection:
    """A connection that begins no transaction by itself and may move to another thread. Raises `sqlite3.Error`."""
    uri = path.resolve().as_uri()
    db = sqlite3.connect(f"{uri}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        log = path.with_name(f"{path.name}-wal")
        db.close()
        if mode != "ro" or not path.exists() or (log.exists() and log.stat().st_size):
            raise
        db = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    return db


def make_durable(db: sqlite3.Connection) -> None:
    """Every commit is on the disk before it returns, and readers hinder no writer."""
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"no write-ahead log here (journal mode {mode}); use a local disk")
    for setting in ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON", "foreign_keys = ON"):
        db.execute(f"PRAGMA {setting}")
    db.execute("PRAGMA secure_delete = OFF")  # where it is on, an old state is written once more to be gone
    db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")


def check_kind(db: sqlite3.Connection, path: Path) -> int:
    """The version of a database; 0 for an empty one. Raises `StoreError` for one of others, or newer than this code."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    empty = db.execute("PRAGMA page_count").fetchone()[0] == 0
    if not empty and db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise StoreError(f"{path} is a database, but no store of qorum; give the path of another file")
    if version > VERSION:
        raise StoreError(f"store {path} is of version {version}, this qorum knows {VERSION}: use a newer qorum")
    return version


def check_sound(db: sqlite3.Connection, path: Path) -> None:
    """Read every page. Raises `StoreError` for the first that is damaged."""
    wrong: str = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if wrong != "ok":
        raise StoreError(f"store {path}: {_ADVICE['SQLITE_CORRUPT']} ({wrong})")


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Lead a database from a version to this code's; inside a transaction, so all the way or not at all."""
    for script in MIGRATIONS[version:]:
        for statement in script.split(";"):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def copy(source: sqlite3.Connection, target: Path) -> None:
    """A consistent copy in one file, marked as one that nobody may sign with. The source may be written meanwhile."""
    with closing(connect(target, "rwc")) as db:
        source.backup(db)
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("UPDATE life SET backup = 1")
