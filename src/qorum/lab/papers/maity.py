"""`maity_bench`: qorum's merge beside the robust rules of Maity and Mitra, on their attacked problem.

A random problem: 10 states, 5 actions, every successor possible, rewards in [0, 1), gamma 0.5. In each of K rounds each
of M agents draws H successors of every cell (a generative model: nobody has to walk) and sends its estimate of the
cell's target under the shared table; the server makes one number of them by a rule and moves the table towards it by a
fixed step. A part of the agents lies.

qorum has no server and no step. Its `replay` evidence is the mean target over all successors that the agent has drawn
so far, where the paper's agents send what those of this round say; the merged table is the next one. The merge, the
budget of visits and what is written again are qorum's own at the default settings, a third tolerated. First-hand
accusations are left out: they would catch the lies by `bias`, `signflip` and `max`, and neither `alie`.

S. Maity, A. Mitra, "Robust Federated Q-Learning with Almost No Communication"; the settings are those of the notebook
published with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from math import ceil, log
from typing import Any, NamedTuple

import numpy as np

from qorum.config import FederationConfig
from qorum.core.quorum import Quorum
from qorum.errors import ConfigError
from qorum.lab import figures
from qorum.lab.papers.agreement import Agreement, replayed
from qorum.lab.papers.chart import Line, Look, Scale, chart
from qorum.lab.papers.robust import ATTACKS, RULES, Floats, aggregate, block_count, lie
from qorum.lab.papers.summary import middle, number, spaced, summary
from qorum.lab.report import Section, figure, page, table

STATES, ACTIONS, GAMMA = 10, 5, 0.5
CELLS = STATES * ACTIONS
FRACTIONS = (0.1, 0.33)
LAST = 10  # rounds whose mean is the error in the end
PUBLISHED = {"median_of_means": 0.0014, "mean": 1000.0}
"""Bellman residual in the end for M = 1000, 10 % of them lying by bias: the traces stored beside the notebook."""


class Size(NamedTuple):
    """How much is measured: M, the samples of a cell that an agent draws in all, and how many random problems."""

    agents: int
    samples: int
    problems: int

    @property
    def rounds(self) -> int:
        """K, as published."""
        return ceil(10 * log(self.agents * self.samples) / (1 - GAMMA))

    @property
    def draws(self) -> int:
        """H, successors of each cell that an agent draws in a round."""
        return max(1, self.samples // self.rounds)

    @property
    def step(self) -> float:
        """Of the paper's rules, as published."""
        return log(self.agents * self.samples) / ((1 - GAMMA) * self.rounds)


FULL, QUICK = Size(1000, 25_000, 3), Size(100, 2_000, 2)


class Setting(NamedTuple):
    """Who lies, and how; no attack: nobody."""

    attack: str | None
    fraction: float

    def liars(self, agents: int) -> int:
        return round(self.fraction * agents)


SETTINGS = (Setting(None, 0.0), *(Setting(attack, fraction) for fraction in FRACTIONS for attack in ATTACKS))
DRAWN = (Setting("bias", 0.1), Setting("alie", 0.33))
POINTS = 40  # of a trace

LOOKS = {
    "mean": Look("mean", "mean", "grey", (0, (2, 1.5))),
    "median": Look("median", "median", "amber", (0, (6, 1.5, 1.5, 1.5))),
    "median_of_means": Look("median of means", "of means", "green", (0, (7, 2))),
    "trimmed_mean": Look("trimmed mean", "trimmed", "pink", (0, (4, 1))),
    "replay": Look("qorum replay", "replay", "blue", "-", bold=True),
}
"""All lines: `RULES` in their order, then qorum."""


