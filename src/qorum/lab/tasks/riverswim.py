"""RiverSwim: a small reward downstream, a large one up the river, and swimming up often fails.

A. L. Strehl and M. L. Littman, "An analysis of model-based Interval Estimation for Markov Decision Processes", Journal
of Computer and System Sciences 74 (2008); here with the probabilities and rewards that most use since I. Osband,
D. Russo and B. Van Roy, "(More) Efficient Reinforcement Learning via Posterior Sampling", NIPS 2013 (arXiv 1306.0940).
"""

from __future__ import annotations

import numpy as np

from qorum.lab.tasks.task import Task, from_transitions

STATES = 6
SMALL, LARGE = 0.005, 1.0
DOWN, UP = 0, 1


def riverswim() -> Task:
    """The task `RiverSwim-6`: actions 0 down, 1 up; it starts in state 0, goes on for ever, gamma 0.95."""
    moves = {state: {DOWN: _down(state), UP: _up(state)} for state in range(STATES)}
    return from_transitions("RiverSwim-6", moves, np.eye(STATES)[0])


_Outcomes = list[tuple[float, int, float, bool]]


def _down(state: int) -> _Outcomes:
    return [(1.0, max(state - 1, 0), SMALL if state == 0 else 0.0, False)]


def _up(state: int) -> _Outcomes:
    if state == 0:
        return [(0.4, 0, 0.0, False), (0.6, 1, 0.0, False)]
    if state == STATES - 1:
        return [(0.4, state - 1, LARGE, False), (0.6, state, LARGE, False)]
    return [(0.05, state - 1, 0.0, False), (0.6, state, 0.0, False), (0.35, state + 1, 0.0, False)]
