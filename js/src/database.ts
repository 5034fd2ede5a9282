/** `Database`: an agent's storage in a browser. */

import { QorumError } from "./errors.js";
import type { Storage, StoredKey } from "./storage.js";

/** An IndexedDB database of one agent. Its lock is the browser's, so it is free again if the page crashes. */
export class Database implements Storage {
  readonly needsExtractable = false;

  private constructor(
    private readonly db: IDBDatabase,
    private readonly release: () => void,
  ) {}

  static async open(name: string): Promise<Database> {
    const release = await locked(name);
    try {
      const opening = indexedDB.open(name, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("kept");
      return new Database(await done(opening), release);
    } catch (error) {
      release();
      throw failed(error);
    }
  }

  readKey(): Promise<StoredKey | undefined> {
    return this.get("key") as Promise<StoredKey | undefined>;
  }

  async writeKey(key: StoredKey): Promise<void> {
    await this.change((kept) => kept.put(key, "key"));
  }

  read(name: string): Promise<Uint8Array | undefined> {
    return this.get(`/${name}`) as Promise<Uint8Array | undefined>;
  }

  async write(names: string[], values: (Uint8Array | null)[]): Promise<void> {
    await this.change((kept) => {
      names.forEach((name, at) => {
        const value = values[at];
        if (value) kept.put(value, `/${name}`);
        else kept.delete(`/${name}`);
      });
    });
  }

  async close(): Promise<void> {
    this.db.close();
    this.release();
  }

  private async get(name: string): Promise<unknown> {
    try {
      return await done(this.db.transaction("kept").objectStore("kept").get(name));
    } catch (error) {
      throw failed(error);
    }
  }

  private change(what: (kept: IDBObjectStore) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        const transaction = this.db.transaction("kept", "readwrite", { durability: "strict" });
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(failed(transaction.error));
        what(transaction.objectStore("kept"));
      } catch (error) {
        reject(failed(error));
      }
    });
  }
}

/** Hold the lock of a name until the function that this gives is called. */
function locked(name: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { ifAvailable: true }, (lock) => {
        if (lock) return new Promise<void>((release) => resolve(release));
        reject(new QorumError("storage", `${name} is open in another tab: an agent lives in one place at a time`));
        return undefined;
      })
      .catch(reject);
  });
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function failed(error: unknown): QorumError {
  return new QorumError("storage", `this browser keeps nothing: ${error instanceof Error ? error.message : error}`);
}
