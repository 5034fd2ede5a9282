"""The report of the learning bench: every number is in it, and what was not run is not made up."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from qorum.errors import ConfigError
from qorum.lab.figures import LIGHT
from qorum.lab.learning_report import picture, render, save
from tests.lab.learning_results import learning_result, learning_row

matplotlib = pytest.importorskip("matplotlib")

SMALL = (8, 64)


@pytest.fixture(scope="module")
def html() -> str:
    return render(learning_result())


def _parse(html: str) -> ElementTree.Element:
    """The page as a tree; it is well-formed XML, so every tag is closed and every attribute quoted."""
    assert html.startswith("<!DOCTYPE html>")
    return ElementTree.fromstring(html)


def _text(html: str) -> str:
    return " ".join(" ".join(_parse(html).itertext()).split())


def _tables(html: str) -> dict[str, list[list[str]]]:
    """Caption -> rows of cells, the head first; a cell's lines are set apart by a space."""
    return {
        str(table.findtext("caption")): [[" ".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        for table in _parse(html).iter("table")
    }


def _lead(html: str) -> str:
    return "".join(_parse(html).find("body/main/p").itertext())  # type: ignore[union-attr]


def test_well_formed_titled_and_in_a_language(html: str) -> None:
    root = _parse(html)
    assert root.get("lang") == "en"
    assert [heading.text for heading in root.iter("h1")] == ["How close 593 agents come to one that saw it all"]
    assert root.find("head/meta[@name='viewport']") is not None
    assert len(root.findall("body/main/section/h2")) == 8


def test_nothing_is_asked_of_the_network(html: str) -> None:
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert not re.search(r"https?:|//\w|@import|<script|<iframe|<img|url\((?!#)", without_namespaces)
    assert "default-src 'none'" in html


def test_no_two_elements_share_an_id_and_every_reference_leads_to_one(html: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= set(ids)


def test_figures_are_drawn_twice_labelled_and_in_the_colours_of_the_page(html: str) -> None:
    drawings = [element for element in _parse(html).iter() if element.tag.endswith("}svg")]
    assert [drawing.get("class") for drawing in drawings] == ["wide", "narrow"] * 4
    assert all(drawing.get("role") == "img" and drawing.get("aria-label") for drawing in drawings)
    inside = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert not re.search(r": #[0-9a-f]{6}", inside)
    assert set(re.findall(r"var\(--(\w+)\)", inside)) <= set(LIGHT)


def test_tables_have_headers(html: str) -> None:
    for table in _parse(html).iter("table"):
        assert table.findtext("caption")
        assert all(head.get("scope") == "col" for head in table.findall("thead/tr/th"))
        assert all(row[0].get("scope") == "row" for row in table.findall("tbody/tr"))


def test_every_row_is_in_a_table_with_all_its_numbers(html: str) -> None:
    tables = _tables(html)
    for task in ("Lake", "GARNET(20,3,3)"):
        rows = tables[f"{task}: all populations"]
        expected = [row for row in learning_result()["rows"] if row["task"] == task]
        assert len(rows) == 1 + len(expected)
        for row in expected:
            assert _cells(row) in [cells[1:] for cells in rows]


def _cells(row: dict[str, Any]) -> list[str]:
    def plain(value: float | None, shape: str = ",.0f") -> str:
        return "\N{EN DASH}" if value is None else format(value, shape).replace("-", "\N{MINUS SIGN}")

    def interval(key: str, shape: str) -> str:
        low, high = row[key]
        return (" to " if low < 0 else "\N{EN DASH}").join(plain(end, shape) for end in (low, high))

    return [
        plain(row["agents"]), "400", plain(row["step_size"], "g"), "10",
        plain(row["normalised_value"], ".3f"), interval("normalised_value_ci", ".3f"),
        plain(row["relative_sup_error"], "#.3g"), interval("relative_sup_error_ci", "#.3g"),
        plain(row["pooled_error"], "#.3g"), plain(row["steps_to_90"]), plain(row["steps_to_99"]),
        "40", plain(row["bytes_per_agent"]),
    ]  # fmt: skip


def test_the_main_tables_are_task_by_method_at_593_agents(html: str) -> None:
    tables = _tables(html)
    value = tables["Normalised value in the end"]
    names = ["task", "pooled learner", "qorum replay", "qorum implied", "qorum robust", "founding formula"]
    assert value[0][:6] == names
    assert value[1][:3] == ["Lake", "1.00 0.97\N{EN DASH}1.02", "1.00 0.97\N{EN DASH}1.02"]
    lake = {method: learning_row("Lake", method, 593) for method in ("pooled", "replay", "visit_weighted")}
    error = tables["Relative sup-error in the end"]
    assert error[1][2].endswith("\N{MULTIPLICATION SIGN} 1.25")  # the pooled error on its own samples is .8 of it
    times = lake["visit_weighted"]["relative_sup_error"] / lake["pooled"]["relative_sup_error"]
    assert error[1][5].endswith(f"\N{MULTIPLICATION SIGN} {times:.3g}")
    steps = tables["Steps an agent"]
    assert steps[1][5] == f"{lake['visit_weighted']['steps_to_90'] or '-'} -".replace("-", "\N{EN DASH}")
    assert value[1][8] == "not run"


def test_figures_in_words_have_tables_too(html: str) -> None:
    tables = _tables(html)
    assert tables["Exponent of the error"][1][2] == "0.50 0.46\N{EN DASH}0.55"
    assert [row[0] for row in tables["Figure 2, Lake: relative sup-error"]] == ["agents", "1", "64", "593"]
    assert tables["Figure 1, Lake: normalised value"][-1][0] == "400"
    assert tables["The tasks"][1] == ["Lake", "20", "3", "0.95", "20", "1.500", "\N{MINUS SIGN}0.250"]
    assert tables["Received by a member"][1][2] == "731.8 kB 365.9 kB"
    assert len(tables["Figure 3: merges until 99 % of the optimum"]) == 3


def test_what_was_varied_is_said(html: str) -> None:
    tables = _tables(html)
    settled = tables["Merges until replay has settled, GARNET(20,3,3), 64 agents"]
    assert settled[1:] == [["0.5", "2", "15"], ["0.98", "50", "\N{EN DASH}"]]
    small = tables["Small moves not repeated by replay, GARNET(20,3,3), 64 agents"]
    assert small[1] == ["0.0009766", "6.1 MB", "0.00233", "0.00200"]


def test_the_lead_says_how_far_from_the_pooled_learner() -> None:
    result = _only("pooled", "replay", "visit_weighted")
    values = {
        ("Lake", "pooled"): 1.0, ("Lake", "replay"): 0.96, ("Lake", "visit_weighted"): 0.5,
        ("GARNET(20,3,3)", "pooled"): 0.8, ("GARNET(20,3,3)", "replay"): 0.82,
        ("GARNET(20,3,3)", "visit_weighted"): 0.7,
    }  # fmt: skip
    for row in result["rows"]:
        row["normalised_value"] = values[row["task"], row["method"]] if row["agents"] == 64 else 0.0
    lead = _lead(render(result))
    assert "64 agents that merge by qorum's replay fall short by 0.01 at the median of 2 tasks" in lead
    assert "and 0.04 at worst (Lake); by the founding formula, by 0.30 at the median" in lead


def test_the_lead_takes_the_most_agents_that_both_were_run_with() -> None:
    result = {**_only("pooled", "replay"), "scaling": []}
    result["rows"].append({**learning_row("Lake", "replay", 1024), "normalised_value": 0.0})
    assert "64 agents that merge" in _lead(render(result))
    result["rows"].append(learning_row("Lake", "pooled", 1024))
    assert "64 to 1,024 agents" in _lead(render(result))


def test_the_footer_says_how_to_make_it_again(html: str) -> None:
    footer = "".join(_parse(html).find("body/footer").itertext())  # type: ignore[union-attr]
    for words in ("qorum bench learning --seeds 10", "0.1.0", "10 seeds", "2,913 s", "a machine, 2 cores"):
        assert words in footer


def _variants() -> Iterator[tuple[str, dict[str, Any]]]:
    bare = learning_result(SMALL)
    for row in bare["rows"]:
        named = ("task", "method", "agents", "steps_per_agent", "seeds", "step_size", "rounds")
        row.update(dict.fromkeys(row.keys() - set(named)))
    yield "nothing measured", {**bare, "scaling": [], "horizons": [], "thresholds": []}
    nameless = learning_result(SMALL)
    for name in ("command", "version", "machine", "wall_s", "seeds", "horizons", "thresholds", "studied", "scaling"):
        del nameless[name]
    yield "nothing but rows", {**nameless, "tasks": {}}
    one = learning_result((64,))
    yield "one population", {**one, "scaling": [{**part, "exponent": None, "ci": None} for part in one["scaling"]]}
    yield "only qorum", _only("replay")
    yield "only the founding formula and no reference", _only("visit_weighted", "isolated")
    yield "no rows", {**learning_result(SMALL), "rows": [], "scaling": []}
    exact = learning_result(SMALL)
    for part in exact["scaling"]:
        part.update(exponent=None, ci=None, points=[[agents, 0.0] for agents, _ in part["points"]])
    yield "exact tables", exact


def _only(*methods: str) -> dict[str, Any]:
    result = learning_result(SMALL)
    return {**result, **{key: [one for one in result[key] if one["method"] in methods] for key in ("rows", "scaling")}}


@pytest.mark.parametrize("result", [pytest.param(result, id=name) for name, result in _variants()])
def test_what_is_absent_is_left_out(result: dict[str, Any]) -> None:
    html = render(result)
    assert "None" not in _text(html)
    assert not re.search(r"\bnan\b|\binf\b", html)


def test_a_single_seed_has_no_interval() -> None:
    html = render(learning_result((64,), seeds=1))
    tables = _tables(html)
    assert tables["Normalised value in the end"][1][1] == "1.00"
    assert tables["Lake: all populations"][1][6] == ""
    assert "Shaded" not in html
    assert "95 % interval" not in _text(html).partition("What the numbers mean")[0]
    assert ", 1 seed," in _text(html)


def test_text_is_escaped() -> None:
    nasty = "<script>alert('1')</script> & $x_1$"
    result = _only("replay")
    for one in (*result["rows"], *result["scaling"]):
        one.update(task=nasty, method=nasty if one["task"] == "Lake" else "replay")
    html = render({**result, **dict.fromkeys(("command", "version", "machine"), nasty), "tasks": {}})
    assert "<script" not in html
    assert nasty in _text(html)


def test_the_same_result_gives_the_same_bytes_and_nothing_else_is_changed(html: str, tmp_path: Path) -> None:
    result, settings = json.loads(json.dumps(learning_result())), dict(matplotlib.rcParams)
    save(result, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == html.encode()
    assert result == learning_result()
    assert dict(matplotlib.rcParams) == settings
    assert len(html.encode()) < 400_000


def test_picture_is_a_png_or_an_svg_and_the_same_each_time(tmp_path: Path) -> None:
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        first, second = tmp_path / name, tmp_path / f"again-{name}"
        picture(learning_result(), first)
        picture(learning_result(), str(second))
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes().startswith(start)
    assert ">qorum replay</text>" in (tmp_path / "a.svg").read_text()


def test_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.png or \.svg"):
        picture(learning_result(), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []
