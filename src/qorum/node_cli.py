"""`qorum init`, `node`, `up` and `status`: federations on real machines."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from qorum.errors import ConfigError

commands = typer.Typer(no_args_is_help=True)


class Transport(StrEnum):
    """What links between nodes go over."""

    WEBSOCKET = "websocket"
    ZENOH = "zenoh"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field of the federation's configuration.")
]
Plaintext = Annotated[bool, typer.Option("--plaintext", help="No TLS: for a network that is closed to all others.")]
Task = Annotated[str, typer.Option(help="What agents live in: `grid`, or an environment of Gymnasium.")]


@commands.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder for all files.")],
    members: Annotated[
        int | None, typer.Option(min=1, help="Agents in the federation; with --join: agents that join, else 1.")
    ] = None,
    hosts: Annotated[int, typer.Option(min=1, help="Nodes that host them; one address each.")] = 1,
    address: Annotated[
        list[str] | None,
        typer.Option(help="host:port of each node, in turn; one alone gives all nodes its host and ports from there."),
    ] = None,
    settings: Settings = None,
    join: Annotated[
        Path | None, typer.Option(metavar="GENESIS", help="Join this federation instead, with a node of one's own.")
    ] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help="With --join: host:port of a node there is; give it for each.")
    ] = None,
    plaintext: Plaintext = False,
    as_json: Json = False,
) -> None:
    """Found a federation, or join one: keys, genesis, certificates, and a configuration for each node."""
    import msgspec

    from qorum.config import FederationConfig
    from qorum.node.layout import lay_out

    if join is not None:
        if hosts > 1 or settings or len(address or []) > 1:
            raise ConfigError("--join sets one node up, and its federation is founded: leave --hosts and --set out")
        where = (address or ["127.0.0.1:7400"])[0]
        _join(folder, join, members or 1, where, peer or [], tls=not plaintext, as_json=as_json)
        return
    if peer or members is None:
        raise ConfigError("give --members to found a federation, or --join GENESIS and --peer to join one")
    config = FederationConfig.of(_fields(settings))
    layout = lay_out(folder, config, members, _addresses(address or ["127.0.0.1:7400"], hosts), tls=not plaintext)
    if as_json:
        typer.echo(msgspec.json.encode(layout))
        return
    typer.echo(f"federation {layout.federation}\ngenesis    {layout.genesis}")
    for node in layout.nodes:
        typer.echo(f"{node.address:<21} {len(node.members)} members   start it with: qorum node {node.config}")
    if hosts > 1:
        typer.echo("give each machine the genesis, its own .toml and its own folder; keys go nowhere else")


@commands.command()
def node(
    config: Annotated[Path, typer.Argument(help="A configuration that `qorum init` wrote.", metavar="CONFIG")],
    task: Annotated[str | None, typer.Option(help="Let the agents live in it: `grid`, or one of Gymnasium.")] = None,
    rate: Annotated[float, typer.Option(min=0.01, help="Steps of each agent a second, in a task.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the tasks.")] = 0,
    as_json: Json = False,
) -> None:
    """Run a node until it is told to end (SIGTERM, or Ctrl-C). Its log goes to standard error."""
    from qorum.node.__main__ import Errand, become

    become(Errand(str(config), task, rate, seed, as_json))


@commands.command()
def up(
    members: Annotated[int, typer.Option(min=1, help="Agents in the federation.")] = 4,
    processes: Annotated[int | None, typer.Option(min=1, help="Nodes that host them; one each by default.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0: until Ctrl-C.")] = 0,
    task: Task = "grid",
    rate: Annotated[float, typer.Option(min=0.01, help="Steps of each agent a second.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the tasks.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="A new folder for all files; a temporary one by default.")] = None,
    settings: Settings = None,
    plaintext: Plaintext = False,
    transport: Annotated[Transport, typer.Option(help="What links between nodes go over.")] = Transport.WEBSOCKET,
    as_json: Json = False,
) -> None:
    """Run a whole federation on this machine: real processes, sockets and disks; then print its figures."""
    from qorum.node.up import Plan, bring_up, federation_for

    nodes, over_zenoh = members if processes is None else processes, transport is Transport.ZENOH
    plan = Plan(members, nodes, seconds, task, rate, seed, tls=not plaintext, over_zenoh=over_zenoh)
    config = federation_for(task, **_fields(settings))
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="qorum-") as place:
        result = bring_up(plan, Path(place), config, lambda line: print(line, file=sys.stderr))
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result)
    if not result["agreed_tables_identical"] or result["errors"]:
        raise typer.Exit(1)


@commands.command()
def status(
    config: Annotated[Path, typer.Argument(help="The configuration of a running node.", metavar="CONFIG")],
    as_json: Json = False,
) -> None:
    """Ask a running node what it does."""
    import msgspec

    from qorum.node.attach import line_to
    from qorum.node.config import load_config
    from qorum.node.status import NodeStatus

    answer = msgspec.to_builtins(line_to(load_config(config)).ask("status", NodeStatus))
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        _print_status(answer)


def _join(
    folder: Path, genesis: Path, members: int, address: str, peers: list[str], *, tls: bool, as_json: bool
) -> None:
    import msgspec

    from qorum.node.genesis_file import load_genesis
    from qorum.node.layout import lay_out_newcomer

    layout = lay_out_newcomer(folder, load_genesis(genesis), members, address, peers, tls=tls)
    if as_json:
        typer.echo(msgspec.json.encode(layout))
        return
    typer.echo(f"federation {layout.federation}")
    for petition in layout.petitions:
        typer.echo(f"hand {petition} to those who run members: qorum admit {petition} THEIR-CONFIG")
    typer.echo(f"start the node: qorum node {layout.nodes[0].config}   it follows, and takes part once it is admitted")


def _fields(settings: list[str] | None) -> dict[str, Any]:
    """FIELD=VALUE ... as a mapping; values are numbers where they look like it."""
    fields: dict[str, Any] = {}
    for setting in settings or []:
        name, found, text = setting.partition("=")
        if not found:
            raise ConfigError(f"--set {setting}: give FIELD=VALUE, as sync_interval_ms=1000")
        try:
            fields[name] = json.loads(text)
        except json.JSONDecodeError:
            fields[name] = text
    return fields


def _addresses(given: list[str], hosts: int) -> list[str]:
    """One for each node: as given, or from the only one on."""
    if len(given) == 1 and hosts > 1:
        host, _, port = given[0].rpartition(":")
        if port.isdecimal():
            return [f"{host}:{int(port) + number}" for number in range(hosts)]
    if len(given) != hosts:
        raise ConfigError(f"{len(given)} addresses for {hosts} nodes; give one each, or one alone to count up from")
    return given


def _print(result: dict[str, Any]) -> None:
    """A line for each figure."""
    for name, value in result.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {_figure(part)}" for key, part in value.items())
        elif isinstance(value, list):
            value = "; ".join(map(str, value)) or "none"
        typer.echo(f"{name.replace('_', ' '):<26} {_figure(value)}")


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _print_status(node: dict[str, Any]) -> None:
    latency = node["sync_latency_s"]
    typer.echo(f"{node['state']}   {node['listen']}   federation {node['federation'][:16]}   {node['tolerance']}")
    typer.echo(
        f"{node['rounds_committed']} rounds in {node['uptime_s']:.0f} s, sync p50 {_figure(latency['p50'])} s, "
        f"p99 {_figure(latency['p99'])} s, {node['rss_mb']:.0f} MB, qorum {node['version']}"
    )
    for member in node["members"]:
        index = "no seat" if member["index"] < 0 else member["index"]
        typer.echo(f"  {member['name']} ({index})  round {member['round']}  {member['doing']}")
    for link in node["links"]:
        typer.echo(f"  to {link['peer']}: {link['state']}, members {', '.join(map(str, link['members'])) or 'none'}")
