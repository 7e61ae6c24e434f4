/**
 * Names of fields whose values no log line shows, wherever they stand in it. Given to pino by actors/startNode.ts and
 * server/logger.ts. The second line of defence: nothing is meant to log them at all.
 */

const SECRET_FIELDS = [
  'password',
  'adminPassword',
  'authorization',
  'token',
  'operation_token',
  'refresh_token',
  'refreshToken',
  'token_series',
  'private_key',
  'privateKey',
  'passphrase',
] as const;

/** Levels of objects that are looked through. */
const DEPTH = 4;

/** pino's option `redact`. */
export const redaction = (): { paths: string[]; censor: string } => ({
  paths: Array.from({ length: DEPTH }, (_, depth) => '*.'.repeat(depth)).flatMap((above) =>
    SECRET_FIELDS.map((field) => `${above}${field}`),
  ),
  censor: '[secret]',
});
