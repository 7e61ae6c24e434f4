/**
 * Fetches lists and asks responders over HTTP. The real `Fetch` of the revocation checks. Time, bytes and redirects are
 * bounded; every request has a connection of its own, and nothing is kept. Speaks http and https only: addresses come
 * from certificates.
 */
import { request as requestPlain, type IncomingMessage } from 'node:http';
import { request as requestSecure } from 'node:https';
import { setImmediate } from 'node:timers/promises';
import { SkeinError, messageOf } from '../protocol/errors.js';
import { MIB, limits } from '../protocol/limits.js';
import type { FetchAnswer, FetchRequest } from './revocationPorts.js';

/** The longest time of a timer of Node; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Rejects with TIMEOUT, or UNAVAILABLE for whatever else keeps a whole answer away. */
export async function httpFetch(url: string, request: FetchRequest): Promise<FetchAnswer> {
  const controller = new AbortController();
  const timedOut = new SkeinError('TIMEOUT', `${url}: no answer within ${request.timeoutMs} ms`);
  const timer = setTimeout(
    () => controller.abort(timedOut),
    Math.min(request.timeoutMs, TIMER_MS_MAX),
  );
  try {
    return await follow(webAddress(url), request, controller.signal);
  } catch (thrown) {
    if (controller.signal.aborted) throw timedOut;
    if (thrown instanceof SkeinError) throw thrown;
    throw unavailable(url, messageOf(thrown), thrown);
  } finally {
    clearTimeout(timer);
  }
}

async function follow(url: URL, request: FetchRequest, signal: AbortSignal): Promise<FetchAnswer> {
  let address = url;
  for (let hop = 0; hop <= limits.revocationRedirectsMax; hop += 1) {
    const answer = await send(address, request, signal);
    const target = redirectTarget(answer, address);
    if (target === undefined) return await readAnswer(answer, request.bytesMax, address);
    answer.destroy();
    if (request.method === 'POST' && !KEEPS_METHOD.has(answer.statusCode ?? 0))
      throw unavailable(address.href, 'redirects a question to a page');
    address = target;
  }
  throw unavailable(url.href, `redirects more than ${limits.revocationRedirectsMax} times`);
}

const send = (url: URL, request: FetchRequest, signal: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const { method, body, headers } = request;
    const begin = url.protocol === 'https:' ? requestSecure : requestPlain;
    const length = body === undefined ? {} : { 'content-length': body.length };
    const outgoing = begin(
      url,
      { method, headers: { ...headers, ...length }, agent: false, signal },
      resolve,
    );
    outgoing.once('error', reject);
    outgoing.end(body);
  });

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const KEEPS_METHOD = new Set([307, 308]);

function redirectTarget({ statusCode = 0, headers }: IncomingMessage, from: URL): URL | undefined {
  if (!REDIRECTS.has(statusCode)) return undefined;
  return webAddress(headers.location ?? '', from);
}

function webAddress(text: string, from?: URL): URL {
  const url = URL.canParse(text, from?.href) ? new URL(text, from) : undefined;
  if (text === '' || url === undefined || !['http:', 'https:'].includes(url.protocol))
    throw unavailable(from?.href ?? text, `not an http or https address: '${text}'`);
  if (url.username !== '' || url.password !== '')
    throw unavailable(url.host, 'an address with credentials is not used');
  return url;
}

async function readAnswer(
  answer: IncomingMessage,
  bytesMax: number,
  url: URL,
): Promise<FetchAnswer> {
  const chunks: Buffer[] = [];
  let received = 0;
  // Leaving the loop by a throw destroys the connection.
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    received += chunk.length;
    if (received > bytesMax) throw unavailable(url.href, `answers more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return { status: answer.statusCode ?? 0, bytes: await joined(chunks, received) };
}

/** So much is copied before others have their turn. */
const COPY_BYTES = 4 * MIB;

/** In memory of its own, that can be handed to a thread. */
async function joined(
  chunks: readonly Buffer[],
  byteLength: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(byteLength);
  let offset = 0;
  let pauseAt = COPY_BYTES;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
    if (offset < pauseAt) continue;
    pauseAt = offset + COPY_BYTES;
    await setImmediate();
  }
  return bytes;
}

const unavailable = (url: string, what: string, cause?: unknown): SkeinError =>
  new SkeinError('UNAVAILABLE', `${url}: ${what}`, { cause });
