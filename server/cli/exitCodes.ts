/**
 * What `skein` says to scripts: exit codes, and the failure that carries one to the top.
 * Called by every command; documented in docs/OPERATIONS.md, so the numbers never change.
 */

export const EXIT = {
  ok: 0,
  /** The operation, or the node, failed. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Nobody answers at that URL. */
  unreachable: 3,
  /** `skein status`: a peer is not connected. */
  disconnected: 4,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends the command: `message` goes to standard error, `exitCode` to the shell. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
  }
}
