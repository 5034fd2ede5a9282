"""The figures of `qorum bench learning`: value against steps, error against agents, merges until it is solved.

Small multiples, a panel for each task; every line is named at its end, so that colour alone says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qorum.lab.figures import (
    CEILING,
    LIGHT,
    NARROW,
    WIDE,
    EndName,
    decimal,
    margins,
    name_ends,
    new_figure,
    style,
    write_picture,
)
from qorum.lab.learning_study import Method, Row, Study, points, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = -0.2
"""No learning curve is drawn below."""


# ---- 1. Learning curves


def curves_figure(study: Study, wide: bool) -> Figure:
    """Normalised value against steps an agent, a panel for each task."""
    figure, panels = _panels(len(study.tasks), wide, height=176, names=156 if wide else 110)
    for axes, task in zip(panels, study.tasks, strict=True):
        _name_curves(axes, _draw_curves(axes, study, task), wide)
        _title(axes, task)
    _label_bottoms(panels, wide, "steps an agent")
    return figure


def _draw_curves(axes: Axes, study: Study, task: str) -> list[tuple[Method, Row]]:
    rows = [(method, study.row(task, method.key)) for method in study.methods]
    drawn = [(method, row) for method, row in rows if row is not None and thinned(row)]
    axes.set_ylim(FLOOR, CEILING)
    axes.set_yticks([0, 0.5, 1])
    _log(axes, "x", [steps for _, row in drawn for steps, *_ in thinned(row)])
    for bound in (0, 1):
        axes.axhline(bound, color=LIGHT["quiet"], linewidth=1, zorder=1)
    for method, row in drawn:
        steps, value, low, high = zip(*thinned(row), strict=True)
        axes.plot(steps, value, **_line(method))
        if method.shaded and row.get("seeds", 0) > 1:
            axes.fill_between(steps, low, high, color=LIGHT[method.colour], alpha=0.13, linewidth=0)
    return drawn


def _name_curves(axes: Axes, drawn: Sequence[tuple[Method, Row]], wide: bool) -> None:
    ends = [(method, row, *thinned(row)[-1][:2]) for method, row in drawn]
    # Rounded, so that what reads the same counts as equal.
    _names(axes, ((m, x, round(y, 2), decimal(row.get("normalised_value"))) for m, row, x, y in ends), wide)


# ---- 2. Error against agents


def scaling_figure(study: Study, wide: bool) -> Figure:
    """Relative sup-error against the number of agents, both logarithmic, a panel for each task."""
    figure, panels = _panels(len(study.scaled), wide, height=176, names=156 if wide else 110)
    for axes, task in zip(panels, study.scaled, strict=True):
        drawn = _draw_scaling(axes, study, task)
        ends = ((m, *points(part)[-1], decimal(part.get("exponent"))) for m, part in drawn)
        _names(axes, ends, wide)
        _title(axes, task)
    _label_bottoms(panels, wide, "agents")
    return figure


def _draw_scaling(axes: Axes, study: Study, task: str) -> list[tuple[Method, dict[str, Any]]]:
    drawn = [(method, part) for method, part in study.scaling(task) if points(part)]
    agents, errors = zip(*(point for _, part in drawn for point in points(part)), strict=True)
    _log(axes, "x", agents)
    numbers = populations(agents)
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    _log(axes, "y", [*errors, min(errors) / 1.15, max(errors) * 1.15])
    for method, part in drawn:
        axes.plot(*zip(*points(part), strict=True), **_line(method), marker="o", markersize=2 + method.width)
    _draw_slope(axes, drawn)
    return drawn


def _draw_slope(axes: Axes, drawn: Sequence[tuple[Method, dict[str, Any]]]) -> None:
    """A thin line from where the first method starts, that falls as averaging independent errors does."""
    few, error = points(drawn[0][1])[0]
    many = axes.get_xlim()[1]
    axes.plot(
        [few, many], [error, error * (few / many) ** 0.5], color=LIGHT["quiet"], linewidth=1, linestyle=(0, (1, 2))
    )


# ---- 3. Merges until it is solved


def merges_figure(study: Study, wide: bool) -> Figure:
    """Merges until 99 % of the optimum, a panel for each task and a row for each method; a line at the horizon."""
    figure, panels = _panels(len(study.tasks), wide, height=17 * len(study.merging) + 17, names=190 if wide else 140)
    reached = [study.merges_to_99(task, method.key) for task in study.tasks for method in study.merging]
    known = [merges for merges in (*reached, *map(study.horizon, study.tasks)) if merges]
    for axes, task in zip(panels, study.tasks, strict=True):
        _log(axes, "x", [min(known, default=1) / 1.3, max(known, default=1) * 1.3])
        _draw_merges(axes, study, task, wide)
        _title(axes, task)
    _label_bottoms(panels, wide, "merges")
    return figure


def _draw_merges(axes: Axes, study: Study, task: str, wide: bool) -> None:
    shown = [method for method in study.merging if study.row(task, method.key)]
    axes.set_ylim(len(shown) + 0.5, -0.5)
    axes.set_yticks(range(len(shown)), [""] * len(shown))
    for at, method in enumerate(shown):
        merges = study.merges_to_99(task, method.key)
        if merges is not None:
            axes.plot(merges, at, "o", color=LIGHT[method.colour], markersize=8)
        said = "never" if merges is None else f"{merges:,}"
        _beside(axes, at, f"{said} {method.name if wide else method.short}", method.colour, method.leads)
    horizon = study.horizon(task)
    if horizon is not None:
        axes.axvline(horizon, color=LIGHT["quiet"], linewidth=1.2, linestyle=(0, (4, 2)))
        _beside(axes, len(shown), f"{horizon:,.4g} horizon", "quiet")


def _beside(axes: Axes, row: int, text: str, colour: str, bold: bool = False) -> None:
    axes.annotate(
        text,
        (1, row),
        (10, 0),
        axes.get_yaxis_transform(),
        "offset points",
        color=LIGHT[colour],
        weight="bold" if bold else "normal",
        size=11.5,
        va="center",
    )


# ---- 4. What a rewrite threshold costs and saves


def thresholds_figure(study: Study, wide: bool) -> Figure:
    """Error against bytes received, both on log axes; a dot for each threshold, a line at the pooled error."""
    found = study.result["thresholds"]
    figure, [axes] = _panels(1, wide, height=230, names=60)
    received = [one["bytes_per_agent"] / 1e6 for one in found]
    errors = [one["relative_sup_error"] for one in found]
    pooled = min(one["pooled_error"] for one in found)
    _log(axes, "x", [min(received) / 1.2, max(received) * 1.2])
    _log(axes, "y", [pooled / 1.4, max(*errors, pooled) * 1.6])
    axes.axhline(pooled, color=LIGHT["quiet"], linewidth=1.2, linestyle=(0, (4, 2)))
    axes.plot(received, errors, "o-", color=LIGHT["blue"], linewidth=1.5, markersize=7)
    for one, x, y in zip(found, received, errors, strict=True):
        axes.annotate(f"{one['threshold']:.1g}", (x, y), (6, 6), textcoords="offset points", size=11)
    axes.set(xlabel="MB received", title="relative sup-error")
    axes.title.set(fontsize=11.5, ha="left", position=(0, 1))
    return figure


# ---- What the figures share


def _panels(count: int, wide: bool, height: int, names: int) -> tuple[Figure, list[Axes]]:
    """So many panels of that height, two in a row where there is room, each with `names` pixels to its right."""
    columns = 2 if wide and count > 1 else 1
    rows, left, top, bottom, gap = -(-count // columns), 40, 30, 46, 62
    width = WIDE if wide else NARROW
    figure = new_figure(width, top + rows * height + (rows - 1) * gap + bottom)
    grid = figure.subplots(rows, columns, squeeze=False)
    each = (width - columns * (left + names)) / columns
    margins(figure, left, top, names, bottom, hspace=gap / height, wspace=(left + names) / each)
    for unused in grid.flat[count:]:
        unused.set_visible(False)
    return figure, list(grid.flat[:count])


def _label_bottoms(panels: Sequence[Axes], wide: bool, text: str) -> None:
    for axes in panels[-2 if wide else -1 :]:
        axes.set_xlabel(text)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", weight="bold", size=12.5)


def _line(method: Method) -> dict[str, Any]:
    """As matplotlib's `plot` takes it."""
    front = 5 if method.leads else 4 if method.key == "pooled" else 3
    return {
        "color": LIGHT[method.colour],
        "linestyle": method.dash,
        "linewidth": method.width,
        "zorder": front,
    }


