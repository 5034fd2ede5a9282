/** An agent that lives on the lake, at a pace that may be changed. */

import type { FederatedQTable } from "../index.js";
import { Lake } from "./lake.js";

const TURN_MS = 30;
const RECENT = 100;

export class Life {
  readonly lake = new Lake();
  running = true;
  /** Steps a second that are wanted, */
  pace = 200;
  /** and that are reached. */
  reached = 0;
  episodes = 0;
  private readonly recent: boolean[] = [];

  constructor(private readonly fqt: FederatedQTable) {}

  /** Share of the newest episodes that have reached the present. */
  get success(): number {
    return this.recent.filter(Boolean).length / Math.max(this.recent.length, 1);
  }

  /** Live until the agent is closed. */
  async run(): Promise<void> {
    let action = await this.fqt.act(this.lake.reset());
    for (let last = performance.now(), owed = 0; ; ) {
      await new Promise((next) => setTimeout(next, TURN_MS));
      const now = performance.now(),
        passed = now - last;
      last = now;
      owed = this.running ? Math.min(owed + (this.pace * passed) / 1000, this.pace) : 0;
      const end = now + Math.max(TURN_MS, passed / 2); // a tab in the background has a turn a second
      let taken = 0;
      for (; owed >= 1 && performance.now() < end; owed--, taken++) action = await this.step(action);
      this.reached = 0.9 * this.reached + 0.1 * ((1000 * taken) / Math.max(passed, 1));
    }
  }

  private async step(action: number): Promise<number> {
    const from = this.lake.at;
    const { next, reward, terminated, truncated } = this.lake.step(action);
    if (!terminated && !truncated) return this.fqt.step(from, action, reward, next, false);
    this.episodes++;
    this.recent.push(reward > 0);
    if (this.recent.length > RECENT) this.recent.shift();
    return this.fqt.step(from, action, reward, next, terminated, this.lake.reset());
  }
}
