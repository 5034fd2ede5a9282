"""Logs: one line an event, for machines or for people."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from qorum.node.logs import LOGGED, Sampled, log_to_stderr

LOG = logging.getLogger("qorum.test")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    logger = logging.getLogger("qorum")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_json_lines_carry_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("json")
    LOG.info("agreed", extra={"facts": {"round": 7, "members": (1, 2)}})
    LOG.debug("not shown")
    try:
        raise ValueError("no")
    except ValueError:
        LOG.exception("broke")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["event"], first["round"], first["members"]) == ("info", "agreed", 7, [1, 2])
    assert first["time"] > 1.7e9
    assert second["level"] == "error"
    assert "ValueError: no" in second["traceback"]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("text", level=logging.WARNING)
    LOG.info("not shown")
    LOG.warning("blamed", extra={"facts": {"peer": 3, "reason": "a broken frame"}})
    assert capsys.readouterr().err.endswith("warning blamed peer=3 reason=a broken frame\n")


def test_events_that_others_cause_are_sampled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    log_to_stderr("json")
    sampled = Sampled(LOG)
    for _ in range(100):
        sampled(logging.WARNING, "blamed", {"peer": 3})
    now = 11.0
    sampled(logging.WARNING, "blamed", {"peer": 3})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["unlogged"] for line in lines] == [0] * LOGGED + [100 - LOGGED]
    assert lines[0]["peer"] == 3
