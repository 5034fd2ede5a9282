"""The figures of the demo's report: learning curves, rounds over time, who was distrusted.

Each is drawn twice, wide for a desk and narrow for a phone, with one SVG unit to the CSS pixel, and coloured by the
variables of the page around it, so that it follows its dark and light.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qorum.config import FederationConfig
from qorum.core.quorum import Quorum
from qorum.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "quiet": "#57606a",
    "line": "#d0d7de",
    "grey": "#6e7781",
    "amber": "#8a5a00",
    "blue": "#0a63b0",
    "red": "#c2410c",
    "pink": "#a5277c",
    "green": "#07765a",
}
"""Colour names and their values on white; text in each has a contrast of 4.5 or more there."""

DARK = {
    "paper": "#12161b",
    "ink": "#e8ecf1",
    "quiet": "#a4aeb9",
    "line": "#343c46",
    "grey": "#9aa4af",
    "amber": "#e3b341",
    "blue": "#62b0f5",
    "red": "#ff8f63",
    "pink": "#f191cf",
    "green": "#3ccfa5",
}
"""The same names on near black."""

WIDE, NARROW = 912, 344
FLOOR, CEILING = -0.5, 1.05
MINUS = "\u2212"
_SOLID, _LIES = "-", (("red", (0, (5, 1.5))), ("pink", (0, (1.5, 1.5))), ("amber", (0, (7, 1.5, 1.5, 1.5))))


class Act(NamedTuple):
    """One act of the demo, and how it looks in every figure."""

    key: str
    name: str
    short: str
    colour: str
    dash: Any
    data: dict[str, Any]

    @property
    def curve(self) -> list[tuple[float, float]]:
        """(steps an agent, normalised value) in order."""
        return [(float(x), float(y)) for x, y in self.data.get("curve") or []]

    @property
    def leads(self) -> bool:
        """Whether it stands out: qorum as it is meant to be."""
        return self.key == "federated"

    @property
    def value(self) -> float | None:
        """The normalised value in the end, of all honest members."""
        return self.data.get("normalised_value")

    @property
    def agreements(self) -> list[tuple[float, int, int]]:
        """(virtual time [s], round, term) of the first commit of each round."""
        return [(float(time), int(number), int(term)) for time, number, term in self.data.get("agreements") or []]

    @property
    def accusers(self) -> list[int]:
        """How many members accuse each member in the end; empty if this act does not say."""
        counts = self.data.get("distrusted") or []
        return list(counts[-1] if counts and isinstance(counts[-1], list) else counts)


def acts(result: dict[str, Any]) -> list[Act]:
    """The acts that `result` holds, in the order of the demo; the attacks one by one."""
    found = [
        _act(result, "isolated", "each agent alone", "alone", "grey", (0, (2, 2))),
        _act(result, "naive", "naive pairwise merge", "naive merge", "amber", (0, (6, 1.5, 1.5, 1.5))),
        _act(result, "federated", "qorum", "qorum", "blue", _SOLID),
        *_attacks(result),
        _act(result, "partitioned", "qorum, network cut", "network cut", "green", (0, (9, 2))),
    ]
    return [act for act in found if act.data]


def attacks(result: dict[str, Any]) -> list[Act]:
    """The attacks among the acts; none where nobody lies."""
    return [act for act in _attacks(result) if act.data]


def _act(result: dict[str, Any], key: str, name: str, short: str, colour: str, dash: Any) -> Act:
    return Act(key, name, short, colour, dash, result.get(key) or {})


def _attacks(result: dict[str, Any]) -> list[Act]:
    parts = (result.get("attacked") or {}).get("parts") or {}
    found = []
    for index, (key, data) in enumerate(parts.items()):
        colour, dash = _LIES[index % len(_LIES)]
        short = str(key).replace("_", " ")
        found.append(Act(str(key), f"qorum, {result['liars']} liars: {short}", short, colour, dash, data or {}))
    return found


def tolerated(result: dict[str, Any]) -> int:
    """f: a member accused by more than so many is excluded from the merge."""
    return Quorum.of(result["members"], FederationConfig().byzantine_threshold).tolerated


# ---- Drawing


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure; matplotlib's own settings come back afterwards."""
    try:
        from matplotlib.style import context
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", "drawing figures") from error
    ours = {
        "font.family": "DejaVu Sans",
        "font.size": 12.5,
        "text.parse_math": False,
        "text.color": LIGHT["ink"],
        "axes.edgecolor": LIGHT["line"],
        "axes.labelcolor": LIGHT["quiet"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": LIGHT["line"],
        "grid.linewidth": 0.8,
        "axes.facecolor": "none",
        "xtick.color": LIGHT["line"],
        "ytick.color": LIGHT["line"],
        "xtick.labelcolor": LIGHT["quiet"],
        "ytick.labelcolor": LIGHT["quiet"],
        "ytick.major.size": 0,
        "lines.linewidth": 2.2,
        "lines.solid_capstyle": "round",
        "svg.fonttype": "none",
        "svg.hashsalt": "qorum",
    }
    # From the defaults, so that a user's own style file does not show.
    with context(["default", ours]):
        yield


def inline(name: str, label: str, draw: Callable[[bool], Figure]) -> str:
    """Both widths of a figure as inline SVG in the colours of the page; `label` is what a screen reader says."""
    with style():
        return "".join(
            _svg(draw(wide), f"{name}-{size}", label, size) for size, wide in (("wide", True), ("narrow", False))
        )


def _svg(figure: Figure, name: str, label: str, size: str) -> str:
    figure.patch.set_visible(False)
    stream = io.BytesIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=no_metadata)
    text = stream.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)
    text = re.sub(r"font-family: [^;\"]*(; )?", "", text)
    # Several drawings share the page, and each counts its ids from 1.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"(?<=: )#[0-9a-f]{6}\b", _variable, text)
    text = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', _shorter, text)
    return text.replace("<svg", f'<svg class="{size}" role="img" aria-label="{escape(label)}"', 1)


