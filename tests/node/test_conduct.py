"""Errors are forgiven one by one; too many make a node refuse whoever made them, for a while."""

from __future__ import annotations

from qorum.node.conduct import REMEMBERED, Conduct


def test_too_many_errors_are_not_forgiven_for_a_while() -> None:
    conduct = Conduct(errors=2, refuse_s=30)
    for _ in range(2):
        conduct.err([b"a", b"b"], 0)
    assert not conduct.refuses(b"a", 0)
    conduct.err([b"a"], 0)
    assert conduct.refuses(b"a", 29)
    assert not conduct.refuses(b"b", 0)
    assert not conduct.refuses(b"a", 30)


def test_errors_far_apart_are_forgiven() -> None:
    conduct = Conduct(errors=1, refuse_s=30)
    for number in range(100):
        conduct.err([b"a"], 10.0 * number)
        assert not conduct.refuses(b"a", 10.0 * number)


def test_the_time_until_one_of_them_is_welcome() -> None:
    conduct = Conduct(errors=1, refuse_s=30)
    conduct.refuse([b"a"], 0)
    conduct.refuse([b"b"], 5)
    assert conduct.remaining([b"a", b"b"], 10) == 20
    assert conduct.remaining([b"a", b"c"], 10) == 0


def test_strangers_with_ever_new_keys_make_it_forget_and_not_grow() -> None:
    conduct = Conduct(errors=1, refuse_s=30)
    for number in range(REMEMBERED + 10):
        key = number.to_bytes(32, "big")
        conduct.err([key], 0)
        conduct.refuse([key], 0)
    assert len(conduct._errors) == len(conduct._until) == REMEMBERED
