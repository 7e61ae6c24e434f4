/**
 * Settles a configuration: checks the input, fills in the defaults, and freezes the result. Called by startNode with
 * what an embedding program gives, and by load.ts with what it has put together. Pure: opens no files, looks at no
 * environment.
 */
import { isAbsolute, join, resolve } from 'node:path';
import { limits } from '../protocol/limits.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import { durationMs } from './durations.js';
import { collectFindings, quoted, type DescribeOrigin, type Findings } from './findings.js';
import { settleIdentity, type Identity } from './identity.js';
import { nameProblem } from './names.js';
import { readRoutes, routeDefaultsOf } from './routes.js';
import { parseTableDefinitions, repeatedTable } from './tableDefinitions.js';
import { settleTls } from './tls.js';
import type { Config, ConfigInput, DatabaseSelection } from './types.js';
import { checkInput, expected, propertyOf } from './validate.js';
import { configSchema } from './schema.js';

export interface ResolveExtras {
  /** Where `~` is; needed unless `rootPath` is given or the engine is `memory`. */
  readonly homeDirectory?: string;
  /** Relative paths start here; without it they stay relative. */
  readonly currentDirectory?: string;
  /**
   * True: ports that are not set are those of a program (9925, 9927, 9933). False, the default: a node that is part
   * of another program listens only where it is told to.
   */
  readonly openDefaultPorts?: boolean;
  /** Tables that the caller has read from the files under `schemas`. */
  readonly tables?: readonly TableDefinition[];
  readonly describeOrigin?: DescribeOrigin;
}

export interface ResolvedConfig {
  readonly config: Config;
  /** One sentence each, none twice. */
  readonly warnings: readonly string[];
}

/** Throws INVALID_CONFIGURATION with everything that is wrong with the input. The result is frozen through and through. */
export function resolveConfig(input: ConfigInput, extras: ResolveExtras = {}): ResolvedConfig {
  const findings = collectFindings(extras.describeOrigin);
  const checked = checkInput(input, findings);
  const identity = settleIdentity(checked, extras.openDefaultPorts ?? false, findings);
  const rootPath = settleRootPath(checked, extras, findings);
  const tls = settleTls(checked.tls, { path: ['tls'], rootPath }, findings);
  const auditRetentionMs = settleDuration(checked, ['logging', 'auditRetention'], '3d', findings);
  const config: Config = {
    rootPath,
    node: { name: identity.name, url: identity.url },
    replication: {
      ...settleReplication(checked, identity, findings),
      tombstoneRetentionMs: settleTombstones(checked, auditRetentionMs, findings),
    },
    tls,
    operationsApi: settleOperationsApi(checked, { identity, rootPath }, findings),
    debug: {
      ...optional('listen', identity.debug),
      allowCrash: checked.debug?.allowCrash ?? false,
    },
    storage: settleStorage(checked, rootPath, findings),
    authentication: settleAuthentication(checked, findings),
    logging: {
      level: checked.logging?.level ?? 'warn',
      auditRetentionMs,
    },
    tables: settleTables(checked, extras, findings),
  };
  findings.throwProblems();
  return { config: deepFreeze(config), warnings: findings.warnings };
}

/** A path that begins with `~/`, from the home directory. */
export const withHome = (path: string, homeDirectory: string): string =>
  path === '~' || path.startsWith('~/') ? join(homeDirectory, path.slice(1)) : path;

function settleRootPath(input: ConfigInput, extras: ResolveExtras, findings: Findings): string {
  const { homeDirectory, currentDirectory } = extras;
  const wanted = input.rootPath ?? '~/skein';
  if (homeDirectory === undefined && (wanted === '~' || wanted.startsWith('~/'))) {
    // Nothing of a memory node is stored, so it needs no place.
    if (input.storage?.engine === 'memory' && input.rootPath === undefined) return '';
    findings.problem(['rootPath'], "'rootPath' must be given, the home directory is not known");
    return '';
  }
  const path = homeDirectory === undefined ? wanted : withHome(wanted, homeDirectory);
  return currentDirectory === undefined ? path : resolve(currentDirectory, path);
}

function settleReplication(
  input: ConfigInput,
  identity: Identity,
  findings: Findings,
): Omit<Config['replication'], 'tombstoneRetentionMs'> {
  const given = input.replication ?? {};
  const pingIntervalMs = given.pingInterval ?? limits.keepAliveMs;
  const settings = {
    ...routeDefaultsOf(identity),
    own: { name: identity.name, url: identity.url },
    direction: given.routeDirection ?? 'peer',
  };
  return {
    ...optional('insecure', identity.insecure),
    ...optional('secure', identity.secure),
    allowInsecure: given.allowInsecure ?? false,
    enableRootCAs: given.enableRootCAs ?? false,
    certificateVerification: settleVerification(given.mtls, findings),
    routes: readRoutes(given.routes ?? [], settings, findings),
    routeDirection: settings.direction,
    databases: settleDatabases(given.databases ?? '*', findings),
    maxClockSkewMs: given.maxClockSkew ?? limits.maxClockSkewMsDefault,
    maxTransactionBytes: given.maxTransactionBytes ?? limits.transactionBytesDefault,
    maxPayloadBytes: given.maxPayload ?? limits.frameBytesMax,
    pingIntervalMs,
    pingTimeoutMs: given.pingTimeout ?? 2 * pingIntervalMs,
    readyWaitMs: given.readyWait ?? limits.readyWaitMsDefault,
  };
}

function settleOperationsApi(
  input: ConfigInput,
  { identity, rootPath }: { identity: Identity; rootPath: string },
  findings: Findings,
): Config['operationsApi'] {
  const path = ['operationsApi', 'tls'];
  const tls = settleTls(input.operationsApi?.tls, { path, rootPath }, findings);
  return { ...optional('listen', identity.operationsApi), ...(tls.length > 0 && { tls }) };
}