class Problem:
    """A random problem with its optimum."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.successor = rng.random((CELLS, STATES))
        """f64[S * A, S], probabilities; cell s * A + a."""
        self.successor /= self.successor.sum(axis=1, keepdims=True)
        self.reward = rng.random(CELLS)
        """f64[S * A]."""
        self.optimum = np.zeros(CELLS)
        for _ in range(100):  # 0.5^100 is beyond the precision of a float
            self.optimum = self.backup(self.optimum)

    def backup(self, tables: Floats) -> Floats:
        """f64[..., S * A]: one Bellman backup of each table."""
        return np.asarray(self.reward + GAMMA * values(tables) @ self.successor.T)

    def residual(self, tables: Floats) -> Floats:
        """f64[...]: largest distance of a table to its own Bellman backup."""
        return np.asarray(np.abs(self.backup(tables) - tables).max(axis=-1))

    def error(self, tables: Floats) -> Floats:
        """f64[...]: largest distance to Q*."""
        return np.asarray(np.abs(tables - self.optimum).max(axis=-1))


def values(tables: Floats) -> Floats:
    """f64[..., S * A] -> f64[..., S]: of the best action in each state."""
    return np.asarray(tables.reshape(*tables.shape[:-1], STATES, ACTIONS).max(axis=-1))


class Served:
    """The paper's way: each of its rules, in every setting, with a table of its own."""

    def __init__(self, problem: Problem, size: Size, rng: np.random.Generator) -> None:
        self.tables = np.zeros((len(SETTINGS), len(RULES), CELLS))
        self._problem, self._size, self._rng = problem, size, rng

    def round(self, counts: Floats) -> None:
        """counts: f64[S, S * A * M], the successors drawn in this round."""
        size, reward = self._size, self._problem.reward[:, None]
        for own, setting in zip(self.tables, SETTINGS, strict=True):
            means = (values(own) @ counts / size.draws).reshape(len(RULES), CELLS, size.agents)
            sent, liars = reward + GAMMA * means, setting.liars(size.agents)
            if setting.attack:
                lie(setting.attack, sent, liars, GAMMA)
            blocks = block_count(size.agents, setting.fraction, CELLS, size.samples)
            for row, rule, estimates in zip(own, RULES, sent, strict=True):
                row += size.step * (aggregate(rule, estimates, liars, blocks, self._rng) - row)


class Replay:
    """qorum's way: members replay all they have drawn on the agreed table; a table in every setting."""

    def __init__(self, problem: Problem, size: Size) -> None:
        self.tables = np.zeros((len(SETTINGS), CELLS))
        self._problem, self._agents = problem, size.agents
        config = FederationConfig(n_actions=ACTIONS, gamma=GAMMA, r_min=0.0, r_max=1.0)
        cell = np.repeat(np.arange(CELLS)[:, None], size.agents, axis=1)
        self._agreements = [Agreement(config, cell, table) for table in self.tables]
        self._counts = np.zeros((STATES, CELLS * size.agents))

    def round(self, counts: Floats) -> None:
        """counts: f64[S, S * A * M], the successors drawn in this round."""
        self._counts += counts
        reward, shape = np.repeat(self._problem.reward, self._agents), (CELLS, self._agents)
        claims = replayed(self._counts, values(self.tables), reward, GAMMA)
        visits = self._counts.sum(axis=0).astype(np.int64).reshape(shape)
        for at, (setting, agreement) in enumerate(zip(SETTINGS, self._agreements, strict=True)):
            value, spread = (column[at].reshape(shape) for column in claims)
            if setting.attack:
                lie(setting.attack, value, setting.liars(self._agents), GAMMA)
            agreement.round(value, visits, spread)
            self.tables[at] = agreement.table


