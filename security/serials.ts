/**
 * Serial numbers of certificates: one form for all spellings, and lists of revoked ones as people write them.
 * Called by whoever lets a peer in and by the readers of revocation lists. Keeps nothing and reports nothing itself.
 */

/**
 * Upper-case hexadecimal digits without leading zeros, `0` for zero. Takes any hexadecimal spelling: either case,
 * colons and spaces between digits, leading zeros, `0x` in front. Undefined for anything else.
 */
export function canonicalSerial(text: string): string | undefined {
  const digits = text.replace(/[\s:]/g, '').replace(/^0x/i, '');
  if (!/^[0-9a-f]+$/i.test(digits)) return undefined;
  return digits.replace(/^0+(?=.)/, '').toUpperCase();
}

/** The same of the bytes of the number. */
export const serialOfBytes = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/^0+(?=.)/, '')
    .toUpperCase() || '0';

export interface RevokedSerials {
  /** `serial` as Node's X509Certificate or any other reader spells it. */
  has(serial: string): boolean;
  /** One sentence for each entry that is no hexadecimal number, to be reported once. */
  readonly findings: readonly string[];
}

/** A list of `revoked_certificates`. An entry that is no hexadecimal number stays and is compared letter by letter. */
export function readRevokedSerials(entries: Iterable<string>): RevokedSerials {
  const serials = new Set<string>();
  const literal = new Set<string>();
  for (const entry of entries) {
    const serial = canonicalSerial(entry);
    if (serial === undefined) literal.add(entry);
    else serials.add(serial);
  }
  return {
    has: (text) => serials.has(canonicalSerial(text) ?? '') || literal.has(text),
    findings: [...literal].map(
      (entry) =>
        `Revoked certificate '${entry}' is no hexadecimal number; it is compared letter by letter`,
    ),
  };
}
