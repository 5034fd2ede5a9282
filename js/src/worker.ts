/** A worker that runs an engine, so that the page stays alive. See `remote.ts` for the other end. */

import { Engine, type Settings } from "./engine.js";
import { QorumError } from "./errors.js";

/** A call; 0 is the start. */
export interface Call {
  id: number;
  method: string;
  given: unknown[];
}

export type Answer =
  | { id: number; result: unknown }
  | { id: number; error: { code: QorumError["code"]; message: string; reason: string | undefined } }
  | { event: string; body: unknown };

let engine: Engine | undefined;

async function answer({ id, method, given }: Call): Promise<void> {
  try {
    const result = await run(method, given);
    if (result instanceof Float32Array) {
      const values = result.slice(); // Python's memory cannot be handed over; from here on nothing is copied
      say({ id, result: values }, [values.buffer]);
    } else {
      say({ id, result });
    }
  } catch (error) {
    const known = error instanceof QorumError ? error : new QorumError("internal", String(error));
    say({ id, error: { code: known.code, message: known.message, reason: known.reason } });
  }
}

async function run(method: string, given: unknown[]): Promise<unknown> {
  if (method === "start") {
    engine = await Engine.start(given[0] as Settings, (event, body) => say({ event, body }));
    return engine.publicKey;
  }
  if (method === "memory") return engine!.memory;
  return method === "close" ? engine!.close() : engine!.call(method, given);
}

function say(message: Answer, transfer: Transferable[] = []): void {
  postMessage(message, { transfer });
}

onmessage = ({ data }: MessageEvent<Call>) => void answer(data);
