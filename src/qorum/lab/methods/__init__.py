"""Ways to learn as many, side by side: qorum's own, the averaging rules of the literature, and the two ends of the
scale, everybody alone and one learner that has all samples."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qorum.lab.methods.equal import Equal
from qorum.lab.methods.fedq_hoeffding import FedQHoeffding
from qorum.lab.methods.implied import Implied
from qorum.lab.methods.importance import Importance
from qorum.lab.methods.isolated import Isolated
from qorum.lab.methods.method import Method, Setting
from qorum.lab.methods.pooled import Pooled
from qorum.lab.methods.replay import Replay, RobustReplay
from qorum.lab.methods.visit_weighted import VisitWeighted

METHODS: Mapping[str, type[Method]] = MappingProxyType(
    {
        "isolated": Isolated,
        "pooled": Pooled,
        "equal": Equal,
        "visit_weighted": VisitWeighted,
        "importance": Importance,
        "fedq_hoeffding": FedQHoeffding,
        "implied": Implied,
        "replay": Replay,
        "replay_robust": RobustReplay,
    }
)

__all__ = ["METHODS", "Method", "Setting"]
