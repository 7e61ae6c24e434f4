/**
 * Which addresses and names mean this machine only. Called by the HTTP doors. Asks no resolver.
 */
import { canonicalAddress, hostForUrl, isLoopbackAddress } from '../protocol/nodeNames.js';

/** True for a socket address in 127.0.0.0/8 (also written as IPv6) and for ::1. */
export const isLoopback = (address: string): boolean =>
  isLoopbackAddress(canonicalAddress(address));

/** The same, and `localhost` with everything below it (RFC 6761 section 6.3). */
export const isLoopbackName = (name: string): boolean =>
  isLoopback(name) || /^(?:[a-z0-9-]+\.)*localhost\.?$/i.test(name);

/** The host part of a `Host` header without port and brackets; undefined when it is none. */
export const hostNameOf = (header: string | undefined): string | undefined => {
  // A URL could carry a user or a path before what looks like a host; a Host header may not.
  if (header === undefined || /[@/?#\\]/.test(header) || !URL.canParse(`http://${header}/`)) {
    return undefined;
  }
  return new URL(`http://${header}/`).hostname.replace(/^\[|\]$/g, '');
};

/** `http://host:port`, or `https://`, with brackets around an IPv6 address. */
export const httpUrl = (
  at: { host: string; port: number },
  scheme: 'http' | 'https' = 'http',
): string => `${scheme}://${hostForUrl(at.host)}:${at.port}`;
