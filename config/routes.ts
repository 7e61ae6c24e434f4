/**
 * Reads the routes of a configuration, in every spelling, into names and URLs to dial. Called by resolve.ts; the
 * operations that take hosts and URLs at run time may call `readRoute` too. Resolves and dials nothing.
 */
import { messageOf } from '../protocol/errors.js';
import type { NodeName } from '../protocol/ids.js';
import { canonicalIp, canonicalNodeName, hostForUrl } from '../protocol/nodeNames.js';
import { readFlow, type GivenFlow, type RouteDirection } from '../protocol/statedFlow.js';
import type { DirectionLists } from '../protocol/validate.js';
import { isPort } from './addresses.js';
import { collectFindings, quoted, type Findings } from './findings.js';
import { isObject } from './validate.js';
import { DEFAULT_DATABASE } from './tableDefinitions.js';
import type { Config, Route, RouteInput } from './types.js';

/** Word for word what the compatible product logs. */
export const INVALID_ROUTE = 'Invalid route, must specify a url or host (with port)';

/** What the URL of a route without one is made of. */
export interface RouteDefaults {
  readonly scheme: 'ws' | 'wss';
  readonly port: number;
}

/** The same for a node's settled configuration, as for the routes that it was settled with. */
export const routeDefaultsOf = ({
  secure,
  insecure,
}: Pick<Config['replication'], 'secure' | 'insecure'>): RouteDefaults => ({
  scheme: secure === undefined ? 'ws' : 'wss',
  port: (secure ?? insecure)?.port ?? 9933,
});

/** The routes that entries of the configuration mean for a node; what readRoutes would warn of is left out. */
export const routesOf = (entries: readonly unknown[], config: Config): Route[] =>
  readRoutes(entries, settingsOf(config), collectFindings());

/** What a node with this configuration would not start with. */
export const routeProblems = (entries: readonly unknown[], config: Config): string[] => {
  const problems: string[] = [];
  const findings = {
    ...collectFindings(),
    problem: (_: unknown, text: string) => void problems.push(text),
  };
  readRoutes(entries, settingsOf(config), findings);
  return problems;
};

const settingsOf = ({ node, replication }: Config): RouteSettings => ({
  ...routeDefaultsOf(replication),
  own: node,
  direction: replication.routeDirection,
});

export type RouteReading = { readonly route: Route } | { readonly problem: string };

/**
 * One route: `name`, `name:port`, an IP address, `[v6]:port`, a URL, or an object with `hostname` or `host`, `url`,
 * `port` and `startTime`. A problem begins with INVALID_ROUTE and is just that when neither URL nor host is given.
 */
export function readRoute(entry: unknown, defaults: RouteDefaults): RouteReading {
  const fields = fieldsOf(entry);
  if (fields.host === undefined && fields.url === undefined) return { problem: INVALID_ROUTE };
  try {
    const { revokedCertificates } = fields;
    return {
      route: {
        ...target(fields, defaults),
        ...startTime(fields.startTime),
        ...(revokedCertificates === undefined ? {} : { revokedCertificates }),
      },
    };
  } catch (error) {
    return { problem: `${INVALID_ROUTE}: ${messageOf(error)}` };
  }
}

export interface RouteSettings extends RouteDefaults {
  readonly own: { readonly name: NodeName; readonly url: string };
  readonly direction: RouteDirection;
}

/** All routes but those to the node itself. Invalid and repeated ones are skipped with a warning. */
export function readRoutes(
  entries: readonly unknown[],
  settings: RouteSettings,
  findings: Findings,
): Route[] {
  const routes = new Map<NodeName, Route>();
  for (const [index, entry] of entries.entries()) {
    const path = ['replication', 'routes', `${index}`];
    const reading = readRoute(entry, settings);
    if ('problem' in reading) {
      findings.warn(path, reading.problem);
      continue;
    }
    const route = withFlow(reading.route, entry, { direction: settings.direction, path, findings });
    const reason = reasonToSkip(route, routes.get(route.name), settings);
    if (reason === undefined) routes.set(route.name, route);
    else if (reason !== '') findings.warn(path, reason);
  }
  return [...routes.values()];
}

