/**
 * IP addresses as Skein compares them. On the insecure port an address is an identity, so it has
 * exactly one spelling here. Called by webSocket.ts and whoever dials; knows nothing of sockets.
 */
import { lookup } from 'node:dns/promises';
import { isIP, isIPv4 } from 'node:net';
import { messageOf, SkeinError } from '../../protocol/errors.js';

const IPV4_MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** IPv4-mapped IPv6 addresses as IPv4; everything else as the operating system spells it. */
export const canonicalAddress = (address: string): string =>
  IPV4_MAPPED.exec(address)?.[1] ?? address;

/**
 * The address that a node of that name dials from, so that the other side sees whom it deals with; undefined: any.
 */
export const addressToDialFrom = (name: string): string | undefined =>
  /^127\.\d+\.\d+\.\d+$/.test(name) ? name : undefined;

/** 127.0.0.0/8 and ::1. */
export const isLoopback = (address: string): boolean => {
  const canonical = canonicalAddress(address);
  return isIPv4(canonical) ? canonical.startsWith('127.') : canonical === '::1';
};

/**
 * The loopback address that a host (address or name) stands for.
 * Rejects with INSECURE_ADDRESS when it is any other address, INVALID_CONFIGURATION when it is none.
 */
export const loopbackAddress = async (host: string): Promise<string> => {
  const address = canonicalAddress(isIP(host) === 0 ? await resolve(host) : host);
  if (isLoopback(address)) return address;
  throw new SkeinError(
    'INSECURE_ADDRESS',
    `refusing to listen for replication without TLS on ${spelled(host, address)}: without TLS a ` +
      'node listens only on loopback addresses (127.0.0.0/8, ::1); set replication.hostname to one',
  );
};

const spelled = (host: string, address: string): string =>
  host === address ? host : `${host} (${address})`;

const resolve = async (host: string): Promise<string> => {
  try {
    return (await lookup(host)).address;
  } catch (error) {
    const message = `cannot listen on ${host}: ${messageOf(error)}`;
    throw new SkeinError('INVALID_CONFIGURATION', message, { cause: error });
  }
};
