/**
 * Where a node listens: reads a port as it is written in configuration. Called by resolve.ts and routes.ts.
 */
import { canonicalIp } from '../protocol/nodeNames.js';
import type { ListenAddress } from './types.js';

export const PORT_MAX = 65_535;

/** All interfaces, IPv6 and IPv4. */
export const EVERY_ADDRESS = '::';

/** What `parsePort` reads, as a regular expression for the schema; the range of the number is checked here. */
export const PORT_PATTERN = '^(?:(?:\\[[0-9A-Fa-f:.]+\\]|[^\\s:/\\[\\]]+)?:)?\\d{1,5}$';

/** `9933`, `"9933"`, `"127.0.0.2:9933"` or `"[::1]:9933"`; undefined when it is none of these. */
export function parsePort(value: number | string): { host?: string; port: number } | undefined {
  if (typeof value === 'number') return isPort(value) ? { port: value } : undefined;
  if (!new RegExp(PORT_PATTERN).test(value)) return undefined;
  const colon = value.lastIndexOf(':');
  const port = Number(value.slice(colon + 1));
  if (!isPort(port)) return undefined;
  const host = colon < 0 ? '' : value.slice(0, colon);
  return host === '' ? { port } : { host: withoutBrackets(host), port };
}

export const isPort = (port: number): boolean =>
  Number.isInteger(port) && port >= 0 && port <= PORT_MAX;

/** True for the addresses that stand for all interfaces and so name no node. */
export const isEveryAddress = (host: string): boolean =>
  host === '0.0.0.0' || canonicalIp(host) === '::';

/** True when two listeners cannot both have their address. Port 0 is always free. */
export const collide = (one: ListenAddress, other: ListenAddress): boolean =>
  one.port !== 0 &&
  one.port === other.port &&
  (one.host === other.host || isEveryAddress(one.host) || isEveryAddress(other.host));

const withoutBrackets = (host: string): string => {
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  return canonicalIp(bare) ?? bare.toLowerCase();
};
