"""Fixtures of nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.carriers import CARRIERS, Carrier


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """Each of what links may go over."""
    with Carrier(request.param).running() as carrier:
        yield carrier
