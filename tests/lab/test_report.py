"""The report of the demo: one page that stands alone, says what happened, and is the same for the same result."""

import json
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.errors import ConfigError
from qorum.lab.figures import DARK, LIGHT, acts, lowest_shown, spread
from qorum.lab.report import Section, page, picture, render, save

matplotlib = pytest.importorskip("matplotlib")

MEMBERS, LIARS, STEPS, ROUNDS = 64, 21, 1200, 60


def _act(final: float, speed: float, dip: float = 0.0, start: float = -0.3) -> dict[str, Any]:
    curve = []
    for steps in range(0, STEPS + 1, 50):
        risen = 1 - math.exp(-steps / speed)
        value = start + (final - start) * risen - dip * math.exp(-(((steps - 300) / 90) ** 2))
        curve.append([steps, round(value, 4)])
    return {"normalised_value": final, "worst_member": final - 0.02, "curve": curve}


def _protocol(final: float, speed: float, dip: float = 0.0, pause: tuple[float, float] | None = None) -> dict[str, Any]:
    agreements, now = [], 0.0
    for number in range(1, ROUNDS + 1):
        now += 0.95 + 0.1 * math.sin(number)
        if pause and pause[0] < now < pause[1]:
            now = pause[1] + 0.4
        agreements.append([round(now, 3), number, 2 if number == 31 else 1 if number % 17 == 0 else 0])
    return {
        **_act(final, speed, dip),
        "rounds": ROUNDS,
        "agreements": agreements,
        "sync_latency_s": {"p50": 0.41, "p99": 0.93, "max": 1.87},
        "bytes_received_per_member_per_round": {"mean": 61_234.5, "max": 118_000},
        "agreed_tables_identical": True,
    }


def _attacked(final: float, dip: float, caught: int) -> dict[str, Any]:
    liars = list(range(MEMBERS - LIARS, MEMBERS))
    accusers = [(member * 7) % 3 for member in range(MEMBERS - LIARS)]
    accusers += [24 + (member * 5) % 19 if at < caught else 6 + at % 9 for at, member in enumerate(liars)]
    excluded = [[k, min(caught, max(0, (k - 8) * 2)), 1 if 12 <= k < 20 else 0] for k in range(1, ROUNDS + 1)]
    return {
        **_protocol(final, 190, dip),
        "distrusted": accusers,
        "excluded": excluded,
        "liar_members": liars,
    }


def _result() -> dict[str, Any]:
    return {
        "task": "Taxi-v4",
        "members": MEMBERS,
        "liars": LIARS,
        "steps_per_agent": STEPS,
        "seed": 0,
        "command": "qorum demo --seed 0",
        "version": "0.1.0",
        "wall_s": 71.2,
        "optimum": 1.73,
        "trivial": -20.0,
        "isolated": _act(0.27, 700, start=-0.42),
        "naive": {
            **_act(0.61, 420),
            "double_counting": {"true_visits": 76_800, "claimed_visits": 9_876_543_210},
        },
        "federated": _protocol(0.991, 110),
        "attacked": {
            "normalised_value": 0.932,
            "parts": {"sign_flip": _attacked(0.932, 2.4, 18), "extreme_high": _attacked(0.974, 6.0, 21)},
        },
        "partitioned": {
            **_protocol(0.985, 150, pause=(10.0, 20.0)),
            "partitions": [
                {"from_s": 10.0, "to_s": 20.0, "sides": [32, 32]},
                {"from_s": 30.0, "to_s": 40.0, "sides": [21, 43]},
            ],
        },
        "rounds": 4 * ROUNDS,
        "terms": 20,
        "bytes_received_per_member_per_round": {"mean": 61_234.5, "max": 118_000},
        "sync_latency_s": {"p50": 0.41, "p99": 0.93, "max": 1.87},
        "agreed_tables_identical": True,
    }


@pytest.fixture(scope="module")
def html() -> str:
    return render(_result())