/** Rules that cannot be read are no reason to leave a route out: then everything would pass. */
function withFlow(
  route: Route,
  entry: unknown,
  about: { direction: RouteDirection; path: readonly string[]; findings: Findings },
): Route {
  if (!isObject(entry)) return route;
  const { direction, path, findings } = about;
  const nameless = (entry as RouteInput).subscriptions?.findIndex(
    ({ table }) => table === undefined,
  );
  if (nameless !== undefined && nameless >= 0) {
    const place = [...path, 'subscriptions', `${nameless}`, 'table'];
    findings.problem(place, `${quoted(place)} is required`);
    return route;
  }
  const { flow, problems, strangers } = readFlow(givenIn(entry), { other: route.name, direction });
  for (const { path: place, text } of problems)
    findings.problem([...path, ...place], `${quoted([...path, ...place])} ${text}`);
  for (const { path: place, text } of strangers)
    findings.warn([...path, ...place], `${quoted([...path, ...place])} has no effect: it ${text}`);
  return flow === null || flow.replicates === true ? route : { ...route, flow };
}

// The types are those of the schema, which has been checked.
function givenIn(entry: RouteInput): GivenFlow {
  const { replicates, sendsTo, receivesFrom, subscriptions, excludeTables } = entry;
  return {
    replicates:
      typeof replicates === 'object' ? { ...replicates, ...rulesIn(replicates) } : replicates,
    ...rulesIn({ sendsTo, receivesFrom }),
    subscriptions: subscriptions?.map(({ database, schema, table, publish, subscribe }) => ({
      database: database ?? schema ?? DEFAULT_DATABASE,
      table,
      publish: publish ?? false,
      subscribe: subscribe ?? false,
    })),
    excludeTables,
  };
}

const rulesIn = ({
  sendsTo,
  receivesFrom,
}: {
  sendsTo?: RouteInput['sendsTo'];
  receivesFrom?: RouteInput['receivesFrom'];
}): DirectionLists => ({
  ...(sendsTo && {
    sendsTo: sendsTo.map((rule) => (typeof rule === 'string' ? { target: rule } : rule)),
  }),
  ...(receivesFrom && {
    receivesFrom: receivesFrom.map((rule) => (typeof rule === 'string' ? { source: rule } : rule)),
  }),
});

// The same list of routes is often given to all nodes, so a route to oneself is no mistake and needs no word.
function reasonToSkip(
  route: Route,
  earlier: Route | undefined,
  { own }: RouteSettings,
): string | undefined {
  if (route.name === own.name)
    return portOf(route.url) === portOf(own.url)
      ? ''
      : `route to ${route.url} is skipped: '${own.name}' is this node's own name, each node needs another`;
  if (earlier === undefined) return undefined;
  return earlier.url === route.url
    ? ''
    : `route to ${route.url} is skipped: node '${route.name}' has a route to ${earlier.url} already`;
}

interface Fields {
  readonly host?: string;
  readonly url?: string;
  readonly port?: number;
  readonly startTime?: number | string;
  readonly revokedCertificates?: readonly string[];
}

function fieldsOf(entry: unknown): Fields {
  if (!isObject(entry)) return hostOrUrl(textOf(entry));
  const url = textOf(entry['url']);
  const { port, startTime, revokedCertificates: revoked } = entry;
  return {
    ...hostOrUrl(textOf(entry['hostname']) ?? textOf(entry['host'])),
    ...(url === undefined ? {} : { url }),
    ...(typeof port === 'number' ? { port } : {}),
    ...(typeof startTime === 'number' || typeof startTime === 'string' ? { startTime } : {}),
    ...(Array.isArray(revoked) && revoked.length > 0
      ? { revokedCertificates: revoked.map(String) }
      : {}),
  };
}

const textOf = (value: unknown): string | undefined => {
  const text = typeof value === 'number' ? `${value}` : value;
  return typeof text === 'string' && text.trim() !== '' ? text.trim() : undefined;
};

