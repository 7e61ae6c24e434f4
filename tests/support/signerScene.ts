/**
 * The signer of one node with everything around it under a test's control: a clock that stands still, the two tables it
 * reads, and members that sign or do not. For unit tests of the signer actor.
 */
import type { ExecutionContext } from 'ava';
import type { Logger } from 'pino';
import { signerSpec } from '../../actors/certificateSigner.js';
import { CertificateTable } from '../../actors/certificateTable.js';
import { createSystem } from '../../actors/kernel/index.js';
import type { ActorRef, ActorSystem, Reply } from '../../actors/kernel/types.js';
import type { KeyFiles } from '../../actors/keyFiles.js';
import type { RouterMessage, SignerMessage } from '../../actors/messages.js';
import { OwnCertificates, type SignedCertificate } from '../../actors/ownCertificates.js';
import { ProvidedFiles } from '../../actors/providedFiles.js';
import type { NodeResources } from '../../actors/resources.js';
import { Trust } from '../../actors/trust.js';
import { resolveConfig } from '../../config/resolve.js';
import type { ConfigInput } from '../../config/types.js';
import { SkeinError } from '../../protocol/errors.js';
import type { NodeName } from '../../protocol/ids.js';
import type { RecordObject } from '../../protocol/operations.js';
import { createManualEnvironment, type ManualEnvironment } from './manualEnvironment.js';

export interface SignerScene {
  readonly environment: ManualEnvironment;
  readonly system: ActorSystem;
  readonly signer: ActorRef<SignerMessage>;
  readonly trust: Trust;
  readonly keys: Map<string, string>;
  readonly logged: string[];
  /** Set: both tables refuse to be read. */
  broken: boolean;
  /** How often the tables were read. */
  reads: number;
  readonly table: (name: 'hdb_certificate' | 'hdb_nodes') => Map<string, RecordObject>;
  /** As a write by somebody else would: the signer is told. */
  readonly change: (table: 'hdb_certificate' | 'hdb_nodes', row: RecordObject) => void;
  readonly ask: <T>(question: (replyTo: Reply<T>) => SignerMessage) => Promise<T>;
}

export type AskMember = (
  member: { name: NodeName; url: string },
  csr: string,
) => Promise<SignedCertificate>;

const STARTED_MS = Date.UTC(2030, 0, 1);

export const startSigner = async (
  t: ExecutionContext,
  options: {
    name?: string;
    askMember?: AskMember;
    config?: ConfigInput;
    startedMs?: number;
    publicAuthorities?: readonly string[];
  } = {},
): Promise<SignerScene> => {
  const environment = createManualEnvironment(options.startedMs ?? STARTED_MS);
  const tables = new Map<string, Map<string, RecordObject>>();
  const keys = new Map<string, string>();
  const logged: string[] = [];
  let listener: (() => void) | null = null;
  const table = (name: string): Map<string, RecordObject> => {
    const rows = tables.get(name) ?? new Map<string, RecordObject>();
    tables.set(name, rows);
    return rows;
  };
  const system = createSystem({ name: 'signing', environment, onFailed: () => undefined });
  const router = system.spawn<RouterMessage>({
    name: 'router',
    policy: { restart: 'never', whenSpent: 'stop' },
    start: () => ({
      receive: (message) => {
        switch (message.type) {
          case 'records.search':
            scene.reads++;
            if (scene.broken) return message.replyTo.fail(new SkeinError('DAMAGED', 'no table'));
            return message.replyTo.ok([...table(message.table).values()]);
          case 'transaction.submit':
            for (const write of message.writes)
              for (const key of 'keys' in write ? write.keys : [])
                table(write.table).delete(String(key));
            for (const write of message.writes)
              for (const record of 'records' in write ? write.records : [])
                table(write.table).set(String(record['name']), {
                  ...(write.type === 'put' ? {} : table(write.table).get(String(record['name']))),
                  ...record,
                });
            listener?.();
            return message.replyTo.ok({} as never);
          case 'log.open':
            listener = message.listener;
            return message.replyTo.ok({ isOpen: () => true, close: () => undefined } as never);
          default:
            throw new Error(`${message.type} is not for the signer`);
        }
      },
    }),
  });
  const { config } = resolveConfig({
    storage: { engine: 'memory' },
    ...options.config,
    replication: {
      hostname: options.name ?? 'server-one',
      securePort: 1,
      ...options.config?.replication,
    },
  });
  const say = (level: string) => (fields: unknown, text?: string) =>
    void logged.push(`${level} ${text ?? ''} ${JSON.stringify(fields)}`);
  const log = { warn: say('warn'), error: say('error'), info: say('info') } as unknown as Logger;
  const trust = new Trust();
  let ids = 0;
  const random = { randomId: (bytes: number) => (++ids).toString(16).padStart(bytes * 2, '0') };
  const resources = {
    config,
    log,
    trust,
    environment: { ...environment, ...random },
  } as unknown as NodeResources;
  const keyFiles: KeyFiles = {
    read: async (name) => keys.get(name),
    write: async (name, pem) => void keys.set(name, pem),
    remove: async (name) => void keys.delete(name),
  };
  const certificates = new CertificateTable(
    (question) => system.ask(router, question as never),
    keyFiles,
  );
  const own = new OwnCertificates({ table: certificates, ...resources });
  const scene: SignerScene = {
    environment,
    system,
    trust,
    keys,
    logged,
    broken: false,
    reads: 0,
    table,
    change: (name, row) => {
      table(name).set(String(row['name']), row);
      listener?.();
    },
    ask: (question) => system.ask(scene.signer, question as never),
    get signer() {
      if (!signer) throw new Error('the signer is not there yet');
      return signer;
    },
  };
  let signer: ActorRef<SignerMessage> | null = null;
  const provided = new ProvidedFiles({ table: certificates, ...resources, now: environment.now });
  await provided.takeAll();
  await own.prepare();
  const askMember =
    options.askMember ?? (() => Promise.reject(new Error('not asked in this test')));
  signer = system.spawn(
    signerSpec({
      resources,
      system: router,
      table: certificates,
      own,
      provided,
      askMember,
      ...(options.publicAuthorities && { publicAuthorities: options.publicAuthorities }),
    }),
  );
  t.teardown(() => system.stop());
  await scene.ask((replyTo) => ({ type: 'identity.view', replyTo }));
  return scene;
};
