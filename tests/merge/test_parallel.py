"""Work on the parts of a table comes out the same on one core and on many."""

from __future__ import annotations

from threading import get_ident

import pytest

from qorum.merge import parallel
from qorum.merge.parallel import FEWEST, each


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("parts", [0, 1, FEWEST - 1, FEWEST, 50])
def test_results_come_in_the_order_of_the_parts(threads: int, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "THREADS", threads)
    assert list(each(lambda part: part * part, range(parts))) == [part * part for part in range(parts)]


def test_a_few_parts_are_handed_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "THREADS", 4)
    assert set(each(lambda _: get_ident(), range(FEWEST - 1))) == {get_ident()}
    assert get_ident() not in set(each(lambda _: get_ident(), range(FEWEST)))


def test_an_error_in_a_part_is_the_error_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "THREADS", 4)
    with pytest.raises(ZeroDivisionError):
        list(each(lambda part: 1 // part, range(FEWEST)))
