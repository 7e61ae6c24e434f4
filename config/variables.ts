/**
 * Reads settings from environment variables and arguments: their names are the keys, in capitals, joined by `_`.
 * Called by load.ts, which hands the environment in; this file never looks at the process.
 */
import { messageOf } from '../protocol/errors.js';
import type { Findings } from './findings.js';
import type { Layer } from './layers.js';
import { isNear, nearest } from './nearest.js';
import { configSchema } from './schema.js';
import type { ConfigSchema } from './schemaNodes.js';
import { allPaths, isObject, propertyOf, typesOf } from './validate.js';

export type Environment = Readonly<Record<string, string | undefined>>;
export type Arguments =
  readonly string[] | Readonly<Record<string, string | number | boolean | undefined>>;

/** What is set by single variables. Variables that name no key are not ours and are left alone. */
export function environmentLayer(
  environment: Environment,
  directory: string,
  findings: Findings,
): Layer {
  const settings: Setting[] = [];
  for (const [variable, text] of sorted(environment)) {
    const path = variables().get(variable.toUpperCase());
    if (path === undefined) warnOfLikely(variable, findings);
    else settings.push({ path, text, source: `environment variable ${variable}` });
  }
  return layerOf(settings, directory, findings);
}

/** What is set by `--REPLICATION_PORT 9933` or `--REPLICATION_PORT=9933`, and the file that `--config` names. */
export function argumentLayer(
  given: Arguments,
  directory: string,
  findings: Findings,
): { layer: Layer; file?: string } {
  const settings: Setting[] = [];
  let file: string | undefined;
  for (const { name, value } of isList(given) ? pairs(given, findings) : entries(given)) {
    const path = variables().get(variableOf(name));
    if (name.toLowerCase() === 'config') file = value;
    else if (path === undefined) findings.problem([], unknownArgument(name));
    else settings.push({ path, text: value, source: `argument --${name}` });
  }
  const layer = layerOf(settings, directory, findings);
  return file === undefined ? { layer } : { layer, file };
}

/** The settings that a variable holds as one JSON object; undefined when it is not set. */
export function jsonLayer(
  variable: string,
  environment: Environment,
  directory: string,
  findings: Findings,
): Layer | undefined {
  const text = environment[variable];
  if (text === undefined || text.trim() === '') return undefined;
  const value = readJson(text, `environment variable ${variable}`, findings);
  if (!isObject(value)) {
    findings.problem([], `environment variable ${variable} must be a JSON object`);
    return undefined;
  }
  return { value, directory, describe: () => `environment variable ${variable}` };
}

/** The environment variable of every key that has one, and the key's path. */
export function variables(): ReadonlyMap<string, readonly string[]> {
  known ??= new Map([
    ...allPaths()
      .filter((path) => path.length > 1 || WITHOUT_SECTION.has(path.join('.')))
      .map((path): [string, readonly string[]] => [variableOf(path.join('_')), path]),
    ['HDB_ADMIN_USERNAME', ADMIN_USERNAME],
    ['HDB_ADMIN_PASSWORD', ADMIN_PASSWORD],
    ['SKEIN_ADMIN_USERNAME', ADMIN_USERNAME],
    ['SKEIN_ADMIN_PASSWORD', ADMIN_PASSWORD],
  ]);
  return known;
}

let known: ReadonlyMap<string, readonly string[]> | undefined;

const ADMIN_USERNAME = ['authentication', 'adminUsername'];
const ADMIN_PASSWORD = ['authentication', 'adminPassword'];

// Other programs use variables such as NODE, HTTP and SCHEMA for things of their own.
const WITHOUT_SECTION = new Set(['rootPath', 'schemas']);

// Prefixes that no other program is likely to use.
const OURS = /^(?:REPLICATION|OPERATIONSAPI)_/i;

const variableOf = (name: string): string => name.replaceAll('.', '_').toUpperCase();

function warnOfLikely(variable: string, findings: Findings): void {
  if (!OURS.test(variable)) return;
  const meant = nearest(variable, variables().keys());
  const hint = meant === undefined ? '' : `, did you mean ${meant}?`;
  findings.warn([], `environment variable ${variable} names no key${hint}`);
}

// Of two spellings of one variable the one in capitals wins, and SKEIN_ADMIN_ wins over HDB_ADMIN_.
const sorted = (environment: Environment): [string, string][] =>
  Object.entries(environment)
    .flatMap(([name, text]): [string, string][] =>
      text === undefined || text === '' ? [] : [[name, text]],
    )
    .sort(([one], [other]) => rank(one) - rank(other) || (one < other ? -1 : 1));

