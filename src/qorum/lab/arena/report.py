"""The report of `qorum arena`: which merge rule still learns while a third of the members lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from qorum.lab import figures
from qorum.lab.arena import figures as arena_figures
from qorum.lab.arena.study import (
    ATTACKS,
    HELD,
    NOBODY,
    PROMISE,
    Attack,
    Reach,
    Row,
    Study,
    mean_series,
    rates,
    share,
    thinned,
    value,
)
from qorum.lab.figures import count, decimal
from qorum.lab.report import ABSENT, Section, figure, interval, meanings, over, page, series_table, table, whole

_CSS = """
.heatmap { width: auto }
.dense.heatmap td { padding: .1rem 0 .1rem .2rem; border: 0 }
.dense.heatmap tbody th { border: 0; padding: .25rem .5rem .25rem 0; white-space: nowrap }
.heatmap thead th:not(:first-child) { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  padding: .3rem .8rem 0 0; border: 0; font-weight: 600 }
.heat { display: block; min-width: 3.1rem; padding: .15rem .4rem; border-radius: .25rem; text-align: right;
  background: color-mix(in srgb, var(--tone) var(--part), var(--paper));
  print-color-adjust: exact; -webkit-print-color-adjust: exact }
.heat.held { font-weight: 700 }
.heat .under { color: inherit; font-weight: 400 }
.key { display: flex; flex-wrap: wrap; gap: .3rem; font-size: .85rem }
.key .heat { min-width: 0 }
.scroll:focus-visible { outline: 2px solid var(--blue); outline-offset: 3px }
"""


def render(result: dict[str, Any]) -> str:
    """The report of `qorum arena`: one HTML page that needs nothing else.

    Args:
        result: what the arena found, JSON-able. Rules, attacks, populations, curves and intervals that are absent,
            empty or None are left out, and so are the intervals of a single seed.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    study = Study(result)
    sections = [
        Section("What was found", _found(study)),
        *_heat_sections(study),
        *_figures(study),
        *_ablation(study),
        Section("What the rules do", _rules(study)),
        Section("What the liars do", _attacks(study)),
        Section("What the words mean", _words(study)),
        Section("How to make it again", _again(study)),
        Section("The numbers in detail", _details(study)),
    ]
    return page(_title(study), sections, _footer(study), lead=_lead(study), css=_CSS)


def save(result: dict[str, Any], path: str | Path) -> None:
    """Write `render(result)` to `path`, in UTF-8, over what is there."""
    text = render(result)
    Path(path).write_text(text, encoding="utf-8", newline="\n")


def picture(result: dict[str, Any], path: str | Path) -> None:
    """Write value against liars and the heat map of rules and attacks as one wide picture on a paper of its own.

    Args:
        path: ends in `.png` (1824 pixels wide) or `.svg`.

    Raises:
        ConfigError: the path ends in anything else; nothing is written.
        MissingExtra: matplotlib is not installed.
    """
    figures.picture_kind(path)
    arena_figures.save_picture(Study(result), path)


