"""The `qorum` command. With --json a command prints one JSON document on standard output and nothing else there."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from qorum.errors import MissingExtra, QorumError

if TYPE_CHECKING:
    from rich.console import Console

    from qorum.lab.recording import AnyRun
    from qorum.sim.experiment import Experiment

try:
    import typer
except ImportError as error:
    raise MissingExtra("typer", "cli", "the qorum command") from error

from qorum.membership_cli import commands as membership_commands
from qorum.node_cli import commands as node_commands
from qorum.operating_cli import commands as operating_commands
from qorum.store_cli import commands as store_commands

app = typer.Typer(
    name="qorum",
    help="Fleets of tabular Q-learning agents that learn as one: no server, and up to a third of them may lie.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Measure, side by side with a peer in one run.", no_args_is_help=True)
app.add_typer(bench, name="bench")
app.add_typer(node_commands)
app.add_typer(operating_commands)
app.add_typer(membership_commands)
app.add_typer(store_commands)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]
Seed = Annotated[int, typer.Option(help="Everything random follows from it.")]
Quick = Annotated[bool, typer.Option("--quick", help="Smaller, in under a minute.")]
Task = Annotated[str, typer.Option(help="A Gymnasium toy-text environment, as Taxi-v4 or CliffWalking-v1.")]


class Adversary(StrEnum):
    """What works against a simulated federation."""

    NONE = "none"
    RANDOM = "random"
    STAGE = "stage"


class Keys(StrEnum):
    """How simulated members sign."""

    QUICK = "quick"
    REAL = "real"


FULL = {"members": 64, "steps": 1_200, "pace": 30.0}
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
    show: Annotated[bool, typer.Option("--open", help="Open the report, or the page, in a browser.")] = False,
    as_json: Json = False,
    browser: Annotated[bool, typer.Option("--browser", help="Live, with agents in web pages.")] = False,
    nodes: Annotated[int, typer.Option(help="With --browser: nodes with an agent of their own.")] = 5,
    tabs: Annotated[int, typer.Option(help="With --browser: seats for web pages.")] = 2,
    port: Annotated[int, typer.Option(help="With --browser: of the page; 0 takes a free one.")] = 0,
    seconds: Annotated[float, typer.Option(help="With --browser: how long; 0 until Ctrl-C.")] = 0.0,
) -> None:
    """A fleet solves a task that none of its agents solves alone, in five acts; a third of it lies.

    With --browser: a federation of nodes and web pages that lasts until it is ended.
    """
    if browser:
        _browser_demo(nodes, tabs, port, seconds, seed, show=show, as_json=as_json)
        return
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


def _browser_demo(
    nodes: int, tabs: int, port: int, seconds: float, seed: int, *, show: bool, as_json: bool
) -> None:
    import tempfile

    from qorum.lab.browser.assets import built
    from qorum.lab.browser.demo import Plan, run

    def told(line: str) -> None:
        typer.echo(line, err=True)
        if show and line.startswith("open http"):
            typer.launch(line.split()[1])

    told("building the page, where that is due")
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(nodes=nodes, tabs=tabs, port=port, seed=seed)
        _print(run(plan, Path(folder) / "federation", built(), seconds, told), as_json)


@bench.command("merge")
def bench_merge(
    members: Annotated[int, typer.Option(help="Members that report every cell.")] = 593,
    cells: Annotated[int, typer.Option(help="Cells of the table.")] = 4_000,
    repeats: Annotated[int, typer.Option(help="Measurements behind each median.")] = 20,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """The merge from registers, alone and with the whole defence, next to a plain trimmed mean and a byte copy."""
    from qorum.lab.bench import merge_bench

    result = merge_bench(members=members, cells=cells, repeats=repeats, seed=seed)
    _print(result, as_json)


@bench.command("store")
def bench_store(
    members: Annotated[list[int] | None, typer.Option(help="Members that write at once; several times.")] = None,
    seconds: Annotated[float, typer.Option(help="How long each measurement takes.")] = 2.0,
    size: Annotated[int, typer.Option(help="Bytes of a record.")] = 1_000,
    folder: Annotated[Path | None, typer.Option(help="On the disk to measure; a temporary one by default.")] = None,
    as_json: Json = False,
) -> None:
    """How fast members make records durable together, next to a bare file that is synced after every write."""
    from qorum.lab.storing import store_bench

    _print(store_bench(members or (1, 7, 64), seconds, size, folder), as_json)


@bench.command("node")
def bench_node(
    seconds: Annotated[float, typer.Option(help="Of each measurement of latency.")] = 10.0,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of latency of each.")] = 5,
    trials: Annotated[int, typer.Option(min=1, help="Deaths of a leader, at each size.")] = 20,
    quick: Quick = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """How soon real nodes agree, and how soon again once their leader is killed, next to PySyncObj's Raft."""
    from qorum.lab.publishing.bench import node_bench

    given: dict[str, Any] = {"seconds": seconds, "repeats": repeats, "trials": trials, "sizes": (4, 7)}
    less: dict[str, Any] = {"seconds": 3.0, "repeats": 1, "trials": 2, "sizes": (4,)} if quick else {}
    result = _with_bar(lambda progress: node_bench(**{**given, **less}, seed=seed, progress=progress))
    _print(result, as_json)