/** Links over TLS always need certificates on both ends; only how those are checked can be set. */
function settleVerification(
  mtls: NonNullable<ConfigInput['replication']>['mtls'],
  findings: Findings,
): Config['replication']['certificateVerification'] {
  const path = ['replication', 'mtls'];
  if (mtls === false)
    findings.problem(path, `${quoted(path)} cannot be turned off; use replication.port instead`);
  return typeof mtls === 'object' ? (mtls.certificateVerification ?? true) : true;
}

/** A delete outlives its log entry, or a node that reads the log would not hear of it. */
function settleTombstones(
  input: ConfigInput,
  auditRetentionMs: number,
  findings: Findings,
): number {
  const path = ['replication', 'tombstoneRetention'] as const;
  const ms = settleDuration(input, path, '10d', findings);
  if (input.replication?.tombstoneRetention === undefined) return Math.max(ms, auditRetentionMs);
  if (ms < auditRetentionMs)
    findings.problem(path, `${quoted(path)} must not be shorter than 'logging.auditRetention'`);
  return ms;
}

function settleDatabases(
  given: '*' | readonly (string | { name: string })[],
  findings: Findings,
): '*' | DatabaseSelection[] {
  if (given === '*' || given.includes('*')) return '*';
  const names = new Set<string>();
  for (const [index, entry] of given.entries()) {
    // An object without a name has a name that is empty, and is refused as such.
    const name = typeof entry === 'string' ? entry : (entry.name ?? '');
    const problem = nameProblem(name);
    const path = ['replication', 'databases', `${index}`];
    if (problem !== undefined)
      findings.problem(path, `${quoted(path)} must be the name of a database: ${problem}`);
    names.add(name);
  }
  return [...names].map((name) => ({ name }));
}

function settleStorage(
  input: ConfigInput,
  rootPath: string,
  findings: Findings,
): Config['storage'] {
  const given = input.storage ?? {};
  const path = given.path ?? 'database';
  const engine: string = given.engine ?? 'level';
  if (engine !== 'level' && engine !== 'memory')
    findings.warn(['storage', 'engine'], `storage.engine '${engine}' is read as level`);
  return {
    engine: engine === 'memory' ? 'memory' : 'level',
    path: isAbsolute(path) ? path : join(rootPath, path),
    writeAsync: given.writeAsync ?? false,
    maxTransactionQueueMs: settleDuration(
      input,
      ['storage', 'maxTransactionQueueTime'],
      '45s',
      findings,
    ),
  };
}

function settleAuthentication(input: ConfigInput, findings: Findings): Config['authentication'] {
  const given = input.authentication ?? {};
  const { authorizeLocal, cacheTTL, adminUsername, adminPassword, hashFunction } = given;
  if ((adminUsername === undefined) !== (adminPassword === undefined))
    findings.problem(
      ['authentication', adminUsername === undefined ? 'adminPassword' : 'adminUsername'],
      "'authentication.adminUsername' and 'authentication.adminPassword' must be given together",
    );
  if (hashFunction !== undefined && hashFunction !== 'scrypt')
    findings.warn(
      ['authentication', 'hashFunction'],
      `authentication.hashFunction '${hashFunction}' is read as scrypt`,
    );
  return {
    authorizeLocal: authorizeLocal ?? false,
    cacheTtlMs: cacheTTL ?? 30_000,
    operationTokenMs: settleTokenLife(input, 'operationTokenTimeout', '1d', findings),
    refreshTokenMs: settleTokenLife(input, 'refreshTokenTimeout', '30d', findings),
    ...optional('adminUsername', adminUsername),
    ...optional('adminPassword', adminPassword),
  };
}

function settleTokenLife(
  input: ConfigInput,
  key: 'operationTokenTimeout' | 'refreshTokenTimeout',
  byDefault: string,
  findings: Findings,
): number {
  const path = ['authentication', key] as const;
  const ms = settleDuration(input, path, byDefault, findings);
  // Tokens count in seconds.
  if (ms < 1_000) findings.problem(path, `${quoted(path)} must be at least one second`);
  return ms;
}

function settleDuration(
  input: ConfigInput,
  path: readonly [keyof ConfigInput & string, string],
  byDefault: string,
  findings: Findings,
): number {
  const section = input[path[0]] as Readonly<Record<string, number | string>> | undefined;
  const ms = durationMs(section?.[path[1]] ?? byDefault);
  if (ms !== undefined) return ms;
  const schema = propertyOf(propertyOf(configSchema, path[0]) ?? configSchema, path[1]);
  findings.problem(path, `${quoted(path)} must be ${expected(schema)}`);
  return 0;
}

function settleTables(
  input: ConfigInput,
  extras: ResolveExtras,
  findings: Findings,
): readonly TableDefinition[] {
  if ((input.schemas ?? []).length > 0 && extras.tables === undefined)
    findings.problem(
      ['schemas'],
      "'schemas' names files, which only a node that runs as a program reads; give their text as 'schema'",
    );
  const direct =
    input.schema === undefined
      ? []
      : parseTableDefinitions(input.schema, 'schema', (text) => findings.warn([], text));
  const tables = [...(extras.tables ?? []), ...direct];
  const repeated = repeatedTable(tables);
  if (repeated !== undefined) findings.problem([], `table ${repeated} is defined twice`);
  return tables;
}

const optional = <Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): Partial<Record<Key, Value>> =>
  value === undefined ? {} : ({ [key]: value } as Record<Key, Value>);

function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}
