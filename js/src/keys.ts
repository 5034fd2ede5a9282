/** `Keys`: the agent's Ed25519 key, and checks of what others signed, by WebCrypto. */

import { QorumError } from "./errors.js";
import type { Storage } from "./storage.js";

const ED25519 = { name: "Ed25519" };

/** An agent's key. Where it is stored in a browser nobody can read it, not even this page. */
export class Keys {
  private readonly known = new Map<string, Promise<CryptoKey | undefined>>();

  private constructor(
    readonly secretKey: CryptoKey,
    readonly publicKey: Uint8Array,
  ) {}

  /** The key in a PEM file as `qorum init` writes it. */
  static async fromPem(pem: string): Promise<Keys> {
    checkContext();
    let der: Uint8Array<ArrayBuffer>, open: CryptoKey;
    try {
      der = bytesOf(atob(pem.replace(/-----[^-]+-----|\s/g, "")));
      open = await crypto.subtle.importKey("pkcs8", der, ED25519, true, ["sign"]);
    } catch (error) {
      throw unusable(error, "the key is no Ed25519 private key in PEM form");
    }
    const { x } = await crypto.subtle.exportKey("jwk", open);
    const secret = await crypto.subtle.importKey("pkcs8", der, ED25519, false, ["sign"]);
    return new Keys(secret, bytesOf(atob(x!.replace(/-/g, "+").replace(/_/g, "/"))));
  }

  /** The key that is stored, or a new one, which is stored. */
  static async stored(storage: Storage): Promise<Keys> {
    checkContext();
    const found = await storage.readKey();
    if (found) return new Keys(found.secret, found.publicKey);
    let pair: CryptoKeyPair;
    try {
      pair = (await crypto.subtle.generateKey(ED25519, storage.needsExtractable, ["sign", "verify"])) as CryptoKeyPair;
    } catch (error) {
      throw unusable(error, "no key can be made");
    }
    const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    await storage.writeKey({ secret: pair.privateKey, publicKey });
    return new Keys(pair.privateKey, publicKey);
  }

  async sign(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return new Uint8Array(await crypto.subtle.sign(ED25519, this.secretKey, message));
  }

  /** Whether signatures hold; columns of 32, of `lengths` and of 64 bytes, one after another. 1 or 0 for each. */
  async verify(
    keys: Uint8Array<ArrayBuffer>,
    messages: Uint8Array<ArrayBuffer>,
    lengths: number[],
    signatures: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array> {
    let start = 0;
    const answers = lengths.map((length, at) => {
      const message = messages.subarray(start, (start += length));
      const signature = signatures.subarray(64 * at, 64 * at + 64);
      return this.holds(keys.subarray(32 * at, 32 * at + 32), message, signature);
    });
    return Uint8Array.from((await Promise.all(answers)).map(Number));
  }

  private async holds(
    key: Uint8Array<ArrayBuffer>,
    message: Uint8Array<ArrayBuffer>,
    signature: Uint8Array<ArrayBuffer>,
  ): Promise<boolean> {
    const imported = await this.imported(key);
    return imported !== undefined && crypto.subtle.verify(ED25519, imported, signature, message);
  }

  private imported(key: Uint8Array<ArrayBuffer>): Promise<CryptoKey | undefined> {
    const name = key.join();
    let found = this.known.get(name);
    if (!found) {
      if (this.known.size > 8192) this.known.clear(); // they may come from a liar
      found = crypto.subtle.importKey("raw", key, ED25519, false, ["verify"]).catch(() => undefined);
      this.known.set(name, found);
    }
    return found;
  }
}

/** PEM of a key that may be read. */
export async function pemOf(secret: CryptoKey): Promise<string> {
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", secret));
  return `-----BEGIN PRIVATE KEY-----\n${btoa(String.fromCharCode(...der))}\n-----END PRIVATE KEY-----\n`;
}

export function checkContext(): void {
  if (typeof WebAssembly === "undefined") {
    throw new QorumError("no_webassembly", "this browser has no WebAssembly, or it is switched off");
  }
  if (globalThis.crypto?.subtle === undefined) {
    throw new QorumError("insecure_context", "keys need a secure page: open it by https:// or at localhost");
  }
}

function unusable(error: unknown, what: string): QorumError {
  const lacks = error instanceof Error && error.name === "NotSupportedError";
  if (lacks) return new QorumError("no_ed25519", "this browser knows no Ed25519 signatures; use a newer one");
  return new QorumError("key", `${what}: ${error instanceof Error ? error.message : error}`);
}

function bytesOf(binary: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
