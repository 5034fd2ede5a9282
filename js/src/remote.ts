/** `Runner`: where an agent runs: in this thread, or in a worker. */

import { Engine, type Settings, type Tell } from "./engine.js";
import { QorumError } from "./errors.js";
import type { Answer, Call } from "./worker.js";

export interface Runner {
  readonly publicKey: string;
  call(method: string, given: unknown[]): Promise<unknown>;
  memory(): Promise<number>;
  close(): Promise<void>;
}

export function startHere(settings: Settings, tell: Tell): Promise<Runner> {
  return Engine.start(settings, tell).then((engine) => ({
    publicKey: engine.publicKey,
    call: (method, given) => engine.call(method, given),
    memory: async () => engine.memory,
    close: () => engine.close(),
  }));
}

export function startInWorker(settings: Settings, tell: Tell): Promise<Runner> {
  return Remote.start(settings, tell);
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

class Remote implements Runner {
  publicKey = "";
  private readonly worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "qorum" });
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;

  private constructor(private readonly tell: Tell) {
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.take(data);
    this.worker.onerror = (event) => this.fail(new QorumError("internal", event.message || "the worker cannot start"));
  }

  static async start(settings: Settings, tell: Tell): Promise<Remote> {
    const remote = new Remote(tell);
    try {
      remote.publicKey = (await remote.call("start", [settings])) as string;
    } catch (error) {
      remote.worker.terminate();
      throw error;
    }
    return remote;
  }

  call(method: string, given: unknown[]): Promise<unknown> {
    const call: Call = { id: this.calls++, method, given };
    return new Promise((resolve, reject) => {
      this.waiting.set(call.id, { resolve, reject });
      this.worker.postMessage(call);
    });
  }

  memory(): Promise<number> {
    return this.call("memory", []) as Promise<number>;
  }

  async close(): Promise<void> {
    try {
      await this.call("close", []);
    } finally {
      this.worker.terminate();
      this.fail(new QorumError("closed", "this agent was closed"));
    }
  }

  private take(data: Answer): void {
    if ("event" in data) return this.tell(data.event, data.body);
    const waiting = this.waiting.get(data.id);
    this.waiting.delete(data.id);
    if ("result" in data) waiting?.resolve(data.result);
    else waiting?.reject(new QorumError(data.error.code, data.error.message, data.error.reason));
  }

  private fail(error: Error): void {
    for (const waiting of this.waiting.values()) waiting.reject(error);
    this.waiting.clear();
  }
}
