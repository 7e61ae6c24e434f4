/**
 * The formats of an answer: which one the client wants, and how a result is written in it.
 * Called by the HTTP doors. Knows nothing of operations; loads an encoder when it is first wanted.
 */
import { HttpRefusal } from './httpErrors.js';

export type AnswerType = 'json' | 'cbor' | 'msgpack' | 'yaml' | 'text' | 'csv';

interface Format {
  readonly type: AnswerType;
  /** The first is the one we name; all are understood in `Accept`. */
  readonly names: readonly string[];
  readonly charset: boolean;
}

/** In the documented order of preference, used when a client likes several equally. */
const FORMATS: readonly Format[] = [
  { type: 'cbor', names: ['application/cbor'], charset: false },
  {
    type: 'msgpack',
    names: ['application/x-msgpack', 'application/msgpack', 'application/vnd.msgpack'],
    charset: false,
  },
  { type: 'json', names: ['application/json'], charset: true },
  { type: 'yaml', names: ['application/yaml', 'text/yaml', 'application/x-yaml'], charset: true },
  { type: 'text', names: ['text/plain'], charset: true },
  { type: 'csv', names: ['text/csv'], charset: true },
];

export interface Answer {
  /** `Content-Type` and, for CSV, `Content-Disposition`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/**
 * The format to answer in. By RFC 9110 section 12.5.1 the client's q-values decide; among equals a type
 * named in full beats a wildcard, a wildcard means JSON where it covers it, and then the order above.
 * No header means JSON. Throws 406 with the documented text when nothing fits.
 */
export const negotiate = (accept: string | undefined): AnswerType => {
  if (accept === undefined || accept.trim() === '') {
    return 'json';
  }
  const ranges = parseAccept(accept);
  const candidates = FORMATS.map((format, order) => rank(format, order, ranges))
    .filter((candidate) => candidate.quality > 0)
    .sort(better);
  const best = candidates[0];
  if (best === undefined) {
    const names = FORMATS.map((format) => format.names[0]).join(', ');
    throw new HttpRefusal(
      406,
      `No supported content types found in Accept header, supported types include: ${names}`,
    );
  }
  return best.type;
};

/** Results of operations are objects and arrays; anything else is wrapped as `{ message }` before. */
export const encodeAnswer = async (type: AnswerType, value: unknown): Promise<Answer> => {
  const format = FORMATS.find((each) => each.type === type);
  const name = format?.names[0] ?? 'application/json';
  const headers: Record<string, string> = {
    'content-type': format?.charset === false ? name : `${name}; charset=utf-8`,
  };
  if (type === 'csv') {
    headers['content-disposition'] = 'attachment; filename="data.csv"';
  }
  return { headers, body: await encoders[type](value) };
};

/** An error is never an attachment, and never bare text: those clients get JSON. */
export const errorType = (type: AnswerType): AnswerType =>
  type === 'csv' || type === 'text' ? 'json' : type;

/**
 * JSON text of any value a record may hold: bytes become base64, integers too large for a number become
 * decimal text. `indent` in spaces.
 */
export const jsonText = (value: unknown, indent?: number): string =>
  (hasOnlyJsonValues(value)
    ? JSON.stringify(value, undefined, indent)
    : JSON.stringify(value, jsonValue, indent)) ?? 'null';

interface AcceptRange {
  readonly name: string;
  readonly quality: number;
}

interface Candidate {
  readonly type: AnswerType;
  readonly quality: number;
  /** 2: named in full; 1: a wildcard, and this is what it means; 0: a wildcard. */
  readonly precision: number;
  readonly order: number;
}

const parseAccept = (accept: string): AcceptRange[] =>
  accept.split(',').flatMap((part) => {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    const quality = weight === undefined ? 1 : Number(weight.slice(2));
    return name === '' || !(quality >= 0 && quality <= 1) ? [] : [{ name, quality }];
  });

const rank = (format: Format, order: number, ranges: readonly AcceptRange[]): Candidate => {
  const named = ranges.filter((range) => format.names.includes(range.name));
  if (named.length > 0) {
    const quality = Math.max(...named.map((range) => range.quality));
    return { type: format.type, quality, precision: 2, order };
  }
  const family = `${format.names[0]?.split('/', 1)[0]}/*`;
  const wildcard =
    ranges.find((range) => range.name === family) ?? ranges.find((range) => range.name === '*/*');
  const precision = format.type === 'json' ? 1 : 0;
  return { type: format.type, quality: wildcard?.quality ?? 0, precision, order };
};

const better = (left: Candidate, right: Candidate): number =>
  right.quality - left.quality || right.precision - left.precision || left.order - right.order;

const encoders: Record<AnswerType, (value: unknown) => Promise<string | Uint8Array>> = {
  json: async (value) => jsonText(value),
  cbor: async (value) => {
    const { encode, Token, Type } = await import('cborg');
    const date = (moment: Date) => [
      new Token(Type.tag, 1),
      new Token(Type.float, moment.getTime() / 1000),
    ];
    return encode(value, { typeEncoders: { Date: date } });
  },
  msgpack: async (value) => {
    const { encode } = await import('../protocol/codec.js');
    return encode(value);
  },
  yaml: async (value) => {
    const { stringify } = await import('yaml');
    return stringify(jsonReady(value), { lineWidth: 0, aliasDuplicateObjects: false });
  },
  text: async (value) => textOf(value),
  csv: async (value) => csvOf(value),
};

/** A message alone is shown as it is; everything else as indented JSON. */
const textOf = (value: unknown): string => {
  const message = isRecord(value) && Object.keys(value).length === 1 ? value['message'] : undefined;
  return typeof message === 'string' ? message : jsonText(value, 2);
};

/** One row per element with the union of their fields as columns; nested values are JSON text. */
const csvOf = async (value: unknown): Promise<string> => {
  const { stringify } = await import('csv-stringify/sync');
  const rows = (Array.isArray(value) ? value : [value]).map((row: unknown) =>
    isRecord(row) ? row : { value: row },
  );
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = rows.map((row) => columns.map((column) => cellOf(row[column])));
  return stringify([columns, ...cells]);
};

const cellOf = (value: unknown): string => {
  if (value === undefined || value === null) {
    return '';
  }
  return typeof value === 'string' ? value : unquoted(jsonText(value));
};

/** Dates and bytes are JSON strings; in a cell they stand without the quotes. */
const unquoted = (text: string): string =>
  text.startsWith('"') ? (JSON.parse(text) as string) : text;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const hasOnlyJsonValues = (value: unknown): boolean => {
  if (typeof value !== 'object' || value === null) {
    return typeof value !== 'bigint';
  }
  if (ArrayBuffer.isView(value)) {
    return false;
  }
  return Array.isArray(value)
    ? value.every(hasOnlyJsonValues)
    : Object.values(value).every(hasOnlyJsonValues);
};

/** `JSON.stringify` has called `toJSON` of Buffers before a replacer sees them, so `this` is asked. */
function jsonValue(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[key];
  if (original instanceof Uint8Array) {
    return Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString(
      'base64',
    );
  }
  return typeof value === 'bigint' ? value.toString() : value;
}

const jsonReady = (value: unknown): unknown => JSON.parse(jsonText(value)) as unknown;
