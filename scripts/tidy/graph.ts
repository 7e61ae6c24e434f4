/**
 * The files as a graph: no cycles, and nothing that no entry point reaches.
 * Called by scripts/tidy.ts. For cycles only what is loaded counts: types are gone by then, and a file named
 * by its URL is run by another process or thread.
 */
import { posix } from 'node:path';
import { folderOf, importsOf, isSource } from './imports.js';
import type { Import } from './imports.js';
import type { Problem, SourceFile } from './sourceText.js';

/** What somebody outside starts or imports; everything else has to be reached from here. */
const ENTRY_POINT = /^(?:index\.ts|server\/cli\.ts|[^/]+\.config\.js|scripts\/.*|examples\/.*)$/;
/** Starts the programs it names as `node path`. */
const CI_SCRIPT = '.ci/run';
const TEST_ENTRY_POINT = /^tests\/.*\.test\.ts$/;

/** How a test writes the name of a program: `'fakeNode'`, `'../support/fakeNode.js'`. */
const NAMES: readonly ((name: string) => string)[] = [
  (name) => `'${name}'`,
  (name) => `/${name}.js'`,
];

type Graph = ReadonlyMap<string, readonly string[]>;

/** Each cycle is reported once, as the path that closes it. */
export function checkCycles(files: readonly SourceFile[]): Problem[] {
  const graph = graphOf(files, ['module']);
  const finished = new Set<string>();
  const problems: Problem[] = [];
  for (const path of graph.keys()) {
    problems.push(...cyclesFrom(path, { graph, finished, trail: [] }));
  }
  return problems;
}

/**
 * Files that no entry point reaches. What is published counts as used only when `index.ts`, the program or
 * a script uses it, or CI starts it: code that only its own tests call is dead.
 */
export function checkDeadFiles(files: readonly SourceFile[]): Problem[] {
  const graph = graphOf(files, ['module', 'types', 'url']);
  const paths = [...graph.keys()];
  const startedByCi = namedByCi(files);
  const used = reachable(
    graph,
    paths.filter((path) => ENTRY_POINT.test(path) || startedByCi.has(path)),
  );
  const started = namedByTests(files);
  const tested = reachable(
    graph,
    paths.filter((path) => TEST_ENTRY_POINT.test(path) || started.has(path)),
  );
  return paths
    .filter((path) => !(used.has(path) || (folderOf(path) === 'tests' && tested.has(path))))
    .map((path) => ({ path, line: 1, message: 'nothing that runs imports this file' }));
}

/** Commented lines start nothing. */
function namedByCi(files: readonly SourceFile[]): ReadonlySet<string> {
  const script =
    files.find((file) => file.path === CI_SCRIPT)?.text.replace(/^\s*#.*$/gm, '') ?? '';
  return new Set([...script.matchAll(/\bnode\s+([\w./-]+)/g)].map((match) => match[1] ?? ''));
}

/** Programs in tests/ that tests start as processes, and so name in a string instead of importing them. */
function namedByTests(files: readonly SourceFile[]): ReadonlySet<string> {
  const tests = files.filter((file) => folderOf(file.path) === 'tests' && isSource(file.path));
  const isNamed = (path: string): boolean => {
    const name = posix.basename(path, '.ts');
    return tests.some(
      (test) => test.path !== path && NAMES.some((quoted) => test.text.includes(quoted(name))),
    );
  };
  return new Set(tests.map((file) => file.path).filter(isNamed));
}

function graphOf(files: readonly SourceFile[], kinds: readonly Import['kind'][]): Graph {
  const graph = new Map<string, string[]>();
  for (const file of files) if (isSource(file.path)) graph.set(file.path, []);
  for (const { from, target, kind } of importsOf(files)) {
    if (target !== undefined && kinds.includes(kind)) graph.get(from)?.push(target);
  }
  return graph;
}

function cyclesFrom(
  path: string,
  walk: {
    readonly graph: Graph;
    readonly finished: Set<string>;
    readonly trail: readonly string[];
  },
): Problem[] {
  const { graph, finished, trail } = walk;
  const seenAt = trail.indexOf(path);
  if (seenAt >= 0) {
    const cycle = [...trail.slice(seenAt), path].join(' -> ');
    return [{ path, line: 1, message: `import cycle: ${cycle}` }];
  }
  if (finished.has(path)) return [];
  const next = (graph.get(path) ?? []).flatMap((target) =>
    cyclesFrom(target, { graph, finished, trail: [...trail, path] }),
  );
  finished.add(path);
  return next;
}

function reachable(graph: Graph, entries: readonly string[]): ReadonlySet<string> {
  const reached = new Set<string>();
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    waiting.push(...(graph.get(path) ?? []));
  }
  return reached;
}
