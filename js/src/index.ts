/**
 * qorum for browsers and node: a tabular Q-learning agent that learns as one with a fleet.
 *
 * The agent is the Python package `qorum`, run in WebAssembly; what it agrees on has the same bits as everywhere else.
 */

import type { Progress, Settings } from "./engine.js";
import { type Code, QorumError } from "./errors.js";
import { type Runner, startHere, startInWorker } from "./remote.js";

export { type Code, type Progress, QorumError };

/** What an agent sees, as `hash_observation` of Python takes it. Equal ones are the same state everywhere. */
export type Observation = number | string | readonly Observation[];

/** Fields of the federation's configuration, and of this agent: `gossip_fanout`, or `gossipFanout`. */
export interface Config {
  /** Number of actions, 1 to 256. Like all of the task it may be left out where a federation is joined. */
  n_actions?: number;
  gamma?: number;
  alpha?: number;
  initial_q?: number;
  evidence?: "replay" | "implied" | "q";
  sync_interval_ms?: number;
  sync_after_interactions?: number;
  min_peers_for_consensus?: number;
  byzantine_threshold?: number;
  gossip_fanout?: number;
  /** Probability of a random action. */
  epsilon?: number;
  /** Count-based exploration, in units of reward. */
  bonus?: number;
  seed?: number;
  /** Under which the agent is kept in this browser, or in node's folder; "agent" if it is left out. */
  name?: string;
  /** In node: the folder; "qorum-agents" if it is left out. */
  folder?: string;
  /** A key file's content, as `qorum init` writes it. Else the agent makes a key of its own, and keeps it. */
  key?: string;
  /** Which seat of the federation the key is said to hold: another one is refused at once. */
  member?: number;
  /** The genesis file of the federation, if it is not to be taken from the node. */
  genesis?: string;
  /** Where this package's files are served; beside this module if it is left out. */
  assets?: string;
  /** Whether to run in a worker, so that the page stays alive: so it is in browsers, unless told otherwise. */
  worker?: boolean;
  onProgress?: (progress: Progress) => void;
  /** All other fields of `FederationConfig`. */
  [field: string]: unknown;
}

/** What one sync did; see `SyncResult` of Python. */
export interface SyncResult {
  updates_sent: number;
  updates_received: number;
  conflicts_resolved: number;
  round: number;
  term: number;
  agreed: boolean;
}

export interface LinkStatus {
  peer: string;
  members: number[];
  state: string;
  sent_bytes: number;
  received_bytes: number;
  queued_bytes: number;
}

/** An agent, at one moment. On its own it knows only the first two. */
export interface Status {
  /** In few words: how it gets on with the others. */
  standing: string;
  interactions: number;
  /** In hex; its seat is -1 while it holds none. */
  key: string;
  member?: number;
  role?: "follower" | "candidate" | "leader";
  round?: number;
  term?: number;
  /** Hash of the agreed state, in hex. */
  state?: string;
  /** One line: what it does or waits for. */
  doing?: string;
  cells?: number;
  tolerance?: string;
  federation?: string;
  members?: number;
  reachable?: number[];
  links?: LinkStatus[];
  excluded?: number[];
  lies?: boolean;
  revivals?: number;
}

export interface Events {
  progress: Progress;
  /** A round is agreed on. */
  round: { round: number; term: number; latencies_s: number[] };
  /** No node can be reached any more: the agent learns on alone, and joins again by itself. */
  lost: { members: number[] };
  /** A member has signed two things for one slot. */
  equivocation: { member: number };
  /** The member has stopped by itself. */
  failed: { reason: string };
}

const HERE = new Set(["name", "folder", "key", "member", "genesis", "assets", "worker", "onProgress"]);
const IN_BROWSER = typeof document !== "undefined";

/** An agent and its table, made by `createFederatedQTable`. Usable at once: every method waits until it is loaded. */
export class FederatedQTable {
  /** Rejects with a `QorumError` if the agent cannot be loaded. */
  readonly ready: Promise<void>;
  private readonly runner: Promise<Runner>;
  private readonly listeners = new Map<string, Set<(body: never) => void>>();
  private closing: Promise<void> | undefined;

  /** @internal */
  constructor(private readonly config: Config) {
    const tell = (event: string, body: unknown) => this.tell(event, body);
    const start = (config.worker ?? IN_BROWSER) ? startInWorker : startHere;
    this.runner = start(settingsOf(config), tell);
    this.ready = this.runner.then(() => undefined);
    this.ready.catch(() => {}); // whoever calls a method is told
  }

  /** An action for an observation: random with probability epsilon, else a best one. */
  act(observation: Observation): Promise<number> {
    return this.call("act", observation) as Promise<number>;
  }

  /** Learn from one step. */
  learn(
    observation: Observation,
    action: number,
    reward: number,
    next: Observation,
    terminated: boolean,
  ): Promise<void> {
    return this.call("learn", observation, action, reward, next, terminated) as Promise<void>;
  }

