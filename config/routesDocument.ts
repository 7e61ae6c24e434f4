/**
 * Sets and deletes routes in the text of a configuration file. Called by the operations on routes, through
 * routesFile.ts. Pure: opens nothing. Every other character of the text stays as it is.
 */
import { isDeepStrictEqual } from 'node:util';
import { invalidRequest, SkeinError } from '../protocol/errors.js';
import { parseConfigFile } from './configFile.js';
import { invalidConfiguration, type Findings } from './findings.js';
import { readRoute, type RouteDefaults, type RouteReading } from './routes.js';
import { layoutOf, type RouteEntry, type RoutesLayout } from './routesLayout.js';
import { applyEdits, type Edit } from './textEdits.js';
import type { Route } from './types.js';
import { checkInput, isObject } from './validate.js';
import { UnfitLayout } from './yamlNodes.js';

export type { RouteEntry } from './routesLayout.js';

export interface RoutesChanged {
  /** The whole file as it is to be. */
  readonly text: string;
  /** `replication.routes` as it then is, for readRoutes. */
  readonly routes: readonly unknown[];
  /** What was not needed: it is there already, or it is not there. */
  readonly skipped: readonly RouteEntry[];
}

/**
 * Adds routes at the end of the list. A route to a node that has one to another URL, or with other rules, takes its
 * place; one with the same node and URL that says nothing of rules, or the same, is skipped. Throws INVALID_REQUEST for an entry that the configuration would not take, and
 * INVALID_CONFIGURATION for a text that cannot be changed.
 */
export function setRoutes(
  text: string,
  entries: readonly RouteEntry[],
  defaults: RouteDefaults,
): RoutesChanged & { readonly set: readonly RouteEntry[] } {
  checkEntries(entries);
  const before = listIn(text);
  const list = before.map((entry) => ({ entry, reading: readRoute(entry, defaults) }));
  const set: RouteEntry[] = [];
  const skipped: RouteEntry[] = [];
  const replaced = new Map<number, RouteEntry>();
  for (const [index, entry] of entries.entries()) {
    const reading = readGiven(entry, index, defaults);
    const position = list.findIndex((other) => isSameNode(other.reading, reading.route));
    const there = list[position];
    if (isSame(there?.reading, reading.route) && saysNothingNew(entry, there?.entry)) {
      skipped.push(entry);
      continue;
    }
    set.push(entry);
    if (position < 0) list.push({ entry, reading });
    else list[position] = { entry, reading };
    if (position >= 0 && position < before.length) replaced.set(position, entry);
  }
  const routes = list.map(({ entry }) => entry);
  const added = routes.slice(before.length) as RouteEntry[];
  return {
    text: edited(text, routes, (layout) => layout.edit(replaced, added)),
    routes,
    set,
    skipped,
  };
}

/** Takes routes off the list, each wherever it has the same node and URL. Throws as setRoutes does. */
export function deleteRoutes(
  text: string,
  entries: readonly RouteEntry[],
  defaults: RouteDefaults,
): RoutesChanged & { readonly deleted: readonly RouteEntry[] } {
  const before = listIn(text);
  const readings = before.map((entry) => readRoute(entry, defaults));
  const deleted: RouteEntry[] = [];
  const skipped: RouteEntry[] = [];
  const removed = new Set<number>();
  for (const [index, entry] of entries.entries()) {
    const { route } = readGiven(entry, index, defaults);
    const positions = readings.flatMap((reading, position) =>
      isSame(reading, route) && !removed.has(position) ? [position] : [],
    );
    (positions.length > 0 ? deleted : skipped).push(entry);
    for (const position of positions) removed.add(position);
  }
  const routes = before.filter((_entry, position) => !removed.has(position));
  return {
    text: edited(text, routes, (layout) => layout.remove(removed)),
    routes,
    deleted,
    skipped,
  };
}

const LABEL = 'configuration file';

function listIn(text: string): readonly unknown[] {
  const { replication } = parseConfigFile(text, LABEL).value;
  const routes = isObject(replication) ? replication['routes'] : undefined;
  return Array.isArray(routes) ? routes : [];
}

function readGiven(
  entry: RouteEntry,
  index: number,
  defaults: RouteDefaults,
): { readonly route: Route } {
  const reading = readRoute(entry, defaults);
  if ('problem' in reading) throw invalidRequest(`routes[${index}]: ${reading.problem}`);
  return reading;
}

const isSameNode = (reading: RouteReading, route: Route): boolean =>
  'route' in reading && reading.route.name === route.name;

const isSame = (reading: RouteReading | undefined, route: Route): boolean =>
  reading !== undefined &&
  isSameNode(reading, route) &&
  'route' in reading &&
  reading.route.url === route.url;

const RULES = [
  'replicates',
  'sendsTo',
  'receivesFrom',
  'subscriptions',
  'excludeTables',
  'startTime',
  'revokedCertificates',
  'shard',
] as const;

const saysNothingNew = (entry: RouteEntry, there: unknown): boolean => {
  const said = rulesOf(entry);
  return Object.keys(said).length === 0 || isDeepStrictEqual(said, rulesOf(there));
};

const rulesOf = (entry: unknown): Record<string, unknown> =>
  isObject(entry)
    ? Object.fromEntries(RULES.filter((key) => key in entry).map((key) => [key, entry[key]]))
    : {};

/** What the file may not hold, a node would not start with. Warnings are given at the start. */
function checkEntries(entries: readonly RouteEntry[]): void {
  const problems = new Set<string>();
  const findings: Findings = {
    problem: (_path, text) => void problems.add(text),
    warn: () => undefined,
    warnings: [],
    throwProblems: () => {
      if (problems.size === 0) return;
      const text = [...problems].join('. ');
      throw invalidRequest(text.replaceAll(/'replication\.routes\.(\d+)/g, "'routes[$1]"));
    },
  };
  checkInput({ replication: { routes: entries } }, findings);
}

/** The edited text, when it says what it has to and nothing else has changed. */
function edited(
  text: string,
  routes: readonly unknown[],
  editsOf: (layout: RoutesLayout) => readonly Edit[],
): string {
  const before = parseConfigFile(text, LABEL).value;
  try {
    const edits = editsOf(layoutOf(text));
    if (edits.length === 0) return text;
    const changed = applyEdits(text, edits);
    // The last line may have been taken away.
    const after = text === '' || text.endsWith('\n') ? changed : changed.replace(/\r?\n$/, '');
    if (isDeepStrictEqual(parseConfigFile(after, LABEL).value, withRoutes(before, routes)))
      return after;
  } catch (error) {
    if (error instanceof UnfitLayout) throw unfit(error.message, error);
    // What the edits have made is no configuration file.
    if (error instanceof SkeinError) throw unfit(UNUSUAL, error);
    throw error;
  }
  throw unfit(UNUSUAL);
}

const UNUSUAL = 'its layout is unusual';

const withRoutes = (
  value: Readonly<Record<string, unknown>>,
  routes: readonly unknown[],
): Record<string, unknown> => ({
  ...value,
  replication: { ...(isObject(value['replication']) ? value['replication'] : {}), routes },
});

const unfit = (why: string, cause?: unknown): Error =>
  invalidConfiguration(
    `the configuration file cannot be rewritten without losing something (${why}), change replication.routes there by hand`,
    cause,
  );