def _parse(html: str) -> ElementTree.Element:
    """The page as a tree; it is well-formed XML, so every tag is closed and every attribute quoted."""
    assert html.startswith("<!DOCTYPE html>")
    return ElementTree.fromstring(html)


def _text(html: str) -> str:
    return " ".join(" ".join(_parse(html).itertext()).split())


def _variants() -> Iterator[tuple[str, dict[str, Any]]]:
    honest = {**_result(), "liars": 0}
    del honest["attacked"]
    yield "nobody lies", honest
    bare = _result()
    for act in (bare["isolated"], bare["naive"], bare["federated"], *bare["attacked"]["parts"].values()):
        for name in ("curve", "agreements", "distrusted", "excluded", "double_counting"):
            if name in act:
                act[name] = []
    yield "empty logs", {**bare, "partitioned": None}
    yield "one act", {key: value for key, value in _result().items() if key not in ("naive", "attacked", "partitioned")}
    unnamed = _result()
    for act in unnamed["attacked"]["parts"].values():
        del act["liar_members"]
        act["distrusted"] = [act["distrusted"]]
    yield "liars not named, counts nested", unnamed
    yield "one point", {**_result(), "federated": {**_protocol(0.9, 100), "curve": [[0, 0.9]]}}


def test_well_formed_titled_and_in_a_language(html: str) -> None:
    root = _parse(html)
    assert root.get("lang") == "en"
    assert root.findtext("head/title") == "64 agents learn Taxi-v4 as one"
    assert [heading.text for heading in root.iter("h1")] == ["64 agents learn Taxi-v4 as one"]
    assert root.find("head/meta[@name='viewport']") is not None