@bench.command("join")
def bench_join(
    seeds: Annotated[int, typer.Option(min=1, help="Runs with real nodes.")] = 3,
    lab_seeds: Annotated[int, typer.Option(min=2, help="Runs in the lab.")] = 20,
    quick: Quick = False,
    as_json: Json = False,
) -> None:
    """Whether agents that join real nodes, each in a process of its own, learn as they do in the lab."""
    from qorum.lab import joining

    given: dict[str, Any] = {"seeds": seeds, "lab_seeds": lab_seeds}
    less: dict[str, Any] = {"courses": [joining.Course("CliffWalking-v1", 600, 4)], "seeds": 1, "lab_seeds": 5}
    result = _with_bar(lambda progress: joining.join_bench(**{**given, **(less if quick else {})}, progress=progress))
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_table(("steps", "through qorum.join", "lab", "lowest", "highest"), *joining.in_short(result))


@bench.command("browser")
def bench_browser(
    starts: Annotated[int, typer.Option(min=1, help="How often the package is loaded in each engine.")] = 5,
    syncs: Annotated[int, typer.Option(min=1, help="How often a table of 4,000 cells is synced.")] = 20,
    as_json: Json = False,
) -> None:
    """What an agent in WebAssembly costs, in node and in Chromium: sizes, times to load and to sync, memory."""
    from qorum.lab.browser.bench import browser_bench

    _print(_with_bar(lambda progress: browser_bench(starts, syncs, progress)), as_json)


