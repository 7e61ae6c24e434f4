#!/usr/bin/env node
/**
 * The command line: `skein start`, `skein dev`, `skein status`, and `skein <operation> key=value ...`.
 * The program itself; nobody imports it. Stays light: a command loads what it needs when it runs.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { Target } from './cli/client.js';
import { CliFailure, EXIT, type ExitCode } from './cli/exitCodes.js';
import type { OutputFormat } from './cli/output.js';

interface TargetOptions {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly output: OutputFormat;
}

const program = (): Command => {
  const root = new Command('skein')
    .description('A replicated document store: start nodes, watch them, send them operations.')
    .usage('[command] | <operation> [key=value ...] [options]')
    .enablePositionalOptions()
    .showHelpAfterError('(skein --help shows how)')
    .exitOverride();
  addStart(root);
  addDev(root);
  addStatus(root);
  addVersion(root);
  addOperation(root);
  return root;
};

const addStart = (root: Command): void => {
  root
    .command('start')
    .description('run one node until SIGTERM or Ctrl-C')
    .option('-c, --config <file>', 'configuration file (default: skein.yaml in the root path)')
    .addOption(new Option('--quiet', 'print no greeting').hideHelp())
    .addOption(new Option('--stop-with-parent', 'stop when the parent is gone').hideHelp())
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText(
      'after',
      '\nAny configuration key may be given as --UPPER_CASE value, for instance --ROOTPATH ./data --REPLICATION_PORT 9933',
    )
    .action(async (options: { config?: string; quiet?: true; stopWithParent?: true }, command) => {
      const { runStart } = await import('./cli/start.js');
      finish(await runStart({ ...options, settings: (command as Command).args }));
    });
};

const addDev = (root: Command): void => {
  root
    .command('dev')
    .description('run a cluster on this machine, on 127.0.0.2 and the addresses after it')
    .option('-n, --nodes <count>', 'how many nodes', wholeNumber, 3)
    .option('--memory', 'keep everything in memory')
    .option('--path <directory>', 'keep the data here instead of in a temporary directory')
    .action(async (options: { nodes: number; memory?: true; path?: string }) => {
      const { runDev } = await import('./cli/dev.js');
      finish(await runDev(options));
    });
};

const addStatus = (root: Command): void => {
  const status = root
    .command('status')
    .description('show every peer of a node; exit code 4 when one is not connected');
  withTarget(status, 'table').action(async (options: TargetOptions) => {
    const { runStatus } = await import('./cli/status.js');
    const { output } = options;
    const { text, exitCode } = await runStatus({
      target: targetOf(options),
      output,
      now: Date.now(),
    });
    process.stdout.write(text);
    finish(exitCode);
  });
};

const addOperation = (root: Command): void => {
  withTarget(root, 'yaml')
    .argument('[operation]', 'any operation, for instance describe_all or insert')
    .argument('[fields...]', 'its fields as key=value; JSON values are understood')
    .option('--json <object>', 'its fields as a JSON object; key=value wins over it')
    .action(
      async (
        operation: string | undefined,
        fields: string[],
        options: TargetOptions & { json?: string },
      ) => {
        if (operation === undefined) {
          root.help({ error: true });
        }
        const { runOperation } = await import('./cli/operation.js');
        const { output, json } = options;
        const target = targetOf(options);
        process.stdout.write(await runOperation({ operation, fields, json, target, output }));
      },
    );
};

const addVersion = (root: Command): void => {
  root.option('-V, --version', 'print the version').on('option:version', () => {
    throw new VersionAsked();
  });
};

class VersionAsked extends Error {}

const withTarget = (command: Command, output: OutputFormat): Command =>
  command
    .option('--url <url>', 'operations API of the node', 'http://127.0.0.1:9925')
    .addOption(new Option('--username <name>', 'who asks').env('HDB_ADMIN_USERNAME'))
    .addOption(new Option('--password <password>', 'better given as').env('HDB_ADMIN_PASSWORD'))
    .addOption(
      new Option('-o, --output <format>', 'how to print')
        .choices(['yaml', 'json', 'table'])
        .default(output),
    );

/** The names of the compatible product come first, as for a node's own configuration. */
const targetOf = (options: TargetOptions): Target => ({
  url: options.url,
  username: options.username ?? process.env['SKEIN_ADMIN_USERNAME'],
  password: options.password ?? process.env['SKEIN_ADMIN_PASSWORD'],
});

const wholeNumber = (text: string): number => {
  if (!/^\d{1,3}$/.test(text)) {
    throw new InvalidArgumentError('it must be a whole number.');
  }
  return Number(text);
};

/** The exit code takes effect when everything written is out. */
const finish = (code: ExitCode): void => {
  process.exitCode = code;
  // A parent that listens would keep this process alive.
  if (process.connected) process.disconnect();
};

const printVersion = async (): Promise<void> => {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(new URL(import.meta.resolve('skein/package.json')), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  process.stdout.write(`${version}\n`);
};

const report = async (thrown: unknown): Promise<void> => {
  if (thrown instanceof VersionAsked) {
    return printVersion();
  }
  if (thrown instanceof CommanderError) {
    // commander has printed what there is to say.
    return finish(thrown.exitCode === 0 ? EXIT.ok : EXIT.usage);
  }
  const { printable } = await import('./treeText.js');
  const { messageOf, SkeinError } = await import('../protocol/errors.js');
  const expected = thrown instanceof CliFailure || thrown instanceof SkeinError;
  const text = messageOf(thrown).split('\n').map(printable).join('\n');
  process.stderr.write(`skein: ${text}\n`);
  if (!expected && thrown instanceof Error) {
    process.stderr.write(`${thrown.stack}\n`);
  }
  finish(thrown instanceof CliFailure ? thrown.exitCode : EXIT.failed);
};

/** `skein ... | head` closes our output early, which is no failure of ours. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed);
});

try {
  await program().parseAsync(process.argv);
} catch (error) {
  await report(error);
}
