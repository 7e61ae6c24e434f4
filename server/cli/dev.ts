/**
 * `skein dev`: a whole cluster on this machine, each node a process that may be killed to watch what
 * happens. Called by cli.ts. Owns the directory, the processes and the terminal until Ctrl-C.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { sendOperation } from './client.js';
import { startChildren, type Children } from './devChildren.js';
import { writeCertificates } from './devCertificates.js';
import { DEV_PORTS, planNodes, type DevNode, type DevPorts } from './devPlan.js';
import { EXIT, type ExitCode } from './exitCodes.js';
import { formatTable } from './output.js';
import { awaitStop } from './signals.js';
import { peerLines } from './status.js';

export interface DevCommand {
  readonly nodes: number;
  readonly memory?: true;
  readonly path?: string;
  /** Other ports and another script than `skein start`, for tests. */
  readonly ports?: DevPorts;
  readonly script?: string;
}

const POLL_MS = 200;
const ANSWER_MS_MAX = 5_000;
/** After this long without being ready, what is missing is said once. */
const PATIENCE_MS = 20_000;

interface Admin {
  readonly username: string;
  readonly password: string;
}

/** Resolves when every node has ended after Ctrl-C or SIGTERM. */
export const runDev = async (command: DevCommand): Promise<ExitCode> => {
  const directory = await openDirectory(command.path);
  try {
    const nodes = planNodes({
      count: command.nodes,
      directory: directory.path,
      memory: command.memory === true,
      ports: command.ports ?? DEV_PORTS,
    });
    await writeCertificates(nodes, directory.path);
    await Promise.all(nodes.map(writeConfig));
    await runCluster(nodes, command);
  } finally {
    await directory.remove();
  }
  return EXIT.ok;
};

const runCluster = async (nodes: readonly DevNode[], command: DevCommand): Promise<void> => {
  const admin = adminOf(process.env);
  const watch = readinessWatch(nodes, admin);
  const children = startChildren({
    commands: nodes.map((node) => ({
      name: node.name,
      arguments: startArguments(node, command.script),
    })),
    environment: childEnvironment(process.env, admin),
    say,
    restarted: (name) => watch.begin(`${name} is back, ready again`),
  });
  const stop = awaitStop({
    again: () => {
      children.kill();
      process.exit(EXIT.failed);
    },
  });
  await introduce(nodes, { children, admin });
  watch.begin('ready');
  await stop.asked;
  say('stopping every node, press Ctrl-C again to kill them');
  watch.end();
  await children.stop();
  stop.release();
};

const startArguments = (node: DevNode, script: string | undefined): string[] => [
  script ?? fileURLToPath(new URL('../cli.js', import.meta.url)),
  'start',
  '--config',
  node.configFile,
  '--quiet',
  '--stop-with-parent',
];

const introduce = async (
  nodes: readonly DevNode[],
  context: { children: Children; admin: Admin },
): Promise<void> => {
  const { children, admin } = context;
  const rows = nodes.map((node) => [
    node.name,
    node.operationsUrl,
    node.debugUrl,
    String(children.pidOf(node.name) ?? '-'),
  ]);
  process.stdout.write(await formatTable(['name', 'operations', 'debug', 'pid'], rows));
  say(`user ${admin.username}, password ${admin.password}`);
  say(`try: skein status --url http://${admin.username}:${admin.password}@${hostOf(nodes)}`);
};

const hostOf = (nodes: readonly DevNode[]): string =>
  nodes[0]?.operationsUrl.slice('http://'.length) ?? '';

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Says a word as soon as the whole cluster is well; beginning again gives up the earlier wait. */
const readinessWatch = (
  nodes: readonly DevNode[],
  admin: Admin,
): { begin(word: string): void; end(): void } => {
  let current = new AbortController();
  return {
    begin: (word) => {
      current.abort();
      current = new AbortController();
      void announce(nodes, { admin, word, signal: current.signal });
    },
    end: () => current.abort(),
  };
};