def _names(axes: Axes, ends: Iterable[tuple[Method, float, float, str]], wide: bool) -> None:
    """Write figure and name of each (method, x, y, figure) to the right; the first of equals stands highest."""
    named = [
        EndName(x, y, f"{figure} {method.name if wide else method.short}", method.colour, method.leads)
        for method, x, y, figure in reversed(list(ends))
    ]
    row = min(17.0, axes.bbox.height / max(len(named) - 1, 1))
    name_ends(axes, named, size=11.5 if wide else 11, row=row, beside=18 if wide else 14)


def _log(axes: Axes, name: str, values: Iterable[float]) -> None:
    """Make the axis `x` or `y` logarithmic from the lowest to the highest value, with few and plain numbers."""
    shown = list(values) or [1.0]
    low, high = min(shown), max(max(shown), 1.01 * min(shown))
    axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    ticks = log_ticks(low, high)
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_ticks(ticks, [f"{tick:,.0f}" if tick >= 1 else f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def populations(agents: Iterable[int]) -> list[int]:
    """The numbers of agents to be written on a log axis: from the largest down, each far enough from the next."""
    kept: list[int] = []
    for number in sorted(set(agents), reverse=True):
        if not kept or 2.5 * number <= kept[-1]:
            kept.append(number)
    return kept[::-1]


def log_ticks(low: float, high: float) -> list[float]:
    """Within [low, high] powers of ten; if that is fewer than three, 3 or 2 and 5 times each of them too."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    inside: list[float] = []
    for multiples in ((1,), (1, 3), (1, 2, 5)):
        ticks = [multiple * 10.0**power for power in powers for multiple in multiples]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 3:
            break
    return inside


# ---- The picture


def save_picture(study: Study, path: str | Path) -> None:
    """Write learning curves of the first four tasks and the scaling of two, on paper of their own."""
    with style():
        height = 560
        figure = new_figure(WIDE, height)
        grid = figure.subplots(2, 3)
        margins(figure, 44, 150, 22, 54, hspace=0.42, wspace=0.24)
        figure.text(20 / WIDE, 1 - 34 / height, f"{study.agents:,} agents learn as one", size=18, weight="bold")
        _fill(grid[:, :2].flat, study, study.tasks[:4], _draw_curves, "steps an agent")
        _fill(grid[:, 2], study, study.scaled[:2], _draw_scaling, "agents")
        said = "Left: normalised value, 0 = best trivial policy, 1 = optimum. Right: relative sup-error, on log axes."
        figure.text(20 / WIDE, 1 - 58 / height, said, color=LIGHT["quiet"])
        _key(figure, study, height)
        write_picture(figure, path)


def _fill(panels: Iterable[Axes], study: Study, tasks: Sequence[str], draw: Any, label: str) -> None:
    for at, axes in enumerate(panels):
        axes.set_visible(at < len(tasks))
        if at < len(tasks):
            draw(axes, study, tasks[at])
            _title(axes, tasks[at])
            axes.set_xlabel(label)


def _key(figure: Figure, study: Study, height: int) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], **_line(method), label=method.name) for method in study.methods]
    look = {"frameon": False, "labelcolor": "linecolor", "fontsize": 11.5, "handlelength": 2.6, "columnspacing": 1.4}
    figure.legend(handles=lines, ncols=5, loc="upper left", bbox_to_anchor=(12 / WIDE, 1 - 68 / height), **look)
