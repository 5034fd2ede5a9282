"""Several nodes, looked at again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

import qorum
from qorum.errors import ConfigError
from qorum.node.watch import Watch
from tests.node.processes import federation, until


def test_each_says_what_it_does_and_who_does_not_answer_is_named(tmp_path: Path) -> None:
    a, b = federation(tmp_path / "fed", members=4, hosts=2)
    watch = Watch([a, b])
    with qorum.join(a, "agent-0") as one:
        with qorum.join(b, "agent-2"):
            until(lambda: one.status().state == "agreeing", "both are linked")
            first = watch.look()
            assert [sight.config for sight in first] == [str(a), str(b)]
            assert all(sight.error is None and sight.sent_bytes_s is None for sight in first)
            one.agent(seed=1).learn(1, 1, 1.0, 2, False)
            assert one.sync().agreed
            second = watch.look()
            assert all((sight.sent_bytes_s or 0) > 0 and (sight.received_bytes_s or 0) > 0 for sight in second)
            assert [len(sight.status.members) for sight in second if sight.status] == [2, 2]
        up, down = watch.look()
        assert up.status is not None
        assert down.status is None
        assert "does not answer" in (down.error or "")


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        Watch([tmp_path / "none.toml"])
