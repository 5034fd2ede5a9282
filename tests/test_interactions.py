"""Every text of `interactions/` gives the output it records; a change of it is for a reader to judge."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.interactions.runner import INTERACTIONS, REWRITE, CommandError, record

SHORT = "Two commands.\n\n> members 4 led 0\n{}\n\n> table 0\n\nThe end.\n"
RIGHT = SHORT.format("4 members, up to 1 may lie or be away: any 3 agree")


@pytest.mark.parametrize("interaction", INTERACTIONS, ids=lambda path: path.stem)
def test_an_interaction_gives_its_recorded_output(interaction: Path) -> None:
    recorded = interaction.read_text(encoding="utf-8")
    now = record(recorded)
    if now != recorded:
        lines = recorded.splitlines(), now.splitlines()
        diff = "\n".join(difflib.unified_diff(*lines, f"{interaction.name}, recorded", "now", lineterm=""))
        pytest.fail(f"{diff}\n\nIf the new output is right by the protocol, record it: {REWRITE}", pytrace=False)


@pytest.mark.parametrize("output", ["", "wrong", "wrong\nand more"])
def test_recording_puts_the_output_right_and_leaves_prose_alone(output: str) -> None:
    assert record(SHORT.format(output).replace("\n\n\n", "\n\n")) == RIGHT


def test_a_command_that_cannot_be_obeyed_is_named_with_its_line() -> None:
    with pytest.raises(CommandError, match=r"line 6: frobnicate 0: .*no such command"):
        record(RIGHT.replace("table", "frobnicate"))
