"""`woo_bench`: qorum beside the averaging rules of Woo, Joshi and Chi, on their two-state problem (see `two_state`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from qorum.errors import ConfigError
from qorum.lab import figures
from qorum.lab.figures import decimal
from qorum.lab.papers.chart import Line, Look, Scale, chart
from qorum.lab.papers.learners import AVERAGES, Averaging, Implied, Learner, Replay
from qorum.lab.papers.summary import middle, number, spaced, summary
from qorum.lab.papers.two_state import ACTIONS, GAMMA, Floats, Walks
from qorum.lab.report import Section, figure, page, table
from qorum.lab.statistics import power_law

STEP_SIZES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9)
"""What every rule that has a step size chooses from."""
STEPPED = (*AVERAGES, "implied")
AGENTS, TAU = ACTIONS, 50
THIRD = 0.33
POINTS = 24  # of a curve, evenly spaced on a logarithmic axis

_DOTS, _DASHES = (0, (2, 1.5)), (0, (6, 1.5, 1.5, 1.5))
LOOKS = {
    "equal": Look("equal average", "equal", "grey", _DOTS),
    "visits": Look("visit-weighted average", "visits", "amber", _DASHES),
    "importance": Look("importance average", "importance", "green", (0, (7, 2))),
    "implied": Look("qorum implied", "implied", "pink", "-"),
    "replay": Look("qorum replay", "replay", "blue", "-", bold=True),
    "replay_third": Look("qorum replay, a third may lie", "a third", "red", (0, (4, 2))),
}


class Size(NamedTuple):
    """How much is measured."""

    runs: int
    """Of the curve of errors."""
    tuning_runs: int
    steps: int
    """Of an agent, for the curve and for the speed-up."""
    agents: tuple[int, ...]
    speedup_runs: int
    taus: tuple[int, ...]
    tau_steps: int


FULL = Size(100, 10, 5000, (20, 40, 60, 80, 100, 200, 600), 30, (1, 5, 10, 20, 50, 100, 200, 500), 2000)
QUICK = Size(20, 3, 5000, (20, 40, 100), 5, (10, 50, 200), 2000)


class Setting(NamedTuple):
    """One fleet: its agents, the steps in a period and in all, how many runs, and on which seed."""

    agents: int
    tau: int
    steps: int
    runs: int
    seed: int


class Measured(NamedTuple):
    """What one setting gave."""

    setting: Setting
    step_sizes: dict[str, float]
    """The best step size of every rule that has one."""
    errors: dict[str, Floats]
    """Of every line f64[periods, runs]."""

    def ends(self, line: str) -> Floats:
        """f64[runs], the error after the last period."""
        return np.asarray(self.errors[line][-1])


def woo_bench(quick: bool, seed: int, progress: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """Measure the error over time, the speed-up by more agents, and the effect of the sync period.

    Errors are (1 - gamma) * max |Q - Q*| of the table that the fleet shares. In each setting every rule with a step
    size uses the one of `STEP_SIZES` that had the smallest mean error in the end, on runs of another seed.

    Args:
        quick: fewer runs and settings, for a look.
        seed: 0 or more; step sizes are chosen on other draws.
        progress: told the share of the work that is done, 0..1.

    Returns:
        JSON-able: `settings`; `curve`, `speedup` and `tau`, rows of {line, agents, tau, steps, step_size, mean,
        standard_error, median, lower_quartile, upper_quartile}; `fits` of the speed-up; `verdict`, the bar: replay is
        no worse than the best averaging rule; `wall_s`.

    Raises:
        ConfigError: a negative seed.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; allowed are whole numbers from 0")
    started, size = time.perf_counter(), QUICK if quick else FULL
    curve, *others = _measure_all(list(_settings(size, seed)), size, seed, progress)
    speedup, taus = others[: len(size.agents)], others[len(size.agents) :]
    return {
        "settings": {
            "quick": quick, "seed": seed, "gamma": GAMMA, "actions": ACTIONS, "agents": AGENTS, "tau": TAU,
            "steps": size.steps, "runs": size.runs, "speedup_runs": size.speedup_runs, "tau_steps": size.tau_steps,
            "step_sizes": list(STEP_SIZES), "tuning_runs": size.tuning_runs,
        },
        "curve": list(_rows([curve], periods=spaced(len(curve.errors["replay"]), POINTS))),
        "speedup": list(_rows(speedup)),
        "fits": [_fit(line, speedup, seed) for line in LOOKS],
        "tau": list(_rows(taus)),
        "verdict": _verdict(curve),
        "wall_s": round(time.perf_counter() - started, 1),
    }  # fmt: skip


