/**
 * Who imports whom: reads the imports of each file and checks them against the folder graph and the
 * list of packages that have one place (docs/ARCHITECTURE.md, Folders). Called by scripts/tidy.ts.
 * Works on the text alone; never loads a module.
 */
import { posix } from 'node:path';
import { codeOf, lineAt } from './sourceText.js';
import type { Problem, SourceFile } from './sourceText.js';

export interface Import {
  readonly from: string;
  readonly line: number;
  /** As written: `./codec.js`, `node:zlib`, `ws`. */
  readonly specifier: string;
  /** Path of the source file it names in the checkout; undefined for packages. */
  readonly target?: string;
  /** `module`: runs it first. `types`: gone after compiling. `url`: another process or thread runs it. */
  readonly kind: 'module' | 'types' | 'url';
}

/** Which top-level folders (and `index.ts`) each may import. */
const FOLDER_GRAPH: Readonly<Record<string, readonly string[]>> = {
  protocol: ['protocol'],
  storage: ['storage', 'protocol'],
  security: ['security', 'protocol'],
  config: ['config', 'protocol'],
  actors: ['actors', 'storage', 'security', 'config', 'protocol'],
  server: ['server', 'actors', 'config', 'protocol'],
  'index.ts': ['server', 'actors', 'config', 'protocol'],
  examples: ['index.ts', 'examples'],
};

/** The program starts nodes through the public door like any other user of the package. */
const EXTRA_FOLDERS: readonly { readonly file: RegExp; readonly folder: string }[] = [
  { file: /^server\/cli/, folder: 'index.ts' },
];

const TESTS_AND_BENCH = /^(?:tests|scripts\/bench)\//;