const announce = async (
  nodes: readonly DevNode[],
  context: { admin: Admin; word: string; signal: AbortSignal },
): Promise<void> => {
  const startedAt = performance.now();
  let complained = false;
  while (!context.signal.aborted) {
    const missing = await missingOf(nodes, context);
    if (context.signal.aborted) {
      return;
    }
    const waitedMs = performance.now() - startedAt;
    if (missing.length === 0) {
      say(`${context.word} (after ${(waitedMs / 1000).toFixed(1)} s)`);
      return;
    }
    if (!complained && waitedMs > PATIENCE_MS) {
      complained = true;
      say(`not ready yet: ${missing.join('; ')}`);
    }
    await sleep(POLL_MS);
  }
};

/** One text per node that is not well. */
const missingOf = async (
  nodes: readonly DevNode[],
  context: { admin: Admin; signal: AbortSignal },
): Promise<string[]> => {
  const problems = await Promise.all(
    nodes.map((node) => problemOf(node, { ...context, peers: nodes.length - 1 })),
  );
  return problems.filter((problem) => problem !== undefined);
};

const problemOf = async (
  node: DevNode,
  context: { admin: Admin; signal: AbortSignal; peers: number },
): Promise<string | undefined> => {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(ANSWER_MS_MAX)]);
  try {
    const probe = await fetch(`${node.operationsUrl}/readyz`, { signal });
    const text = await probe.text();
    if (!probe.ok) {
      return `${node.name} ${text.trim().split('\n').join(', ')}`;
    }
    const target = { url: node.operationsUrl, ...context.admin };
    const status = await sendOperation(target, { operation: 'cluster_status' }, { signal });
    return disconnectedText(node, { status, peers: context.peers });
  } catch (error) {
    // Not up yet is the usual case; the text is shown only when it stays that way.
    return `${node.name} ${error instanceof Error ? error.message : String(error)}`;
  }
};

const disconnectedText = (
  node: DevNode,
  seen: { status: unknown; peers: number },
): string | undefined => {
  const lines = peerLines(seen.status, Date.now());
  const connected = new Set(lines.map((line) => line.peer));
  for (const line of lines.filter((each) => !each.connected)) {
    connected.delete(line.peer);
  }
  return connected.size >= seen.peers
    ? undefined
    : `${node.name} is connected to ${connected.size} of ${seen.peers} peers`;
};

const writeConfig = async (node: DevNode): Promise<void> => {
  const { stringify } = await import('yaml');
  await mkdir(node.rootPath, { recursive: true });
  await writeFile(node.configFile, `# Written by skein dev\n${stringify(node.config)}`);
};

/** A temporary directory is removed at the end, a named one stays. */
const openDirectory = async (
  path: string | undefined,
): Promise<{ path: string; remove(): Promise<void> }> => {
  if (path !== undefined) {
    return { path: resolve(path), remove: async () => undefined };
  }
  const temporary = await mkdtemp(join(tmpdir(), 'skein-dev-'));
  return { path: temporary, remove: () => rm(temporary, { recursive: true, force: true }) };
};

/** A cluster in a named directory is opened again with the same user, so a given one is kept. */
const adminOf = (environment: NodeJS.ProcessEnv): Admin => ({
  username: environment['HDB_ADMIN_USERNAME'] ?? environment['SKEIN_ADMIN_USERNAME'] ?? 'admin',
  password:
    environment['HDB_ADMIN_PASSWORD'] ??
    environment['SKEIN_ADMIN_PASSWORD'] ??
    randomBytes(12).toString('hex'),
});

const KEPT =
  /^(?:PATH|HOME|USER|SHELL|TERM|TMPDIR|TMP|TEMP|TZ|LANG|LC_\w+|NODE_OPTIONS|NODE_V8_COVERAGE|NO_COLOR|FORCE_COLOR|SYSTEMROOT)$/i;

/** Settings meant for one node (ROOTPATH, REPLICATION_HOSTNAME, ...) must not reach all of them. */
const childEnvironment = (environment: NodeJS.ProcessEnv, admin: Admin): Record<string, string> => {
  const kept = Object.entries(environment).flatMap(([name, value]) =>
    value !== undefined && KEPT.test(name) ? [[name, value] as const] : [],
  );
  return {
    ...Object.fromEntries(kept),
    HDB_ADMIN_USERNAME: admin.username,
    HDB_ADMIN_PASSWORD: admin.password,
  };
};