def maity_bench(quick: bool, seed: int, progress: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """Measure the paper's rules and qorum's merge under every attack, with 10 % and with 33 % of the agents lying.

    All rules see the same draws. An error is the mean over the last 10 rounds.

    Args:
        quick: fewer agents, samples and problems, for a look.
        seed: 0 or more.
        progress: told the share of the work that is done, 0..1.

    Returns:
        JSON-able: `settings`; `rows` of {rule, attack (None: nobody lies), fraction, liars, residual, error}, where the
        Bellman residual max |Q - TQ| and the error max |Q - Q*| are each {mean, standard_error, median, lower_quartile,
        upper_quartile} over the problems; `traces`, the residual after some rounds, of the same form; `published`;
        `wall_s`.

    Raises:
        ConfigError: a negative seed.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; allowed are whole numbers from 0")
    started, size = time.perf_counter(), QUICK if quick else FULL
    whole, steps = size.problems * size.rounds, count(1)
    rngs = (np.random.default_rng([seed, number]) for number in range(size.problems))
    measured = np.array([_run(size, rng, lambda: progress(next(steps) / whole)) for rng in rngs])
    residual, error = np.moveaxis(measured, 1, 0)
    return {
        "settings": {**size._asdict(), "quick": quick, "seed": seed, "rounds": size.rounds, "draws": size.draws,
                     "step": size.step, "gamma": GAMMA, "states": STATES, "actions": ACTIONS,
                     "blocks": [block_count(size.agents, part, CELLS, size.samples) for part in FRACTIONS],
                     "tolerated": Quorum.of(size.agents, FederationConfig().byzantine_threshold).tolerated},
        "rows": list(_rows(size, residual, error)),
        "traces": list(_traces(residual)),
        "published": PUBLISHED,
        "wall_s": round(time.perf_counter() - started, 1),
    }  # fmt: skip


def _run(size: Size, rng: np.random.Generator, tick: Callable[[], None]) -> Floats:
    """f64[2, K, settings, lines] of one problem: residual and error after each round."""
    problem = Problem(rng)
    served, replay = Served(problem, size, rng), Replay(problem, size)
    found = []
    for _ in range(size.rounds):
        drawn = rng.multinomial(size.draws, problem.successor, size=(size.agents, CELLS))
        counts = np.ascontiguousarray(drawn.transpose(2, 1, 0), dtype=np.float64).reshape(STATES, -1)
        served.round(counts)
        replay.round(counts)
        tables = np.concatenate([served.tables, replay.tables[:, None]], axis=1)
        found.append((problem.residual(tables), problem.error(tables)))
        tick()
    return np.moveaxis(np.array(found), 1, 0)


def _rows(size: Size, residual: Floats, error: Floats) -> Iterator[dict[str, Any]]:
    """residual, error: f64[problems, K, settings, lines]."""
    ends = [found[:, -LAST:].mean(axis=1) for found in (residual, error)]
    for at, setting in enumerate(SETTINGS):
        for line, rule in enumerate(LOOKS):
            yield {
                "rule": rule,
                **setting._asdict(),
                "liars": setting.liars(size.agents),
                "residual": summary(ends[0][:, at, line]),
                "error": summary(ends[1][:, at, line]),
            }


def _traces(residual: Floats) -> Iterator[dict[str, Any]]:
    for at, setting in enumerate(SETTINGS):
        if setting in DRAWN:
            for line, rule in enumerate(LOOKS):
                for number in spaced(residual.shape[1], POINTS):
                    found = summary(residual[:, number, at, line])
                    yield {"rule": rule, **setting._asdict(), "round": number + 1, **found}


# ---- The report


def in_short(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """What a terminal shows: a heading, then each rule under the published attack and under its worst."""
    lines: list[tuple[str, ...]] = [("rule", "residual published", "residual", "distance to Q*", "at worst")]
    for rule, look in LOOKS.items():
        rows = [row for row in result["rows"] if row["rule"] == rule]
        attacked = next(row for row in rows if _of(row, DRAWN[0]))
        worst = max(row["error"]["median"] for row in rows)
        stored = result["published"].get(rule)
        medians = (attacked["residual"]["median"], attacked["error"]["median"], worst)
        lines.append((look.name, number(stored) if stored else "-", *map(number, medians)))
    return lines


def render(result: dict[str, Any]) -> str:
    """The report as one HTML page that needs nothing else. result: what `maity_bench` returned.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    settings = result["settings"]
    sections = [
        Section("What is compared", _what(settings)),
        *(Section(_heading(setting), _trace(result, setting)) for setting in DRAWN),
        Section("Every attack", _tables(result)),
        Section("Beside the published figures", _published(result)),
    ]
    footer = (
        f"Seed {settings['seed']}, {result['wall_s']:g} s. The problem, the attack by bias and the median of means: "
        "S. Maity, A. Mitra, Robust Federated Q-Learning with Almost No Communication, and the notebook published "
        "with it."
    )
    return page("Attacked federated Q-learning with a generative model", sections, footer, lead=_lead(result))


def _lead(result: dict[str, Any]) -> str:
    settings = result["settings"]
    attacked = [row for row in result["rows"] if row["attack"]]
    worst = {rule: max(row["error"]["median"] for row in attacked if row["rule"] == rule) for rule in LOOKS}
    said = ", ".join(f"{LOOKS[rule].name} <strong>{number(error)}</strong>" for rule, error in worst.items())
    return (
        f"{settings['agents']:,} agents estimate one table of {CELLS} cells, up to {max(FRACTIONS):.0%} of them lying. "
        f"The largest distance to Q* that each rule ends with under its worst attack: {said}."
    )


def _what(settings: dict[str, Any]) -> str:
    attacks = [(attack, text) for attack, text in ATTACKS.items()]
    return (
        f"<p>In each of {settings['rounds']} rounds every agent draws {settings['draws']} successors of every cell and "
        "sends its estimates under the shared table. The paper's rules move the table towards one number made of "
        f"all estimates by a step of {settings['step']:.2g}; what an agent sends rests on the draws of that round. "
        "qorum's members keep all draws so far and replay them on the agreed table, which the merge replaces "
        "outright: most of its lead comes from there. All rules see the same draws, "
        f"and the middle of {settings['problems']} random problems is shown.</p>"
        "<p>The trimmed mean is told how many agents lie and the median of means how large a part; qorum tolerates "
        f"{settings['tolerated']} liars of {settings['agents']:,} whatever there are. With so many liars the paper's "
        f"formula asks for {settings['blocks'][0]:,} blocks or more, and no more can be made than there are agents: "
        "where each agent is a block of its own, the median of means is the median. Members' first-hand accusations "
        "are left out here.</p>" + table(("attack", "what each liar sends"), attacks, (), css="cards")
    )


def _heading(setting: Setting) -> str:
    return f"{setting.fraction:.0%} of the agents lie: {setting.attack}"


def _trace(result: dict[str, Any], setting: Setting) -> str:
    own = [row for row in result["traces"] if _of(row, setting)]
    lines = [
        Line(look, *([row[key] for row in own if row["rule"] == rule] for key in _COLUMNS))
        for rule, look in LOOKS.items()
    ]
    best = min(lines, key=lambda line: line.middle[-1])
    caption = (
        f"Bellman residual of the shared table after each round; each liar sends {ATTACKS[setting.attack or '']}. "
        f"Lower is better. {best.look.name} ends lowest, at {number(best.middle[-1])}."
    )
    said = "; ".join(f"{line.look.name} ends at {number(line.middle[-1])}" for line in lines)
    x, y = Scale("round"), Scale("Bellman residual")
    name = f"trace-{setting.attack}"
    svg = figures.inline(name, f"Bellman residual by round: {said}.", lambda wide: chart(lines, x, y, wide))
    return figure(svg, caption)


_COLUMNS = ("round", "median", "lower_quartile", "upper_quartile")


def _of(row: dict[str, Any], setting: Setting) -> bool:
    return (row["attack"], row["fraction"]) == setting


def _tables(result: dict[str, Any]) -> str:
    measures = {"error": "Largest distance to Q*", "residual": "Bellman residual"}
    tables = "".join(_table(result, key, name) for key, name in measures.items())
    return f"<p>Means over the last {LAST} rounds: the median of all problems, and their quartiles.</p>{tables}"


_OURS_FIRST = ("replay", *RULES)  # the table may be wider than the page


def _table(result: dict[str, Any], measure: str, caption: str) -> str:
    cells = []
    for setting in SETTINGS:
        found = {row["rule"]: middle(row[measure]) for row in result["rows"] if _of(row, setting)}
        cells.append((f"{setting.fraction:.0%} {setting.attack or ''}", *(found[rule] for rule in _OURS_FIRST)))
    head = ("liars", *(LOOKS[rule].name for rule in _OURS_FIRST))
    return table(head, cells, range(1, len(head)), caption=caption)


def _published(result: dict[str, Any]) -> str:
    rows = []
    for rule, look in LOOKS.items():
        found = next(row for row in result["rows"] if row["rule"] == rule and _of(row, DRAWN[0]))
        stored = result["published"].get(rule)
        rows.append((look.name, number(stored) if stored else "", middle(found["residual"]), middle(found["error"])))
    head = ("rule", "published residual", "residual", "distance to Q*")
    return (
        "<p>The notebook stores Bellman residuals for 1,000 agents, 10 % of them lying by bias, on a random problem "
        "of its own. A residual is not an error: with gamma 0.5 the distance to Q* may be twice as large.</p>"
        + table(head, rows, (1, 2, 3), caption=_heading(DRAWN[0]))
    )