/** Packages that only the named places may import, besides tests and the bench, which attack and compare. */
const PACKAGE_PLACES: readonly {
  readonly packages: RegExp;
  readonly places: RegExp;
  readonly where: string;
}[] = [
  {
    packages: /^nact$/,
    places: /^actors\/kernel\//,
    where: 'actors/kernel',
  },
  {
    packages: /^ws$/,
    places: /^actors\/transport\//,
    where: 'actors/transport',
  },
  {
    packages: /^(?:level|memory-level|abstract-level|classic-level)$/,
    places: /^storage\//,
    where: 'storage',
  },
  {
    packages: /^msgpack-lite$/,
    places: /^protocol\/codec\.ts$/,
    where: 'protocol/codec.ts',
  },
  {
    packages: /^ajv$/,
    places: /^(?:protocol\/validate\.ts$|config\/)/,
    where: 'protocol/validate.ts and config',
  },
  {
    packages: /^(?:pkijs|asn1js|jose|@peculiar\/.+)$/,
    places: /^security\//,
    where: 'security',
  },
  { packages: /^graphql$/, places: /^config\//, where: 'config' },
  {
    packages: /^(?:fastify|commander|cli-table3|csv-stringify|cborg)$/,
    places: /^server\//,
    where: 'server',
  },
];

/** All imports, re-exports, dynamic imports and `new URL('./file.js', import.meta.url)` of the files. */
export function importsOf(files: readonly SourceFile[]): Import[] {
  const paths = new Set(files.map((file) => file.path));
  return files.filter((file) => isSource(file.path)).flatMap((file) => importsIn(file, paths));
}

export const isSource = (path: string): boolean => /\.(?:ts|mjs|js)$/.test(path);

/** `protocol` of `protocol/frames/hello.ts`; a file at the top is its own folder. */
export const folderOf = (path: string): string => path.split('/')[0] ?? path;

export function checkFolders(files: readonly SourceFile[]): Problem[] {
  return importsOf(files).flatMap((found) => {
    if (found.target === undefined || mayImport(found.from, found.target)) return [];
    return [problem(found, `${folderOf(found.from)} must not import ${found.target}`)];
  });
}

export function checkPackagePlaces(files: readonly SourceFile[]): Problem[] {
  return importsOf(files).flatMap((found) => {
    const name = packageName(found.specifier);
    const rule = PACKAGE_PLACES.find((one) => name !== undefined && one.packages.test(name));
    if (rule === undefined || rule.places.test(found.from)) return [];
    if (TESTS_AND_BENCH.test(found.from)) return [];
    return [problem(found, `only ${rule.where} may import ${name}`)];
  });
}

/** Every relative import names a file of the checkout. */
export function checkImportsExist(files: readonly SourceFile[]): Problem[] {
  return importsOf(files)
    .filter((found) => found.specifier.startsWith('.') && found.target === undefined)
    .map((found) => problem(found, `${found.specifier} does not exist`));
}

/** What is published imports only what package.json names as a dependency; tests and scripts also the others. */
export function checkPackagesDeclared(files: readonly SourceFile[]): Problem[] {
  const manifest = files.find((file) => file.path === 'package.json');
  if (manifest === undefined) return [{ path: 'package.json', line: 1, message: 'is missing' }];
  const { published, development } = declaredPackages(manifest.text);
  return importsOf(files).flatMap((found) => {
    const name = packageName(found.specifier);
    if (name === undefined || published.has(name)) return [];
    const folder = folderOf(found.from);
    if (development.has(name) && !isPublished(folder)) return [];
    return [problem(found, `package.json does not name ${name} among its dependencies`)];
  });
}

const isPublished = (folder: string): boolean => folder in FOLDER_GRAPH && folder !== 'examples';

function importsIn(file: SourceFile, paths: ReadonlySet<string>): Import[] {
  const code = codeOf(file.text);
  const patterns = [
    /\b(?:import|export)\b[^;'"`()]*?\bfrom\s*['"]/g,
    /\bimport\s*['"]/g,
    /\bimport\s*\(\s*['"]/g,
    /\bnew\s+URL\s*\(\s*['"](?= *['"]\s*,\s*import\.meta\.url)/g,
  ];
  return patterns
    .flatMap((pattern) => [...code.matchAll(pattern)])
    .map((match) => {
      const start = match.index + match[0].length;
      const specifier = file.text.slice(start, code.indexOf(code.charAt(start - 1), start));
      const target = resolveSource(file.path, specifier, paths);
      return {
        from: file.path,
        line: lineAt(file.text, start),
        specifier,
        kind: kindOf(match[0]),
        ...(target === undefined ? {} : { target }),
      };
    });
}

function kindOf(statement: string): Import['kind'] {
  if (statement.startsWith('new')) return 'url';
  return /^(?:import|export)\s+type\b/.test(statement) ? 'types' : 'module';
}

function resolveSource(
  from: string,
  specifier: string,
  paths: ReadonlySet<string>,
): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const plain = posix.join(posix.dirname(from), specifier);
  const candidates = [plain.replace(/\.js$/, '.ts'), plain.replace(/\.mjs$/, '.mts'), plain];
  return candidates.find((candidate) => paths.has(candidate));
}

function mayImport(from: string, target: string): boolean {
  const allowed = FOLDER_GRAPH[folderOf(from)];
  if (allowed === undefined || allowed.includes(folderOf(target))) return true;
  return EXTRA_FOLDERS.some((extra) => extra.file.test(from) && extra.folder === target);
}

/** `@peculiar/webcrypto` of `@peculiar/webcrypto/build`; undefined for our files and Node's own modules. */
function packageName(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}

function declaredPackages(manifestText: string): {
  published: ReadonlySet<string>;
  development: ReadonlySet<string>;
} {
  const manifest = JSON.parse(manifestText) as Record<string, Record<string, string> | undefined>;
  const names = (section: string): string[] => Object.keys(manifest[section] ?? {});
  return {
    published: new Set([...names('dependencies'), ...names('optionalDependencies')]),
    development: new Set(names('devDependencies')),
  };
}

const problem = (found: Import, message: string): Problem => ({
  path: found.from,
  line: found.line,
  message,
});