  /** Learn from one step, and choose an action where `then` is seen: what follows, or where an episode begins. */
  step(
    observation: Observation,
    action: number,
    reward: number,
    next: Observation,
    terminated: boolean,
    then: Observation = next,
  ): Promise<number> {
    return this.call("step", observation, action, reward, next, terminated, then) as Promise<number>;
  }

  /**
   * What the agent acts on: n_actions values for each observation, one after another.
   *
   * In this thread they are a view of the agent's own memory, good until the next call; a worker hands them over.
   */
  qvalues(observations: readonly Observation[]): Promise<Float32Array> {
    return this.call("values", observations) as Promise<Float32Array>;
  }

  /** What the federation has agreed on, as `qvalues`. */
  agreed(observations: readonly Observation[]): Promise<Float32Array> {
    return this.call("agreed", observations) as Promise<Float32Array>;
  }

  /** Contribute and wait for the next agreed round, `timeout_s` seconds at most. */
  sync(timeout_s = 10): Promise<SyncResult> {
    return this.call("sync", timeout_s) as Promise<SyncResult>;
  }

  /**
   * Become a member of the federation of one or several nodes, given as `https://host:port`.
   *
   * Rejects with `refused`, `unreachable`, `key` or `config`; the agent then learns on alone. A link that is lost later
   * is made again by itself.
   */
  async connect(...urls: string[]): Promise<void> {
    const { member, genesis } = this.config;
    await this.call("connect", urls.map(withScheme), member ?? undefined, genesis ?? undefined);
  }

  async status(): Promise<Status> {
    const { member, ...rest } = (await this.call("status")) as { member?: Record<string, unknown> };
    const { index, name: _, up: __, ...inner } = member ?? {};
    const own = { ...inner, ...rest, key: (await this.runner).publicKey };
    return (index === undefined ? own : { ...own, member: index }) as unknown as Status;
  }

  /** Keep what the agent has seen. A member of a federation does so by itself whenever it contributes. */
  save(): Promise<void> {
    return this.call("save") as Promise<void>;
  }

  /** Take back what was kept, before the first step; whether there was anything. */
  load(): Promise<boolean> {
    return this.call("load") as Promise<boolean>;
  }

  /** Be cut off from all nodes, or reach for them again. */
  cut(off: boolean): Promise<void> {
    return this.call("cut", off) as Promise<void>;
  }

  /** Tell the others the opposite of what the agent has seen, to watch what becomes of liars; or the truth again. */
  lie(lies: boolean): Promise<void> {
    return this.call("lie", lies) as Promise<void>;
  }

  /** Bytes of memory that WebAssembly has. */
  async memory(): Promise<number> {
    return (await this.runner).memory();
  }

  /** Leave the network and free everything. What the agent has seen as a member is kept. */
  close(): Promise<void> {
    this.closing ??= this.runner.then(
      (runner) => runner.close(),
      () => {},
    );
    return this.closing;
  }

  on<Name extends keyof Events>(event: Name, listener: (body: Events[Name]) => void): () => void {
    const listeners = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  private tell(event: string, body: unknown): void {
    if (event === "progress") this.config.onProgress?.(body as Progress);
    for (const listener of this.listeners.get(event) ?? []) listener(body as never);
  }

  private async call(method: string, ...given: unknown[]): Promise<unknown> {
    const runner = await this.runner;
    if (this.closing) throw new QorumError("closed", "this agent was closed");
    return runner.call(method, given);
  }
}

/** An agent of its own. It begins to load at once; `await fqt.ready` to wait for that. */
export function createFederatedQTable(config: Config = {}): FederatedQTable {
  return new FederatedQTable(config);
}

/**
 * Contribute and wait for the next agreed round.
 *
 * Before `connect` that is a federation of its own, in this process, with `min_peers_for_consensus` peers.
 */
export function federatedSync(fqt: FederatedQTable, timeout_s = 10): Promise<SyncResult> {
  return fqt.sync(timeout_s);
}

function settingsOf(config: Config): Settings {
  const task = Object.entries(config).filter(([name, value]) => !HERE.has(name) && value != null);
  return {
    assets: assetsOf(config.assets),
    name: config.name ?? "agent",
    folder: config.folder ?? undefined,
    key: config.key ?? undefined,
    task: Object.fromEntries(task.map(([name, value]) => [snake(name), value])),
  };
}

function assetsOf(given: string | undefined): string {
  const url =
    given === undefined ? new URL(".", import.meta.url) : IN_BROWSER ? new URL(given, document.baseURI) : given;
  const text = url instanceof URL ? (url.protocol === "file:" ? decodeURIComponent(url.pathname) : url.href) : url;
  return text.endsWith("/") ? text : `${text}/`;
}

function withScheme(url: string): string {
  return url.includes("://") ? url : `http://${url}`;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
