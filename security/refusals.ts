/**
 * Why what an authority sent about a certificate does not count. Thrown by the readers of lists and answers, turned
 * into an outcome by the sources. Never leaves security/ as an exception.
 */
import { SkeinError } from '../protocol/errors.js';

/**
 * `invalid`: forged, damaged or about something else; refuses the certificate in every mode.
 * `unusable`: no word about the certificate, as if nobody had answered; the failure mode decides.
 */
export type RefusalKind = 'invalid' | 'unusable';

export class AnswerRefused extends Error {
  override readonly name = 'AnswerRefused';
  readonly kind: RefusalKind;

  /** `message` goes on after 'CRL' or 'OCSP answer': `is a delta list`. */
  constructor(kind: RefusalKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

export const invalid = (message: string): AnswerRefused => new AnswerRefused('invalid', message);

export const unusable = (message: string): AnswerRefused => new AnswerRefused('unusable', message);

/** The refusal that something thrown while reading amounts to; bugs are thrown on. */
export function refusalOf(thrown: unknown): AnswerRefused {
  if (thrown instanceof AnswerRefused) return thrown;
  if (thrown instanceof SkeinError && thrown.code === 'MALFORMED')
    return invalid(`is malformed (${thrown.message})`);
  throw thrown;
}
