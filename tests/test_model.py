"""The agreed round under a model checker: every run of the model is safe, and a planted fault is always found.

tests/model/README.md says what the model covers and how to read a counterexample.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).parent / "model" / "round.pml"
LACKS = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]

pytestmark = pytest.mark.skipif(
    bool(LACKS) and not os.environ.get("CI"),  # where all checks must run, a tool that is missing is a failure
    reason=f"no {' and '.join(LACKS)} here; install the Debian packages spin, gcc and libc6-dev",
)


def fault(place: Path, *switches: str, optimise: int = 0) -> str | None:
    """The assertion that some run of the model breaks, None if no run does. Builds the checker in `place`."""

    def run(*command: str | Path) -> str:
        return subprocess.run(command, cwd=place, check=True, text=True, stdout=subprocess.PIPE).stdout

    run("spin", "-a", *(f"-D{switch}" for switch in switches), MODEL)
    run("gcc", f"-O{optimise}", "-DSAFETY", "-DNOFAIR", "-DCOLLAPSE", "-DMEMLIM=4000", "-o", "pan", "pan.c")
    report = run("./pan", "-m1000", "-w20")  # deep enough by far; the hash table grows as it must
    if found := re.search(r"assertion violated (.+) \(at depth", report):
        return found[1]
    assert "errors: 0" in report, report
    assert not re.search("too small|not completed", report), report  # short of depth or of memory
    return None


@pytest.mark.parametrize("liars_lead", [0b00, 0b01, 0b10])
def test_every_run_of_two_terms_is_safe(tmp_path: Path, liars_lead: int) -> None:
    assert fault(tmp_path, "TERMS=2", f"LIARS_LEAD={liars_lead}") is None


@pytest.mark.long
@pytest.mark.parametrize("liars_lead", [0b000, 0b001, 0b010, 0b100])
def test_every_run_of_three_terms_is_safe(tmp_path: Path, liars_lead: int) -> None:
    assert fault(tmp_path, "TERMS=3", f"LIARS_LEAD={liars_lead}", optimise=2) is None


@pytest.mark.long
@pytest.mark.parametrize("liars_lead", [0b000, 0b001, 0b010, 0b100])
def test_safety_does_not_rest_on_timers(tmp_path: Path, liars_lead: int) -> None:
    assert fault(tmp_path, "HASTY", "TERMS=3", f"LIARS_LEAD={liars_lead}", optimise=2) is None


@pytest.mark.long
@pytest.mark.parametrize("liars_lead", [0b00, 0b01, 0b10, 0b11])
@pytest.mark.parametrize("members", [5, 7])
def test_every_run_of_more_members_is_safe(tmp_path: Path, members: int, liars_lead: int) -> None:
    assert fault(tmp_path, f"N={members}", "TERMS=2", f"LIARS_LEAD={liars_lead}", optimise=2) is None


@pytest.mark.parametrize(
    ("mutant", "members", "terms", "liars_lead"),
    [
        ("NO_LOCK_CHECK", 4, 2, 0b00),
        ("CITED_UNCHECKED", 4, 2, 0b10),
        ("QUORUM_F_PLUS_1", 4, 2, 0b00),
        ("QUORUM_2F_PLUS_1", 5, 2, 0b00),
        ("LOCK_DROPPED_ON_NIL", 4, 3, 0b000),
        ("STALE_CITED", 4, 3, 0b100),
    ],
)
def test_members_of_a_mutant_disagree(tmp_path: Path, mutant: str, members: int, terms: int, liars_lead: int) -> None:
    switches = (mutant, f"N={members}", f"TERMS={terms}", f"LIARS_LEAD={liars_lead}", "AGREEMENT_ONLY")
    assert "agreed" in (fault(tmp_path, *switches) or "")


def test_without_lock_another_value_is_certified(tmp_path: Path) -> None:
    assert "first[1]" in (fault(tmp_path, "NO_LOCK_CHECK", "LIARS_LEAD=2") or "")


def test_member_that_lost_its_record_votes_twice(tmp_path: Path) -> None:
    assert "voted" in (fault(tmp_path, "RECORD_LOST") or "")


@pytest.mark.parametrize(("term", "liars_lead"), [(0, 0b00), (1, 0b00), (1, 0b01), (1, 0b10)])
def test_both_terms_can_decide(tmp_path: Path, term: int, liars_lead: int) -> None:
    assert fault(tmp_path, f"REACH_DECISION={term}", f"LIARS_LEAD={liars_lead}") == f"({term}!={term})"


def test_lock_can_be_released(tmp_path: Path) -> None:
    """A member locked on one value votes for another that was certified since."""
    assert "lock" in (fault(tmp_path, "REACH_RELEASE", "TERMS=3", "LIARS_LEAD=4") or "")