const hostOrUrl = (text: string | undefined): Fields => {
  if (text === undefined) return {};
  return text.includes('://') ? { url: text } : { host: text };
};

function target(fields: Fields, defaults: RouteDefaults): { name: NodeName; url: string } {
  const host = fields.host === undefined ? undefined : splitHost(fields.host);
  const port = host?.port ?? fields.port;
  if (fields.url !== undefined) {
    const dialled = readNodeUrl(fields.url, port);
    return { name: host?.name ?? dialled.name, url: dialled.url };
  }
  if (host === undefined) throw new Error('it names no host');
  const misread = misreadInUrl(host.name);
  if (misread !== undefined) throw new Error(misread);
  return { name: host.name, url: urlFor(host.name, { ...defaults, port: port ?? defaults.port }) };
}

/** `ws://name:port`. */
export const urlFor = (name: NodeName, { scheme, port }: RouteDefaults): string =>
  `${scheme}://${hostForUrl(name)}:${port}`;

/** What is wrong with a URL made of a name, which within a URL may mean another host, as `1234` does. */
export function misreadInUrl(name: NodeName): string | undefined {
  const { hostname } = new URL(`ws://${hostForUrl(name)}`);
  return canonicalNodeName(hostname) === name
    ? undefined
    : `'${name}' means ${hostname} within a URL, give a url for it`;
}

/**
 * The node and URL of a ws://, wss:// or memory:// URL; `port` counts when the URL has none. Throws an Error saying
 * what is wrong with it.
 */
export function readNodeUrl(text: string, port?: number): { name: NodeName; url: string } {
  const memory = /^memory:\/\/([^/]*)\/?$/i.exec(text);
  if (memory !== null) {
    const name = canonicalNodeName(`${memory[1]}`);
    return { name, url: `memory://${hostForUrl(name)}` };
  }
  if (!URL.canParse(text)) throw new Error(`'${text}' is no URL`);
  return webSocketTarget(new URL(text), WITH_PORT.test(text) ? undefined : port);
}

// Asked of the text: the URL parser drops a port that is the default of the scheme.
const WITH_PORT = /^[a-z]+:\/\/[^/?#]*:\d+(?:[/?#]|$)/i;

function webSocketTarget(url: URL, port: number | undefined): { name: NodeName; url: string } {
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:')
    throw new Error(`a URL must begin with ws://, wss:// or memory://, not ${url.protocol}//`);
  if (url.username !== '' || url.password !== '')
    throw new Error('a URL must not contain credentials');
  if (url.search !== '' || url.hash !== '') throw new Error('a URL must end with its path');
  const name = canonicalNodeName(url.hostname);
  const authorityPort = url.port === '' ? (port ?? '') : url.port;
  const authority = hostForUrl(name) + (authorityPort === '' ? '' : `:${authorityPort}`);
  const path = url.pathname === '/' ? '' : url.pathname;
  return { name, url: `${url.protocol}//${authority}${path}` };
}

function splitHost(text: string): { name: NodeName; port?: number } {
  if (canonicalIp(text) !== undefined) return { name: canonicalNodeName(text) };
  const withPort = /^(.*):(\d{1,5})$/.exec(text);
  if (withPort === null) return { name: canonicalNodeName(text) };
  const port = Number(withPort[2]);
  if (port === 0 || !isPort(port)) throw new Error(`${withPort[2]} is no port`);
  return { name: canonicalNodeName(`${withPort[1]}`), port };
}

function startTime(value: number | string | undefined): { startTimeMs?: number } {
  if (value === undefined) return {};
  const asNumber = Number(value);
  const startTimeMs = Number.isNaN(asNumber) ? Date.parse(`${value}`) : asNumber;
  if (Number.isNaN(startTimeMs) || startTimeMs < 0)
    throw new Error(`startTime '${value}' is no time`);
  return { startTimeMs };
}

// The port a URL leaves out is that of its scheme.
function portOf(text: string): string {
  const url = new URL(text);
  const implied = { 'ws:': '80', 'wss:': '443' }[url.protocol];
  return url.port === '' ? (implied ?? '') : url.port;
}