def write_report(result: dict[str, Any], folder: str | Path) -> Path:
    """Write `report.html` and `arena.png` into `folder`, which is made where it is missing, over what is there.

    Returns:
        The path of the page.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save(result, folder / "report.html")
    picture(result, folder / "arena.png")
    return folder / "report.html"


# ---- What was found


def _title(study: Study) -> str:
    fraction = study.fraction(study.members)
    who = "Some" if not fraction else "A third" if abs(fraction - PROMISE) < 0.01 else f"{100 * fraction:.0f} %"
    return f"{who} of the members lie: which merge rule still learns?"


def _lead(study: Study) -> str:
    told = list(filter(None, (_told(study, members) for members in study.populations)))
    scale = (
        f"To hold is to reach {decimal(HELD)} or more, on a scale where 0 is the best trivial policy and 1 the optimum."
    )
    return " ".join([*told, scale])


def _told(study: Study, members: int) -> str:
    """What the leader reaches in a population, and what the best of the other rules does."""
    reach = study.reach(study.leader, members) if study.leader else None
    if reach is None:
        return ""
    other = study.best_other(members)
    beside = f" The best other rule is {escape(other.rule.name)}: it {_holds(study, other)}." if other else ""
    lying = f"{members:,} members, {study.liars(members):,} of them lying"
    return f"With {lying}, {escape(reach.rule.name)} {_holds(study, reach)}.{beside}"


def _holds(study: Study, reach: Reach) -> str:
    """'holds on 40 of 42 pairs of task and attack, with 0.62 at worst (Lake, ALIE)'."""
    return (
        f"holds on <strong>{reach.held} of {len(reach.rows)}</strong> pair{'s' * (len(reach.rows) != 1)} of task and "
        f"attack, with <strong>{decimal(value(reach.worst))}</strong> at worst ({_where(study, reach.worst)})"
    )


def _where(study: Study, row: Row) -> str:
    return f"{escape(row['task'])}, {escape(_attack_names(study)[row['attack']])}"


def _attack_names(study: Study) -> dict[str, str]:
    return {attack.key: attack.name for attack in (ATTACKS[0], *study.attacks)}


def _found(study: Study) -> str:
    tables = "".join(_reach_table(study, members) for members in study.populations)
    return _hopeless(study) + tables + _missing(study)


def _hopeless(study: Study) -> str:
    """Where the leader fails, and honest members that know the liars do too."""
    fallen = [row for members in study.populations for row in study.led(members) if value(row) < HELD]
    known = [row for row in fallen if row.get("oracle_value") is not None]
    alike = [row for row in known if row["oracle_value"] < HELD]
    if not known or study.leader is None:
        return ""
    return (
        f"<p>On {len(alike) or 'none'} of the {count(len(known), 'pair')} where {escape(study.leader.name)} does not "
        "hold, neither do honest members who know the liars and leave them out.</p>"
    )


def _reach_table(study: Study, members: int) -> str:
    head = ("rule", "holds on", "mean", "worst", "on what", "liars excluded", "honest excluded")
    reached = [found for rule in study.rules if (found := study.reach(rule, members))]
    rows = [
        (
            escape(found.rule.name),
            f"<strong>{found.held}</strong> of {len(found.rows)}",
            decimal(found.mean),
            decimal(value(found.worst)),
            _where(study, found.worst),
            *(_rate(found.rows, key) for key in ("true_positive_rate", "false_positive_rate")),
        )
        for found in reached
    ]
    caption = f"{members:,} members, {study.liars(members):,} of them lying"
    return table(head, rows, (1, 2, 3, 5, 6), css="cards", caption=caption) if rows else ""


def _rate(rows: Sequence[Row], key: str) -> str:
    known = [row[key] for row in rows if row.get(key) is not None]
    return _percent(float(np.mean(known)) if known else None)


def _percent(part: float | None) -> str:
    return decimal(None) if part is None else f"{decimal(100 * part, 1).removesuffix('.0')} %"


def _missing(study: Study) -> str:
    missing = study.result.get("missing_rules") or {}
    told = [(escape(rule.replace("_", " ")), escape(str(reason))) for rule, reason in missing.items()]
    return f"<p>Not run:</p>{meanings(told)}" if told else ""


# ---- Heat maps


def _heat_sections(study: Study) -> list[Section]:
    if not study.attacks:
        return []
    main = study.members
    sections = [Section(f"Rules against attacks, {main:,} members", _rule_heat(study))]
    for members in sorted(study.populations, reverse=True):
        if study.led(members):
            name = study.leader.name if study.leader else ""
            sections.append(Section(f"{name}, task by task, {members:,} members", _task_heat(study, members)))
    return sections


def _rule_heat(study: Study) -> str:
    def worst(reach: Reach) -> str:
        return _heat(value(reach.worst))

    def mean(reach: Reach) -> str:
        return _heat(reach.mean)

    return (
        f"<p>Bold: {decimal(HELD)} or more.</p>{_key()}"
        + _rule_table(study, worst, "On the worst task")
        + _rule_table(study, mean, "Mean of the tasks")
    )


def _rule_table(study: Study, shown: Callable[[Reach], str], caption: str) -> str:
    rows = []
    for attack in _rows_of_heat(study, study.members):
        found = [study.reach(rule, study.members, attack.key) for rule in study.rules]
        rows.append((escape(attack.name), *(shown(one) if one else ABSENT for one in found)))
    head = ("attack", *(rule.short for rule in study.rules))
    return table(head, rows, range(1, len(head)), css="dense heatmap", caption=caption)


def _rows_of_heat(study: Study, members: int) -> list[Attack]:
    """Nobody lying first, where that was run too."""
    calm = any(row["members"] == members and row["attack"] == NOBODY for row in study.rows)
    return [*ATTACKS[: int(calm)], *study.attacks]


def _task_heat(study: Study, members: int) -> str:
    def cell(row: Row | None) -> str:
        if row is None:
            return ABSENT
        oracle = row.get("oracle_value")
        return _heat(value(row), "" if value(row) >= HELD or oracle is None else f"of {decimal(oracle)}")

    leader = study.leader.key if study.leader else ""
    attacks = _rows_of_heat(study, members)
    tasks = [task for task in study.tasks if any(study.row(members, task, each.key, leader) for each in attacks)]
    rows = [
        (escape(attack.name), *(cell(study.row(members, task, attack.key, leader)) for task in tasks))
        for attack in attacks
    ]
    head = ("attack", *tasks)
    text = (
        f"<p>{study.liars(members):,} of {members:,} lie. Under a value below {decimal(HELD)}: what honest members "
        "reach that know the liars and leave them out.</p>"
    )
    caption = f"Value on each task, {members:,} members"
    return text + _key() + table(head, rows, range(1, len(head)), css="dense heatmap", caption=caption)


def _heat(reached: float, under: str = "") -> str:
    """A value on its tone; clipped in colour, not in number."""
    colour, part = arena_figures.tone(reached)
    css = "heat held" if reached >= HELD else "heat"
    return f'<span class="{css}" style="--tone:var(--{colour});--part:{part}%">{over(decimal(reached), under)}</span>'


def _key() -> str:
    """The tones, from the best down."""
    levels = [level for level, *_ in arena_figures.TONES]
    said = [f"{decimal(level)} or more" for level in levels] + [f"below {decimal(levels[-1])}"]
    shown = [*levels, levels[-1] - 1]
    parts = (_heat(level).replace(f">{decimal(level)}<", f">{text}<") for level, text in zip(shown, said, strict=True))
    return f'<p class="key">{"".join(parts)}</p>'


# ---- Figures


def _figures(study: Study) -> list[Section]:
    drawn = [
        ("With more and more liars", _fractions(study)),
        ("How fast it learns under attack", "".join(_curves(study, members) for members in study.populations)),
        ("Who was distrusted when", _distrust(study)),
        ("Which cells are confirmed", _cells(study)),
    ]
    return [Section(heading, html) for heading, html in drawn if html]


def _fractions(study: Study) -> str:
    if not any(study.by_fraction(rule) for rule in study.rules):
        return ""
    label = "Value against the share of liars, at worst and on average. The numbers are in the table below."
    svg = figures.inline("fractions", label, lambda wide: arena_figures.fractions_figure(study, wide))
    text = (
        f"What each rule reaches with {study.members:,} members, on its worst task and attack and on average. The "
        f"number is the value at {_percent(study.fraction(study.members))} liars. Left of the dashed line, a third, "
        f"qorum promises to learn. {_frame()}"
    )
    return figure(svg, f"<b>Figure 1.</b> {text}") + _fraction_table(study)


def _frame() -> str:
    return f"The frame starts at {decimal(figures.FLOOR, 1)}; a curve below is not seen."


def _fraction_table(study: Study) -> str:
    points = {rule: {point.fraction: point for point in study.by_fraction(rule)} for rule in study.rules}
    fractions = sorted({fraction for known in points.values() for fraction in known})
    rows = [
        (
            escape(rule.name),
            *(
                over(decimal(known[at].worst), f"{decimal(known[at].mean)} ({known[at].pairs})") if at in known
                else ABSENT
                for at in fractions
            ),
        )
        for rule, known in points.items()
    ]  # fmt: skip
    head = ("rule", *(_percent(fraction) for fraction in fractions))
    caption = "Worst value; under it the mean, and of how many pairs of task and attack"
    return table(head, rows, range(1, len(head)), css="dense", caption=caption)


def _curves(study: Study, members: int) -> str:
    if not study.led(members, has="curve"):
        return ""
    name = escape(study.leader.name) if study.leader else ""
    label = f"Learning curves of {members:,} members under attack, a panel for each task. Numbers in a table below."
    svg = figures.inline(f"curves-{members}", label, lambda wide: arena_figures.curves_figure(study, members, wide))
    text = (
        f"Normalised value of {name} against steps an agent, {members:,} members, {study.liars(members):,} of them "
        f"lying. The {arena_figures.WORST} attacks that leave least have names, the others are thin. Dashed: what the "
        "honest members reach in the end if the liars say nothing; dotted: what an agent reaches alone, at the edge of "
        f"the frame if it is below. {_frame()}"
    )
    return figure(svg, f"<b>Figure 2, {members:,} members.</b> {text}")


def _distrust(study: Study) -> str:
    members = study.shown("exclusions")
    if members is None:
        return ""
    label = "Shares of liars and of honest members excluded, a panel for each attack. Numbers in a table below."
    svg = figures.inline("distrust", label, lambda wide: arena_figures.distrust_figure(study, members, wide))
    text = (
        f"Of {members:,} members, {study.liars(members):,} of them lying: the share of the liars (red, solid) and of "
        "the honest (blue, dashed) whose claims no longer count. Thin: a task; thick: the mean of the tasks."
    )
    return figure(svg, f"<b>Figure 3.</b> {text}") + _rate_table(study, members)


def _rate_table(study: Study, members: int) -> str:
    def cell(row: Row | None) -> str:
        if row is None:
            return ABSENT
        caught, wronged = row.get("true_positive_rate"), row.get("false_positive_rate")
        return ABSENT if caught is None and wronged is None else over(_percent(caught), _percent(wronged))

    leader = study.leader.key if study.leader else ""
    rows = [
        (escape(attack.name), *(cell(study.row(members, task, attack.key, leader)) for task in study.tasks))
        for attack in study.attacks
    ]
    head = ("attack", *study.tasks)
    caption = "Liars excluded in the end, and under it honest members excluded"
    return table(head, rows, range(1, len(head)), css="dense", caption=caption)


def _cells(study: Study) -> str:
    members = study.shown("cells")
    if members is None:
        return ""
    label = "Cells confirmed and unconfirmed over steps, a panel for each task. Numbers in a table below."
    svg = figures.inline("cells", label, lambda wide: arena_figures.cells_figure(study, members, wide))
    text = (
        f"Cells of the table with {members:,} members, {study.liars(members):,} of them lying, mean of the attacks. "
        "Confirmed: so many report the cell that liars alone could not have set its value. Unconfirmed: the others "
        "that somebody reports. Thin: the confirmed cells under each attack. What is left was reported by nobody; some "
        "of it cannot be reached at all."
    )
    return figure(svg, f"<b>Figure 4.</b> {text}")


# ---- What each part is worth


def _ablation(study: Study) -> list[Section]:
    parts = study.result.get("ablation") or []
    names = list(dict.fromkeys(key for part in parts for side in ("with", "without") for key in part.get(side) or {}))
    if not names:
        return []
    known = _attack_names(study)
    rows = [
        (over(escape(_plain(part["part"])), _setting(part)), *(_lost(part, name) for name in names)) for part in parts
    ]
    head = ("without", *(known.get(name, _plain(name)) for name in names))
    text = (
        "<p>What is left of the value when one part of the rule is taken out; under it, the value with all parts.</p>"
    )
    html = text + table(head, rows, range(1, len(head)), css="dense heatmap", caption="Value without each part")
    return [Section("What each part is worth", html)]


def _plain(key: Any) -> str:
    return str(key).replace("_", " ")


def _setting(part: dict[str, Any]) -> str:
    members = part.get("members")
    said = (escape(str(part.get("task") or "")), f"{members:,} members" if members else "")
    return ", ".join(filter(None, said))


def _lost(part: dict[str, Any], attack: str) -> str:
    left, whole_value = ((part.get(side) or {}).get(attack) for side in ("without", "with"))
    under = "" if whole_value is None else f"with {decimal(whole_value)}"
    return over(ABSENT, under) if left is None else _heat(left, under)


# ---- What the words mean


def _rules(study: Study) -> str:
    return meanings((escape(rule.name), rule.story) for rule in study.rules if rule.story)


def _attacks(study: Study) -> str:
    text = "<p>In each round the liars know the task and what everybody is about to state, and act as one.</p>"
    return text + meanings((escape(attack.name), attack.story) for attack in study.attacks if attack.story)


def _words(study: Study) -> str:
    return meanings(
        [
            (
                "normalised value",
                "How good it is to act on what an honest agent ends with, computed exactly from the task's own "
                "transition table, the mean of honest agents and seeds. 1 is the optimum. 0 is the best trivial "
                "policy, at random or one action always. Below 0 is worse than that, as acting on a lie can be.",
            ),
            ("worst honest", "The lowest value of any honest agent in any seed."),
            ("alone", "What an agent reaches from its own steps, without any other."),
            ("honest only", "What the honest members reach where the liars are known and say nothing."),
            ("95 % interval", "Percentile bootstrap over seeds. One seed has none."),
            (
                "liars excluded, honest excluded",
                "Shares of the liars and of the honest members whose claims no longer count in the end. A dash where a "
                "rule excludes nobody.",
            ),
            (
                "honest in dispute",
                "Of two members who stake their standing against each other both leave the merge: how many honest "
                "ones that is in the end.",
            ),
            ("confirmed", "So many members report the cell that liars alone could not have set its agreed value."),
            ("to 95 %", "Steps an agent until honest members reach 95 % of the optimum; a dash is never."),
            (
                "f",
                "How many liars a fleet is made for: fewer than a third of its members. Right of a third, nothing is "
                "promised, and nothing can be.",
            ),
        ]
    )


def _again(study: Study) -> str:
    seeds, quick = study.result.get("seeds"), study.result.get("quick")
    typed = "qorum arena" + (" --quick" if quick else "") + (f" --seeds {seeds}" if seeds is not None else "")
    command = escape(str(study.result.get("command") or typed))
    short = " This was the quick run, with few tasks, attacks and rules." if quick else ""
    return f"<p><code>{command}</code></p><p>The same version and command give the same values.{short}</p>"


# ---- The numbers in detail


def _details(study: Study) -> str:
    tables = [_task_table(study), _rate_series(study)]
    for task in study.tasks:
        for members in study.populations:
            tables += [_curve_table(study, task, members), _cell_table(study, task, members)]
    for task in study.tasks:
        for members in study.populations:
            tables.append(_row_table(study, task, members))
    return f"<details><summary>Show them as tables</summary>{''.join(tables)}</details>"


def _task_table(study: Study) -> str:
    keys = ("steps", "sync_every", "states", "actions")
    tasks = study.result.get("tasks") or {}
    rows = [(escape(task), *(whole(tasks.get(task, {}).get(key)) for key in keys)) for task in study.tasks]
    head = ("task", "steps an agent", "steps between merges", "states", "actions")
    return table(head, rows, range(1, len(head)), caption="The tasks") if rows else ""


def _curve_table(study: Study, task: str, members: int) -> str:
    curves = {
        _attack_names(study)[row["attack"]]: {int(steps): reached for steps, reached, *_ in thinned(row["curve"])}
        for row in study.led(members, task, has="curve")
    }
    caption = f"Figure 2, {task}, {members:,} members: normalised value"
    return series_table(caption, "steps", curves, lambda reached: decimal(reached, 3))


def _cell_table(study: Study, task: str, members: int) -> str:
    series = [thinned(row["cells"]) for row in study.led(members, task, has="cells")]
    if not any(map(len, series)):
        return ""
    steps, *columns = mean_series([one for one in series if len(one)]).T
    names = ("confirmed", "unconfirmed")
    found = {
        name: dict(zip(steps.astype(int).tolist(), column.tolist(), strict=True))
        for name, column in zip(names, columns, strict=True)
    }
    return series_table(f"Figure 4, {task}, {members:,} members: cells", "steps", found, whole)


def _rate_series(study: Study) -> str:
    members = study.shown("exclusions")
    if members is None:
        return ""
    ends = np.linspace(0, 1, 11)
    rows = []
    for attack in study.attacks:
        series = [rates(row) for row in study.led(members, attack=attack.key, has="exclusions")]
        if any(map(len, series)):
            steps, caught, wronged = mean_series([one for one in series if len(one)]).T
            both = (np.interp(ends, steps, column) for column in (caught, wronged))
            rows.append((escape(attack.name), *(f"{_percent(a)} / {_percent(b)}" for a, b in zip(*both, strict=True))))
    head = ("attack", *(f"{100 * end:.0f} %" for end in ends))
    caption = "Figure 3: liars / honest members excluded after so much of the run, mean of the tasks"
    return table(head, rows, range(1, len(head)), caption=caption)


_COLUMNS = (
    "rule", "attack", "lie", "liars", "seeds", "value", "95 %", "worst honest", "alone", "honest only", "steps",
    "to 95 %", "liars excluded", "of the exposed", "honest excluded", "honest in dispute", "chosen",
)  # fmt: skip


def _row_table(study: Study, task: str, members: int) -> str:
    order = {rule.key: at for at, rule in enumerate(study.rules)}
    every = [row for row in study.result["rows"] if (row["task"], row["members"]) == (task, members)]
    every.sort(key=lambda row: order.get(row["rule"], len(order)))
    rows = [_row_cells(study, row) for row in every]
    caption = f"{task}, {members:,} members: all rows"
    return table(_COLUMNS, rows, range(2, len(_COLUMNS) - 1), css="dense", caption=caption) if rows else ""


def _row_cells(study: Study, row: Row) -> tuple[str, ...]:
    names = {rule.key: rule.short for rule in study.rules}
    return (
        escape(names[row["rule"]]),
        escape(_attack_names(study)[row["attack"]]),
        _percent(share(row)),
        *(whole(row.get(key)) for key in ("liars", "seeds")),
        decimal(row.get("normalised_value"), 3),
        interval(row, "interval", 3),
        *(decimal(row.get(key), 3) for key in ("worst_honest_value", "isolated_value", "oracle_value")),
        *(whole(row.get(key)) for key in ("steps_per_agent", "steps_to_95")),
        *(_percent(row.get(key)) for key in ("true_positive_rate", "exposed_positive_rate", "false_positive_rate")),
        decimal(row.get("paired_honest"), 1),
        escape(str(row.get("arm") or "")),
    )


def _footer(study: Study) -> str:
    """The version, the seeds and the machine, where the result names them."""
    version, seeds, wall, machine = (study.result.get(key) for key in ("qorum", "seeds", "wall_s", "machine"))
    over_seeds = f", {count(seeds, 'seed')}" if seeds is not None else ""
    took = f", in {wall:,.0f} s" if wall is not None else ""
    where = f" on {escape(str(machine))}" if machine else ""
    return (
        f"<p>Made by qorum {escape(str(version or ''))}{over_seeds}{took}{where}. Learning and merging alone: reports "
        "reach everybody in every round, no network and no votes are simulated.</p>"
    )
