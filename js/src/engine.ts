/** `Engine`: an agent in this thread: Pyodide, qorum in it, and what they ask of JavaScript. */

import type { PyodideAPI } from "pyodide";
import type { PyBuffer, PyProxy } from "pyodide/ffi";

import { Channel } from "./channel.js";
import { fromPython, QorumError } from "./errors.js";
import { checkContext, Keys } from "./keys.js";
import type { Storage } from "./storage.js";

/** How far loading has come: what is done now, and the share that is done, 0 to 1. */
export interface Progress {
  stage: "python" | "numpy" | "qorum" | "key" | "ready";
  done: number;
}

/** What an engine is told; can be sent to a worker. */
export interface Settings {
  /** URL, or in node a path, of the folder with this package's files. */
  assets: string;
  name: string;
  folder: string | undefined;
  key: string | undefined;
  /** Fields of the federation's configuration and of the agent, for Python. */
  task: Record<string, unknown>;
}

export type Tell = (event: string, body: unknown) => void;

const IN_NODE =
  typeof process !== "undefined" && process.versions?.node !== undefined && typeof document === "undefined";

/** What Python's `Endpoint` can be asked for, by name, and how its arguments and answers are handed over. */
const JSON_ANSWERS = new Set(["sync", "status"]);
const NUMBERS = new Set(["values", "agreed"]);

export class Engine {
  private shown: { values: PyProxy; buffer: PyBuffer } | undefined;

  private constructor(
    private readonly pyodide: PyodideAPI,
    private readonly endpoint: PyProxy,
    private readonly storage: Storage,
    readonly publicKey: string,
  ) {}

  static async start(settings: Settings, tell: Tell): Promise<Engine> {
    checkContext();
    const progress = (stage: Progress["stage"], done: number) => tell("progress", { stage, done });
    const pyodide = await loaded(settings.assets, progress);
    progress("key", 0.95);
    const given = settings.key === undefined ? undefined : await Keys.fromPem(settings.key);
    const name = given ? `${settings.name}-${hex(given.publicKey).slice(0, 16)}` : settings.name;
    const storage = await openStorage(name, settings.folder);
    try {
      const keys = given ?? (await Keys.stored(storage));
      const { JavaScript } = pyodide.pyimport("qorum.browser.javascript");
      const { Endpoint } = pyodide.pyimport("qorum.browser.endpoint");
      const endpoint = Endpoint(JavaScript(platform(keys, storage, tell)), JSON.stringify(settings.task));
      progress("ready", 1);
      return new Engine(pyodide, endpoint, storage, hex(keys.publicKey));
    } catch (error) {
      await storage.close();
      throw fromPython(error);
    }
  }

  /** Call a method of `Endpoint`. Numbers are a view of Python's memory, good until the next call. */
  async call(method: string, given: unknown[]): Promise<unknown> {
    if (method === "connect") given = await withGenesis(given as Parameters<typeof withGenesis>[0]);
    try {
      return NUMBERS.has(method) ? this.numbers(method, given[0]) : await this.ask(method, given);
    } catch (error) {
      throw fromPython(error);
    }
  }

  private async ask(method: string, given: unknown[]): Promise<unknown> {
    const answer = await this.endpoint[method](...given.map((one) => this.python(one)));
    return JSON_ANSWERS.has(method) ? JSON.parse(answer as string) : answer;
  }

  private numbers(method: string, observations: unknown): Float32Array {
    this.shown?.buffer.release();
    this.shown?.values.destroy();
    const values = this.endpoint[method](this.python(observations)) as PyProxy;
    const buffer = values.getBuffer("f32") as PyBuffer;
    this.shown = { values, buffer };
    return buffer.data as Float32Array;
  }

  private python(value: unknown): unknown {
    return typeof value === "object" && value !== null ? this.pyodide.toPy(value) : value;
  }

  /** Bytes of memory that WebAssembly has. */
  get memory(): number {
    return (this.pyodide as unknown as { _module: { HEAP8: Int8Array } })._module.HEAP8.byteLength;
  }

  async close(): Promise<void> {
    try {
      await this.call("close", []);
    } finally {
      await this.storage.close();
    }
  }
}

/** What Python asks of JavaScript: `Platform` in src/qorum/browser/platform.py. */
function platform(keys: Keys, storage: Storage, tell: Tell): object {
  return {
    publicKey: keys.publicKey,
    sign: (message: Uint8Array<ArrayBuffer>) => keys.sign(message),
    verify: (...columns: Parameters<Keys["verify"]>) => keys.verify(...columns),
    read: (name: string) => storage.read(name),
    write: (names: string[], values: (Uint8Array | null)[]) => storage.write(names, values),
    dial: (address: string) => Channel.dial(address),
    tell: (event: string, body: string) => tell(event, JSON.parse(body)),
  };
}

async function loaded(assets: string, progress: (stage: Progress["stage"], done: number) => void): Promise<PyodideAPI> {
  try {
    progress("python", 0);
    const { loadPyodide } = (await import(moduleUrl(`${assets}pyodide/pyodide.mjs`))) as typeof import("pyodide");
    const pyodide = await loadPyodide({ indexURL: `${assets}pyodide/` });
    progress("numpy", 0.6);
    await pyodide.loadPackage("numpy", { messageCallback() {} });
    progress("qorum", 0.8);
    for (const archive of ["msgspec.zip", "qorum.zip"]) pyodide.unpackArchive(await bytes(assets + archive), "zip");
    return pyodide;
  } catch (error) {
    throw new QorumError("assets", `cannot load the files of qorum from ${assets}: ${(error as Error).message}`);
  }
}

/** Raises `storage` if another tab or process has the agent, or nothing can be kept. */
async function openStorage(name: string, folder = "qorum-agents"): Promise<Storage> {
  if (IN_NODE) return (await import("./folder.js")).Folder.open(folder, name);
  return (await import("./database.js")).Database.open(`qorum-${name}`);
}

function moduleUrl(path: string): string {
  return IN_NODE && !path.includes("://") ? `file://${path}` : path;
}

async function bytes(path: string): Promise<ArrayBuffer> {
  if (IN_NODE) {
    const { readFile } = await import("node:fs/promises");
    return new Uint8Array(await readFile(path)).buffer;
  }
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

/** The arguments of `Endpoint.connect`: the genesis comes from the first node that answers, unless it is given. */
async function withGenesis([urls, member, genesis]: [string[], number | undefined, string | undefined]): Promise<
  unknown[]
> {
  const errors: string[] = [];
  for (const url of genesis === undefined ? urls : []) {
    try {
      const answer = await fetch(new URL("/genesis", url.replace(/^ws/, "http")), {
        signal: AbortSignal.timeout(15_000),
      });
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
      genesis = await answer.text();
      break;
    } catch (error) {
      errors.push(`${url}: ${(error as Error).message}`);
    }
  }
  if (genesis === undefined) throw new QorumError("unreachable", errors.join("; "));
  const nodes = urls.map((url) => new URL("/peer", url.replace(/^http/, "ws")).href);
  return [genesis, nodes, member];
}

function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
