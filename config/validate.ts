/**
 * Checks an input against the schema: types and ranges with ajv, unknown keys with the nearest known one, keys
 * without effect with a warning or a refusal. Called by resolve.ts and load.ts; knows nothing of meanings.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { invalidConfiguration, quoted, type Findings } from './findings.js';
import { isNear, nearest } from './nearest.js';
import { configSchema } from './schema.js';
import { ANNOTATIONS, type ConfigSchema, type JsonType } from './schemaNodes.js';
import type { ConfigInput } from './types.js';

/**
 * The input without what has no effect, its type now true. Writes what it finds into `findings` and throws
 * INVALID_CONFIGURATION when a problem is among it.
 */
export function checkInput(input: unknown, findings: Findings): ConfigInput {
  if (!isObject(input)) throw invalidConfiguration('the configuration must be an object with keys');
  reportStandings({ schema: configSchema, value: input, path: [] }, findings);
  const settled = withoutUnset(input, configSchema);
  const validate = validator();
  if (!validate(settled)) reportErrors(validate.errors ?? [], settled, findings);
  findings.throwProblems();
  return settled as ConfigInput;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The schema of a key of `schema`, spelled out or by pattern; undefined when there is none. */
export function propertyOf(schema: ConfigSchema, key: string): ConfigSchema | undefined {
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, key))
    return schema.properties[key];
  const patterns = Object.entries(schema.patternProperties ?? {});
  return patterns.find(([pattern]) => new RegExp(pattern).test(key))?.[1];
}

export const typesOf = (schema: ConfigSchema): readonly JsonType[] =>
  typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);

let compiled: ValidateFunction | undefined;

// Compiled when first used: it takes longer than everything else in config/ together.
function validator(): ValidateFunction {
  if (compiled === undefined) {
    const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, verbose: true });
    for (const annotation of ANNOTATIONS) ajv.addKeyword(annotation);
    compiled = ajv.compile(configSchema);
  }
  return compiled;
}

interface Place {
  readonly schema: ConfigSchema;
  readonly value: unknown;
  readonly path: readonly string[];
}

// Stops at a key with a standing: one word about `mqtt` is enough, whatever stands below it.
function reportStandings(place: Place, findings: Findings): void {
  const { schema, value, path } = place;
  if (isUnset(value, schema)) return;
  if (schema.standing !== undefined) return reportStanding(place, findings);
  for (const child of childrenOf(place)) {
    if (child === undefined) continue;
    reportStandings({ ...child, path: [...path, ...child.path] }, findings);
  }
}

function childrenOf({ schema, value }: Place): readonly (Place | undefined)[] {
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return [];
    return value.map((item: unknown, index) => ({
      schema: items,
      value: item,
      path: [`${index}`],
    }));
  }
  if (!isObject(value)) return [];
  return Object.entries(value).map(([key, child]) => {
    const known = propertyOf(schema, key);
    return known === undefined ? undefined : { schema: known, value: child, path: [key] };
  });
}

function reportStanding({ schema, value, path }: Place, findings: Findings): void {
  const { standing } = schema;
  if (standing === undefined || isHarmless(value, standing.harmless ?? [])) return;
  const words = {
    foreign: () => findings.warn(path, `${quoted(path)} has no effect in Skein`),
    later: () => findings.warn(path, `not supported by this version: ${path.join('.')}`),
    refused: () =>
      findings.problem(path, `${quoted(path)} is not supported: ${standing.because ?? ''}`),
  };
  words[standing.kind]();
}

const isHarmless = (value: unknown, harmless: readonly unknown[]): boolean =>
  harmless.some((other) => JSON.stringify(other) === JSON.stringify(value));

// `null` and an empty YAML value mean "as if the key were not there", except where null is a value of its own.
const isUnset = (value: unknown, schema: ConfigSchema): boolean =>
  value === undefined || (value === null && mayBeUnset(schema));

const mayBeUnset = (schema: ConfigSchema): boolean =>
  schema.neverNull !== true && !typesOf(schema).includes('null');

function withoutUnset(value: unknown, schema: ConfigSchema): unknown {
  const { items } = schema;
  if (Array.isArray(value))
    return items === undefined ? value : value.map((item) => withoutUnset(item, items));
  if (!isObject(value)) return value;
  const kept = Object.entries(value).flatMap(([key, child]): [string, unknown][] => {
    const known = propertyOf(schema, key);
    if (known === undefined) return [[key, child]];
    return isUnset(child, known) ? [] : [[key, withoutUnset(child, known)]];
  });
  return Object.fromEntries(kept);
}

function reportErrors(errors: readonly ErrorObject[], input: unknown, findings: Findings): void {
  for (const error of errors) {
    const path = pathOf(error.instancePath);
    if (error.keyword === 'additionalProperties') reportUnknown(error, path, findings);
    else reportUnexpected(error, path, findings, valueAt(input, path));
  }
}

function reportUnknown(error: ErrorObject, parent: readonly string[], findings: Findings): void {
  const key = String(error.params['additionalProperty']);
  const path = [...parent, key];
  const meant = nearestKey(key, parent, error.parentSchema as ConfigSchema | undefined);
  const hint = meant === undefined ? '' : `, did you mean '${meant}'?`;
  findings.problem(path, `unknown key ${quoted(path)}${hint}`);
}

// A key that is spelled right in the wrong section is more likely meant than an unlike neighbour.
function nearestKey(
  key: string,
  parent: readonly string[],
  schema: ConfigSchema | undefined,
): string | undefined {
  const sibling = nearest(key, Object.keys(schema?.properties ?? {}));
  const neighbour = sibling === undefined ? undefined : [...parent, sibling].join('.');
  if (sibling !== undefined && isNear(key, sibling)) return neighbour;
  const elsewhere = allPaths().find((path) => path.at(-1)?.toLowerCase() === key.toLowerCase());
  return elsewhere?.join('.') ?? neighbour;
}

/** The path of every key that can stand in a configuration, without those in lists. Sections come before their keys. */
export function allPaths(
  schema: ConfigSchema = configSchema,
  parent: readonly string[] = [],
): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => [
    [...parent, key],
    ...allPaths(child, [...parent, key]),
  ]);
}

function reportUnexpected(
  error: ErrorObject,
  path: readonly string[],
  findings: Findings,
  value: unknown,
): void {
  const schema = error.parentSchema as ConfigSchema | undefined;
  findings.problem(path, `${quoted(path)} must be ${expected(schema)}${butWas(path, value)}`);
}

/** What a key's value must be, in words. */
export const expected = (schema: ConfigSchema | undefined): string =>
  schema?.expected ??
  typesOf(schema ?? configSchema)
    .map((type) => TYPE_WORDS[type])
    .join(' or ');

const TYPE_WORDS: Readonly<Record<JsonType, string>> = {
  string: 'text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'a section with keys',
  array: 'a list',
  null: 'null',
};

// What was written helps to find it, but a password must not end up in a log.
function butWas(path: readonly string[], value: unknown): string {
  const secret = path.some((key) => /password|privateKey|authorization/i.test(key));
  if (secret || typeof value === 'object' || value === undefined) return '';
  return `, not ${JSON.stringify(typeof value === 'string' ? value.slice(0, 100) : value)}`;
}

const pathOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

function valueAt(value: unknown, path: readonly string[]): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const child = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
  return child ? valueAt((value as Record<string, unknown>)[key], rest) : undefined;
}