@bench.command("targets")
def bench_targets(
    members: Annotated[int, typer.Option(min=4, help="The founding fleet has 593.")] = 593,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """The founding record's targets: metric, target, measured, met, how. A few minutes for 593 members."""
    from qorum.lab.targets import Target, targets_bench

    result = _with_bar(lambda progress: targets_bench(members, seed, progress))
    if as_json:
        typer.echo(json.dumps(result))
        return
    rows = [Target(**row) for row in result["rows"]]
    shown = [(row.metric, row.target, row.measured, "yes" if row.met else "NO", row.how) for row in rows]
    _print_table(Target._fields, *shown)


@bench.command("learning")
def bench_learning(
    task: Annotated[list[str] | None, typer.Option(help="A task; may be given several times. All by default.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="A method; may be given several times.")] = None,
    agents: Annotated[list[int] | None, typer.Option(help="A number of agents; may be given several times.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each; 20, or 3 with --quick.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps each agent takes; by default as fits the task.")] = None,
    sync_every: Annotated[int | None, typer.Option(help="Steps between two merges; 5 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three tasks and few agents, in under a minute.")] = False,
    folder: Annotated[
        Path, typer.Option(help="For the trials, the report and a picture; a run that was killed goes on from there.")
    ] = Path("qorum-learning"),
    as_json: Json = False,
) -> None:
    """How fast fleets learn, method by method, next to one learner that saw everything: without the protocol."""
    from qorum.lab import learning, learning_report

    given: dict[str, Any] = {
        "tasks": task and tuple(task), "methods": method and tuple(method), "agents": agents and tuple(agents),
        "seeds": seeds, "steps": steps, "sync_every": sync_every,
    }  # fmt: skip
    grid = replace(learning.QUICK if quick else learning.Grid(), **{k: v for k, v in given.items() if v is not None})
    with _bars(["step sizes", "trials"]) as progress:
        result = learning.learning_bench(grid, folder, progress)
    result["command"] = shlex.join(["qorum", *sys.argv[1:]])
    learning_report.save(result, folder / "report.html")
    learning_report.picture(result, folder / "learning.png")
    result["report"] = str(folder / "report.html")
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_learning(result)


@bench.command("woo")
def bench_woo(
    quick: Quick = False,
    seed: Seed = 0,
    report: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("qorum-woo.html"),
    as_json: Json = False,
) -> None:
    """Averaging rules on the two-state problem of Woo, Joshi and Chi (ICML 2023), with qorum beside them."""
    from qorum.lab.papers import woo

    _check_writable(report, option="--report")
    result = _with_bar(lambda progress: woo.woo_bench(quick, seed, progress))
    _reported(result, woo.in_short(result), woo.render(result), report, as_json)


@bench.command("maity")
def bench_maity(
    quick: Quick = False,
    seed: Seed = 0,
    report: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("qorum-maity.html"),
    as_json: Json = False,
) -> None:
    """The attacked federated Q-learning of Maity and Mitra, rule by rule, with qorum beside them."""
    from qorum.lab.papers import maity

    _check_writable(report, option="--report")
    result = _with_bar(lambda progress: maity.maity_bench(quick, seed, progress))
    _reported(result, maity.in_short(result), maity.render(result), report, as_json)


@app.command()
def arena(
    task: Annotated[list[str] | None, typer.Option(help="A task; may be given several times.")] = None,
    attack: Annotated[list[str] | None, typer.Option(help="How liars lie; may be given several times.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="A way to merge; may be given several times.")] = None,
    fraction: Annotated[
        list[float] | None, typer.Option(help="A share of liars; may be given several times. .333 stands for f.")
    ] = None,
    members: Annotated[int | None, typer.Option(help="64, or 32 with --quick.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each; 3, or 2 with --quick.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps each agent takes; by default as fits the task.")] = None,
    pulls: Annotated[
        int | None, typer.Option(help="Runs that the search for the worst attack may spend a task.")
    ] = None,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Take the parts of the defence away, one by one.")
    ] = False,
    accusing: Annotated[
        bool, typer.Option("--accusing", help="Liars also accuse every honest member, from the start.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two tasks, few attacks and rules, in under two minutes.")
    ] = False,
    protocol: Annotated[
        bool, typer.Option("--protocol", help="With full rounds and gossip, bit by bit next to the direct merge.")
    ] = False,
    folder: Annotated[
        Path, typer.Option(help="For the runs, the report and a picture; what was killed goes on from there.")
    ] = Path("qorum-arena"),
    as_json: Json = False,
) -> None:
    """Who still learns when up to a third of the members lie: qorum and other ways to merge, attack by attack."""
    from qorum.lab.arena import arena as ring
    from qorum.lab.arena import grid as grids
    from qorum.lab.arena.report import write_report

    given: dict[str, Any] = {
        "tasks": task and tuple(task), "attacks": attack and tuple(attack), "rules": rule and tuple(rule),
        "fractions": fraction and tuple(fraction), "members": members, "seeds": seeds, "steps": steps, "pulls": pulls,
        "ablation": ablation or None, "accusing": accusing or None,
    }  # fmt: skip
    chosen = {name: value for name, value in given.items() if value is not None}
    if protocol:
        _arena_protocol(chosen, quick, folder, as_json)
        return
    grid = replace(grids.QUICK if quick else grids.Grid(), **chosen)
    with _bars(ring.STAGES) as progress:
        result = ring.arena(grid, folder, progress)
    result |= {"quick": quick, "command": shlex.join(["qorum", *sys.argv[1:]])}
    result["report"] = str(write_report(result, folder))
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_arena(result)


@app.command()
def simulate(
    members: Annotated[int | None, typer.Option(help="16, unless a campaign chooses.")] = None,
    liars: Annotated[int, typer.Option(help="How many of them lie: silent for good, unless --behaviour says how.")] = 0,
    behaviour: Annotated[list[str] | None, typer.Option(help="How each liar lies; may be given several times.")] = None,
    silent: Annotated[bool, typer.Option("--silent", help="As without --behaviour.")] = False,
    adversary: Annotated[
        Adversary, typer.Option(help="random: faults drawn from the seed; stage: chooses who hears whom, step by step.")
    ] = Adversary.NONE,
    loss: Annotated[float, typer.Option(help="Share of messages that are lost.")] = 0.0,
    delay: Annotated[str, typer.Option(metavar="LOW-HIGH", help="One way, in milliseconds.")] = "20-80",
    partition: Annotated[float, typer.Option(help="Seconds for which two halves do not hear each other.")] = 0.0,
    crash: Annotated[int, typer.Option(help="Honest members that crash once and come back.")] = 0,
    rounds: Annotated[int, typer.Option(help="Rounds to agree on.")] = 3,
    updates: Annotated[int, typer.Option(help="Updates in each contribution.")] = 10,
    keys: Annotated[Keys, typer.Option(help="real: Ed25519; quick: keyed hashes.")] = Keys.QUICK,
    seed: Seed = 0,
    campaign: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Play short runs against all invariants, on all processors.")
    ] = None,
    mutant: Annotated[str | None, typer.Option(help="Plant this fault, and look for what catches it.")] = None,
    list_mutants: Annotated[bool, typer.Option("--list-mutants", help="Print the faults that can be planted.")] = False,
    record: Annotated[Path | None, typer.Option(help="Write what `qorum replay` needs to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the last round to this .png or .svg file.")] = None,
    as_json: Json = False,
) -> None:
    """Run full members on a simulated network, and measure; or hunt for what breaks their agreement."""
    measures = not (list_mutants or mutant or campaign is not None or adversary is Adversary.STAGE)
    _check_simulation(members, liars, behaviour, silent, campaign, record, plot, measures)
    if list_mutants:
        from qorum.lab.simulation import mutants

        _print(mutants(), as_json)
        return
    run: AnyRun | None
    if measures:
        from qorum.sim.experiment import Experiment

        faults: Literal["none", "random"] = "random" if adversary is Adversary.RANDOM else "none"
        experiment = Experiment(
            members=members or 16, liars=liars, behaviours=tuple(behaviour or ()), adversary=faults, loss=loss,
            delay_ms=_delay(delay), partition_s=partition, crashes=crash, rounds=rounds, seed=seed, updates=updates,
            keys=keys.value,
        )  # fmt: skip
        result, run = _measure(experiment, plot)
    elif mutant:
        result, run = _hunt(mutant, 60.0 if campaign is None else campaign, seed)
    else:
        result, run = _campaign(adversary, campaign, members, seed)
    _finish(result, run, record, as_json)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Written by `qorum simulate --record`.")],
    as_json: Json = False,
    serve: Annotated[bool, typer.Option("--serve", help="Scrub through it in the dashboard, in a browser.")] = False,
    port: Annotated[int, typer.Option(help="With --serve: of the page; 0 takes a free one.")] = 0,
    seconds: Annotated[float, typer.Option(help="With --serve: how long; 0 until Ctrl-C.")] = 0.0,
) -> None:
    """Run a recorded run again; exit code 1 if it does not go the same way, event by event."""
    from qorum.lab import recording, simulation

    known = recording.load(file)
    if serve:
        from qorum.lab import film

        with _bars(["rounds", "idle"]) as progress:
            shown = film.filmed(known.run, progress)
        film.serve(shown, port, lambda line: typer.echo(line, err=True), seconds)
        return
    with _bars(["rounds", "idle"] if isinstance(known.run, recording.MeasuredRun) else []) as progress:
        result = simulation.replay(known, progress)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_replay(result)
    if not result["same"]:
        raise typer.Exit(1)


def _check_simulation(
    members: int | None,
    liars: int,
    behaviour: list[str] | None,
    silent: bool,
    campaign: float | None,
    record: Path | None,
    plot: Path | None,
    measures: bool,
) -> None:
    if behaviour and (silent or not liars):
        raise QorumError("--behaviour says how liars lie: give --liars too, and not --silent")
    if members is not None and not 3 <= members <= 4096:
        raise QorumError(f"members is {members}; allowed: 3 to 4096, fewer agree on no rounds")
    if campaign is not None and campaign <= 0:
        raise QorumError(f"campaign is {campaign:g} s; allowed: more than 0")
    if record is not None:
        _check_writable(record, "the recording", "--record")
    if plot is not None:
        from qorum.lab.spacetime import check_format

        if not measures:
            raise QorumError("--plot draws a round of a measured run: not of a campaign, a mutant or a lock-step run")
        check_format(plot)
        _check_writable(plot, "the picture", "--plot")


def _delay(text: str) -> tuple[float, float]:
    low, dash, high = text.partition("-")
    try:
        return float(low), float(high if dash else low)
    except ValueError:
        raise QorumError(f"delay is {text!r}; give LOW-HIGH in milliseconds, as 20-80") from None


def _hunt(mutant: str, seconds: float, seed: int) -> tuple[dict[str, Any], AnyRun | None]:
    from qorum.lab import simulation

    simulation.check_mutant(mutant)
    with _bars(["hunting", "shrinking"]) as progress:
        return simulation.hunt(mutant, seconds, seed, progress)


def _campaign(
    adversary: Adversary, seconds: float | None, members: int | None, seed: int
) -> tuple[dict[str, Any], AnyRun | None]:
    """Short runs for so many seconds; without seconds one in lock-step."""
    from qorum.lab import simulation

    if seconds is None:
        return simulation.staged(seed, members or 4)
    arenas = simulation.ARENAS if adversary is Adversary.NONE else [simulation.Arena(adversary.value)]
    sizes = simulation.SIZES if members is None else (members,)
    with _bars(arenas) as progress:
        return simulation.campaigns(seconds, arenas, sizes, first_seed=seed, progress=progress)


def _measure(experiment: Experiment, plot: Path | None) -> tuple[dict[str, Any], AnyRun]:
    from qorum.lab import simulation
    from qorum.sim.experiment import Measured

    if experiment.liars > experiment.tolerated and experiment.loss < 1:
        message = f"{experiment.liars} liars are more than the {experiment.tolerated} that {experiment.members} members"
        print(f"qorum: {message} tolerate: rounds may not come about, and agreement may fail", file=sys.stderr)
    measured = Measured(experiment, traced=plot is not None)
    with _bars(["rounds", "idle"]) as progress:
        result = measured.run(progress)
    if plot is not None:
        from qorum.lab.spacetime import save_picture

        save_picture(measured, plot)
        result["plot"] = str(plot)
    return result, simulation.recorded(measured)


def _finish(result: dict[str, Any], run: AnyRun | None, record: Path | None, as_json: bool) -> None:
    """Write the recording and print the result; exit code 1 if agreement did not hold, or a mutant was not caught."""
    if record is not None and run is not None:
        from qorum.lab.recording import save

        save(run, record)
        result["record"] = str(record)
    if as_json:
        from qorum.lab.simulation import FIGURES

        typer.echo(json.dumps({**dict.fromkeys(FIGURES), **result}))
    else:
        _print_simulation(result)
    if not result.get("caught", not result["violations"]):
        raise typer.Exit(1)


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


def _print_learning(result: dict[str, Any]) -> None:
    """A line for each row, and where the report is."""
    from rich.table import Table

    table = Table(title=f"interquartile means of {result['seeds']} seeds")
    for heading in ("task", "method", "agents", "value", "error", "90 %", "99 %", "kB"):
        table.add_column(heading, justify="left" if heading in ("task", "method") else "right", no_wrap=True)
    for row in result["rows"]:
        value, error = f"{row['normalised_value']:.3f}", f"{row['relative_sup_error']:.3g}"
        steps = ("-" if row[key] is None else f"{row[key]:.0f}" for key in ("steps_to_90", "steps_to_99"))
        size = f"{row['bytes_per_agent'] / 1000:,.0f}"
        table.add_row(row["task"], row["method"].replace("_", " "), str(row["agents"]), value, error, *steps, size)
    _console().print(table)
    _console().print(
        "value: 0 = best trivial policy, 1 = optimum; error: largest of any Q-value, relative to the largest Q-value\n"
        "90 %, 99 %: steps an agent takes to that value; kB: what an agent receives in the whole run\n"
        f"report: {Path(result['report']).resolve()}   ({result['wall_s']:.0f} s)",
        soft_wrap=True,
    )


def _print_arena(result: dict[str, Any]) -> None:
    """A table for each task, and where the report is."""
    for task in result["tasks"]:
        _print_bouts(task, [row for row in result["rows"] if row["task"] == task])
    for rule, why in result["missing_rules"].items():
        _console().print(f"{rule} was left out: {why}", soft_wrap=True)
    _console().print(
        "value: of the honest agents' policies, 0 = best trivial policy, 1 = optimum; worst: of any agent in any run\n"
        "95 %: steps an agent takes to a value of .95\n"
        "caught, wronged: shares of the liars and of the honest members that are excluded\n"
        f"report: {Path(result['report']).resolve()}   ({result['wall_s']:.0f} s)",
        soft_wrap=True,
    )


def _arena_protocol(chosen: dict[str, Any], quick: bool, folder: Path, as_json: bool) -> None:
    """`qorum arena --protocol`."""
    from qorum.lab.arena import protocol

    grid = replace(protocol.QUICK if quick else protocol.GRID, **chosen)
    with _bars(protocol.STAGES) as progress:
        result = protocol.protocol_arena(grid, folder, progress)
    result |= {"quick": quick, "command": shlex.join(["qorum", *sys.argv[1:]])}
    if as_json:
        typer.echo(json.dumps(result))
        return
    for group in dict.fromkeys((row["task"], row["liars"]) for row in result["rows"]):
        _print_rounds([row for row in result["rows"] if (row["task"], row["liars"]) == group])
    _console().print(
        "value: of the honest agents' policies, 0 = best trivial policy, 1 = optimum; worst: of any agent\n"
        "direct: another run of the same attack, merged without the protocol\n"
        "caught, wronged: shares of the liars and of the honest members that are excluded or evicted\n"
        "late: rounds that were not agreed in their first term; kB: what a member received per round\n"
        "same: every honest member held, in every round, what a direct merge makes of the contributions in it, bit by "
        f"bit\n({result['wall_s']:.0f} s)",
        soft_wrap=True,
    )


def _print_rounds(rows: list[dict[str, Any]]) -> None:
    """A line for each bout that went through the protocol, all on one task with as many liars."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    first = rows[0]
    title = f"{first['task']}: {first['members']} members, {first['liars']} lying, {first['steps']} steps each"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    numbers = ("value", "worst", "direct", "caught", "wronged", "rounds", "late", "kB", "same")
    for heading in ("attack", *numbers):
        table.add_column(heading, justify="left" if heading == "attack" else "right", no_wrap=True)
    for row in rows:
        values = (row["normalised_value"], row["worst_honest_value"], row["direct"]["normalised_value"])
        rates = ("" if row[key] is None else f"{row[key]:.0%}" for key in ("true_positive_rate", "false_positive_rate"))
        size = f"{row['bytes_per_member_and_round']['mean'] / 1000:.0f}"
        counts = (str(row["rounds"]), str(row["later_terms"]), size, "yes" if row["same_bits"] else "NO")
        shown = (f"{value:.2f}" for value in values)
        table.add_row(row["attack"].replace("_", " "), *shown, *rates, *counts)
    _console().print(table)


def _print_bouts(task: str, rows: list[dict[str, Any]]) -> None:
    """A line for each row of the arena."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"{task}: {rows[0]['members']} members, {rows[0]['steps_per_agent']} steps each"
    table, words = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)), ("attack", "rule")
    for heading in (*words, "liars", "value", "worst", "95 %", "caught", "wronged"):
        table.add_column(heading, justify="left" if heading in words else "right", no_wrap=True)
    for row in rows:
        rates = ("" if row[key] is None else f"{row[key]:.0%}" for key in ("true_positive_rate", "false_positive_rate"))
        steps = "-" if row["steps_to_95"] is None else f"{row['steps_to_95']:.0f}"
        values = (f"{row['normalised_value']:.3f}", f"{row['worst_honest_value']:.3f}")
        names = (row["attack"].replace("_", " "), row["rule"].replace("_", " "))
        table.add_row(*names, str(row["liars"]), *values, steps, *rates)
    _console().print(table)
    for row in rows:
        if row["arm"] and row["rule"] == "qorum":
            _console().print(f"worst case of qorum with {row['liars']} liars: {row['arm']}", soft_wrap=True)