const rank = (variable: string): number => (variable === variable.toUpperCase() ? 1 : 0);

const isList = (given: Arguments): given is readonly string[] => Array.isArray(given);

interface Argument {
  readonly name: string;
  readonly value: string;
}

const entries = (given: Exclude<Arguments, readonly string[]>): Argument[] =>
  Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, value: String(value) }],
  );

function pairs(given: readonly string[], findings: Findings): Argument[] {
  const found: Argument[] = [];
  for (let index = 0; index < given.length; index++) {
    const argument = /^--([^=]+)(?:=(.*))?$/s.exec(`${given[index]}`);
    if (argument === null) {
      findings.problem([], `unexpected argument '${given[index]}', expected --KEY value`);
      continue;
    }
    const name = `${argument[1]}`;
    const value = argument[2] ?? following(name, given[index + 1]);
    if (value === undefined) findings.problem([], `argument --${name} needs a value`);
    else found.push({ name, value });
    if (argument[2] === undefined && value === given[index + 1]) index++;
  }
  return found;
}

// `--DEBUG_ALLOWCRASH` alone says true.
function following(name: string, next: string | undefined): string | undefined {
  const path = variables().get(variableOf(name));
  const isFlag = path !== undefined && typesOf(schemaAt(path)).join() === 'boolean';
  if (isFlag) return next === 'true' || next === 'false' ? next : 'true';
  return next === undefined || next.startsWith('--') ? undefined : next;
}

function unknownArgument(name: string): string {
  const candidates = [...variables().keys(), 'config'];
  const meant = nearest(variableOf(name), candidates);
  const hint = meant !== undefined && isNear(name, meant) ? `, did you mean --${meant}?` : '';
  return `unknown argument --${name}${hint}`;
}

interface Setting {
  readonly path: readonly string[];
  readonly text: string;
  readonly source: string;
}

function layerOf(settings: readonly Setting[], directory: string, findings: Findings): Layer {
  const value: Record<string, unknown> = {};
  const sources = new Map<string, string>();
  // Sections given as JSON first, so that a single key set beside them wins.
  for (const setting of settings.toSorted((one, other) => one.path.length - other.path.length)) {
    place(value, setting.path, readText(setting, findings));
    sources.set(setting.path.join('.'), setting.source);
  }
  return { value, directory, describe: (path) => sourceOf(path, sources) };
}

function sourceOf(path: readonly string[], sources: ReadonlyMap<string, string>): string {
  for (let length = path.length; length > 0; length--) {
    const source = sources.get(path.slice(0, length).join('.'));
    if (source !== undefined) return source;
  }
  const below = [...sources].find(([key]) => key.startsWith(`${path.join('.')}.`));
  return below?.[1] ?? 'environment or arguments';
}

// Paths come from the schema, so no key of them is dangerous to assign.
function place(value: Record<string, unknown>, path: readonly string[], leaf: unknown): void {
  const [key, ...rest] = path;
  if (key === undefined) return;
  if (rest.length === 0) {
    value[key] = leaf;
    return;
  }
  const child = value[key];
  const section = isObject(child) ? child : {};
  value[key] = section;
  place(section, rest, leaf);
}

function schemaAt(path: readonly string[]): ConfigSchema {
  let schema = configSchema;
  for (const key of path) schema = propertyOf(schema, key) ?? schema;
  return schema;
}

function readText({ path, text, source }: Setting, findings: Findings): unknown {
  const types = typesOf(schemaAt(path));
  const trimmed = text.trim();
  if (path.at(-1) === 'adminPassword') return text;
  if (trimmed === 'null') return null;
  if (types.includes('boolean') && /^(?:true|false)$/i.test(trimmed))
    return trimmed.toLowerCase() === 'true';
  const isStructure = types.includes('array') || types.includes('object');
  if (isStructure && /^[[{]/.test(trimmed)) return readJson(trimmed, source, findings);
  if (types.includes('array') && trimmed !== '*') return splitList(trimmed);
  const isNumber = types.includes('number') || types.includes('integer');
  if (isNumber && !types.includes('string') && /^-?\d+(?:\.\d+)?$/.test(trimmed))
    return Number(trimmed);
  return trimmed;
}

const splitList = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

function readJson(text: string, source: string, findings: Findings): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    findings.problem([], `${source} is not valid JSON: ${messageOf(error)}`);
    return undefined;
  }
}
