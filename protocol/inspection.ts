/**
 * Looks at a value before it is encoded: refuses what MessagePack or msgpack-lite cannot keep, with
 * the path to it, and tells what has to be converted. One pass that only remembers where it is.
 * Called by codec.ts alone; it changes nothing.
 */
import { isWellFormed } from './bytes.js';
import { invalidRequest, type SkeinError } from './errors.js';
import { BIGINT_BYTES_MAX } from './extensions.js';
import { limits } from './limits.js';

/** What has to be done before msgpack-lite can encode a value; flags. */
export const NOTHING = 0;
/** Something in it must be replaced: a bigint, an undefined attribute, a Uint8Array. */
export const CONVERSION = 1;
/** An attribute has a name that msgpack-lite asks objects for: it must not see the object. */
export const COMPOSITION = 2;

export type PlainObject = Record<string, unknown>;

/** What `value` needs, as flags. INVALID_REQUEST for what cannot be encoded; `path` is its name there. */
export const inspectValue = (value: unknown, path: string): number =>
  inspect(value, new Trail(path));

/** Whether it is an object with no class: made by `{}`, JSON or `Object.create(null)`. */
export const isPlainObject = (value: unknown): value is PlainObject => {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
};

/** What is wrong with the name of an attribute, as the rest of a sentence, or undefined. */
export const faultOfName = (name: string): string | undefined => {
  if (name === '__proto__') return 'is no name for an attribute';
  return isWellFormed(name) ? undefined : 'has half a surrogate pair in its name';
};

/** What a value is, for messages. */
export const describe = (value: unknown): string => {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value !== 'object') return `a ${typeof value}`;
  const constructor: unknown = Reflect.get(value, 'constructor');
  return typeof constructor === 'function' && constructor.name !== ''
    ? `an instance of ${constructor.name.slice(0, 64)}`
    : 'an instance of a class';
};

const EXPECTED =
  'null, a boolean, number, string, bigint, Date, Uint8Array, array or plain object was expected';

/** Where the inspection is: the containers around the current value and the keys to it. */
class Trail {
  readonly #name: string;
  readonly #containers: object[] = [];
  readonly #keys: (string | number)[] = [];
  #depth = 0;

  constructor(name: string) {
    this.#name = name;
  }

  enter(container: object): void {
    if (this.#depth === limits.nestingMax) throw this.#tooDeep(container);
    this.#containers[this.#depth] = container;
    this.#depth += 1;
  }

  at(key: string | number): void {
    this.#keys[this.#depth - 1] = key;
  }

  leave(): void {
    this.#depth -= 1;
  }

  refuse(fault: string): SkeinError {
    return invalidRequest(`${this.#path(this.#depth)} ${fault}`);
  }

  #tooDeep(container: object): SkeinError {
    const chain = [...this.#containers.slice(0, this.#depth), container];
    const closing = chain.findIndex((one, index) => chain.indexOf(one) < index);
    if (closing >= 0) return invalidRequest(`${this.#path(closing)} contains itself`);
    return this.refuse(`is nested more than ${limits.nestingMax} levels deep`);
  }

  #path(depth: number): string {
    return this.#name + this.#keys.slice(0, depth).map(pathStep).join('');
  }
}

const pathStep = (key: string | number): string => {
  if (typeof key === 'number') return `[${key}]`;
  return /^[A-Za-z_$][\w$]{0,63}$/.test(key) ? `.${key}` : `[${JSON.stringify(key.slice(0, 64))}]`;
};

/** Answers what `value` needs; throws the refusal of what cannot be encoded. */
const inspect = (value: unknown, trail: Trail): number => {
  switch (typeof value) {
    case 'string':
      if (!isWellFormed(value)) throw trail.refuse('contains half a surrogate pair');
      return NOTHING;
    case 'number':
    case 'boolean':
    case 'undefined':
      return NOTHING;
    case 'bigint':
      if (BigInt.asIntN(BIGINT_BYTES_MAX * 8, value) === value) return CONVERSION;
      throw trail.refuse(`is a bigint of more than ${BIGINT_BYTES_MAX} bytes`);
    case 'object':
      return value === null ? NOTHING : inspectObject(value, trail);
    default:
      throw trail.refuse(`is ${describe(value)}; ${EXPECTED}`);
  }
};

const inspectObject = (value: object, trail: Trail): number => {
  if (Array.isArray(value)) return inspectArray(value, trail);
  if (isPlainObject(value)) return inspectPlainObject(value, trail);
  if (value instanceof Uint8Array) return Buffer.isBuffer(value) ? NOTHING : CONVERSION;
  if (!isDate(value)) throw trail.refuse(`is ${describe(value)}; ${EXPECTED}`);
  if (Number.isNaN(value.getTime())) throw trail.refuse('is an invalid Date');
  return NOTHING;
};

const inspectArray = (values: readonly unknown[], trail: Trail): number => {
  let need = NOTHING;
  trail.enter(values);
  for (let index = 0; index < values.length; index += 1) {
    trail.at(index);
    need |= inspect(values[index], trail);
  }
  trail.leave();
  return need;
};

const inspectPlainObject = (record: PlainObject, trail: Trail): number => {
  let need = NOTHING;
  trail.enter(record);
  for (const name of Object.keys(record)) {
    trail.at(name);
    const first = name.charCodeAt(0);
    if (first === UNDERSCORE || first === LETTER_C) need |= needOfName(name);
    const fault = faultOfName(name);
    if (fault !== undefined) throw trail.refuse(fault);
    const value = record[name];
    if (typeof value === 'number' || typeof value === 'boolean') continue;
    need |= value === undefined ? CONVERSION : inspect(value, trail);
  }
  trail.leave();
  return need;
};

const UNDERSCORE = 0x5f;
const LETTER_C = 0x63;

/**
 * msgpack-lite looks an object's encoder up by `constructor.name` and takes one with these flags
 * for a 64-bit integer, also if they are just attributes of a document.
 */
const needOfName = (name: string): number =>
  name === 'constructor' || name === '_isUint64BE' || name === '_isInt64BE' ? COMPOSITION : NOTHING;

/** A subclass or a date with a `constructor` of its own would not find its encoder. */
const isDate = (value: object): value is Date =>
  value instanceof Date && value.constructor === Date;
