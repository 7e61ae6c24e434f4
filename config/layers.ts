/**
 * Puts the sources of a configuration on top of each other and remembers which of them said what. Called by load.ts;
 * reads nothing itself.
 */
import type { DescribeOrigin } from './findings.js';
import { isObject } from './validate.js';

/** One source of settings: a file, the environment, the arguments, a variable with JSON. */
export interface Layer {
  readonly value: Readonly<Record<string, unknown>>;
  /** Where in the source the value at a path stands: `skein.yaml line 3`. */
  readonly describe: (path: readonly string[]) => string;
  /** Relative paths in the source start here. */
  readonly directory: string;
}

export interface Merged {
  readonly value: Record<string, unknown>;
  readonly describeOrigin: DescribeOrigin;
  /** Every value that was set, by its path with dots, and where. */
  readonly origins: Readonly<Record<string, string>>;
  /** The layer that set the value at a path. */
  layerOf(path: readonly string[]): Layer | undefined;
}

/**
 * Later layers win over earlier ones, key by key. A list replaces the one below it, unless it is written as
 * `{ "$union": [...] }`: that adds what the list below lacks.
 */
export function mergeLayers(layers: readonly Layer[]): Merged {
  const owners = new Map<string, Layer>();
  let value: Record<string, unknown> = {};
  for (const layer of layers) {
    value = mergeObjects(value, layer.value);
    for (const path of leaves(layer.value)) claim(path, layer, owners);
  }
  const layerOf = (path: readonly string[]): Layer | undefined => findOwner(path, owners);
  return {
    value,
    layerOf,
    describeOrigin: (path) => layerOf(path)?.describe(path),
    origins: Object.fromEntries(
      [...owners].map(([key, layer]) => [key, layer.describe(key.split('.'))]),
    ),
  };
}

function mergeObjects(
  below: Readonly<Record<string, unknown>>,
  above: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged = new Map(Object.entries(below));
  for (const [key, value] of Object.entries(above))
    merged.set(key, mergeValues(merged.get(key), value));
  // Defines properties rather than assigning them, so that a key named __proto__ stays a key.
  return Object.fromEntries(merged);
}

function mergeValues(below: unknown, above: unknown): unknown {
  const added = unionOf(above);
  if (added !== undefined) return union(Array.isArray(below) ? below : [], added);
  if (isObject(above)) return mergeObjects(isObject(below) ? below : {}, above);
  return above;
}

function unionOf(value: unknown): readonly unknown[] | undefined {
  if (!isObject(value)) return undefined;
  const list = value['$union'];
  return Array.isArray(list) && Object.keys(value).length === 1 ? list : undefined;
}

function union(below: readonly unknown[], added: readonly unknown[]): unknown[] {
  const known = new Set(below.map((item) => JSON.stringify(item)));
  return [...below, ...added.filter((item) => !known.has(JSON.stringify(item)))];
}

function leaves(value: Readonly<Record<string, unknown>>, parent = ''): string[] {
  return Object.entries(value).flatMap(([key, child]) => {
    const path = parent + key;
    const inner = isObject(child) && unionOf(child) === undefined;
    return inner && Object.keys(child).length > 0 ? leaves(child, `${path}.`) : [path];
  });
}

// What lay below or above the path in an earlier layer has been replaced.
function claim(path: string, layer: Layer, owners: Map<string, Layer>): void {
  for (const other of owners.keys())
    if (other.startsWith(`${path}.`) || path.startsWith(`${other}.`)) owners.delete(other);
  owners.set(path, layer);
}

function findOwner(path: readonly string[], owners: ReadonlyMap<string, Layer>): Layer | undefined {
  for (let length = path.length; length > 0; length--) {
    const owner = owners.get(path.slice(0, length).join('.'));
    if (owner !== undefined) return owner;
  }
  const below = [...owners].find(([key]) => key.startsWith(`${path.join('.')}.`));
  return below?.[1];
}
