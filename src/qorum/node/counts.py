"""`Counts`: what links count, whoever keeps it: the metrics of a node, or a plain tally where there are none."""

from __future__ import annotations

from typing import Protocol


class Count(Protocol):
    """Something that only grows."""

    def inc(self, amount: float = 1) -> None:
        """There are so many more."""


class Level(Protocol):
    """Something that goes up and down."""

    def set(self, value: float) -> None:
        """There are so many."""


class Family(Protocol):
    """Counts of one kind, by label."""

    def labels(self, label: str) -> Count:
        """The one of this label."""


class Counts(Protocol):
    """Of the links of one node; `Metrics` says what each means."""

    @property
    def links(self) -> Level: ...
    @property
    def reachable(self) -> Level: ...
    @property
    def blames(self) -> Count: ...
    @property
    def refused(self) -> Family: ...
    @property
    def dropped(self) -> Family: ...
    @property
    def bytes(self) -> Family: ...
    @property
    def messages(self) -> Family: ...
    @property
    def dials(self) -> Family: ...
