"""A Little Is Enough: values off the honest mean by so few standard deviations that they pass for honest.

Baruch, Baruch and Goldberg, "A Little Is Enough: Circumventing Defenses For Distributed Learning", NeurIPS 2019
(arXiv 1902.06156), algorithm 3. There every worker reports everything; here each cell has its own reporters, so that
each gets its own z.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from qorum.lab.attacks.budget import fitted
from qorum.lab.attacks.lie import in_chorus
from qorum.lab.attacks.ranking import toward_wrong
from qorum.lab.attacks.scene import Claims, Floats, Scene

LARGEST = 4.0
"""z where liars are the majority of a cell's reporters, so that any z would do: few honest claims are further out."""


@dataclass(frozen=True)
class Alie:
    """All liars claim centre +- z deviations on every known cell."""

    z: float | None = None
    """Standard deviations; None: the published z of each cell, from how many honest members and liars report it."""
    direction: int = 0
    """1: up, -1: down, on every cell; 0: best actions down and all others up, which inverts their order."""

    def __call__(self, scene: Scene) -> Claims:
        """The claims of all liars."""
        cells = scene.known
        sign = self.direction or toward_wrong(scene.task)[cells]
        return fitted(scene, in_chorus(scene, cells, scene.centre[cells] + sign * self._off(scene)[cells]))

    def _off(self, scene: Scene) -> Floats:
        """f64[C]: z deviations; where a single claim shows none, of what its own samples vary."""
        deviation = np.maximum(scene.deviation, scene.usual_spread / np.sqrt(scene.usual_visits))
        if self.z is not None:
            return np.asarray(self.z * deviation)
        most = int(scene.reporters.max(initial=0))
        z = np.array([largest_z(honest, len(scene.liars)) for honest in range(most + 1)])
        return np.asarray(z[scene.reporters] * deviation)


@cache
def largest_z(honest: int, liars: int) -> float:
    """z_max, 0 to `LARGEST`: so many honest claims are expected to be further out that with the liars they are most.

    The quantile of (n - f - s) / (n - f), with s = floor(n / 2 + 1) - f honest supporters that f liars of n lack.
    """
    supporters = (honest + liars) // 2 + 1 - liars
    share = (honest - supporters) / max(honest, 1)
    if share <= 0.5:
        return 0.0
    return min(LARGEST, NormalDist().inv_cdf(share)) if share < 1 else LARGEST
