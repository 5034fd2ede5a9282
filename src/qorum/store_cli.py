"""`qorum inspect`, `export`, `import` and `backup`: what a node has kept."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

commands = typer.Typer(no_args_is_help=True)

Where = Annotated[Path, typer.Argument(help="A node's data folder, or the store in it.", metavar="STORE")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]


class Form(StrEnum):
    """How a table is written to a file."""

    PARQUET = "parquet"
    NPZ = "npz"
    JSON = "json"


FormatOption = Annotated[Form | None, typer.Option("--format", help="By default as the name of the file ends.")]


@commands.command()
def inspect(
    store: Where,
    commits: Annotated[int, typer.Option(min=0, help="How many of the newest rounds to list.")] = 10,
    cells: Annotated[int, typer.Option(min=0, help="How many of the most visited cells to list.")] = 0,
    as_json: Json = False,
) -> None:
    """Show what a node has kept, and check every page of it: members, the agreed table, commits and who signed them."""
    from qorum.store.inspection import inspect

    result = inspect(store, commits=commits, cells=cells)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result)


@commands.command()
def export(
    store: Where,
    file: Annotated[Path, typer.Argument(help="A .parquet, .npz or .json file to write.")],
    format: FormatOption = None,
    as_json: Json = False,
) -> None:
    """Write the newest agreed table to a file; the node may be running."""
    from qorum.store.inspection import export_table

    table = export_table(store, file, format)
    _done({"file": str(file), "cells": len(table), "hash": table.content_hash().hex()}, "written to", as_json)


@commands.command("import")
def import_(
    store: Where,
    file: Annotated[Path, typer.Argument(help="A .parquet, .npz or .json file to read.")],
    format: FormatOption = None,
    as_json: Json = False,
) -> None:
    """Let the agents of a stopped node begin with a table, until there is an agreed one. It is nobody's evidence."""
    from qorum.store.inspection import import_table

    table = import_table(store, file, format)
    _done({"file": str(file), "cells": len(table), "hash": table.content_hash().hex()}, "read from", as_json)


@commands.command()
def backup(
    store: Where,
    to: Annotated[Path, typer.Argument(help="A file that is not there yet.")],
    as_json: Json = False,
) -> None:
    """Copy a store as it is at one moment, while its node runs: to inspect and export from, not to sign with."""
    from qorum.store import open_read_only

    open_read_only(store).backup(to)
    result = {"backup": str(to), "bytes": to.stat().st_size}
    typer.echo(json.dumps(result) if as_json else f"{result['bytes']:,} bytes written to {to}")


def _done(result: dict[str, Any], verb: str, as_json: bool) -> None:
    typer.echo(json.dumps(result) if as_json else f"{result['cells']:,} cells {verb} {result['file']}")


def _print(result: dict[str, Any]) -> None:
    kind = "backup" if result["backup"] else "store"
    typer.echo(f"{kind} {result['path']}: version {result['version']}, {result['bytes']:,} bytes, every page sound")
    typer.echo(f"federation {result['federation'][:16]}, founded by {result['founders']} members")
    newest = result["newest"]
    if newest is None:
        typer.echo("no round is agreed yet")
    else:
        typer.echo(
            f"round {newest['round']}, epoch {newest['epoch']}: {newest['cells']:,} cells, "
            f"{newest['states']:,} states, {newest['registers']:,} registers; "
            f"{newest['bytes']:,} bytes, {newest['packed_bytes']:,} packed\n"
            f"{newest['members']} members, quorum {newest['quorum']}, excluded: {_some(newest['excluded'])}"
        )
        _table("most visited cells", newest["top"], ("state_hash", "action", "value", "visits"))
    _table("members of this node", [_member(member) for member in result["members"]], _MEMBER)
    _table("newest rounds", [_commit(commit) for commit in result["commits"]], _COMMIT)


_MEMBER = ("member", "key", "round", "signing at", "step", "locked", "experience")
_COMMIT = ("round", "when (UTC)", "value", "signed", "items", "cells", "out", "change")


def _member(member: dict[str, Any]) -> dict[str, Any]:
    record = member["record"]
    signing = {} if record is None else {
        "signing at": f"{record['round']}.{record['term']}", "step": record["step"].replace("_", " "),
        "locked": "yes" if record["locked"] else "no",
    }  # fmt: skip
    named = {"member": "-" if member["member"] is None else member["member"], "key": member["key"][:8]}
    return {**named, "round": member["round"], **signing, "experience": f"{member['experience_bytes']:,}"}


def _commit(commit: dict[str, Any]) -> dict[str, Any]:
    return {
        **commit,
        "round": f"{commit['round']}.{commit['term']}",
        "when (UTC)": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(commit["unix_s"])),
        "value": commit["value"][:8],
        "signed": commit["signatures"],
        "out": len(commit["excluded"]),
        "change": commit["change"] or "",
    }


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Rows as a table; nothing if there are none."""
    if not rows:
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    Console(highlight=False).print(table)


def _some(members: list[int], most: int = 20) -> str:
    shown = ", ".join(map(str, members[:most]))
    return f"{shown} and {len(members) - most} more" if len(members) > most else shown or "nobody"