def _settings(size: Size, seed: int) -> Iterator[Setting]:
    """First that of the curve, then those of the speed-up, then those of the sync period."""
    measured = 2 * seed  # the other half of all seeds is for choosing step sizes
    yield Setting(AGENTS, TAU, size.steps, size.runs, measured)
    for agents in size.agents:
        yield Setting(agents, TAU, size.steps, size.speedup_runs, measured)
    for tau in size.taus:
        yield Setting(AGENTS, tau, size.tau_steps, size.speedup_runs, measured)


def _measure_all(
    settings: list[Setting], size: Size, seed: int, progress: Callable[[float], None]
) -> Iterator[Measured]:
    trials = [one._replace(runs=min(size.tuning_runs, one.runs), seed=2 * seed + 1) for one in settings]
    whole = sum(map(_cost, settings)) + len(STEP_SIZES) * sum(map(_cost, trials))
    done = 0

    def tick(cost: int) -> None:
        nonlocal done
        done += cost
        progress(done / whole)

    for setting, trial in zip(settings, trials, strict=True):
        yield _measure(setting, _best_step_sizes(trial, tick), tick)


def _cost(setting: Setting) -> int:
    return setting.agents * setting.steps * setting.runs


def _best_step_sizes(setting: Setting, tick: Callable[[int], None]) -> dict[str, float]:
    """Of each rule, the step size with the smallest mean error after the last period."""
    walks = Walks(setting.runs, setting.agents, setting.seed)
    rules = [rule for rule in AVERAGES for _ in STEP_SIZES]
    averaging = Averaging(walks, rules, STEP_SIZES * len(AVERAGES))
    learners: list[Learner] = [averaging, Implied(walks, setting.tau, STEP_SIZES)]
    errors = _run(walks, setting, learners, lambda cost: tick(cost * len(STEP_SIZES)))[-1].mean(axis=1)
    best = errors.reshape(len(STEPPED), -1).argmin(axis=1)
    return {rule: STEP_SIZES[at] for rule, at in zip(STEPPED, best, strict=True)}


def _measure(setting: Setting, step_sizes: dict[str, float], tick: Callable[[int], None]) -> Measured:
    walks = Walks(setting.runs, setting.agents, setting.seed)
    learners: list[Learner] = [
        Averaging(walks, AVERAGES, [step_sizes[rule] for rule in AVERAGES]),
        Implied(walks, setting.tau, [step_sizes["implied"]]),
        Replay(walks, setting.tau, 0.0),
        Replay(walks, setting.tau, THIRD),
    ]
    errors = _run(walks, setting, learners, tick).swapaxes(0, 1)
    return Measured(setting, step_sizes, dict(zip(LOOKS, errors, strict=True)))