_VARIABLES = {value: f"var(--{name})" for name, value in LIGHT.items()}


def _variable(match: re.Match[str]) -> str:
    return _VARIABLES.get(match[0], match[0])


def _shorter(match: re.Match[str]) -> str:
    """Coordinates to a hundredth of a pixel, on one line."""
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", match[0]).replace(" \n", " ")


def new_figure(width: int, height: int) -> Figure:
    """An empty figure of that many SVG units, which are CSS pixels."""
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(width / 72, height / 72), dpi=72)


def margins(figure: Figure, left: float, top: float, right: float, bottom: float, **gaps: float) -> None:
    """Margins in pixels; gaps as `subplots_adjust` has them."""
    width, height = figure.bbox.width, figure.bbox.height
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, **gaps)


# ---- 1. Learning curves


def curves_figure(result: dict[str, Any], wide: bool) -> Figure:
    """Normalised value over steps an agent, all acts on one axis, each named at its end."""
    shown = acts(result)
    figure = new_figure(*((WIDE, 460) if wide else (NARROW, 400)))
    margins(figure, 42, 12, 250 if wide else 122, 50 + _strip_height(shown))
    draw_curves(figure.add_subplot(), shown, names=wide)
    return figure


def draw_curves(axes: Axes, shown: Sequence[Act], names: bool = True) -> None:
    """Draw them on `axes`, and under it a strip that says when a curve is below; `names` are long, otherwise short."""
    low = lowest_shown(shown)
    drawn = [act for act in shown if act.curve]
    axes.set_ylim(low, CEILING)
    axes.set_xlim(0, max((x for act in drawn for x, _ in act.curve), default=1) or 1)
    for bound in (0, 1):
        axes.axhline(bound, color=LIGHT["quiet"], linewidth=1, zorder=1)
    for act in drawn:
        front = 4 if act.leads else 3
        axes.plot(*zip(*act.curve, strict=True), color=LIGHT[act.colour], linestyle=act.dash, zorder=front)
    _name_ends(axes, drawn, names)
    bottom = _draw_strip(axes, drawn, low) if leaves(drawn) else axes
    bottom.set_xlabel("steps per agent")


