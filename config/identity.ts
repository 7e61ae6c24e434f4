/**
 * Who a node is and where it listens: its name, the URL others dial, and the addresses of its ports, which depend on
 * each other. Called by resolve.ts only.
 */
import { messageOf } from '../protocol/errors.js';
import { nodeName, type NodeName } from '../protocol/ids.js';
import { canonicalIp, canonicalNodeName, isLoopbackAddress } from '../protocol/nodeNames.js';
import { collide, EVERY_ADDRESS, isEveryAddress, parsePort } from './addresses.js';
import { quoted, type Findings } from './findings.js';
import { misreadInUrl, readNodeUrl, urlFor } from './routes.js';
import type { ConfigInput, ListenAddress } from './types.js';

export interface Identity {
  readonly name: NodeName;
  readonly url: string;
  readonly insecure?: ListenAddress;
  readonly secure?: ListenAddress;
  readonly operationsApi?: ListenAddress;
  readonly secureOperationsApi?: ListenAddress;
  readonly debug?: ListenAddress;
}

const DEFAULT_NAME = nodeName('127.0.0.1');
const REPLICATION_PORT = 9933;

/** `openDefaultPorts`: ports that are not set get their default instead of staying closed. */
export function settleIdentity(
  input: ConfigInput,
  openDefaultPorts: boolean,
  findings: Findings,
): Identity {
  const ports = readPorts(input, openDefaultPorts, findings);
  const name = settleName(input, ports, findings);
  const listening = settleAddresses(input, { name, ports }, findings);
  warnOfUnknowableName(name, listening, findings);
  return { name, url: settleUrl(input, { name, listening }, findings), ...listening };
}

type PortKey = 'insecure' | 'secure' | 'operationsApi' | 'secureOperationsApi' | 'debug';
type Listening = Partial<Record<PortKey, ListenAddress>>;
interface ReadPort {
  readonly host?: string;
  readonly port: number;
}
type Ports = Partial<Record<PortKey, ReadPort>>;

const PATHS: Readonly<Record<PortKey, readonly string[]>> = {
  secureOperationsApi: ['operationsApi', 'network', 'securePort'],
  operationsApi: ['operationsApi', 'network', 'port'],
  secure: ['replication', 'securePort'],
  insecure: ['replication', 'port'],
  debug: ['debug', 'port'],
};
const PORT_KEYS = Object.keys(PATHS) as PortKey[];

function readPorts(input: ConfigInput, openDefaultPorts: boolean, findings: Findings): Ports {
  const byDefault = openDefaultPorts ? defaultPorts(input) : {};
  const given: Record<PortKey, number | string | null | undefined> = {
    operationsApi: input.operationsApi?.network?.port,
    secureOperationsApi: input.operationsApi?.network?.securePort,
    secure: input.replication?.securePort,
    insecure: input.replication?.port,
    debug: input.debug?.port,
  };
  const ports: Ports = {};
  for (const key of PORT_KEYS) {
    const value = given[key] === undefined ? byDefault[key] : given[key];
    if (value === undefined || value === null) continue;
    const port = parsePort(value);
    if (port === undefined)
      findings.problem(PATHS[key], `${quoted(PATHS[key])} must be a port number up to 65535`);
    else ports[key] = port;
  }
  return ports;
}

// A node that is told about a cluster takes part in it over TLS unless it is told a port without; one that is not,
// has nothing to listen for.
function defaultPorts({
  replication,
  operationsApi,
}: ConfigInput): Partial<Record<PortKey, number>> {
  const { hostname, url, routes, port } = replication ?? {};
  const isTold = hostname !== undefined || isWebSocketUrl(url) || (routes ?? []).length > 0;
  const isInsecure = port !== undefined && port !== null;
  const hasHttps = (operationsApi?.network?.securePort ?? null) !== null;
  return {
    ...(hasHttps ? {} : { operationsApi: 9925 }),
    debug: 9927,
    ...(isTold && !isInsecure && !isMemoryUrl(url) ? { secure: REPLICATION_PORT } : {}),
  };
}

const isMemoryUrl = (url: string | undefined): boolean => /^memory:/i.test(url ?? '');
const isWebSocketUrl = (url: string | undefined): boolean => url !== undefined && !isMemoryUrl(url);

interface Candidate {
  readonly path: readonly string[];
  readonly text: string | number | undefined;
}

