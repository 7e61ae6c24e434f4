/**
 * From the bytes of a request to an operation: size limit, media type, parsing, guard.
 * Called by operationsApi.ts. Reads no more than it is told to and runs nothing.
 */
import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { invalidRequest, SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { guardBody, TOO_DEEP } from './bodyGuard.js';
import { HttpRefusal } from './httpErrors.js';

export type RequestType = 'JSON' | 'CBOR' | 'MessagePack';

const REQUEST_TYPES: Readonly<Record<string, RequestType>> = {
  'application/json': 'JSON',
  'application/cbor': 'CBOR',
  'application/x-msgpack': 'MessagePack',
  'application/msgpack': 'MessagePack',
  'application/vnd.msgpack': 'MessagePack',
};

/**
 * The format named by `Content-Type`; JSON when there is none. Throws 415 for any other: a web page may
 * send `text/plain` and form bodies to any address without asking, so they must not count as operations.
 */
export const requestType = (headers: {
  'content-type'?: string | undefined;
  'content-encoding'?: string | undefined;
}): RequestType => {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new HttpRefusal(
      415,
      `Content-Encoding '${encoding}' is not supported, send plain bodies`,
    );
  }
  const named = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const type = named === '' ? 'JSON' : REQUEST_TYPES[named];
  if (type === undefined) {
    throw new HttpRefusal(
      415,
      `Content-Type '${named}' is not supported, use application/json, application/cbor or application/x-msgpack`,
    );
  }
  return type;
};

/** All bytes of the body. Throws 413 as soon as more than `bytesMax` are announced or have arrived. */
export const readBody = (
  stream: Readable | undefined,
  options: { bytesMax: number; announced?: string | undefined },
): Promise<Buffer> => {
  if (stream === undefined) {
    return Promise.resolve(Buffer.alloc(0));
  }
  if (Number(options.announced) > options.bytesMax) {
    return Promise.reject(tooLarge(options.bytesMax));
  }
  return collect(stream, options.bytesMax);
};

/** Throws 400 with the documented texts; what comes back has passed the guard and is an object. */
export const parseBody = async (
  bytes: Buffer,
  type: RequestType,
): Promise<Record<string, unknown>> => {
  const body = await parsers[type](bytes);
  if (
    typeof body !== 'object' ||
    body === null ||
    Array.isArray(body) ||
    ArrayBuffer.isView(body)
  ) {
    throw invalidRequest(`Invalid ${type}.`);
  }
  guardBody(body);
  return body as Record<string, unknown>;
};

const collect = (stream: Readable, bytesMax: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received = 0;
    const settle = (run: () => void): void => {
      stream.off('data', onData).off('end', onEnd).off('close', onClose);
      run();
    };
    const onData = (chunk: Buffer): void => {
      received += chunk.length;
      if (received > bytesMax) {
        settle(() => reject(tooLarge(bytesMax)));
        return;
      }
      chunks.push(chunk);
    };
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks, received)));
    const onClose = (): void =>
      settle(() => reject(new HttpRefusal(400, 'The request ended before its body was complete')));
    // The error listener stays: an aborted upload may report itself after we have given up on it.
    stream.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });

const tooLarge = (bytesMax: number): HttpRefusal => {
  const hint =
    bytesMax < limits.operationBodyBytesMax
      ? `; with an Authorization header it may have ${limits.operationBodyBytesMax}`
      : '';
  return new HttpRefusal(413, `Request body is larger than ${bytesMax} bytes${hint}`);
};

const parseJson = (bytes: Buffer): unknown => {
  if (!isUtf8(bytes)) {
    throw invalidRequest('Invalid JSON.');
  }
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_STRING_TOO_LONG') {
      throw new HttpRefusal(413, 'A JSON body may have at most 512 MiB, send larger ones as CBOR');
    }
    throw invalidRequest('Invalid JSON.');
  }
};

const parseCbor = async (bytes: Buffer): Promise<unknown> => {
  const { decode } = await import('cborg');
  try {
    // Maps, because a plain object would take a `__proto__` key as its prototype.
    return withoutMaps(decode(bytes, { useMaps: true, tags: CBOR_TAGS }), 1);
  } catch (error) {
    throw translated(error, 'Invalid CBOR.');
  }
};

const parseMessagePack = async (bytes: Buffer): Promise<unknown> => {
  const { decode } = await import('../protocol/codec.js');
  try {
    return decode(bytes);
  } catch (error) {
    throw translated(error, 'Invalid MessagePack.');
  }
};

const parsers: Record<RequestType, (bytes: Buffer) => unknown> = {
  JSON: parseJson,
  CBOR: parseCbor,
  MessagePack: parseMessagePack,
};

/** RFC 8949 section 3.4.2: tag 1 is seconds since the epoch. */
const CBOR_TAGS = { 1: (content: () => unknown): Date => new Date(Number(content()) * 1000) };

/** A refusal that names its reason stays; running out of stack means depth; the rest is just broken. */
const translated = (error: unknown, broken: string): Error => {
  if (error instanceof RangeError && /call stack/i.test(error.message)) {
    return invalidRequest(`The body ${TOO_DEEP}`);
  }
  if (!(error instanceof SkeinError)) {
    return invalidRequest(broken);
  }
  return error.code === 'INVALID_REQUEST' ? error : invalidRequest(`${broken} ${error.message}`);
};

const withoutMaps = (value: unknown, depth: number): unknown => {
  if (depth > limits.nestingMax + 1) {
    throw invalidRequest(`The body ${TOO_DEEP}`);
  }
  if (Array.isArray(value)) {
    return value.map((item) => withoutMaps(item, depth + 1));
  }
  return value instanceof Map ? objectOf(value, depth) : value;
};

const objectOf = (map: ReadonlyMap<unknown, unknown>, depth: number): Record<string, unknown> => {
  const object: Record<string, unknown> = {};
  for (const [key, value] of map) {
    if (typeof key !== 'string' || key === '__proto__') {
      throw invalidRequest(`'${String(key)}' is not allowed as a field name`);
    }
    object[key] = withoutMaps(value, depth + 1);
  }
  return object;
};
