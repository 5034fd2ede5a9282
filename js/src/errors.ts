/** `QorumError`: every error that this package throws on purpose. */

/**
 * What went wrong, for programs.
 *
 * - `no_webassembly`, `insecure_context`, `no_ed25519`: this browser, or this page, cannot run an agent.
 * - `assets`: a file that the agent is made of cannot be loaded.
 * - `config`: a field of the configuration is wrong, or does not fit the federation.
 * - `input`: an observation, action or reward that nothing can be learned from.
 * - `key`: the key is not the one of the seat, or cannot be used.
 * - `refused`: a node has no dealings with this agent; `reason` says why.
 * - `unreachable`: no node answers.
 * - `storage`: nothing can be kept, or what was kept is damaged; or another page has this agent.
 * - `closed`: the agent was closed.
 * - `internal`: a fault of this package.
 */
export type Code =
  | "no_webassembly"
  | "insecure_context"
  | "no_ed25519"
  | "assets"
  | "config"
  | "input"
  | "key"
  | "refused"
  | "unreachable"
  | "storage"
  | "closed"
  | "internal";

export class QorumError extends Error {
  override name = "QorumError";

  constructor(
    readonly code: Code,
    message: string,
    /** For `refused`: the node's reason, such as `wrong_key` or `unknown_member`. */
    readonly reason?: string,
  ) {
    super(message);
  }
}

const CODES: Record<string, Code> = {
  ConfigError: "config",
  EncodingError: "input",
  EvidenceError: "input",
  TableError: "input",
  IdentityError: "key",
  Refused: "refused",
  Closed: "unreachable",
  StoreError: "storage",
};

/** The error that Python has raised, in this package's terms. */
export function fromPython(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== "PythonError") return error;
  const type = (error as Error & { type: string }).type;
  const last = error.message.trimEnd().split("\n").at(-1) ?? "";
  const text = last.slice(last.indexOf(": ") + 2);
  const code = CODES[type];
  if (code === undefined) return new QorumError("internal", error.message);
  return new QorumError(code, text, code === "refused" ? text.slice(0, text.indexOf(":")) : undefined);
}
