"""The `qorum` command. With --json a command prints one JSON document on standard output and nothing else there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from qorum.errors import MissingExtra, QorumError

if TYPE_CHECKING:
    from rich.console import Console

try:
    import typer
except ImportError as error:
    raise MissingExtra("typer", "cli", "the qorum command") from error

app = typer.Typer(
    name="qorum",
    help="Fleets of tabular Q-learning agents that learn as one: no server, and up to a third of them may lie.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Measure, side by side with a peer in one run.", no_args_is_help=True)
app.add_typer(bench, name="bench")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]
Seed = Annotated[int, typer.Option(help="Everything random follows from it.")]
Task = Annotated[str, typer.Option(help="A Gymnasium toy-text environment, as Taxi-v4 or CliffWalking-v1.")]

FULL = {"members": 64, "steps": 1_400, "pace": 30.0}
QUICK = {"members": 16, "steps": 1_200, "pace": 40.0}


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """Options of the command itself."""
    if version:
        from qorum import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def demo(
    members: Annotated[int | None, typer.Option(help="Agents in the fleet; 64, or 16 with --quick.")] = None,
    liars: Annotated[int | None, typer.Option(help="How many of them lie; a third by default.")] = None,
    task: Task = "Taxi-v4",
    steps: Annotated[int | None, typer.Option(help="Steps each agent takes in each act.")] = None,
    pace: Annotated[float | None, typer.Option(help="Interactions of an agent per second of simulated time.")] = None,
    seed: Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A smaller fleet, in a quarter of the time.")] = False,
    out: Annotated[Path, typer.Option(help="Where the HTML report goes.")] = Path("qorum-demo.html"),
    show: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """A fleet solves a task that none of its agents solves alone, in five acts; a third of it lies."""
    from qorum.lab.acts import acts
    from qorum.lab.demo import run
    from qorum.lab.plan import Plan
    from qorum.lab.report import save

    size = QUICK if quick else FULL
    count = int(size["members"]) if members is None else members
    plan = Plan(
        task=task,
        members=count,
        liars=(count - 1) // 3 if liars is None else liars,
        steps=int(size["steps"]) if steps is None else steps,
        seed=seed,
        pace=size["pace"] if pace is None else pace,
    )
    _check_writable(out)
    with _bars(acts(plan)) as progress:
        result = run(plan, progress)
    save(result, out)
    result["report"] = str(out)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_acts(result)
    if show:
        typer.launch(out.resolve().as_uri())


@bench.command("merge")
def bench_merge(
    members: Annotated[int, typer.Option(help="Members that report every cell.")] = 593,
    cells: Annotated[int, typer.Option(help="Cells of the table.")] = 4_000,
    repeats: Annotated[int, typer.Option(help="Measurements behind each median.")] = 20,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """The trimmed merge from registers, next to a plain np.sort-based trimmed mean and a copy of the bytes."""
    from qorum.lab.bench import merge_bench

    result = merge_bench(members=members, cells=cells, repeats=repeats, seed=seed)
    _print(result, as_json)


@bench.command("learning")
def bench_learning(
    members: Annotated[int, typer.Option(help="Agents; the registers of each reach everybody.")] = 593,
    task: Task = "Taxi-v4",
    steps: Annotated[int, typer.Option(help="Steps each agent takes.")] = 300,
    sync_every: Annotated[int, typer.Option(help="Steps between two merges.")] = 10,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learning alone, without the protocol: the value of the merged table over the steps an agent has taken."""
    from qorum.lab.learning import learning_bench

    with _bars(["learning"]) as progress:
        result = learning_bench(task, members, steps, sync_every, seed, lambda share: progress("learning", share))
    _print(result, as_json)


# --- output ---


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


@contextmanager
def _bars(names: Any) -> Iterator[Callable[[str, float], None]]:
    """A progress bar for each name, on standard error; yields what moves them."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    percent = TextColumn("{task.percentage:>3.0f} %")
    columns = (TextColumn("{task.description:>14}"), BarColumn(), percent, TimeElapsedColumn())
    with Progress(*columns, console=_console(stderr=True)) as bars:
        ids = {name: bars.add_task(name, total=1.0, start=False) for name in names}
        started: set[str] = set()

        def move(name: str, share: float) -> None:
            if name not in started:
                started.add(name)
                bars.start_task(ids[name])
            bars.update(ids[name], completed=share)

        yield move


def _print_acts(result: dict[str, Any]) -> None:
    from rich.table import Table

    console = _console()
    table = Table(title=f"{result['task']}: {result['members']} agents, {result['steps_per_agent']} steps each")
    for heading in ("act", "value", "worst agent", "rounds", "what it shows"):
        table.add_column(heading, justify="right" if heading not in ("act", "what it shows") else "left")
    for act, shows in _rows(result):
        values = (f"{act['normalised_value']:.3f}", f"{act['worst_member']:.3f}", str(act.get("rounds", "")))
        table.add_row(act["name"], *values, shows)
    console.print(table)
    latency, bytes_ = result["sync_latency_s"], result["bytes_received_per_member_per_round"]
    same = "identical, bit for bit," if result["agreed_tables_identical"] else "[red]NOT identical[/red]"
    console.print(
        "value: of the policy an honest agent ends with, mean over agents; 0 = best trivial policy, 1 = optimum\n"
        f"agreed tables: {same} at all honest members of every act\n"
        f"sync latency: median {latency['p50']} s, p99 {latency['p99']} s of simulated time; "
        f"{bytes_['mean'] / 1000:.0f} kB received per member and round\n"
        f"report: {Path(result['report']).resolve()}   ({result['wall_s']:.0f} s)",
        soft_wrap=True,
    )


def _rows(result: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    counting = result["naive"]["double_counting"]
    claims = f"{counting['claimed_visits'] / counting['true_visits']:.3g} x the visits ever made"
    yield {"name": "isolated", **result["isolated"]}, "each agent on its own"
    yield {"name": "naive", **result["naive"]}, f"pairwise merge by gossip: a table claims {claims}"
    yield {"name": "qorum", **result["federated"]}, "agreed rounds, everybody honest"
    for name, part in result["attacked"]["parts"].items():
        caught, wrong = part["excluded"][-1][1:] if part["excluded"] else (0, 0)
        row = {**part, "name": f"{name.replace('_', ' ')}"}
        yield row, f"{result['liars']} liars: {caught} caught, {wrong} honest excluded"
    yield {"name": "partition", **result["partitioned"]}, "cut in halves, healed, a minority cut off, healed"


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
        return
    from rich.table import Table

    table = Table(show_header=False)
    for key, value in result.items():
        table.add_row(key, json.dumps(value) if isinstance(value, dict | list) else str(value))
    _console().print(table)


def _check_writable(path: Path) -> None:
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise QorumError(f"cannot write the report to {path}: give --out a file in a folder that exists")


def main() -> None:
    """Entry point: runs the command; an error of qorum's own ends it with its message and exit code 1."""
    try:
        app()
    except QorumError as error:
        print(f"qorum: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
