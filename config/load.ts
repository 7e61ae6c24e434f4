/**
 * Makes the configuration of a node that runs as a program: from file, environment and arguments. Called by the CLI.
 * The only file that opens configuration and schema files, but for routesFile.ts, which rewrites one; the environment is
 * handed in, so that nodes with different settings can live in one process.
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { messageOf } from '../protocol/errors.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import { parseConfigFile } from './configFile.js';
import { collectFindings, invalidConfiguration, type Findings } from './findings.js';
import { mergeLayers, type Layer, type Merged } from './layers.js';
import { resolveConfig, withHome } from './resolve.js';
import { parseTableDefinitions } from './tableDefinitions.js';
import type { Config, ConfigSource } from './types.js';
import { checkInput } from './validate.js';
import {
  argumentLayer,
  environmentLayer,
  jsonLayer,
  type Arguments,
  type Environment,
} from './variables.js';

export interface LoadOptions {
  /** The configuration file; wins over `--config`. Without either, the first of CONFIG_FILE_NAMES in the root path. */
  readonly file?: string;
  readonly environment: Environment;
  /** `--KEY value`, `--KEY=value` and `--config file`; or the same as an object without dashes. */
  readonly arguments?: Arguments;
  readonly currentDirectory: string;
  /** Default: that of the user who runs the process. */
  readonly homeDirectory?: string;
}

export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
  /** Where every value that was set comes from, by its key: `skein.yaml line 3`. Holds no values. */
  readonly origins: Readonly<Record<string, string>>;
  /** The configuration file that was read, if there was one. */
  readonly file?: string;
  /** For the operations that write to the file. */
  readonly source: ConfigSource;
}

/** In this order; the later ones are those of the compatible product. */
export const CONFIG_FILE_NAMES = ['skein.yaml', 'harper-config.yaml', 'harperdb-config.yaml'];

/**
 * The settled configuration. From strong to weak: SKEIN_SET_CONFIG, arguments, single variables, SKEIN_CONFIG, the
 * file, SKEIN_DEFAULT_CONFIG, defaults (the HARPER_ names count as well, the SKEIN_ names win). Opens the default
 * ports where none are set. Throws INVALID_CONFIGURATION with everything that is wrong and where it stands.
 */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const findings = collectFindings();
  const { weaker, stronger, file: named } = variableLayers(options, findings);
  findings.throwProblems();
  const homeDirectory = homeOf(options);
  const outside = mergeLayers([...weaker, ...stronger]).value['rootPath'];
  const file = options.file ?? named ?? fileIn(rootPathOf(outside, options), findings);
  const path = file === undefined ? undefined : resolve(options.currentDirectory, file);
  const fileLayers = path === undefined ? [] : [fileLayer(path)];
  const merged = mergeLayers([...weaker, ...fileLayers, ...stronger]);
  checkInput(merged.value, collectFindings(merged.describeOrigin));
  const tables = readSchemas(merged, options.currentDirectory, findings);
  const { config, warnings } = resolveConfig(merged.value, {
    homeDirectory,
    currentDirectory: options.currentDirectory,
    openDefaultPorts: true,
    describeOrigin: merged.describeOrigin,
    tables,
  });
  return {
    config,
    warnings: [...new Set([...findings.warnings, ...warnings])],
    origins: merged.origins,
    ...(path === undefined ? {} : { file: path }),
    source: sourceOf(merged, fileLayers[0], path),
  };
}

function sourceOf(merged: Merged, fileLayer: Layer | undefined, file?: string): ConfigSource {
  const routes = ['replication', 'routes'];
  const owner = merged.layerOf(routes);
  return {
    ...(file === undefined ? {} : { file }),
    ...(owner === undefined || owner === fileLayer ? {} : { routesFrom: owner.describe(routes) }),
  };
}

interface VariableLayers {
  /** Below the file. */
  readonly weaker: readonly Layer[];
  /** Above the file. */
  readonly stronger: readonly Layer[];
  readonly file?: string;
}

function variableLayers(options: LoadOptions, findings: Findings): VariableLayers {
  const { environment, currentDirectory } = options;
  const json = (name: string): Layer[] =>
    [`HARPER_${name}`, `SKEIN_${name}`].flatMap(
      (variable) => jsonLayer(variable, environment, currentDirectory, findings) ?? [],
    );
  const given = argumentLayer(options.arguments ?? [], currentDirectory, findings);
  const single = environmentLayer(environment, currentDirectory, findings);
  return {
    weaker: json('DEFAULT_CONFIG'),
    stronger: [...json('CONFIG'), single, given.layer, ...json('SET_CONFIG')],
    ...(given.file === undefined ? {} : { file: given.file }),
  };
}

const homeOf = (options: LoadOptions): string =>
  options.homeDirectory ?? options.environment['HOME'] ?? homedir();

const rootPathOf = (rootPath: unknown, options: LoadOptions): string =>
  resolve(
    options.currentDirectory,
    withHome(typeof rootPath === 'string' ? rootPath : '~/skein', homeOf(options)),
  );

function fileIn(rootPath: string, findings: Findings): string | undefined {
  const [first, ...others] = CONFIG_FILE_NAMES.map((name) => join(rootPath, name)).filter((path) =>
    existsSync(path),
  );
  for (const other of others)
    findings.warn([], `${other} is not read, because ${basename(`${first}`)} is beside it`);
  return first;
}

function fileLayer(path: string): Layer {
  const name = basename(path);
  const file = parseConfigFile(readText(path), name);
  return {
    value: file.value,
    directory: dirname(path),
    describe: (key) => {
      const line = file.lineOf(key);
      return line === undefined ? name : `${name} line ${line}`;
    },
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw invalidConfiguration(`cannot read ${path}: ${messageOf(error)}`, error);
  }
}

function readSchemas(merged: Merged, directory: string, findings: Findings): TableDefinition[] {
  const files = merged.value['schemas'];
  if (!Array.isArray(files)) return [];
  const start = merged.layerOf(['schemas'])?.directory ?? directory;
  return files.flatMap((file: unknown) => {
    const path = resolve(start, String(file));
    return parseTableDefinitions(readText(path), path, (text) => findings.warn([], text));
  });
}