function settleName(input: ConfigInput, ports: Ports, findings: Findings): NodeName {
  const url = input.node?.url ?? input.replication?.url;
  const candidates: Candidate[] = [
    { path: ['node', 'hostname'], text: input.node?.hostname },
    { path: ['replication', 'hostname'], text: input.replication?.hostname },
    { path: urlPath(input), text: isMemoryUrl(url) ? memoryName(url) : undefined },
    ...PORT_KEYS.filter((key) => key !== 'debug').map((key) => ({
      path: PATHS[key],
      text: namedHost(ports[key]),
    })),
  ];
  const chosen = candidates.find(({ text }) => text !== undefined);
  return chosen === undefined ? DEFAULT_NAME : (readName(chosen, findings) ?? DEFAULT_NAME);
}

function readName({ path, text }: Candidate, findings: Findings): NodeName | undefined {
  try {
    return canonicalNodeName(`${text}`);
  } catch (error) {
    findings.problem(path, `${quoted(path)}: ${messageOf(error)}`);
    return undefined;
  }
}

const memoryName = (url: string | undefined): string | undefined =>
  url?.replace(/^memory:\/*/i, '').replace(/\/$/, '');

// An address that stands for all interfaces says nothing about which node this is.
const namedHost = (port: ReadPort | undefined): string | undefined =>
  port?.host === undefined || isEveryAddress(port.host) ? undefined : port.host;

const urlPath = (input: ConfigInput): readonly string[] =>
  input.node?.url === undefined ? ['replication', 'url'] : ['node', 'url'];

interface Named {
  readonly name: NodeName;
  readonly ports: Ports;
}

// A node named after a loopback address is one of several on this machine: each gets its address to itself.
function settleAddresses(
  input: ConfigInput,
  { name, ports }: Named,
  findings: Findings,
): Listening {
  const own = loopbackOf(`${input.replication?.hostname ?? ''}`) ?? loopbackOf(name);
  const listening: Listening = {};
  for (const key of PORT_KEYS) {
    const port = ports[key];
    if (port === undefined) continue;
    const elsewhere = key === 'debug' ? '127.0.0.1' : EVERY_ADDRESS;
    listening[key] = { host: port.host ?? own ?? elsewhere, port: port.port };
  }
  reportCollisions(listening, findings);
  return listening;
}

function loopbackOf(name: string): string | undefined {
  if (name.toLowerCase() === 'localhost') return '127.0.0.1';
  const address = canonicalIp(name);
  return address !== undefined && isLoopbackAddress(address) ? address : undefined;
}

function reportCollisions(listening: Listening, findings: Findings): void {
  for (const [index, key] of PORT_KEYS.entries()) {
    for (const other of PORT_KEYS.slice(index + 1)) {
      const [one, two] = [listening[key], listening[other]];
      if (one !== undefined && two !== undefined && collide(one, two))
        findings.problem(
          PATHS[other],
          `${quoted(PATHS[key])} and ${quoted(PATHS[other])} are both ${two.port}, each needs its own`,
        );
    }
  }
}

interface Placed {
  readonly name: NodeName;
  readonly listening: Listening;
}

function settleUrl(input: ConfigInput, placed: Placed, findings: Findings): string {
  const given = input.node?.url ?? input.replication?.url;
  const { name, listening } = placed;
  const scheme = listening.secure === undefined && listening.insecure !== undefined ? 'ws' : 'wss';
  const port = (listening.secure ?? listening.insecure)?.port ?? REPLICATION_PORT;
  if (given === undefined) {
    const misread = misreadInUrl(name);
    if (misread !== undefined) findings.warn(['replication', 'hostname'], misread);
    return urlFor(name, { scheme, port });
  }
  try {
    return readNodeUrl(given).url;
  } catch (error) {
    const path = urlPath(input);
    findings.problem(path, `${quoted(path)}: ${messageOf(error)}`);
    return '';
  }
}

function warnOfUnknowableName(name: NodeName, listening: Listening, findings: Findings): void {
  if (listening.insecure === undefined || listening.secure !== undefined) return;
  if (canonicalIp(name) !== undefined) return;
  findings.warn(
    PATHS.insecure,
    `replication.port knows nodes by their IP address, and '${name}' is none: set replication.hostname to it`,
  );
}
