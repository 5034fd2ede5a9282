"""Pictures of one agreed round: who said what to whom and when, and how items, votes and the commit spread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qorum.errors import ConfigError
from qorum.lab.figures import LIGHT, WIDE, decimal, new_figure, spread, style
from qorum.sim.experiment import Measured
from qorum.sim.meter import BIN_S, STAGES
from qorum.sim.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
LANE, CURVES = 30, 230
"""Pixels of a member's lane, and of the panel of the curves."""
LEFT, RIGHT, TOP, LEGEND, GAP, BOTTOM = 92, 132, 76, 46, 40, 48
"""Margins, the legend, and what is between the panels [px]."""
MS = 1_000


class Ink(NamedTuple):
    """How one kind of message or act looks."""

    colour: str
    name: str
    marker: str = ""


ARROWS = {
    "items": Ink("amber", "contributions"),
    "announce": Ink("amber", "contributions"),
    "pull": Ink("amber", "contributions"),
    "proposal": Ink("red", "proposal"),
    "first vote": Ink("blue", "first votes"),
    "second vote": Ink("pink", "second votes"),
    "commit": Ink("green", "commit"),
}
"""Kind of a frame -> ink; all others are anti-entropy."""
REST = Ink("grey", "anti-entropy")
MARKS = {
    "contributes": Ink("amber", "contributes", "|"),
    "proposes": Ink("red", "proposes", "D"),
    "first vote": Ink("blue", "votes first", "o"),
    "locks": Ink("ink", "locks", "v"),
    "second vote": Ink("pink", "votes second", "s"),
    "commits": Ink("green", "commits", "*"),
}
RAISED = {"D": 0.3, "v": 0.3}
"""Of a lane; so that what happens in one instant stands side by side."""
SIZES = {"|": 70, "D": 52, "o": 34, "v": 26, "s": 30, "*": 95}
CURVE_INKS = dict(zip(STAGES, ("amber", "blue", "pink", "green"), strict=True))
CURVE_NAMES = dict(zip(STAGES, ("items", "first votes", "second votes", "committed"), strict=True))


def check_format(path: Path) -> None:
    """Raise `ConfigError` unless the name says what kind of picture it is."""
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise ConfigError(f"cannot draw {path}: its name must end in {' or '.join('.' + kind for kind in FORMATS)}")


def save_picture(measured: Measured, path: Path, round: int | None = None) -> None:
    """Draw one round of an experiment that is over; None: the last one that was measured.

    The curves always; above them, if the run was traced, the lanes of all members. Raises `ConfigError`.
    """
    check_format(path)
    number = measured.rounds if round is None else round
    if number not in measured.meter.agreed:
        raise ConfigError("there is no picture of this run: no round was agreed on")
    kind = path.suffix.lower().removeprefix(".")
    with style():
        figure = _figure(measured, number)
        figure.savefig(path, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else {"Software": None})


def _figure(measured: Measured, round: int) -> Figure:
    trace = measured.trace
    lanes = LANE * len(measured.cluster.hosts) if trace else 0
    height = TOP + (LEGEND + lanes + GAP if trace else 0) + CURVES + BOTTOM
    figure = new_figure(WIDE, height)
    span = _span(measured, round)
    bottom = figure.add_axes((LEFT / WIDE, BOTTOM / height, 1 - (LEFT + RIGHT) / WIDE, CURVES / height))
    _draw_curves(bottom, measured, round, span)
    if trace:
        above = (BOTTOM + CURVES + GAP) / height
        top = figure.add_axes((LEFT / WIDE, above, 1 - (LEFT + RIGHT) / WIDE, lanes / height), sharex=bottom)
        _draw_lanes(top, measured, trace, round, span)
        _legend(figure, height)
    figure.text(20 / WIDE, 1 - 30 / height, _title(measured, round, span), size=17, weight="bold")
    return figure


def _title(measured: Measured, round: int, span: tuple[float, float]) -> str:
    it = measured.experiment
    lying = f", {it.liars} of them lying" if it.liars else ""
    return f"Round {round} of {it.members} members{lying}: agreed in {decimal(span[1] - span[0])} s"


def _span(measured: Measured, round: int) -> tuple[float, float]:
    """Virtual time from the first contribution to a round to the last commit [s]."""
    meter = measured.meter
    last = max(meter.agreed[round].times.values(), default=measured.cluster.now)
    return BIN_S * min(meter.spread[round]["items"], default=0), last


# --- curves ---


def _draw_curves(axes: Axes, measured: Measured, round: int, span: tuple[float, float]) -> None:
    """Share of all (member, item) pairs that are there, and so on."""
    start, end = span
    width = (end - start) * MS
    axes.set_xlim(-0.01 * width, 1.02 * width)
    axes.set_ylim(0, 1.04)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.set_xlabel("milliseconds since the first contribution")
    quorum = measured.cluster.genesis.quorum
    axes.axhline(quorum.size / quorum.members, color=LIGHT["quiet"], linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        "quorum", (0, quorum.size / quorum.members), (-6, 0), axes.get_yaxis_transform(), "offset points",
        color=LIGHT["quiet"], ha="right", va="center", size=11,
    )  # fmt: skip
    what = "share of all items, votes and commits that a member holds, on average"
    axes.set_title(what, loc="left", color=LIGHT["quiet"], size=12)
    ends = {}
    for stage in STAGES:
        times, shares = _curve(measured, round, stage)
        if len(times):
            x = np.append((times - start) * MS, 1.02 * width)
            axes.step(x, np.append(shares, shares[-1]), where="post", color=LIGHT[CURVE_INKS[stage]], clip_on=True)
            ends[stage] = float(shares[-1])
    _name_curves(axes, ends)


