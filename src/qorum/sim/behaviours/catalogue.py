"""All behaviours by name."""

from __future__ import annotations

from qorum.sim.behaviours.behaviour import Behaviour
from qorum.sim.behaviours.equivocate import Equivocate
from qorum.sim.behaviours.false_digest import FalseDigest
from qorum.sim.behaviours.malformed import Malformed
from qorum.sim.behaviours.poison import Poison
from qorum.sim.behaviours.rush import Rush
from qorum.sim.behaviours.selective import Selective
from qorum.sim.behaviours.silent import Silent
from qorum.sim.behaviours.stale import Stale
from qorum.sim.behaviours.twin import Twin
from qorum.sim.behaviours.withhold import Withhold

BEHAVIOURS: dict[str, type[Behaviour]] = {
    kind.name: kind
    for kind in (
        Equivocate, Twin, Silent, Selective, Withhold, FalseDigest, Stale, Malformed, Rush, Poison,
    )
}  # fmt: skip
