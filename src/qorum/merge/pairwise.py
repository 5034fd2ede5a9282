"""`merge_qtables`: the founding record's pairwise merge, kept exactly, and what it costs.

merged_q = (local_q * local_visits + peer_q * peer_visits) / (local_visits + peer_visits), visits added. Used
by gossip it counts a visit again each time a table comes round; the agreed merge in `rule` exists because of
that.
"""

from __future__ import annotations

import numpy as np

from qorum.qtable import MAX_VALUE, MAX_VISITS, QTable


def merge_qtables(local: QTable, peer: QTable) -> tuple[QTable, int]:
    """The founding formula over all cells of both tables, and the number of conflicts it resolved.

    A cell that one table lacks takes the other's value; one that nobody visited keeps the local value (0 + 0
    visits keep q1). A conflict is a cell that both have visited with different values. Visits saturate at
    2^32 - 1, as the record's u32 must. Returns a new table; the arguments are unchanged.
    """
    merged = local.copy()
    at, found = local.lookup(peer.state_hash, peer.action)
    q1, v1 = local.value[at[found]], local.visits[at[found]]
    q2, v2 = peer.value[found], peer.visits[found]
    total = v1 + v2
    q = np.where(total > 0, (q1 * v1 + q2 * v2) / np.maximum(total, 1), q1)
    merged.update(
        np.concatenate([peer.state_hash[found], peer.state_hash[~found]]),
        np.concatenate([peer.action[found], peer.action[~found]]),
        np.concatenate([np.clip(q, -MAX_VALUE, MAX_VALUE), peer.value[~found]]),
        np.concatenate([np.minimum(total, MAX_VISITS), peer.visits[~found]]),
    )
    conflicts = int(((q1 != q2) & (v1 > 0) & (v2 > 0)).sum())
    return merged, conflicts
