/** `Channel`: a WebSocket to a node, as calls that can be awaited. */

const CLOSE_CODE = 4000; // with it comes a reason of qorum's own
const CLOSE_MS = 1_000;
const CONNECT_MS = 15_000;
const QUEUED_BYTES = 16_000_000;
const BUFFERED_BYTES = 1_000_000;

/** Its methods reject with the reason once it is closed. */
export class Channel {
  private readonly queue: Uint8Array[] = [];
  private size = 0;
  private waiting: { resolve(message: Uint8Array): void; reject(error: Error): void } | undefined;
  private over: Error | undefined;

  private constructor(private readonly socket: WebSocket) {
    socket.onmessage = ({ data }) => this.take(data);
    socket.onclose = ({ code, reason }) => this.end((code === CLOSE_CODE && reason) || "connection lost");
  }

  static async dial(address: string): Promise<Channel> {
    const socket = new (await socketClass())(address);
    socket.binaryType = "arraybuffer";
    await new Promise<void>((resolve, reject) => {
      const limit = setTimeout(() => fail("no answer"), CONNECT_MS);
      const fail = (why: string) => (clearTimeout(limit), socket.close(), reject(new Error(`${address}: ${why}`)));
      socket.onopen = () => (clearTimeout(limit), resolve());
      socket.onerror = () => fail("cannot connect");
    });
    socket.onerror = () => {}; // `onclose` follows
    return new Channel(socket);
  }

  async send(message: Uint8Array<ArrayBuffer>): Promise<void> {
    while (!this.over && this.socket.bufferedAmount > BUFFERED_BYTES) await pause(10);
    if (this.over) throw this.over;
    this.socket.send(message);
  }

  receive(): Promise<Uint8Array> {
    const next = this.queue.shift();
    if (next) {
      this.size -= next.length;
      return Promise.resolve(next);
    }
    if (this.over) return Promise.reject(this.over);
    return new Promise((resolve, reject) => (this.waiting = { resolve, reject }));
  }

  async close(why: string): Promise<void> {
    if (this.over) return;
    const closed = new Promise<void>((resolve) => this.socket.addEventListener("close", () => resolve()));
    this.socket.close(CLOSE_CODE, why.slice(0, 100));
    await Promise.race([closed, pause(CLOSE_MS)]);
    this.end("closed");
  }

  private take(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) return this.drop("text where messages are binary");
    const message = new Uint8Array(data);
    if (this.waiting) {
      this.waiting.resolve(message);
      this.waiting = undefined;
      return;
    }
    this.queue.push(message);
    this.size += message.length;
    if (this.size > QUEUED_BYTES) this.drop("more than can be read in time");
  }

  private drop(why: string): void {
    this.end(why);
    this.socket.close(CLOSE_CODE, why);
  }

  private end(why: string): void {
    this.over ??= new Error(why);
    this.waiting?.reject(this.over);
    this.waiting = undefined;
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** That of the browser; older versions of node have none of their own. */
async function socketClass(): Promise<typeof WebSocket> {
  return globalThis.WebSocket ?? ((await import("ws")).default as unknown as typeof WebSocket);
}
