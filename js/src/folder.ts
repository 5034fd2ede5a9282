/** `Folder`: an agent's storage in node: a key file, one file with all that is kept, and a lock. */

import { readFileSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { QorumError } from "./errors.js";
import { Keys, pemOf } from "./keys.js";
import type { Storage, StoredKey } from "./storage.js";

export class Folder implements Storage {
  readonly needsExtractable = true;

  private constructor(
    private readonly path: string,
    private readonly kept: Map<string, Uint8Array>,
  ) {}

  /** Raises `storage` if another process has it, or it cannot be used. */
  static async open(parent: string, name: string): Promise<Folder> {
    const path = join(parent, name);
    try {
      await mkdir(path, { recursive: true });
      await lock(join(path, "lock"));
      return new Folder(path, unpack(await readFile(join(path, "kept")).catch(nothing)));
    } catch (error) {
      throw error instanceof QorumError ? error : new QorumError("storage", `cannot use ${path}: ${error}`);
    }
  }

  async readKey(): Promise<StoredKey | undefined> {
    const pem = await readFile(this.keyPath, "utf8").catch(nothing);
    if (!pem) return undefined;
    const keys = await Keys.fromPem(pem);
    return { secret: keys.secretKey, publicKey: keys.publicKey };
  }

  async writeKey(key: StoredKey): Promise<void> {
    await writeFile(this.keyPath, await pemOf(key.secret), { mode: 0o600, flag: "wx" });
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return this.kept.get(name);
  }

  async write(names: string[], values: (Uint8Array | null)[]): Promise<void> {
    names.forEach((name, at) => {
      const value = values[at];
      if (value) this.kept.set(name, value);
      else this.kept.delete(name);
    });
    const target = join(this.path, "kept");
    try {
      const file = await open(`${target}.new`, "w", 0o600);
      try {
        await file.writeFile(pack(this.kept));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${target}.new`, target);
      await synced(this.path);
    } catch (error) {
      throw new QorumError("storage", `cannot write ${target}: ${error}`);
    }
  }

  async close(): Promise<void> {
    await rm(join(this.path, "lock"), { force: true });
  }

  private get keyPath(): string {
    return join(this.path, "key.pem");
  }
}

/** A file with the number of the process that has it; one that is gone has it no more. */
async function lock(path: string): Promise<void> {
  try {
    await writeFile(path, `${process.pid}`, { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const owner = Number(readFileSync(path, "utf8"));
    if (owner && isAlive(owner)) {
      throw new QorumError("storage", `${path} is held by process ${owner}: an agent lives in one place at a time`);
    }
    await rm(path, { force: true });
    await lock(path);
  }
}

function isAlive(process_id: number): boolean {
  try {
    process.kill(process_id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function synced(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Length of the index, the index as JSON, then all values. */
function pack(kept: Map<string, Uint8Array>): Uint8Array {
  const index = Buffer.from(JSON.stringify([...kept].map(([name, value]) => [name, value.length])));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(index.length);
  return Buffer.concat([size, index, ...kept.values()]);
}

function unpack(data: Buffer | undefined): Map<string, Uint8Array> {
  const kept = new Map<string, Uint8Array>();
  if (!data) return kept;
  let start = 4 + data.readUInt32LE();
  for (const [name, length] of JSON.parse(data.toString("utf8", 4, start)) as [string, number][]) {
    kept.set(name, Uint8Array.from(data.subarray(start, (start += length))));
  }
  return kept;
}

function nothing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
