"""A recorded run as the dashboard shows it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from qorum.errors import QorumError
from qorum.lab import film
from qorum.lab.film import filmed
from qorum.lab.recording import CampaignRun, MeasuredRun, StagedRun
from qorum.sim import campaign
from qorum.sim.experiment import Experiment, script_of

EXPERIMENT = Experiment(members=8, rounds=3, liars=2, seed=4)
RUN = MeasuredRun(EXPERIMENT, script_of(EXPERIMENT), "")


def quiet(what: str, share: float) -> None:
    """No bar."""


def test_a_measured_run_is_seen_from_its_first_word_to_its_last_round() -> None:
    told = json.loads(filmed(RUN, quiet))
    moments = told["moments"]
    assert (told["kind"], told["members"], told["seed"]) == ("measured", 8, 4)
    assert all(one["clock_s"] <= other["clock_s"] for one, other in pairwise(moments))
    agreed = [moment["scene"]["agreed"] for moment in moments]
    assert agreed == sorted(agreed)
    assert agreed[-1] >= 3
    assert {moment["scene"]["phase"] for moment in moments} >= {"contributions", "first votes", "second votes"}
    assert all(len(moment["courses"]) <= film.NEWEST for moment in moments)
    assert moments == json.loads(filmed(RUN, quiet))["moments"]


def test_what_was_shown_earlier_stays_as_it_was() -> None:
    moments = json.loads(filmed(RUN, quiet))["moments"]
    first = [moment["courses"][-1] for moment in moments if moment["courses"] and moment["courses"][-1]["round"] == 1]
    assert [len(course["points"]) for course in first] == sorted(len(course["points"]) for course in first)
    assert len(first[0]["points"]) < len(first[-1]["points"])


def test_a_run_of_a_campaign_is_shown_too() -> None:
    setup = campaign.setup_of(3, (5,))
    told = json.loads(filmed(CampaignRun(setup, 3, campaign.script_of(setup, 3), ""), quiet))
    assert told["moments"][-1]["scene"]["agreed"] > 0


def test_of_a_long_run_every_other_moment_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.loads(filmed(RUN, quiet))["moments"]
    monkeypatch.setattr(film, "MOMENTS", 20)
    short = json.loads(filmed(RUN, quiet))["moments"]
    assert 10 <= len(short) <= 20
    assert all(moment in whole for moment in short)


def test_a_run_in_lock_step_has_no_clock() -> None:
    with pytest.raises(QorumError, match="no clock"):
        filmed(StagedRun(None, ""), quiet)  # type: ignore[arg-type]