def _run(walks: Walks, setting: Setting, learners: Sequence[Learner], tick: Callable[[int], None]) -> Floats:
    """f64[periods, lines of all learners, runs]: errors after each period."""
    errors = []
    for _ in range(setting.steps // setting.tau):
        path = walks.walk(setting.tau)
        for learner in learners:
            learner.period(path)
        errors.append(np.concatenate([walks.errors(learner.tables) for learner in learners]))
        tick(_cost(setting) * setting.tau // setting.steps)
    return np.stack(errors)


# ---- The result


def _rows(measured: Iterable[Measured], periods: Iterable[int] = (-1,)) -> Iterator[dict[str, Any]]:
    for one in measured:
        for line, errors in one.errors.items():
            for at in periods:
                yield {
                    "line": line,
                    "agents": one.setting.agents,
                    "tau": one.setting.tau,
                    "steps": one.setting.tau * (at % len(errors) + 1),
                    "step_size": one.step_sizes.get(line),
                    **summary(errors[at]),
                }


def _fit(line: str, measured: list[Measured], seed: int) -> dict[str, Any]:
    """How 1 / error^2 grows with the agents: by how much for each, and as which power of their number."""
    agents = [one.setting.agents for one in measured]
    ends = [one.ends(line) for one in measured]
    slope, intercept = np.polyfit(agents, [errors.mean() ** -2 for errors in ends], 1)
    law = power_law(agents, ends, seed)
    return {
        "line": line,
        "slope": float(slope),
        "intercept": float(intercept),
        "power": law and [2 * law.low, 2 * law.exponent, 2 * law.high],
    }


def _verdict(curve: Measured) -> dict[str, Any]:
    ends = {line: curve.ends(line) for line in LOOKS}
    best = min(AVERAGES, key=lambda rule: float(np.median(ends[rule])))
    ours, theirs = float(np.median(ends["replay"])), float(np.median(ends[best]))
    return {
        "replay": ours,
        "best_average": best,
        "best_average_error": theirs,
        "holds": ours <= theirs,
        "runs_won": int((ends["replay"] <= ends[best]).sum()),
        "runs": len(ends["replay"]),
    }


# ---- The report


def in_short(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """What a terminal shows: a heading, then each line with its step size and its error in the end."""
    lines: list[tuple[str, ...]] = [("line", "step size", "median error", "quartiles")]
    for row in result["curve"]:
        if row["steps"] == result["settings"]["steps"]:
            size = "-" if row["step_size"] is None else f"{row['step_size']:g}"
            quartiles = f"{number(row['lower_quartile'])} to {number(row['upper_quartile'])}"
            lines.append((LOOKS[row["line"]].name, size, number(row["median"]), quartiles))
    return lines


def render(result: dict[str, Any]) -> str:
    """The report as one HTML page that needs nothing else. result: what `woo_bench` returned.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    settings = result["settings"]
    sections = [
        Section("What is compared", _lines_text(settings)),
        Section("Error over time", _curve_section(result)),
        Section("More agents", _speedup_section(result)),
        Section("How often they merge", _tau_section(result)),
    ]
    footer = (
        f"Seed {settings['seed']}, {result['wall_s']:g} s. The problem and the averaging rules: J. Woo, G. Joshi, "
        "Y. Chi, The Blessing of Heterogeneity in Federated Q-Learning, ICML 2023, arXiv 2305.10697."
    )
    return page("Federated Q-learning on the two-state problem", sections, footer, lead=_lead(result))


def _lead(result: dict[str, Any]) -> str:
    verdict, settings = result["verdict"], result["settings"]
    ours, theirs = number(verdict["replay"]), number(verdict["best_average_error"])
    comparison = "no worse than" if verdict["holds"] else "worse than"
    return (
        f"{settings['agents']} agents that each know one action learn one table. After {settings['steps']:,} steps an "
        f"agent the median error of qorum's replay is <strong>{ours}</strong>, {comparison} that of the best averaging "
        f"rule at its best step size, {LOOKS[verdict['best_average']].name} with <strong>{theirs}</strong>; replay is "
        f"ahead in {verdict['runs_won']} of {verdict['runs']} runs."
    )


def _lines_text(settings: dict[str, Any]) -> str:
    rows = [(LOOKS[line].name, text) for line, text in _MEANINGS.items()]
    return (
        f"<p>Two states, {settings['actions']} actions, gamma {settings['gamma']:g}; state 1 pays 1 a step. Agent k "
        f"always takes action k mod {settings['actions']}, so no agent sees more than one column of the table. Error "
        "is (1 - gamma) times the largest distance of the shared table to Q*. All rules see the same steps, start from "
        "the same random table and merge after the same number of steps.</p>"
        + table(("line", "how the shared table is made"), rows, (), css="cards")
        + f"<p>Every rule with a step size is shown at the best of {len(settings['step_sizes'])}, from "
        f"{min(settings['step_sizes']):g} to {max(settings['step_sizes']):g}, chosen for each point of a figure on "
        f"{settings['tuning_runs']} runs of another seed.</p>"
    )


_MEANINGS = {
    "equal": "Each agent learns by Q-learning; the mean over all agents, whether they saw a cell or not.",
    "visits": "The same, weighted by visits since the last merge: the formula of qorum's founding record.",
    "importance": "The same, weighted by (1 - step)<sup>-visits</sup>, as the paper proposes.",
    "implied": "Agents state the target that their Q-learning implies; qorum's merge makes the fleet's step of it.",
    "replay": "Agents keep what they saw and state its mean target under the shared table; qorum merges. No step size.",
    "replay_third": "The same, at the default setting that a third of the members may lie; the line before expects no "
    "liars. Nobody lies here.",
}


def _curve_section(result: dict[str, Any]) -> str:
    settings = result["settings"]
    ends = _ends(result["curve"], "steps")
    caption = (
        f"<b>Figure 1.</b> Median error of {settings['runs']} runs with {settings['agents']} agents that merge every "
        f"{settings['tau']} steps; the band holds half of the runs. Lower is better. {_wins(ends)}"
    )
    svg = _chart("error", result["curve"], Scale("steps per agent"), "normalised error", "steps")
    return figure(svg, caption) + _table(ends, "After the last step")


def _tau_section(result: dict[str, Any]) -> str:
    settings = result["settings"]
    caption = (
        f"<b>Figure 3.</b> Median error after {settings['tau_steps']:,} steps, by how many steps there are between two "
        f"merges; {settings['speedup_runs']} runs a point. Lower is better. Replay makes one Bellman backup a merge, "
        "so it gains by merging often; where merges are rare, they hold every rule up alike. "
        f"{_lowest(result['tau'])}"
    )
    svg = _chart("tau", result["tau"], Scale("steps between merges"), "normalised error", "tau")
    parts = [
        _table([row for row in result["tau"] if row["tau"] == tau], f"A merge every {tau} steps")
        for tau in sorted({row["tau"] for row in result["tau"]})
    ]
    return figure(svg, caption) + _folded("".join(parts))


def _speedup_section(result: dict[str, Any]) -> str:
    settings = result["settings"]
    lines = [_inverse(LOOKS[line], rows) for line, rows in _by_line(result["speedup"])]
    label = "Inverse squared error by number of agents."
    scale = Scale("1 / error\u00b2")
    svg = figures.inline("speedup", label, lambda wide: chart(lines, Scale("agents"), scale, wide))
    best = max(result["fits"], key=lambda fit: float(fit["slope"]))
    caption = (
        f"<b>Figure 2.</b> One over the squared mean error after {settings['steps']:,} steps; "
        f"{settings['speedup_runs']} runs a point, the band is one standard error. Higher is better, and as many times "
        f"as there are more agents is a linear speed-up. {LOOKS[best['line']].name} gains most from an agent."
    )
    head = ("line", "gained by each agent", "grows as agents to the power", "95 % interval")
    rows = [_fit_cells(fit) for fit in result["fits"]]
    return figure(svg, caption) + table(head, rows, (1, 2, 3), caption="Fitted growth of 1 / error\u00b2")


def _fit_cells(fit: dict[str, Any]) -> tuple[str, ...]:
    name, slope = LOOKS[fit["line"]].name, number(fit["slope"])
    if not fit["power"]:
        return name, slope, "", ""
    low, power, high = fit["power"]
    return name, slope, decimal(power), f"{decimal(low)} to {decimal(high)}"


def _inverse(look: Look, rows: list[dict[str, Any]]) -> Line:
    at = [row["agents"] for row in rows]
    middle, low, high = ([(row["mean"] + side * row["standard_error"]) ** -2 for row in rows] for side in (0, 1, -1))
    return Line(look, at, middle, low, high)


def _chart(name: str, rows: list[dict[str, Any]], x: Scale, label: str, by: str) -> str:
    lines = [
        Line(LOOKS[line], *([row[key] for row in own] for key in (by, "median", "lower_quartile", "upper_quartile")))
        for line, own in _by_line(rows)
    ]
    said = "; ".join(f"{line.look.name} ends at {number(line.middle[-1])}" for line in lines)
    return figures.inline(name, f"{label}: {said}.", lambda wide: chart(lines, x, Scale(label), wide))


def _by_line(rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    return ((line, [row for row in rows if row["line"] == line]) for line in LOOKS)


def _ends(rows: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    last = max(row[by] for row in rows)
    return [row for row in rows if row[by] == last]


def _lowest(rows: list[dict[str, Any]]) -> str:
    periods = ([row for row in rows if row["tau"] == tau] for tau in {row["tau"] for row in rows})
    names = sorted({_best(period) for period in periods})
    return f"Lowest {'at every period' if len(names) == 1 else 'at one period or another'}: {', '.join(names)}."


def _wins(rows: list[dict[str, Any]]) -> str:
    return f"{_best(rows)} ends lowest, at {number(min(row['median'] for row in rows))}."


def _best(rows: list[dict[str, Any]]) -> str:
    return LOOKS[min(rows, key=lambda row: float(row["median"]))["line"]].name


def _table(rows: list[dict[str, Any]], caption: str) -> str:
    head = ("line", "step size", "median error, quartiles", "mean", "standard error")
    cells = [
        (LOOKS[row["line"]].name, f"{row['step_size'] or '':}", middle(row), number(row["mean"]),
         number(row["standard_error"]))
        for row in rows
    ]  # fmt: skip
    return table(head, cells, (1, 2, 3, 4), caption=caption)


def _folded(html: str) -> str:
    return f"<details><summary>The numbers</summary>{html}</details>"
