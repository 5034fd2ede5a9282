"""What a store holds, for people and programs to look at, whether its node runs or not."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from qorum.core import wire
from qorum.core.consensus import Durable, Step
from qorum.core.messages import Commit, Value, bits
from qorum.core.state import State
from qorum.exchange import read_table, write_table
from qorum.qtable import QTable
from qorum.store.reader import Reader, open_read_only
from qorum.store.schema import VERSION, check_sound
from qorum.store.store import Store

_durable = msgspec.msgpack.Decoder(Durable)


def inspect(path: str | Path, *, commits: int = 10, cells: int = 0) -> dict[str, Any]:
    """What a store holds, as plain data, after reading every page of it.

    commits: how many of the newest rounds to list; cells: how many of the most visited cells of the agreed table.
    Raises `StoreError`: there is no store, it is of another version, or damaged.
    """
    reader = open_read_only(path)
    with reader.reading() as db:
        check_sound(db, reader.path)
        backup = bool(db.execute("SELECT backup FROM life").fetchone()[0])
    newest, genesis = reader.newest(), reader.genesis
    return {
        "path": str(reader.path),
        "version": VERSION,
        "backup": backup,
        "bytes": sum(file.stat().st_size for file in reader.path.parent.glob(f"{reader.path.name}*")),
        "federation": genesis.federation.hex(),
        "founders": genesis.members,
        "members": [_member(reader, key, newest) for key in reader.members()],
        "newest": None if newest is None else _newest(reader, newest, cells),
        "commits": _commits(reader, commits),
    }


def export_table(path: str | Path, file: str | Path, format: str | None = None) -> QTable:
    """Write the newest agreed table of the store at `path` to a file, and return it; empty before the first round.

    Raises `StoreError`, and `TableError` as `write_table` does.
    """
    newest = open_read_only(path).newest()
    table = QTable() if newest is None else newest.table
    write_table(table, file, format)
    return table


def import_table(path: str | Path, file: str | Path, format: str | None = None) -> QTable:
    """Let the agents of a node that is not running begin with the table in a file, and return it.

    They act on it until there is an agreed table. It is nobody's evidence: no member vouches for it, and no round ever
    counts it. Raises `StoreError`, and `TableError` as `read_table` does; then nothing has changed.
    """
    table = read_table(file, format)
    with Store.open(path, create=False) as store:
        store.start_from(table).result()
    return table


def _member(reader: Reader, key: bytes, newest: State | None) -> dict[str, Any]:
    kept = reader.load(key)
    experience = reader.load_experience(key)
    found: dict[str, Any] = {
        "key": key.hex(),
        "member": (reader.genesis.roster if newest is None else newest.roster).seat_of(key),
        "round": 0,
        "epochs": 0,
        "payloads": 0,
        "experience_bytes": 0 if experience is None else len(experience),
        "record": None,
    }
    if kept is not None:
        found["round"] = 0 if kept.state is None else kept.state.round
        found["epochs"], found["payloads"] = len(kept.epochs), len(kept.payloads)
        found["record"] = None if kept.record is None else _record(kept.record)
    return found


def _record(data: bytes) -> dict[str, Any]:
    """Where in the current round a member was when it last signed."""
    durable: Durable = _durable.decode(data)
    return {
        "round": durable.round,
        "term": durable.term,
        "step": Step(durable.step).name.lower(),
        "locked": durable.lock is not None,
        "own": len(durable.own),
        "bytes": len(data),
    }


def _newest(reader: Reader, state: State, cells: int) -> dict[str, Any]:
    with reader.reading() as db:
        size, packed = db.execute("SELECT size, length(packed) FROM state WHERE hash = ?", (state.hash,)).fetchone()
    table = state.table
    order = np.argsort(-table.visits, kind="stable")[:cells]
    top = zip(table.state_hash[order].tolist(), table.action[order].tolist(), table.value[order].tolist(),
              table.visits[order].tolist(), strict=True)  # fmt: skip
    return {
        "round": state.round,
        "epoch": state.roster.epoch,
        "members": len(state.roster.active),
        "quorum": state.roster.quorum.size,
        "states": len(table.states),
        "cells": len(table),
        "registers": len(state.registers.key),
        "excluded": np.flatnonzero(state.excluded).tolist(),
        "hash": state.hash.hex(),
        "bytes": size,
        "packed_bytes": packed,
        "top": [{"state_hash": str(s), "action": a, "value": v, "visits": c} for s, a, v, c in top],
    }


def _commits(reader: Reader, count: int) -> list[dict[str, Any]]:
    """The newest rounds, newest first. A round that is there twice, with different values, was forked."""
    query = "SELECT proof, unix_s, items, cells, excluded FROM history ORDER BY round DESC LIMIT ?"
    with reader.reading() as db:
        db.row_factory = sqlite3.Row
        rows = db.execute(query, (count,)).fetchall()
    return [_commit(reader.proof(row["proof"]), row) for row in rows]


def _commit(commit: Commit, row: sqlite3.Row) -> dict[str, Any]:
    value, certificate = wire.decode_body(Value, commit.value), commit.certificate
    signers = bits(certificate.mask)
    return {
        "round": value.round,
        "term": certificate.term,
        "epoch": value.epoch,
        "value": certificate.value.hex(),
        "unix_s": row["unix_s"],
        "items": row["items"],
        "cells": row["cells"],
        "signers": signers,
        "signatures": len(signers),
        "excluded": bits(int.from_bytes(row["excluded"], "little")),
        "change": None if value.change is None else type(value.change.change).__name__.lower(),
        "bytes": len(wire.encode(commit)),
    }
