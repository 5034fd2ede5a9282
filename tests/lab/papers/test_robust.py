"""Lies are told as the reference tells them, and the rules are the textbook ones."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.lab.papers.robust import ATTACKS, RULES, aggregate, block_count, lie


def sent_by_ten() -> np.ndarray:
    return np.array([[3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]])


@pytest.mark.parametrize(
    ("attack", "told"),
    [
        ("bias", [3.0 - 1e4, 4.0 - 1e4]),
        ("signflip", [-3.0, -4.0]),
        ("alie", [4.5 + 21**0.5 / 2] * 2),
        ("alie3", [4.5 + 3 * 21**0.5 / 2] * 2),
        ("max", [2.0, 2.0]),
    ],
)
def test_liars_replace_their_own_estimates_alone(attack: str, told: list[float]) -> None:
    sent = sent_by_ten()
    lie(attack, sent, 2, gamma=0.5)
    np.testing.assert_allclose(sent[0, :2], told)
    assert sent[0, 2:].tolist() == sent_by_ten()[0, 2:].tolist()


def test_every_attack_is_told() -> None:
    for attack in ATTACKS:
        sent = sent_by_ten()
        lie(attack, sent, 2, gamma=0.5)
        assert (sent[0, :2] != sent_by_ten()[0, :2]).all()


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean", 4.3), ("median", 4.0), ("median_of_means", 4.0), ("trimmed_mean", 4.1667)]
)
def test_rules(rule: str, expected: float) -> None:
    rng = np.random.default_rng(0)
    assert aggregate(rule, sent_by_ten(), 2, 10, rng) == pytest.approx(expected, abs=1e-4)


def test_without_liars_nothing_is_trimmed() -> None:
    assert aggregate("trimmed_mean", sent_by_ten(), 0, 1, np.random.default_rng(0)) == pytest.approx(4.3)


def test_blocks_are_as_equal_as_can_be_and_one_of_them_is_the_mean() -> None:
    rng = np.random.default_rng(0)
    assert aggregate("median_of_means", sent_by_ten(), 0, 1, rng) == pytest.approx(4.3)
    # Three blocks of ten have 3, 3 and 4 agents: among equal values none weighs more.
    assert aggregate("median_of_means", np.full((2, 10), 7.0), 0, 3, rng).tolist() == [7.0, 7.0]


def test_few_liars_do_not_move_robust_rules() -> None:
    rng, honest = np.random.default_rng(1), np.random.default_rng(2).normal(0, 1, (5, 200))
    sent = honest.copy()
    lie("bias", sent, 10, gamma=0.5)
    moved = {rule: np.abs(aggregate(rule, sent, 10, 50, rng)).max() for rule in RULES}
    assert moved["mean"] > 100
    assert max(error for rule, error in moved.items() if rule != "mean") < 0.6


def test_the_number_of_blocks_is_the_published_one_up_to_one_an_agent() -> None:
    assert block_count(10_000, 0.0, 50, 208) == 474
    assert block_count(10_000, 0.1, 50, 208) == 8474
    assert block_count(1000, 0.1, 50, 25_000) == 1000