def lowest_shown(shown: Sequence[Act]) -> float:
    """Where the axis of the learning curves starts: no lower than -0.5, however bad a poisoned table is."""
    lowest = min((y for act in shown for _, y in act.curve), default=0.0)
    return max(FLOOR, min(-0.1, lowest - 0.05))


def leaves(shown: Sequence[Act]) -> list[tuple[Act, float]]:
    """(act, lowest value) of every curve that goes below the axis."""
    lowest = [(act, min(y for _, y in act.curve)) for act in shown if act.curve]
    return [(act, value) for act, value in lowest if value < lowest_shown(shown)]


def _strip_height(shown: Sequence[Act]) -> int:
    return _ROW * len(leaves(shown)) + 6 if leaves(shown) else 0


_ROW = 6
"""Pixels to a curve in the strip."""


def _draw_strip(axes: Axes, drawn: Sequence[Act], low: float) -> Axes:
    """A row for each curve that leaves, filled in while it is below; takes over the axis of steps."""
    height = _strip_height(drawn) / axes.bbox.height
    strip = axes.inset_axes((0, -height, 1, height), sharex=axes)
    axes.tick_params(axis="x", labelbottom=False, length=0)
    axes.spines["bottom"].set_linestyle((0, (2, 2)))
    strip.set_ylim(_strip_height(drawn), 0)
    strip.set_yticks([_strip_height(drawn) / 2], ["below"], size=11)
    strip.grid(visible=False)
    steps = np.linspace(*axes.get_xlim(), 1201)
    for row, (act, _) in enumerate(leaves(drawn)):
        x, y = np.array(act.curve).T
        values = np.interp(steps, x, y, left=np.nan, right=np.nan)
        level = np.where(values < low, 3 + _ROW * (row + 0.5), np.nan)
        strip.plot(steps, level, color=LIGHT[act.colour], linewidth=3.5, solid_capstyle="butt")
    return strip


def _name_ends(axes: Axes, drawn: Sequence[Act], names: bool) -> None:
    ends = [
        EndName(*act.curve[-1], f"{decimal(act.value)} {act.name if names else act.short}", act.colour, act.leads)
        for act in drawn
    ]
    name_ends(axes, ends, size=12.5 if names else 11.5, row=19, beside=26 if names else 16)


class EndName(NamedTuple):
    """What is written beside the end of a curve."""

    x: float
    y: float
    text: str
    colour: str
    bold: bool = False


def name_ends(axes: Axes, names: Iterable[EndName], size: float, row: float, beside: float) -> None:
    """Write each name to the right of `axes`, as near to the end of its curve as the names of the others allow.

    Args:
        axes: with the limits that it will keep.
        names: in any order.
        size: of the letters [pt].
        row: pixels from name to name, at least.
        beside: pixels from the axes to the names.
    """
    low, high = axes.get_ylim()
    order = sorted(names, key=lambda name: name.y)
    ends = [(name.x, min(max(name.y, low), high)) for name in order]
    heights = [float((axes.transScale + axes.transLimits).transform(end)[1]) for end in ends]
    places = spread(heights, row / axes.bbox.height, 0.0, 1.0)
    for name, end, place in zip(order, ends, places, strict=True):
        axes.annotate(
            name.text,
            xy=end,
            xytext=(1 + beside / axes.bbox.width, place),
            textcoords="axes fraction",
            color=LIGHT[name.colour],
            weight="bold" if name.bold else "normal",
            size=size,
            va="center",
            annotation_clip=False,
            arrowprops={**_LEADER, "color": LIGHT[name.colour]},
        )


