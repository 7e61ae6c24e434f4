/**
 * The processes of `skein dev`: one per node, started again when it dies, stopped together.
 * Called by dev.ts. Knows processes only; whether a node is well is asked elsewhere.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { limits } from '../../protocol/limits.js';
import { printable } from '../treeText.js';

/** A node that lived shorter than this is started again later and later. */
const SHORT_LIFE_MS = 5_000;
const RESTART_MS_MIN = 1_000;
const RESTART_MS_MAX = 30_000;
/** After a node's own stop deadline, it is killed. */
const KILL_AFTER_MS = limits.stopMsMax + 2_000;

const INTERNAL: readonly string[] = ['--quiet', '--stop-with-parent'];

export interface ChildCommand {
  readonly name: string;
  /** Arguments of this Node.js, the script first. */
  readonly arguments: readonly string[];
}

export interface ChildrenOptions {
  readonly commands: readonly ChildCommand[];
  readonly environment: Readonly<Record<string, string>>;
  /** One line for the person at the terminal. */
  readonly say: (line: string) => void;
  /** A process was started in place of one that had died. */
  readonly restarted: (name: string) => void;
}

export interface Children {
  pidOf(name: string): number | undefined;
  /** SIGTERM to all; resolves when all are gone. Nothing is started again. */
  stop(): Promise<void>;
  /** SIGKILL to all, at once. */
  kill(): void;
}

interface Place {
  readonly command: ChildCommand;
  child: ChildProcess | undefined;
  startedAtMs: number;
  restartMs: number;
  restartTimer: NodeJS.Timeout | undefined;
}

export const startChildren = (options: ChildrenOptions): Children => {
  const places = options.commands.map((command): Place => ({
    command,
    child: undefined,
    startedAtMs: 0,
    restartMs: RESTART_MS_MIN,
    restartTimer: undefined,
  }));
  let stopping = false;

  const start = (place: Place): void => {
    const child = launch(place.command, options);
    place.child = child;
    place.startedAtMs = performance.now();
    child.once('exit', (code, signal) => {
      place.child = undefined;
      if (!stopping) {
        restartLater(place, { pid: child.pid, end: signal ?? `exit code ${code}` });
      }
    });
  };

  const restartLater = (place: Place, ended: { pid: number | undefined; end: string }): void => {
    const shortLived = performance.now() - place.startedAtMs < SHORT_LIFE_MS;
    const waitMs = shortLived ? place.restartMs : RESTART_MS_MIN;
    place.restartMs = shortLived ? Math.min(waitMs * 2, RESTART_MS_MAX) : RESTART_MS_MIN;
    const { name } = place.command;
    options.say(
      `${name} (pid ${ended.pid}) ended: ${ended.end}; starting it again in ${waitMs / 1000} s. By hand: ${commandLine(place.command)}`,
    );
    place.restartTimer = setTimeout(() => {
      start(place);
      options.say(`${name} started again, pid ${place.child?.pid}`);
      options.restarted(name);
    }, waitMs);
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    await Promise.all(places.map(stopPlace));
  };

  places.forEach(start);
  return {
    pidOf: (name) => places.find((place) => place.command.name === name)?.child?.pid,
    stop,
    kill: () => {
      stopping = true;
      places.forEach((place) => place.child?.kill('SIGKILL'));
    },
  };
};

const stopPlace = (place: Place): Promise<void> =>
  new Promise((resolve) => {
    clearTimeout(place.restartTimer);
    const { child } = place;
    if (child === undefined) {
      resolve();
      return;
    }
    const deadline = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    child.once('exit', () => {
      clearTimeout(deadline);
      resolve();
    });
    child.kill('SIGTERM');
  });

/**
 * In a process group of its own, so that Ctrl-C at the terminal reaches it once, through us. The channel
 * is there to be closed: a node whose parent was killed notices and stops.
 */
const launch = (command: ChildCommand, options: ChildrenOptions): ChildProcess => {
  const child = spawn(process.execPath, [...command.arguments], {
    detached: true,
    env: options.environment,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  child.on('error', (error) => options.say(`${command.name} cannot be started: ${error.message}`));
  for (const stream of [child.stdout, child.stderr]) {
    forwardLines(stream, (line) => options.say(`[${command.name}] ${printable(line)}`));
  }
  return child;
};

const forwardLines = (stream: Readable | null, say: (line: string) => void): void => {
  if (stream !== null) {
    createInterface({ input: stream, crlfDelay: Infinity }).on('line', say);
  }
};

/** As a person would type it: with the greeting, and without a parent to wait for. */
const commandLine = (command: ChildCommand): string =>
  ['node', ...command.arguments.filter((argument) => !INTERNAL.includes(argument))]
    .map((argument) => (/[^\w./:=-]/.test(argument) ? `'${argument}'` : argument))
    .join(' ');
