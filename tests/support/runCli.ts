/**
 * Runs the command line as a process of its own, as a user would. Called by the CLI tests.
 * Its environment holds nothing but what a test gives it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const CLI_FILE = fileURLToPath(new URL('../../server/cli.js', import.meta.url));

export interface CliRun {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves when the process has ended and everything it wrote has arrived. */
  readonly ended: Promise<CliResult>;
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `file` is another script than the CLI, for tests that stand in for it. */
export const startCli = (
  commandLine: readonly string[],
  options: { environment?: Record<string, string>; file?: string; directory?: string } = {},
): CliRun => {
  let stdout = '';
  let stderr = '';
  const child = spawn(process.execPath, [options.file ?? CLI_FILE, ...commandLine], {
    env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', ...options.environment },
    cwd: options.directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject).once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
};

export const runCli = (
  commandLine: readonly string[],
  options: { environment?: Record<string, string> } = {},
): Promise<CliResult> => startCli(commandLine, options).ended;