_LEADER = {"arrowstyle": "-", "linewidth": 0.9, "relpos": (0, 0.5), "shrinkA": 2, "shrinkB": 2}


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the `wanted` ones (ascending), `gap` or more apart, within [low, high] if there is room."""
    places: list[float] = []
    for at in wanted:
        places.append(max(at, places[-1] + gap if places else low))
    limit = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - gap
    return places


# ---- 2. Rounds and terms


def rounds_figure(result: dict[str, Any], wide: bool) -> Figure:
    """Rounds agreed over virtual time, a panel for each act with a protocol; cuts of the network shaded."""
    shown = [act for act in acts(result) if act.agreements]
    columns = 2 if wide and len(shown) > 1 else 1
    rows = -(-len(shown) // columns)
    figure = new_figure(WIDE if wide else NARROW, rows * (215 if wide else 180) + 50)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    # The top margin holds a title, and so does the gap between rows.
    margins(figure, 44, 34, 14, 46, hspace=0.34, wspace=0.1)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, act in zip(grid.flat, shown, strict=False):
        _draw_rounds(axes, act, wide)
    for column in range(columns):
        bottom = [axes for axes in grid[:, column] if axes.get_visible()][-1]
        bottom.set_xlabel("seconds of simulated time")
        bottom.xaxis.set_tick_params(labelbottom=True)
    for row in grid[:, 0]:
        row.set_ylabel("round")
    return figure


def _draw_rounds(axes: Axes, act: Act, wide: bool) -> None:
    times, numbers, terms = zip(*act.agreements, strict=True)
    late = [(time, number) for time, number, term in act.agreements if term > 0]
    for cut in act.data.get("partitions") or []:
        axes.axvspan(cut["from_s"], cut["to_s"], color=LIGHT["grey"], alpha=0.22, linewidth=0)
        sides = " | ".join(map(str, cut["sides"]))
        middle = (cut["from_s"] + cut["to_s"]) / 2
        axes.text(middle, 0.96, f"cut\n{sides}", transform=axes.get_xaxis_transform(), ha="center", va="top", size=11)
    axes.step([0.0, *times], [0, *numbers], where="post", color=LIGHT[act.colour])
    if late:
        axes.plot(*zip(*late, strict=True), "D", color=LIGHT["ink"], markersize=6, zorder=4)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    more = sum(terms)
    what = f"{count(max(numbers), 'round')}, {count(more, 'extra term')}"
    name = act.name if wide else act.short
    axes.set_title(name, loc="left", color=LIGHT[act.colour], weight="bold", size=12.5 if wide else 11.5)
    axes.set_title(what, loc="right", color=LIGHT["quiet"], size=12 if wide else 11)


def decimal(value: float | None, digits: int = 2) -> str:
    """'-0.50' with a true minus sign, none for a zero; a dash for None."""
    return "\u2013" if value is None else f"{value:z,.{digits}f}".replace("-", MINUS)


def rough(number: float) -> str:
    """'76,800', '9.9 billion'."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:,.1f} {word}"
    return f"{number:,.0f}"


def count(number: int, noun: str) -> str:
    """'1 round', '1,200 rounds', 'no rounds'."""
    return f"{number:,} {noun}{'s' * (number != 1)}" if number else f"no {noun}s"


# ---- 3. Who was distrusted


def distrust_figure(result: dict[str, Any], wide: bool) -> Figure:
    """For each attack: how many members accuse each member in the end, and who is excluded from round to round."""
    shown = [act for act in attacks(result) if act.accusers]
    if wide:
        figure = new_figure(WIDE, 235 * len(shown) + 20)
        grid = figure.subplots(len(shown), 2, squeeze=False, width_ratios=[1.7, 1], sharey="col")
        margins(figure, 44, 34, 92, 50, hspace=0.58, wspace=0.24)
    else:
        figure = new_figure(NARROW, 400 * len(shown) + 20)
        grid = figure.subplots(2 * len(shown), 1, squeeze=False).reshape(len(shown), 2)
        margins(figure, 38, 34, 74, 50, hspace=0.62)
    for (left, right), act in zip(grid, shown, strict=True):
        _draw_accusers(left, act, result, wide)
        _draw_excluded(right, act, result)
    return figure


def groups(act: Act, result: dict[str, Any]) -> list[tuple[str, str, list[int]]]:
    """(name, colour, members) of honest members and liars; one group where the result does not name the liars."""
    everyone = range(len(act.accusers))
    liars = act.data.get("liar_members", result.get("liar_members"))
    if liars is None:
        return [("members", "blue", list(everyone))]
    honest = [member for member in everyone if member not in set(liars)]
    return [("honest", "blue", honest), ("liars", "red", sorted(liars))]


