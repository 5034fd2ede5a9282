"""The founding record's two functions: a federated table on an in-process network, and its sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qorum.agent import QAgent
from qorum.config import FederationConfig
from qorum.core.table import FederatedQTable, SyncResult


def create_federated_qtable(
    config: FederationConfig | Mapping[str, Any] | None = None, *, agent: QAgent | None = None, **fields: Any
) -> FederatedQTable:
    """A table in a federation of its own on an in-process network, with `min_peers_for_consensus` peers.

    Takes a `FederationConfig`, a mapping of its fields, keywords, or several of them. The peers run the whole protocol
    in virtual time and learn nothing by themselves; reach them through `table.transport`. Raises `ConfigError`.
    """
    from qorum.sim.keys import quick_keys  # of no use to a node, which imports this package too
    from qorum.sim.swarm import Swarm

    settings = FederationConfig.of(config, **fields)
    agents = {} if agent is None else {0: agent}
    # Nobody else takes part, so nobody could forge a signature; and browsers have no library for real ones.
    swarm = Swarm.of(settings, settings.min_peers_for_consensus + 1, agents=agents, make_keys=quick_keys)
    return swarm.tables[0]


def federated_sync(fqt: FederatedQTable, timeout_s: float = 10.0) -> SyncResult:
    """Sync a table with its federation; see `FederatedQTable.sync`."""
    return fqt.sync(timeout_s)
