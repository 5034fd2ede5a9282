/** The founding record's two functions, in one process: `npx tsc -p examples && node examples/out/federated.js`. */

import { createFederatedQTable, federatedSync } from "qorum";

const fqt = createFederatedQTable({
  sync_interval_ms: 60_000,
  min_peers_for_consensus: 3,
  byzantine_threshold: 0.33,
  gossip_fanout: 3,
});

// A corridor of six cells: 0 goes left, 1 goes right, and at its right end there is a reward.
async function episode(): Promise<void> {
  for (let cell = 0; cell < 5; ) {
    const action = await fqt.act(cell);
    const next = Math.max(0, cell + (action === 1 ? 1 : -1));
    await fqt.learn(cell, action, next === 5 ? 1 : 0, next, next === 5);
    cell = next;
  }
}

for (let round = 0; round < 8; round++) {
  await episode();
  const result = await federatedSync(fqt);
  console.log(
    `round ${result.round}, term ${result.term}: sent ${result.updates_sent} updates, ` +
      `received ${result.updates_received}, resolved ${result.conflicts_resolved} conflicts`,
  );
}
const values = await fqt.qvalues([0, 1, 2, 3, 4]); // four actions each
console.log("to go right is worth, cell by cell:", [1, 5, 9, 13, 17].map((at) => values[at]!.toFixed(2)).join(" "));
await fqt.close();