def test_no_two_elements_share_an_id_and_every_reference_leads_to_one(html: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= set(ids)


def test_nothing_is_asked_of_the_network(html: str) -> None:
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert not re.search(r"https?:|//\w|@import|<script|<iframe|<img|url\((?!#)", without_namespaces)
    assert "default-src 'none'" in html


def test_the_page_says_what_was_found(html: str) -> None:
    text = _text(html)
    for value in (
        "0.99",
        "0.27",
        "0.61",
        "0.93",
        "0.97",
        "76,800",
        "9.9 billion",
        "128,601 times",
        "61.2 kB",
        "118.0 kB",
        "1.87 s",
    ):
        assert value in text
    for words in (
        "qorum demo --seed 0",
        "18 of 21 liars",
        "cut into 32 and 32",
        "43 it takes",
        "bit-identical",
        "f = 21",
    ):
        assert words in text


def test_every_number_of_the_figures_is_in_a_table(html: str) -> None:
    tables = _parse(html).findall(".//details//table")
    assert len(tables) == 4
    curves, rounds, accusers, excluded = (
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")] for table in tables
    )
    assert curves[-1] == ["1,200", "0.146", "0.558", "0.991", "0.930", "0.972", "0.985"]
    assert len(rounds) == len(excluded) == ROUNDS + 1
    assert rounds[31][1].endswith("(term 2)")
    assert accusers[1] == ["0", "0", "0"]
    assert accusers[-1] == ["63 (liar)", "8", "35"]


def test_tables_have_headers_and_figures_a_text_for_who_cannot_see_them(html: str) -> None:
    root = _parse(html)
    for table in root.iter("table"):
        assert all(head.get("scope") == "col" for head in table.findall("thead/tr/th"))
        assert all(row[0].get("scope") == "row" for row in table.findall("tbody/tr"))
    drawings = [element for element in root.iter() if element.tag.endswith("}svg")]
    assert [drawing.get("class") for drawing in drawings] == ["wide", "narrow"] * 3
    assert all(drawing.get("role") == "img" and drawing.get("aria-label") for drawing in drawings)
    assert "qorum ends at 0.99" in str(drawings[0].get("aria-label"))


def test_figures_are_text_in_the_colours_of_the_page(html: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert ">steps per agent</text>" in drawings
    assert "font-family" not in drawings
    assert not re.search(r": #[0-9a-f]{6}", drawings)
    assert set(re.findall(r"var\(--(\w+)\)", drawings)) <= set(LIGHT)


def test_a_curve_that_leaves_the_figure_is_said_to(html: str) -> None:
    assert lowest_shown(acts(_result())) == -0.5
    assert "sign flip \N{MINUS SIGN}1.72, extreme high \N{MINUS SIGN}5.29." in _text(html)
    calm = {"liars": 0, "federated": _protocol(0.9, 100)}
    assert lowest_shown(acts(calm)) > -0.5


def test_text_is_escaped() -> None:
    nasty = "<script>alert('1')</script> & $x_1$ \"q\""
    result = {**_result(), **dict.fromkeys(("task", "command", "version", "seed"), nasty)}
    result["attacked"]["parts"] = {nasty: result["attacked"]["parts"]["sign_flip"]}
    html = render(result)
    assert "<script" not in html
    assert _text(html).count("<script>alert('1')</script> & $x_1$ \"q\"") >= 4
    assert _text(html).count("<script>alert('1')</script> & $x 1$ \"q\"") >= 4


@pytest.mark.parametrize("result", [pytest.param(result, id=name) for name, result in _variants()])
def test_what_is_absent_is_left_out(result: dict[str, Any]) -> None:
    html = render(result)
    _parse(html)
    assert "None" not in _text(html)
    assert "nan" not in html


def test_without_liars_nobody_is_said_to_lie_and_tables_that_differ_are_said_to() -> None:
    text = _text(render({**_result(), "liars": 0, "attacked": None, "agreed_tables_identical": False}))
    assert "Who is distrusted" not in text
    assert "liars" not in text.partition("What the numbers mean")[0]
    assert "are not identical" in text


def test_the_same_result_gives_the_same_bytes_and_nothing_else_is_changed(html: str) -> None:
    result, settings = json.loads(json.dumps(_result())), dict(matplotlib.rcParams)
    assert render(result) == html
    assert result == _result()
    assert dict(matplotlib.rcParams) == settings


def test_small_even_with_593_members(html: str) -> None:
    assert len(html.encode()) < 300_000
    result = {**_result(), "members": 593, "liars": 197}
    for act in result["attacked"]["parts"].values():
        act["distrusted"], act["liar_members"] = [member % 300 for member in range(593)], list(range(396, 593))
    assert len(render(result).encode()) < 500_000


def test_save_writes_the_page(tmp_path: Path, html: str) -> None:
    save(_result(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == html.encode()


def test_picture_is_a_png_or_an_svg_and_the_same_each_time(tmp_path: Path) -> None:
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        first, second = tmp_path / name, tmp_path / f"again-{name}"
        picture(_result(), first)
        picture(_result(), str(second))
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes().startswith(start)
        assert first.stat().st_size < 500_000
    assert ">0.99 qorum</text>" in (tmp_path / "a.svg").read_text()


def test_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.png or \.svg"):
        picture(_result(), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_page_frames_other_reports_too() -> None:
    root = _parse(page("A < B", [Section("One & two", "<p>x</p>")], "<p>made by hand</p>", lead="so it went"))
    assert root.findtext("body/main/h1") == "A < B"
    assert root.findtext("body/main/section/h2") == "One & two"
    assert root.findtext("body/footer/p") == "made by hand"


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_colour_is_readable_on_the_paper(colours: dict[str, str]) -> None:
    """WCAG 2.2, success criterion 1.4.3: a contrast of at least 4.5."""
    assert colours.keys() == LIGHT.keys()
    for name in colours.keys() - {"paper", "line"}:
        assert _contrast(colours[name], colours["paper"]) >= 4.5, name


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@given(st.lists(st.floats(-0.5, 1.05), min_size=1, max_size=8).map(sorted))
def test_names_never_overlap_and_stay_inside(wanted: list[float]) -> None:
    places = spread(wanted, 0.1, -0.5, 1.05)
    assert all(after - before >= 0.1 - 1e-9 for before, after in pairwise(places))
    assert places[0] >= -0.5 - 1e-9
    assert places[-1] <= 1.05
