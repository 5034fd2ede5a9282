"""Tasks whose optimum is known exactly."""

from qorum.lab.tasks.catalogue import KNOWN, load
from qorum.lab.tasks.task import Task, from_transitions, greedy
from qorum.lab.tasks.walker import Walker
from qorum.lab.tasks.walkers import Steps, Walkers

__all__ = ["KNOWN", "Steps", "Task", "Walker", "Walkers", "from_transitions", "greedy", "load"]