def _with_bar(run: Callable[[Callable[[float], None]], dict[str, Any]]) -> dict[str, Any]:
    """What `run` returns, which is given what moves a progress bar."""
    with _bars(["runs"]) as progress:
        return run(lambda share: progress("runs", share))


def _print_table(heading: tuple[str, ...], *rows: tuple[str, ...]) -> None:
    from rich.table import Table

    table = Table()
    for at, name in enumerate(heading):
        table.add_column(name, justify="right" if at else "left")
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _reported(result: dict[str, Any], summary: list[tuple[str, ...]], page: str, path: Path, as_json: bool) -> None:
    """Write a page, and print the result, or its summary (a heading first) and where the page is."""
    path.write_text(page, encoding="utf-8", newline="\n")
    result["report"] = str(path)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_table(*summary)
        _console().print(f"report: {path.resolve()}   ({result['wall_s']:.0f} s)", soft_wrap=True)


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
        return
    from rich.table import Table

    table = Table(show_header=False)
    for key, value in result.items():
        table.add_row(key, json.dumps(value) if isinstance(value, dict | list) else str(value))
    _console().print(table)


def _print_simulation(result: dict[str, Any]) -> None:
    """A line for each figure, then the story of a run in lock-step, then what did not hold."""
    from rich.table import Table

    apart = ("story", "violations")
    console, table = _console(), Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for key, value in result.items():
        if key not in apart:
            table.add_row(key.replace("_", " "), _in_words(value))
    console.print(table)
    _print_story(result)


