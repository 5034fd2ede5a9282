"""Middle, spread, and how they are written."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.lab.papers.summary import middle, number, spaced, summary


def test_a_summary_has_middle_and_spread() -> None:
    found = summary(np.array([4.0, 1.0, 2.0, 3.0, 5.0]))
    assert (found["mean"], found["median"], found["lower_quartile"], found["upper_quartile"]) == (3.0, 3.0, 2.0, 4.0)
    assert found["standard_error"] == pytest.approx(0.5**0.5)


def test_one_run_has_no_spread() -> None:
    assert summary(np.array([2.0]))["standard_error"] == 0.0


def test_indices_run_from_first_to_last_in_even_ratios() -> None:
    assert spaced(1000, 4) == [0, 9, 99, 999]
    assert spaced(3, 24) == [0, 1, 2]
    assert spaced(1, 24) == [0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.00105123, "0.00105"), (0.0000836, "0.0000836"), (2.5, "2.50"), (1000.4, "1,000")],
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_the_middle_is_written_over_its_quartiles() -> None:
    written = middle(summary(np.array([0.1, 0.2, 0.3, 0.4, 0.5])))
    assert written == '0.300<br/><span class="quiet">0.20\u20130.40</span>'
