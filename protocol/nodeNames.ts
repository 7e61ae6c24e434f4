/**
 * One spelling per node. A name arrives from configuration, routes, certificates, addresses of sockets and
 * operations; whoever takes one in passes it through here once, and from then on names are compared as text.
 * Pure: resolves nothing, asks no network.
 */
import { SkeinError } from './errors.js';
import { nodeName, type NodeName } from './ids.js';
import { limits } from './limits.js';

/**
 * The canonical form of a node's name: lower case, without the trailing dot of an absolute DNS name, without
 * brackets; IPv6 in its short form (RFC 5952), IPv4-mapped IPv6 as IPv4, international names as `xn--`.
 * Throws INVALID_REQUEST saying what is wrong with the name.
 */
export function canonicalNodeName(text: string): NodeName {
  const address = canonicalIp(withoutBrackets(text));
  if (address !== undefined) return nodeName(address);
  const name = canonicalDnsName(text);
  const problem = problemOf(name);
  if (problem !== undefined) throw invalidName(text, problem);
  return nodeName(name);
}

/** Whether a text is a node's name in its canonical form. */
export function isCanonicalNodeName(text: string): boolean {
  try {
    return canonicalNodeName(text) === text;
  } catch {
    return false;
  }
}

/**
 * The canonical form of the address of a socket, for the comparison with node names. Never throws: what is
 * no IP address comes back as it was. The zone of a link-local address (`fe80::1%eth0`) is kept.
 */
export function canonicalAddress(text: string): string {
  const zone = text.indexOf('%');
  if (zone < 0) return canonicalIp(text) ?? text;
  const address = canonicalIp(text.slice(0, zone));
  return address === undefined ? text : address + text.slice(zone);
}

/** IPv4 as four decimal numbers, IPv6 in its short form; undefined when the text is no IP address. */
export function canonicalIp(text: string): string | undefined {
  if (IPV4.test(text)) return text;
  return text.includes(':') ? canonicalIpv6(text) : undefined;
}

/** True for 127.0.0.0/8 and ::1 in canonical form; names, even `localhost`, are no addresses. */
export const isLoopbackAddress = (address: string): boolean =>
  address === '::1' || (address.startsWith('127.') && IPV4.test(address));

/** The host part of a URL for a canonical name: IPv6 in brackets. */
export const hostForUrl = (name: string): string => (name.includes(':') ? `[${name}]` : name);

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const IPV6_CHARACTERS = /^[0-9a-f:.]+$/i;
const MAPPED_IPV4 = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;
const LABEL = /^[a-z0-9_-]+$/;
const NOT_IN_NAMES = /[^a-z0-9._-]/u;

// The URL parser's rules for an IPv6 host are RFC 4291's, and it writes the form of RFC 5952.
function canonicalIpv6(text: string): string | undefined {
  const url = `http://[${text}]`;
  if (!IPV6_CHARACTERS.test(text) || !URL.canParse(url)) return undefined;
  const short = withoutBrackets(new URL(url).hostname);
  const mapped = MAPPED_IPV4.exec(short);
  return mapped === null ? short : dotted(`${mapped[1]}`, `${mapped[2]}`);
}

function dotted(high: string, low: string): string {
  const value = parseInt(high, 16) * 0x10000 + parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

const withoutBrackets = (text: string): string =>
  text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;

function canonicalDnsName(text: string): string {
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  return isPlain(name) ? name : inAscii(name);
}

const isPlain = (text: string): boolean => /^[ -~]*$/.test(text);

// A character that would end the host part must be refused, not cut off, so the URL parser sees letters only.
function inAscii(name: string): string {
  const url = `http://${name}`;
  return /^[\p{L}\p{M}\p{N}._-]+$/u.test(name) && URL.canParse(url) ? new URL(url).hostname : name;
}

function problemOf(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name.length > limits.nameCharactersMax)
    return `it is longer than ${limits.nameCharactersMax} characters`;
  const character = NOT_IN_NAMES.exec(name);
  if (character !== null) return `it contains ${JSON.stringify(character[0])}`;
  const labels = name.split('.');
  if (!labels.every((label) => LABEL.test(label))) return 'a part between its dots is empty';
  return labels.length > 1 && /^\d+$/.test(`${labels.at(-1)}`)
    ? 'it is no complete IPv4 address'
    : undefined;
}

const invalidName = (text: string, problem: string): SkeinError =>
  new SkeinError(
    'INVALID_REQUEST',
    `${JSON.stringify(text.slice(0, limits.nameCharactersMax))} is no node name: ${problem}`,
  );
