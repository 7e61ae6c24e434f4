/**
 * `skein start`: one node in this process, from its configuration to an orderly end.
 * Called by cli.ts. Owns the process: it ends it when the node has closed.
 */
import type { NodeHandle } from '../../actors/node.js';
import type { Config, ConfigSource } from '../../config/types.js';
import { messageOf } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import type { OpenDoors } from '../doors.js';
import { printable } from '../treeText.js';
import { EXIT, type ExitCode } from './exitCodes.js';
import { awaitStop } from './signals.js';

export interface StartCommand {
  readonly config?: string;
  /** `--UPPER_CASE value` pairs as typed, for the configuration. */
  readonly settings: readonly string[];
  readonly quiet?: true;
  readonly stopWithParent?: true;
}

/** How a settled configuration becomes a running node; another way in tests of the process around it. */
export type LaunchNode = (config: Config, source: ConfigSource) => Promise<NodeHandle>;

/** Resolves when the node has stopped. Rejects with INVALID_CONFIGURATION and the like when it cannot start. */
export const runStart = async (
  command: StartCommand,
  launch: LaunchNode = launchNode,
): Promise<ExitCode> => {
  const stop = awaitStop({
    again: () => process.exit(EXIT.failed),
    withParent: command.stopWithParent === true,
  });
  const running = await open(command, launch);
  if (command.quiet !== true) {
    process.stdout.write(greeting(running));
  }
  const signal = await stop.asked;
  if (command.quiet !== true) {
    process.stdout.write(`stopping (${signal})\n`);
  }
  await closeInTime(running);
  return process.exit(EXIT.ok);
};

interface Running {
  readonly node: NodeHandle;
  readonly doors: OpenDoors;
  readonly warnings: readonly string[];
}

const launchNode: LaunchNode = async (config, configSource) => {
  const { startCore } = await import('../../actors/startNode.js');
  return startCore(config, {
    configSource,
    passwordGenerated: (username, password) =>
      process.stdout.write(`first user ${username}, password ${password} (shown once)\n`),
    failed: endWithFailure,
  });
};

/** Nothing in this process can mend a tree that has failed; whoever started the process can start it again. */
const endWithFailure = (error: Error): void => {
  process.stderr.write(`skein: the node has failed: ${printable(messageOf(error))}\n`);
  process.exit(EXIT.failed);
};

const open = async (command: StartCommand, launch: LaunchNode): Promise<Running> => {
  const { loadConfig } = await import('../../config/load.js');
  const { config, source, warnings } = loadConfig({
    arguments: argumentsOf(command),
    environment: process.env,
    currentDirectory: process.cwd(),
  });
  const [{ openDoors }, node] = await Promise.all([import('../doors.js'), launch(config, source)]);
  try {
    return { node, doors: await openDoors(node), warnings };
  } catch (error) {
    await node.close();
    throw error;
  }
};

const argumentsOf = (command: StartCommand): string[] => [
  ...(command.config === undefined ? [] : ['--config', command.config]),
  ...command.settings,
];

/** One line per open door, then what the configuration deserves to have said about it. */
const greeting = ({ node, doors, warnings }: Running): string => {
  const { replication, storage } = node.config;
  const lines = [
    `${node.name} is running`,
    ...doorLine(
      'replication',
      replication.insecure === undefined ? undefined : node.config.node.url,
    ),
    ...doorLine('operations API', doors.operationsApi),
    ...doorLine('operations API', doors.secureOperationsApi),
    ...doorLine('debug', doors.debug),
    `  data            ${storage.engine === 'memory' ? 'in memory only' : storage.path}`,
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
  return `${lines.join('\n')}\n`;
};

const doorLine = (name: string, address: string | undefined): string[] =>
  address === undefined ? [] : [`  ${name.padEnd(15)} ${address}`];

/** Doors first, so that nothing new comes in; a node that does not end in time is left to the system. */
const closeInTime = async ({ node, doors }: Running): Promise<void> => {
  setTimeout(() => {
    process.stderr.write(`skein: did not stop within ${limits.stopMsMax / 1000} s\n`);
    process.exit(EXIT.failed);
  }, limits.stopMsMax).unref();
  await doors.close();
  await node.close();
};