def _curve(measured: Measured, round: int, stage: str) -> tuple[Any, Any]:
    """Times [s] and shares."""
    meter = measured.meter
    bins = sorted(meter.spread.get(round, {}).get(stage, {}).items())
    holders = len(meter.agreed[round].times) if stage == "commits" else len(measured.cluster.honest)
    there = holders * (1 if stage == "commits" else meter.cast[round, stage])
    times = np.array([bin * BIN_S for bin, _ in bins])
    shares = np.cumsum([count for _, count in bins]) / max(1, there)
    return times, np.minimum(shares, 1.0)


def _name_curves(axes: Axes, ends: dict[str, float]) -> None:
    order = sorted(ends, key=lambda stage: ends[stage])
    places = spread([ends[stage] for stage in order], 19 * 1.04 / CURVES, 0, 1.0)
    for stage, place in zip(order, places, strict=True):
        axes.annotate(
            CURVE_NAMES[stage], (1, place), (10, 0), axes.get_yaxis_transform(), "offset points",
            color=LIGHT[CURVE_INKS[stage]], va="center", annotation_clip=False,
        )  # fmt: skip


# --- lanes ---


def _draw_lanes(axes: Axes, measured: Measured, trace: Trace, round: int, span: tuple[float, float]) -> None:
    """A lane for each host; a line for each message, from its sending to its arrival; a mark for each act."""
    hosts = measured.cluster.hosts
    axes.set_ylim(len(hosts) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.hlines(range(len(hosts)), *axes.get_xlim(), color=LIGHT["line"], linewidth=1, zorder=1)
    axes.tick_params(axis="x", labelbottom=False, length=0)
    axes.spines["bottom"].set_visible(False)
    leaders = {mark.host for mark in trace.marks if mark.act == "proposes" and mark.round == round}
    axes.set_yticks(range(len(hosts)), [_lane_name(measured, address, leaders) for address in range(len(hosts))])
    for label, host in zip(axes.get_yticklabels(), hosts, strict=True):
        label.set(color=LIGHT["ink" if host.honest else "red"], size=11.5)
    _draw_arrows(axes, trace, span)
    _draw_marks(axes, trace, round, span)


def _lane_name(measured: Measured, address: int, leaders: set[int]) -> str:
    host = measured.cluster.hosts[address]
    if not host.honest:
        return f"liar {host.seat}"
    return f"leader {host.seat}" if address in leaders else f"{host.seat}"


def _draw_arrows(axes: Axes, trace: Trace, span: tuple[float, float]) -> None:
    from matplotlib.collections import LineCollection

    start, end = span
    shown = [arrow for arrow in trace.arrows if start <= arrow.sent <= end]
    width, alpha, tip = (0.6, 0.32, 2) if len(shown) > 300 else (0.9, 0.6, 6)
    for ink in dict.fromkeys([REST, *ARROWS.values()]):
        lines = [
            (((arrow.sent - start) * MS, arrow.sender), ((arrow.arrived - start) * MS, arrow.to))
            for arrow in shown
            if ARROWS.get(arrow.kind, REST) == ink
        ]
        colour = LIGHT[ink.colour]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, alpha=alpha), autolim=False)
        if lines:
            x, y = np.array([end for _, end in lines]).T
            axes.scatter(x, y, s=tip, color=colour, zorder=3, linewidths=0)


def _draw_marks(axes: Axes, trace: Trace, round: int, span: tuple[float, float]) -> None:
    for act, ink in MARKS.items():
        marks = [mark for mark in trace.marks if mark.act == act and mark.round == round]
        x = [(mark.time - span[0]) * MS for mark in marks]
        y = [mark.host - RAISED.get(ink.marker, 0) for mark in marks]
        dots = axes.scatter(x, y, marker=ink.marker, s=SIZES[ink.marker], color=LIGHT[ink.colour], zorder=5)
        dots.set(linewidth=2.0 if ink.marker == "|" else 0.8, clip_on=False)
        if ink.marker != "|":
            dots.set_edgecolor(LIGHT["paper"])


def _legend(figure: Figure, height: int) -> None:
    """Messages in one row, acts in the next."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=LIGHT[ink.colour], linewidth=2, label=ink.name)
             for ink in dict.fromkeys([*ARROWS.values(), REST])]  # fmt: skip
    marks = [Line2D([], [], color=LIGHT[ink.colour], marker=ink.marker, linestyle="none", label=ink.name,
                    markersize=10 if ink.marker in "*|" else 7, markeredgewidth=2 if ink.marker == "|" else 0.8)
             for ink in MARKS.values()]  # fmt: skip
    for row, handles in enumerate((lines, marks)):
        figure.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(20 / WIDE, 1 - (46 + 23 * row) / height), ncols=6,
            frameon=False, borderpad=0, borderaxespad=0, handlelength=1.4, columnspacing=1.6, handletextpad=0.5,
            fontsize=11.5,
        )  # fmt: skip
