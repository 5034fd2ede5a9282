"""`qorum admit`, `leave`, `rekey` and `evict`: changes of membership."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qorum.node.canvass import Outcome
    from qorum.node.operators import Operators

commands = typer.Typer(no_args_is_help=True)

Configs = Annotated[
    list[Path], typer.Argument(help="Configurations of nodes: all their members endorse.", metavar="CONFIG")
]
Config = Annotated[Path, typer.Argument(help="The configuration of the member's node.", metavar="CONFIG")]
Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long a round has to make the change.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]

WAIT_S = 60.0


@commands.command()
def admit(
    petition: Annotated[Path, typer.Argument(help="Written by `qorum init --join` for the newcomer.")],
    configs: Configs,
    wait: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Endorse a newcomer; once a quorum has, it gets a seat. Exit code 1 as long as it has none."""
    _finish(_operators(configs, as_json).admit(petition, wait), as_json)


@commands.command()
def evict(
    member: Annotated[str, typer.Argument(help="Index, name of its key file, or a petition that others began.")],
    configs: Configs,
    wait: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Endorse that a member has to go, for good; once a quorum has, it loses its seat. Exit code 1 until then."""
    _finish(_operators(configs, as_json).evict(member, wait), as_json)


@commands.command()
def rekey(
    name: Annotated[str, typer.Argument(help="Name of the member's key file, or a petition that others began.")],
    configs: Configs,
    lost: Annotated[
        bool, typer.Option("--lost", help="Its key or store is lost: its node goes by the new key from now on.")
    ] = False,
    seat: Annotated[
        int | None, typer.Option(min=0, help="Index of the member, if its old key file is lost as well.")
    ] = None,
    wait: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Give a member a new key, which its node takes over by itself; a quorum endorses it. Exit code 1 until then."""
    _finish(_operators(configs, as_json).rekey(name, wait, lost=lost, seat=seat), as_json)


@commands.command()
def leave(
    name: Annotated[str, typer.Argument(help="Name of the member's key file, or its index.")],
    config: Config,
    wait: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Give up a member's seat, for good; its node may follow on. Exit code 1 until a round has made it so."""
    _finish(_operators([config], as_json).leave(name, wait), as_json)


def _operators(configs: list[Path], as_json: bool) -> Operators:
    from qorum.node.operators import Operators

    return Operators(configs, lambda line: None if as_json else print(line, file=sys.stderr))


def _finish(outcome: Outcome, as_json: bool) -> None:
    """Print what came of it; end with 1 unless a round has made the change."""
    import msgspec

    if as_json:
        typer.echo(msgspec.json.encode(outcome))
    elif outcome.made:
        typer.echo(f"done: {outcome.ask}; member {outcome.member}, round {outcome.round}")
    if not as_json and outcome.todo:
        typer.echo(f"{outcome.ask}: {outcome.todo}")
    if not outcome.made:
        raise typer.Exit(1)
