"""The one kind of figure that these reports need: lines with a band, named at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qorum.lab.figures import LIGHT, NARROW, WIDE, EndName, margins, name_ends, new_figure
from qorum.lab.papers.summary import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


class Look(NamedTuple):
    """How a line is named and drawn, in every figure of a report."""

    name: str
    short: str
    colour: str
    dash: Any
    bold: bool = False


class Line(NamedTuple):
    """A line through `middle`, with a band from `low` to `high`."""

    look: Look
    x: Sequence[float]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


class Scale(NamedTuple):
    """An axis: what it shows, and whether it is logarithmic."""

    label: str
    log: bool = True


def chart(lines: Sequence[Line], x: Scale, y: Scale, wide: bool) -> Figure:
    """All lines on one pair of axes; `wide` for a desk, otherwise for a phone."""
    figure = new_figure(*((WIDE, 430) if wide else (NARROW, 380)))
    margins(figure, 56, 32, 250 if wide else 126, 50)
    axes = figure.add_subplot()
    for line in lines:
        colour = LIGHT[line.look.colour]
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        front = 4 if line.look.bold else 3
        axes.plot(line.x, line.middle, color=colour, linestyle=line.look.dash, zorder=front, marker="o", markersize=3)
    _scale(axes, x, y)
    names = [
        EndName(line.x[-1], line.middle[-1], _name(line, wide), line.look.colour, line.look.bold) for line in lines
    ]
    name_ends(axes, names, size=12 if wide else 11, row=19, beside=26 if wide else 16)
    return figure


def _name(line: Line, wide: bool) -> str:
    return f"{number(line.middle[-1])} {line.look.name if wide else line.look.short}"


def _scale(axes: Axes, x: Scale, y: Scale) -> None:
    for scale, axis, set_scale in ((x, axes.xaxis, axes.set_xscale), (y, axes.yaxis, axes.set_yscale)):
        if scale.log:
            set_scale("log")
            _tick(axis)
    axes.set_xlabel(x.label)
    axes.set_title(y.label, loc="left", size=12.5, color=LIGHT["quiet"])
    axes.autoscale_view()
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())


def _tick(axis: Axis) -> None:
    """Plain numbers at powers of ten, and at their double and fivefold where these are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axis.set_minor_locator(NullLocator())


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.9f}".rstrip("0")
