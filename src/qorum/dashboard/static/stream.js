/** The node's stream of moments, read with the token that the address of the page may carry after `#`. */

const RETRY_MS = 1_000;
const SILENT_MS = 5_000;

export const headers = location.hash.length > 1 ? { Authorization: `Bearer ${location.hash.slice(1)}` } : {};

/** Call `hear` with each moment, and `lost` with why there is none; for ever. */
export async function listen(hear, lost) {
  for (;;) {
    try {
      await follow(hear);
    } catch (error) {
      lost(error.message);
    }
    await new Promise((next) => setTimeout(next, RETRY_MS));
  }
}

async function follow(hear) {
  const patience = new AbortController();
  let silent = setTimeout(() => patience.abort(), SILENT_MS);
  try {
    const answer = await fetch("/api/v1/live", { headers, signal: patience.signal });
    if (answer.status === 401) throw new Error("this node wants its token: add #TOKEN to the address of this page");
    if (!answer.ok) throw new Error(await answer.text());
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the node has ended");
      clearTimeout(silent);
      silent = setTimeout(() => patience.abort(), SILENT_MS);
      const words = (text + value).split("\n\n");
      text = words.pop();
      for (const word of words) hear(JSON.parse(word.slice("data: ".length)));
    }
  } catch (error) {
    throw patience.signal.aborted ? new Error("the node is silent") : error;
  } finally {
    clearTimeout(silent);
  }
}
