/**
 * What a thrown value becomes on the wire: status, `{ "error": <message> }` and the stable code.
 * Called by the HTTP doors. Never shows the text of an unexpected error: that goes to the log only.
 */
import { SkeinError } from '../protocol/errors.js';

/** 500: the documented text for everything that is not an expected refusal. */
export const DEFAULT_ERROR =
  'There was an error processing your request. Check logs and try again.';
/** 400: the documented text when a refusal has none of its own. */
export const DEFAULT_INVALID = 'Invalid request';

export interface ErrorAnswer {
  readonly statusCode: number;
  readonly message: string;
  /** Sent as the `Skein-Error-Code` header; absent for errors of the HTTP layer. */
  readonly code?: string;
  /** Fields beside the message, as the documented answers of some refusals have. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** True: nobody expected this, the log has to show the stack. */
  readonly unexpected: boolean;
}

/** A refusal made by a door before any operation runs; `message` is for the client. */
export class HttpRefusal extends Error {
  override readonly name = 'HttpRefusal';
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** Total: every thrown value has an answer. */
export const errorAnswer = (thrown: unknown): ErrorAnswer => {
  if (thrown instanceof SkeinError) {
    const message = thrown.message || defaultText(thrown.statusCode);
    const { statusCode, code, details } = thrown;
    return { statusCode, message, code, details, unexpected: false };
  }
  if (thrown instanceof HttpRefusal || isClientErrorOfFastify(thrown)) {
    const message = thrown.message || defaultText(thrown.statusCode);
    return { statusCode: thrown.statusCode, message, unexpected: false };
  }
  return { statusCode: 500, message: DEFAULT_ERROR, unexpected: true };
};

const defaultText = (statusCode: number): string =>
  statusCode < 500 ? DEFAULT_INVALID : DEFAULT_ERROR;

/** Broken URLs, lengths and media types are noticed by fastify itself; those texts are safe to show. */
const isClientErrorOfFastify = (thrown: unknown): thrown is Error & { statusCode: number } =>
  thrown instanceof Error &&
  'code' in thrown &&
  typeof thrown.code === 'string' &&
  thrown.code.startsWith('FST_ERR_') &&
  'statusCode' in thrown &&
  typeof thrown.statusCode === 'number' &&
  thrown.statusCode >= 400 &&
  thrown.statusCode < 500;
