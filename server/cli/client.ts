/**
 * Sends one operation to a node over HTTP. Called by the commands that talk to a running node.
 * Uses Node's own fetch; keeps no connection and no credentials.
 */
import { messageOf } from '../../protocol/errors.js';
import { CliFailure, EXIT } from './exitCodes.js';

export const DEFAULT_URL = 'http://127.0.0.1:9925';

export interface Target {
  /** `http://` or `https://` URL of an operations API; may carry `user:password@`. */
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/**
 * The body of the answer. Throws CliFailure: `usage` for a URL that is none, `unreachable` when nobody
 * answers, `failed` with the node's own message otherwise.
 */
export const sendOperation = async (
  target: Target,
  operation: Record<string, unknown>,
  options: { readonly signal?: AbortSignal } = {},
): Promise<unknown> => {
  const { url, authorization } = resolveTarget(target);
  return post(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(authorization === undefined ? {} : { authorization }),
    },
    body: JSON.stringify(operation),
    // Credentials go to the node that was named and nowhere else.
    redirect: 'error',
    ...options,
  });
};

/** Splits credentials off the URL; they win over those given separately, which may come from the environment. */
export const resolveTarget = (target: Target): { url: string; authorization?: string } => {
  const url = parseUrl(target.url);
  const inUrl = url.username !== '';
  const username = inUrl ? decodeURIComponent(url.username) : (target.username ?? '');
  const password = inUrl ? decodeURIComponent(url.password) : (target.password ?? '');
  url.username = '';
  url.password = '';
  if (username === '') {
    return { url: url.href };
  }
  const pair = Buffer.from(`${username}:${password}`, 'utf8').toString('base64');
  return { url: url.href, authorization: `Basic ${pair}` };
};

const parseUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new CliFailure(
      EXIT.usage,
      `--url must be an http:// or https:// URL, for instance ${DEFAULT_URL}, not '${text}'`,
    );
  }
  return url;
};

const post = async (url: string, init: RequestInit): Promise<unknown> => {
  const { response, text } = await answerOf(url, init);
  const body = parseAnswer(text);
  if (response.ok && body.parsed) {
    return body.value;
  }
  throw new CliFailure(EXIT.failed, failureText(response, body.value));
};

const answerOf = async (
  url: string,
  init: RequestInit,
): Promise<{ response: Response; text: string }> => {
  try {
    const response = await fetch(url, init);
    return { response, text: await response.text() };
  } catch (error) {
    throw new CliFailure(EXIT.unreachable, `cannot reach ${url}: ${reasonOf(error)}`, error);
  }
};

const parseAnswer = (text: string): { parsed: boolean; value: unknown } => {
  try {
    return { parsed: true, value: JSON.parse(text) as unknown };
  } catch {
    // Something that is no node answered; its text is all there is to show.
    return { parsed: false, value: text.slice(0, 200) };
  }
};

const failureText = (response: Response, body: unknown): string => {
  if (typeof body === 'object' && body !== null && 'error' in body) {
    return typeof body.error === 'string' ? body.error : JSON.stringify(body.error);
  }
  return `unexpected answer, status ${response.status}: ${typeof body === 'string' ? body : JSON.stringify(body)}`;
};

/** fetch hides what happened in `cause`, and that may be several attempts. */
const reasonOf = (error: unknown): string => {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const inner = cause instanceof AggregateError ? (cause.errors[0] as unknown) : cause;
  return messageOf(inner);
};
