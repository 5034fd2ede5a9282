/** `Storage`: where an agent keeps what it must not lose. One page or process has it at a time. */

export interface StoredKey {
  secret: CryptoKey;
  publicKey: Uint8Array;
}

export interface Storage {
  /** Whether keys have to be readable to be stored. */
  readonly needsExtractable: boolean;
  readKey(): Promise<StoredKey | undefined>;
  writeKey(key: StoredKey): Promise<void>;
  read(name: string): Promise<Uint8Array | undefined>;
  /** Make all of these durable at once, or none; null forgets a name. */
  write(names: string[], values: (Uint8Array | null)[]): Promise<void>;
  close(): Promise<void>;
}
