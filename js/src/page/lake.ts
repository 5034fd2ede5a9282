/** The frozen lake: the task of Gymnasium's `FrozenLake8x8-v1`, with the same chances. */

export const SIDE = 8;
export const CELLS = SIDE * SIDE;
export const ACTIONS = 4; // left, down, right, up
const LIMIT = 200; // steps of an episode
const MAP = ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"].join("");

export interface Step {
  next: number;
  reward: number;
  /** Whether the episode has ended in a hole or at the present. */
  terminated: boolean;
  /** Whether it was cut short. */
  truncated: boolean;
}

export function kind(cell: number): "start" | "ice" | "hole" | "goal" {
  return ({ S: "start", H: "hole", G: "goal" } as const)[MAP[cell] as "S" | "H" | "G"] ?? "ice";
}

/** Where a step leads that goes the way it was meant to; against the shore it leads nowhere. */
export function towards(cell: number, action: number): number {
  const row = Math.floor(cell / SIDE) + [0, 1, 0, -1][action]!;
  const column = (cell % SIDE) + [-1, 0, 1, 0][action]!;
  return row < 0 || row >= SIDE || column < 0 || column >= SIDE ? cell : row * SIDE + column;
}

/** Where a step may lead, each with the same chance: as meant, or to either side of that. */
export function outcomes(cell: number, action: number): [number, number, number] {
  return [towards(cell, (action + 3) % ACTIONS), towards(cell, action), towards(cell, (action + 1) % ACTIONS)];
}

/** The chance that an episode reaches the present, where each cell's best action by `values` is taken. */
export function chance(values: Float32Array): number {
  const rows = Array.from({ length: CELLS }, (_, cell) => values.subarray(ACTIONS * cell, ACTIONS * cell + ACTIONS));
  const best = rows.map((row) => row.indexOf(Math.max(...row)));
  let reached = rows.map((_, cell) => Number(kind(cell) === "goal"));
  for (let left = 0; left < LIMIT; left++) {
    reached = reached.map((known, cell) => {
      if (kind(cell) === "hole" || kind(cell) === "goal") return known;
      return outcomes(cell, best[cell]!).reduce((sum, next) => sum + reached[next]!, 0) / 3;
    });
  }
  return reached[0]!;
}

export class Lake {
  at = 0;
  private steps = 0;

  constructor(private readonly random: () => number = Math.random) {}

  reset(): number {
    this.steps = 0;
    return (this.at = 0);
  }

  step(action: number): Step {
    this.at = outcomes(this.at, action)[Math.floor(this.random() * 3)]!;
    const terminated = kind(this.at) === "hole" || kind(this.at) === "goal";
    return {
      next: this.at,
      reward: kind(this.at) === "goal" ? 1 : 0,
      terminated,
      truncated: !terminated && ++this.steps >= LIMIT,
    };
  }
}
