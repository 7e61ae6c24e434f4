/**
 * The parts of the schema that are long and say little: certificate settings that are checked but not used yet,
 * and the keys of the compatible product that mean nothing here. Declarations only.
 */
import { count, flag, foreign, listOf, oneOf, section, text } from './schemaNodes.js';
import type { ConfigSchema } from './schemaNodes.js';

const failureMode = oneOf(
  ['fail-closed', 'fail-open'],
  'What happens when no source can be reached.',
);
const timeMs = (
  description: string,
  options: { minimum: number; defaultText: string },
): ConfigSchema => count(description, { unit: 'milliseconds', ...options });

const revocationSource = (
  defaults: { timeout: string; cacheTtl: string },
  properties: Record<string, ConfigSchema>,
): ConfigSchema => ({
  ...section('A source of revocations; false: it is not asked.', {
    enabled: flag('Ask it.', { defaultText: 'true' }),
    timeout: timeMs('Time to wait for an answer.', {
      minimum: 1000,
      defaultText: defaults.timeout,
    }),
    cacheTtl: timeMs('How long an answer counts.', {
      minimum: 1000,
      defaultText: defaults.cacheTtl,
    }),
    failureMode: { ...failureMode, defaultText: 'the failureMode of both' },
    ...properties,
  }),
  type: ['object', 'boolean'],
});

/** A mistake in it must not turn into a silent "off". */
export const certificateVerification: ConfigSchema = {
  ...section(
    'Whether certificates of other nodes were revoked; false: authorities are not asked.',
    {
      failureMode: { ...failureMode, defaultText: 'fail-closed' },
      crl: revocationSource(
        { timeout: '10000', cacheTtl: '86400000' },
        {
          gracePeriod: timeMs('How long an expired list still counts.', {
            minimum: 0,
            defaultText: '86400000',
          }),
        },
      ),
      ocsp: revocationSource(
        { timeout: '5000', cacheTtl: '3600000' },
        {
          errorCacheTtl: timeMs(
            'How long it is remembered that nobody could be asked, lists too.',
            {
              minimum: 1000,
              defaultText: '300000',
            },
          ),
        },
      ),
    },
  ),
  defaultText: 'true',
  type: ['object', 'boolean'],
};

const names = (description: string): ConfigSchema => ({
  ...listOf(text('A name.'), description),
  type: ['array', 'string'],
});

export const tlsFiles: ConfigSchema = section('Certificate, authority and key.', {
  certificate: text(
    'PEM text or file, relative to rootPath, with the authorities between it and the trusted one.',
  ),
  certificateAuthority: text('Authorities to trust: PEM text or file.'),
  privateKey: text('PEM text or file.', { defaultText: '<rootPath>/keys/privateKey.pem' }),
  host: names('Names this entry serves.'),
  hosts: names('Names this entry serves.'),
  hostname: names('Names this entry serves.'),
  hostnames: names('Names this entry serves.'),
  ciphers: text('Cipher list.'),
  uses: names('Listeners this entry serves.'),
});

const tables = (description: string): ConfigSchema => listOf(text('Name of a table.'), description);

const rules = (node: 'target' | 'source', description: string): ConfigSchema =>
  listOf(
    {
      ...section('A rule.', {
        [node]: text('Name of the other node.'),
        database: text('Name of a database; all without it.'),
        excludeTables: tables('Tables of it that do not pass.'),
      }),
      type: ['string', 'object'],
      minLength: 1,
      expected: `the name of a node, or an object with ${node}, database, excludeTables`,
    },
    description,
  );

const directions = {
  sendsTo: rules('target', "What this node sends: lists of this node's view."),
  receivesFrom: rules('source', "What this node takes: lists of this node's view."),
};

/** What a route says of the flow of data. */
export const routeFlow: Readonly<Record<string, ConfigSchema>> = {
  replicates: {
    ...section('Directions of the flow; `true`: both, `false`: none.', {
      sends: flag(
        'Whether the other node sends; with routeDirection `local`, whether this one does.',
      ),
      receives: flag('Whether the other node receives; with `local`, whether this one does.'),
      ...directions,
    }),
    type: ['boolean', 'object'],
    expected: 'true, false, or an object with sends, receives, sendsTo, receivesFrom',
  },
  ...directions,
  subscriptions: listOf(
    section('A table.', {
      database: text('Its database; data by default.'),
      schema: text('The same as `database`.'),
      table: { ...text('Name of the table.'), neverNull: true },
      publish: flag('This node sends it.'),
      subscribe: flag('This node takes it.'),
    }),
    'Single tables that pass, and nothing else.',
  ),
  excludeTables: tables('Tables that pass neither way, in every database.'),
};

const allForeign = (...keys: string[]): Record<string, ConfigSchema> =>
  Object.fromEntries(keys.map((key) => [key, foreign('No effect in Skein.')]));

/** Keys of the compatible product that mean nothing here, by section. */
export const foreignSections = {
  replication: allForeign('recordConcurrency', 'leadingDuplicateSkip'),
  network: allForeign(
    'cors',
    'corsAccessList',
    'headersTimeout',
    'keepAliveTimeout',
    'timeout',
    'http2',
  ),
  operationsApi: allForeign('foreground', 'sysInfo'),
  http: allForeign(
    'cors',
    'corsAccessList',
    'headersTimeout',
    'keepAliveTimeout',
    'timeout',
    'http2',
    'compressionThreshold',
    'maxHeaderSize',
    'sessionAffinity',
    'threadRange',
  ),
  storage: allForeign(
    'blobPaths',
    'caching',
    'compression',
    'maxFreeSpaceToLoad',
    'maxFreeSpaceToRetain',
    'noReadAhead',
    'overlappingSync',
    'pageSize',
    'prefetchWrites',
    'reclamation',
  ),
  logging: allForeign('colors', 'console', 'external', 'tag'),
  top: {
    analytics: 'Usage statistics.',
    clustering: 'Replication of earlier versions.',
    componentsRoot: 'Directory of components.',
    customFunctions: 'Functions of earlier versions.',
    databases: 'Paths of single databases.',
    fastifyRoutes: 'Routes of components.',
    graphql: 'GraphQL queries.',
    graphqlSchema: 'Schema of a component.',
    jsResource: 'Resources of a component.',
    loadEnv: 'Environment files.',
    localStudio: 'The web console.',
    maxHeapMemory: 'Memory of a thread.',
    mqtt: 'MQTT.',
    rest: 'REST for components.',
    roles: 'Roles of a component.',
    static: 'Static files.',
    threads: 'Worker threads.',
  } as Readonly<Record<string, string>>,
} as const;

/** Families of tuning keys under `replication`; the compatible product keeps adding to them. */
export const foreignTuningKeys: Readonly<Record<string, ConfigSchema>> = {
  '^(?:blob|receive)[A-Z]': { ...foreign('No effect in Skein.'), expected: 'blob… or receive…' },
  '^copy[A-Za-z]*Checkpoint': { ...foreign('No effect in Skein.'), expected: 'copy…Checkpoint…' },
};
