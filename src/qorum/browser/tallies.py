"""`Tallies`: what links count where there is no Prometheus."""

from __future__ import annotations


class Tally:
    """One number."""

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """There are so many more."""
        self.value += amount

    def set(self, value: float) -> None:
        """There are so many."""
        self.value = value


class Table:
    """Numbers of one kind, by label."""

    def __init__(self) -> None:
        self.by_label: dict[str, Tally] = {}

    def labels(self, label: str) -> Tally:
        """The one of this label."""
        return self.by_label.setdefault(label, Tally())


class Tallies:
    """A `Counts`."""

    def __init__(self) -> None:
        self.links, self.reachable, self.blames = Tally(), Tally(), Tally()
        self.refused, self.dropped, self.bytes, self.messages, self.dials = (Table() for _ in range(5))
