"""`qorum doctor` and `qorum top`: for whoever looks after nodes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from qorum.node.status import MemberStatus
    from qorum.node.watch import Sight

commands = typer.Typer(no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]
SHOWN = 16
"""Members of a node that have a line of their own."""
COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@commands.command()
def doctor(
    config: Annotated[Path, typer.Argument(help="A configuration that `qorum init` wrote.", metavar="CONFIG")],
    as_json: Json = False,
) -> None:
    """Check clock, keys, certificate, disk, store, port and peers of a node. Exit code 1 if anything fails."""
    import msgspec

    from qorum.node.doctor import examine

    findings = []
    for finding in examine(config):
        findings.append(finding)
        if not as_json:
            _console().print(f"[{COLOURS[finding.level]}]{finding.level:<5}[/] {finding.check:<14}", end="")
            _console().print(finding.says, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        typer.echo(msgspec.json.encode(findings))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


@commands.command()
def top(
    configs: Annotated[list[Path], typer.Argument(help="Configurations of running nodes.", metavar="CONFIG...")],
    every: Annotated[float, typer.Option(min=0.2, max=3_600, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, print, and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Watch nodes live: members, roles, terms, rounds, latency, traffic, who is distrusted. Ctrl-C ends it."""
    import msgspec

    from qorum.node.watch import Watch

    watch = Watch(configs)
    if as_json:
        typer.echo(msgspec.json.encode(watch.look()))
        return
    if once:
        _console().print(_frame(watch.look()))
        return
    from rich.live import Live

    with Live(_frame(watch.look()), console=_console(), screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every)
                live.update(_frame(watch.look()), refresh=True)
        except KeyboardInterrupt:
            return


def _console() -> Any:
    from rich.console import Console

    return Console()


def _frame(sights: Sequence[Sight]) -> RenderableType:
    from rich.console import Group

    return Group(*map(_node, sights))


def _node(sight: Sight) -> RenderableType:
    """A box: a heading, two lines of figures, and the members."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    name, status = Path(sight.config).stem, sight.status
    if status is None:
        return Panel(Text(f"does not answer: {sight.error}"), title=Text(name), title_align="left", style="red")
    latency = status.sync_latency_s
    style = "green" if status.state.startswith(("agreeing", "following")) else "yellow"
    heading = Text.assemble((name, "bold"), f"  {status.listen}  ", (status.state, f"bold {style}"))
    pace = f"rounds {status.rounds_committed}, sync p50 {_seconds(latency.p50)}, p99 {_seconds(latency.p99)}"
    load = (
        f"in {_rate(sight.received_bytes_s)}, out {_rate(sight.sent_bytes_s)}, links {_links(sight)}, "
        f"{status.rss_mb:.0f} MB, up {status.uptime_s:.0f} s"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    for column in ("member", "role", "round", "term", "steps"):
        table.add_column(column, no_wrap=True, min_width=len(column))
    table.add_column("waits for", no_wrap=True, ratio=1)
    for member in status.members[:SHOWN]:
        wrong = not member.up or member.index in status.excluded
        table.add_row(*_row(member), style="red" if wrong else "bold" if member.role == "leader" else None)
    rest = len(status.members) - SHOWN
    parts: list[RenderableType] = [Text(pace), Text(load, style="dim"), table]
    if rest > 0:
        parts.append(Text(f"and {rest} more members", style="dim"))
    if status.excluded:
        parts.append(Text(f"distrusted: {', '.join(map(str, status.excluded))}", style="red"))
    return Panel(Group(*parts), title=heading, title_align="left", border_style=style)


def _row(member: MemberStatus) -> tuple[str, ...]:
    name = member.name if member.index < 0 else f"{member.name} ({member.index})"
    return name, member.role, str(member.round), str(member.term), str(member.interactions), member.doing


def _links(sight: Sight) -> str:
    links = () if sight.status is None else sight.status.links
    return f"{sum(link.state.startswith('up') for link in links)} of {len(links)}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g} s"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value / 1000:.1f} kB/s"