def _print_replay(result: dict[str, Any]) -> None:
    console = _console()
    if "figures" in result:
        _print_simulation(result["figures"])
    else:
        _print_story(result)
    if result["same"]:
        console.print(f"[green]the same[/green]: event hash {result['event_hash']}", soft_wrap=True)
    else:
        console.print(
            f"[red]NOT the same[/red]: event hash {result['event_hash']}, recorded {result['recorded_event_hash']} "
            f"by qorum {result['recorded_by']}",
            soft_wrap=True,
        )


def _print_story(result: dict[str, Any]) -> None:
    console = _console()
    if result.get("story"):
        console.print(result["story"], markup=False, soft_wrap=True)
    for wrong in () if result.get("story") else result["violations"]:
        where = f"{wrong['arena']} seed {wrong['seed']}: " if "seed" in wrong else ""
        console.print(f"violated: {where}{wrong['name']}: {wrong['text']}", markup=False, style="red", soft_wrap=True)


def _in_words(value: Any) -> str:
    """A figure as people read it: 12,345; p50 0.3, p99 0.4; a dash for what there is not."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "\u2013" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def _check_writable(path: Path, what: str = "the report", option: str = "--out") -> None:
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise QorumError(f"cannot write {what} to {path}: give {option} a file in a folder that exists")


def main() -> None:
    """Entry point: runs the command; an error of qorum's own ends it with its message and exit code 1."""
    try:
        app()
    except QorumError as error:
        print(f"qorum: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
