/**
 * What the nodes of `skein dev` are: names, directories, ports, configuration files.
 * Called by dev.ts. Pure: writes nothing.
 */
import { join } from 'node:path';
import type { ConfigInput } from '../../config/types.js';
import { CliFailure, EXIT } from './exitCodes.js';

export interface DevPorts {
  readonly replication: number;
  readonly operationsApi: number;
  readonly debug: number;
}

export const DEV_PORTS: DevPorts = { replication: 9933, operationsApi: 9925, debug: 9927 };

export interface DevNode {
  /** Its loopback address. */
  readonly name: string;
  readonly rootPath: string;
  readonly configFile: string;
  readonly operationsUrl: string;
  readonly debugUrl: string;
  readonly files: CertificateFiles;
  readonly config: ConfigInput;
}

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Of the authority that all nodes of one directory share. */
export const authorityFiles = (directory: string): CertificateFiles =>
  filesFor(directory, 'authority');

const filesFor = (directory: string, name: string): CertificateFiles => ({
  certificate: join(directory, 'certificates', `${name}.pem`),
  key: join(directory, 'certificates', `${name}.key`),
});

/** 127.0.0.2 to 127.0.0.254: one octet is plenty for one machine. */
const NODES_MAX = 253;

/** Throws CliFailure `usage` for a count that makes no sense. */
export const planNodes = (options: {
  readonly count: number;
  readonly directory: string;
  readonly memory: boolean;
  readonly ports: DevPorts;
}): DevNode[] => {
  const { count } = options;
  if (!Number.isInteger(count) || count < 1 || count > NODES_MAX) {
    throw new CliFailure(EXIT.usage, `--nodes must be from 1 to ${NODES_MAX}`);
  }
  const names = Array.from({ length: count }, (_, index) => `127.0.0.${index + 2}`);
  return names.map((name) => planNode(name, { ...options, names }));
};

const planNode = (
  name: string,
  options: { directory: string; memory: boolean; ports: DevPorts; names: readonly string[] },
): DevNode => {
  const { ports } = options;
  const rootPath = join(options.directory, name);
  const files = filesFor(options.directory, name);
  return {
    name,
    rootPath,
    configFile: join(rootPath, 'skein.yaml'),
    operationsUrl: `http://${name}:${ports.operationsApi}`,
    debugUrl: `http://${name}:${ports.debug}`,
    files,
    config: {
      rootPath,
      replication: {
        hostname: name,
        securePort: ports.replication,
        routes: options.names
          .filter((other) => other !== name)
          .map((other) => `wss://${other}:${ports.replication}`),
      },
      tls: {
        certificate: files.certificate,
        privateKey: files.key,
        certificateAuthority: authorityFiles(options.directory).certificate,
      },
      operationsApi: { network: { port: ports.operationsApi } },
      debug: { port: ports.debug, allowCrash: true },
      storage: { engine: options.memory ? 'memory' : 'level' },
    },
  };
};