def _draw_accusers(axes: Axes, act: Act, result: dict[str, Any], wide: bool) -> None:
    bar, gap, start = 0.82, 2.0, 0.0
    for name, colour, members in groups(act, result):
        heights = [height for member in members for height in (act.accusers[member], 0)]
        edges = [start + at + side for at in range(len(members)) for side in (0, bar)]
        axes.stairs(heights, [*edges, start + len(members)], fill=True, color=LIGHT[colour])
        axes.plot([start, start + len(members) - 1 + bar], [0, 0], color=LIGHT[colour], linewidth=3, clip_on=False)
        centre = start + len(members) / 2
        axes.annotate(
            f"{len(members)} {name}",
            (centre, 0),
            (0, -8),
            textcoords="offset points",
            ha="center",
            va="top",
            color=LIGHT[colour],
        )
        start += len(members) + gap
    limit = tolerated(result)
    axes.axhline(limit, color=LIGHT["ink"], linewidth=1.2, linestyle=(0, (4, 2)))
    axes.annotate(f"f = {limit}", (1, limit), (5, 0), ("axes fraction", "data"), "offset points", va="center")
    axes.set_xlim(-0.5, start - gap + 0.5)
    axes.set_ylim(0, result["members"])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    title = f"{act.short}: accusers of each member" if wide else f"{act.short}: accusers"
    axes.set_title(title, loc="left", weight="bold", size=12.5)


def _draw_excluded(axes: Axes, act: Act, result: dict[str, Any]) -> None:
    history = act.data.get("excluded") or []
    axes.set_title("excluded from the merge", loc="left", size=12.5)
    axes.set_ylim(-0.03 * result["liars"], 1.06 * max(result["liars"], 1))
    axes.set_xlabel("round")
    if not history:
        return
    rounds, liars, honest = zip(*history, strict=True)
    ends = spread(sorted((liars[-1], honest[-1])), 0.14 * result["liars"], 0, result["liars"])
    places = dict(zip(("liars", "honest") if liars[-1] < honest[-1] else ("honest", "liars"), ends, strict=True))
    for name, colour, counts in (("liars", "red", liars), ("honest", "blue", honest)):
        axes.step([0, *rounds], [0, *counts], where="post", color=LIGHT[colour], clip_on=False)
        axes.annotate(
            f"{counts[-1]} {name}",
            (1, places[name]),
            (6, 0),
            ("axes fraction", "data"),
            "offset points",
            color=LIGHT[colour],
            va="center",
        )
    axes.set_xlim(0, max(rounds))
    axes.locator_params(axis="y", integer=True, nbins=4)


# ---- The picture


def picture_kind(path: str | Path) -> str:
    """`png` or `svg`, from how the path ends.

    Raises:
        ConfigError: it ends in anything else.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise ConfigError(f"picture path {str(path)!r} must end in .png or .svg")
    return kind


def write_picture(figure: Figure, path: str | Path) -> None:
    """Write `figure` as PNG, two pixels to the CSS pixel, or as SVG; the same figure gives the same bytes."""
    kind = picture_kind(path)
    figure.savefig(path, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else {"Software": None})


def save_picture(result: dict[str, Any], path: str | Path) -> None:
    """Write the learning curves under a title of their own, on paper of their own."""
    with style():
        shown, height = acts(result), 500
        figure = new_figure(WIDE, height)
        margins(figure, 52, 84, 250, 54 + _strip_height(shown))
        figure.text(20 / WIDE, 1 - 34 / height, _headline(result), size=18, weight="bold")
        scale = "normalised value: 0 = best trivial policy, 1 = optimum"
        figure.text(20 / WIDE, 1 - 58 / height, scale, color=LIGHT["quiet"])
        draw_curves(figure.add_subplot(), shown)
        write_picture(figure, path)


def _headline(result: dict[str, Any]) -> str:
    lying = f", {result['liars']} of them lying" if attacks(result) else ""
    return f"{result['members']} agents learn {result['task']} as one{lying}"
