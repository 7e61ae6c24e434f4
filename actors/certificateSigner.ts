/**
 * signer: this node's certificates and those it trusts. Hands them to the connections whenever the tables change, signs for
 * nodes that join, renews its own. Prepared (ownCertificates.ts) before it is spawned. Spawned by clusterSupervisor on nodes with TLS. When
 * it fails, links stay as they are; nobody can join with a certificate until it is back.
 */
import { createHash } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { messageOf, SkeinError } from '../protocol/errors.js';
import type { NodeName } from '../protocol/ids.js';
import { detailsOf, readCertificate } from '../security/certificates.js';
import { renewalDueMs, renewalRetryMs } from '../security/renewal.js';
import { issuerAmong, tlsMaterial, type CertificateRow } from './certificateRows.js';
import type { CertificateTable } from './certificateTable.js';
import type { Actor, ActorContext, ActorRef, ActorSpec, Reply } from './kernel/types.js';
import type { IdentityView, LogOpening, RouterMessage, SignerMessage } from './messages.js';
import { addCertificate, removeCertificate } from './operatorCertificates.js';
import type { OwnCertificates, SignedCertificate } from './ownCertificates.js';
import type { ProvidedFiles } from './providedFiles.js';
import type { NodeResources } from './resources.js';
import type { TlsMaterial } from './transport/secureContexts.js';

export interface SignerParts {
  readonly resources: NodeResources;
  /** The writer of the `system` database. */
  readonly system: ActorRef<RouterMessage>;
  /** Prepared; they outlive the actor's lives. */
  readonly table: CertificateTable;
  readonly own: OwnCertificates;
  readonly provided: ProvidedFiles;
  /** What `enableRootCAs` adds to the authorities that are trusted; absent: those that come with Node. */
  readonly publicAuthorities?: readonly string[];
  /** Has another member sign a request of this node; rejects when it does not. */
  readonly askMember: (
    member: { name: NodeName; url: string },
    csr: string,
    signal: AbortSignal,
  ) => Promise<SignedCertificate>;
}

export const signerSpec = (parts: SignerParts): ActorSpec<SignerMessage> => ({
  name: 'signer',
  policy: {
    restart: 'onCrash',
    budget: { restarts: 3, withinMs: 60_000 },
    backoff: { msMin: 1_000, msMax: 30_000 },
    whenSpent: 'stop',
  },
  start: (context) => CertificateSigner.open(context, parts),
});

/** Many changes of the tables are looked at once. */
const LOOK_AFTER_MS = 50;
const LOOK_AGAIN_MS = 1_000;
/** A file of the operator's is used once it has not changed from one look to the next. */
const FILES_LOOK_MS = 1_000;
/** Node's timers run no longer than 24.8 days; and whether something is due is cheap to see. */
const RENEWAL_LOOK_MS_MAX = 86_400_000;

class CertificateSigner implements Actor<SignerMessage> {
  readonly #context: ActorContext<SignerMessage>;
  readonly #parts: SignerParts;
  readonly #table: CertificateTable;
  readonly #own: OwnCertificates;
  /** Spreads renewals; one draw per life of the actor. */
  readonly #chance: number;
  #log: LogOpening | null = null;
  #isTold = false;
  /** Of what was stored when connections were given what they show and trust. */
  #fingerprint = '';
  #material: TlsMaterial | null = null;
  #problems: readonly string[] = [];
  #failedRenewals = 0;
  #isRenewing = false;

  private constructor(context: ActorContext<SignerMessage>, parts: SignerParts) {
    this.#context = context;
    this.#parts = parts;
    this.#chance = parts.resources.environment.random();
    this.#table = parts.table;
    this.#own = parts.own;
  }

  static async open(
    context: ActorContext<SignerMessage>,
    parts: SignerParts,
  ): Promise<CertificateSigner> {
    const signer = new CertificateSigner(context, parts);
    await signer.#listen();
    await signer.#table.read();
    signer.#show();
    signer.#renewLater();
    signer.#lookAtFilesLater();
    return signer;
  }

  readonly receive = (message: SignerMessage): void | Promise<void> => {
    switch (message.type) {
      case 'trust.changed':
        return this.#context.startTimer('look', LOOK_AFTER_MS, { type: 'timer.look' });
      case 'timer.look':
        return this.#look();
      case 'timer.files':
        return this.#lookAtFiles();
      case 'timer.renew':
        return this.#renewWhatIsDue();
      case 'renewal.ended':
        return this.#onRenewed(message.failure);
      case 'identity.view':
        return message.replyTo.ok(this.#view());
      case 'request.create':
        return answer(message.replyTo, () => this.#own.request());
      case 'request.sign':
        return answer(message.replyTo, () => this.#own.sign(message.csr, message.name));
      case 'certificate.store':
        return answer(message.replyTo, () => this.#store(message));
      case 'certificate.add':
        return answer(message.replyTo, () =>
          this.#changed(() => addCertificate(this.#operating(), message.certificate)),
        );
      case 'certificate.remove':
        return answer(message.replyTo, () =>
          this.#changed(() => removeCertificate(this.#operating(), message.name)),
        );
      default:
        return message satisfies never;
    }
  };

  stopped(): void {
    this.#log?.close();
  }

  describe(): Record<string, unknown> {
    return {
      certificates: Object.fromEntries(
        this.#table.rows.map((row) => [row.name, shownValidity(row)]),
      ),
      problems: this.#problems,
      failedRenewals: this.#failedRenewals,
    };
  }

  async #store(message: Extract<SignerMessage, { type: 'certificate.store' }>): Promise<void> {
    await this.#changed(() => this.#own.keep(message.signed, message.privateKeyName));
  }

  /** What a change has stored is shown and trusted when it is answered. */
  async #changed<T>(change: () => Promise<T>): Promise<T> {
    const result = await change();
    this.#show();
    this.#renewLater();
    await this.#announceProvided();
    return result;
  }

  #operating(): Parameters<typeof addCertificate>[0] {
    const { config, environment } = this.#parts.resources;
    const nowMs = environment.now();
    return { table: this.#table, provided: this.#parts.provided, config, nowMs };
  }

  /** Others trust the authority of a certificate that the operator has provided for this node, before they see it. */
  async #announceProvided(): Promise<void> {
    const row = this.#active();
    if (!row?.isProvided) return;
    const issuer = issuerAmong(this.#table.rows, readCertificate(row.certificate));
    if (issuer)
      await this.#table.announce(this.#parts.resources.config.node.name, issuer.certificate);
  }

  #view(): IdentityView {
    const { resources } = this.#parts;
    const row = this.#active();
    if (row === undefined) return { isUsable: false, isSelfSigned: false, authority: null };
    const certificate = readCertificate(row.certificate);
    const { validFromMs, validToMs, isSelfSigned } = detailsOf(certificate);
    const nowMs = resources.environment.now();
    const issuer = issuerAmong(this.#table.rows, certificate);
    return {
      isUsable: validFromMs <= nowMs && nowMs < validToMs,
      isSelfSigned: row.isSelfSigned || isSelfSigned,
      authority: issuer?.certificate ?? null,
    };
  }

  /** The row of the certificate that is shown under this node's own name. */
  #active(): CertificateRow | undefined {
    const id = this.#material?.choice.byName.get(this.#parts.resources.config.node.name)?.id;
    return this.#table.rows.find(({ name }) => name === id);
  }

  // ---- what connections show and trust

  /** Called outside of this actor's turn, for every commit. */
  readonly #tell = (): void => {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#context.self.send({ type: 'trust.changed' }, 'control');
  };

  async #listen(): Promise<void> {
    if (this.#log?.isOpen()) return;
    this.#log = await this.#context.ask<LogOpening, RouterMessage>(
      this.#parts.system,
      (replyTo) => ({ type: 'log.open', listener: this.#tell, replyTo }),
    );
  }

  /** What cannot be read takes nothing away: what was shown and trusted before goes on. */
  async #look(): Promise<void> {
    this.#isTold = false;
    try {
      await this.#listen();
      await this.#table.read();
      this.#show();
      await this.#announceProvided();
    } catch (error) {
      const reason = messageOf(error);
      this.#parts.resources.log.error({ reason }, 'cannot read the certificates that are stored');
      this.#context.startTimer('look', LOOK_AGAIN_MS, { type: 'timer.look' });
    }
  }

  #show(): void {
    const { log, trust, config } = this.#parts.resources;
    const revoked = new Map(
      this.#table.nodes.map(({ name, revokedSerials }) => [name, revokedSerials]),
    );
    for (const { name, revokedCertificates = [] } of config.replication.routes)
      revoked.set(name, [...(revoked.get(name) ?? []), ...revokedCertificates]);
    trust.revoke(revoked);
    const { rows, nodes } = this.#table;
    const { clientAuthorities } = this.#parts.provided;
    const keyOf = (row: CertificateRow): string | undefined => this.#table.keyOf(row);
    // Most writes to the database concern no certificate, and reading a thousand of them takes a while.
    const authorities = nodes.map(({ authority }) => authority);
    const stored = JSON.stringify([rows, rows.map(keyOf), authorities, clientAuthorities]);
    const fingerprint = createHash('sha256').update(stored).digest('hex');
    if (fingerprint === this.#fingerprint) return;
    const { publicAuthorities: known = rootCertificates } = this.#parts;
    const publicAuthorities = config.replication.enableRootCAs ? known : [];
    const shown = { ownName: config.node.name, rows, keyOf, nodes };
    const { replication, operations, problems } = tlsMaterial({
      ...shown,
      publicAuthorities,
      clientAuthorities,
    });
    trust.contexts.replace(replication);
    trust.operations.replace(operations);
    this.#material = replication;
    this.#fingerprint = fingerprint;
    this.#problems = [...this.#table.problems, ...problems];
    for (const problem of this.#problems) log.warn({ problem }, 'a certificate is not used');
  }

  // ---- files of the operator

  #lookAtFilesLater(): void {
    if (this.#parts.provided.hasFiles)
      this.#context.startTimer('files', FILES_LOOK_MS, { type: 'timer.files' });
  }

  /** What cannot be read or stored takes nothing away. */
  async #lookAtFiles(): Promise<void> {
    this.#lookAtFilesLater();
    try {
      if (await this.#parts.provided.look()) await this.#changed(async () => undefined);
    } catch (error) {
      const reason = messageOf(error);
      this.#parts.resources.log.error({ reason }, 'cannot use certificate files that have changed');
    }
  }

  // ---- renewal

  #renewLater(): void {
    const { environment } = this.#parts.resources;
    const dueMs = Math.min(...this.#renewable().map((row) => this.#dueMs(row)));
    const waitMs = Math.max(0, Math.min(RENEWAL_LOOK_MS_MAX, dueMs - environment.now()));
    this.#context.startTimer('renew', waitMs, { type: 'timer.renew' });
  }

  #renewable(): CertificateRow[] {
    const authority = this.#own.ownAuthority();
    return [...this.#own.managed(), ...(authority ? [authority] : [])];
  }

  #dueMs({ certificate }: CertificateRow): number {
    return renewalDueMs(detailsOf(readCertificate(certificate)), this.#chance);
  }

  /** Beside the mailbox: another node may have to be waited for. */
  #renewWhatIsDue(): void {
    const nowMs = this.#parts.resources.environment.now();
    const due = this.#renewable().filter((row) => this.#dueMs(row) <= nowMs);
    if (due.length === 0) return this.#renewLater();
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    void this.#renewAll(due).then(
      () => this.#context.self.send({ type: 'renewal.ended', failure: null }, 'control'),
      (error: unknown) =>
        this.#context.self.send({ type: 'renewal.ended', failure: messageOf(error) }, 'control'),
    );
  }

  async #renewAll(rows: readonly CertificateRow[]): Promise<void> {
    // An authority first: what it signs cannot live longer than it.
    for (const row of rows.toSorted((a, b) => Number(b.isAuthority) - Number(a.isAuthority)))
      if (row.isAuthority) await this.#own.renewAuthority(row);
      else await this.#own.renew(row, (csr, authority) => this.#askMembers(csr, authority));
  }

  /** The node that signed last, then the others. */
  async #askMembers(csr: string, authority: string): Promise<SignedCertificate> {
    const { resources, askMember } = this.#parts;
    const members = this.#table.nodes
      .filter(({ name }) => name !== resources.config.node.name)
      .toSorted((a, b) => Number(b.authority === authority) - Number(a.authority === authority));
    const failures: string[] = [];
    for (const { name, url } of members) {
      if (url === null) continue;
      try {
        return await askMember({ name, url }, csr, this.#context.signal);
      } catch (error) {
        failures.push(`${name}: ${messageOf(error)}`);
      }
    }
    const reasons = failures.length > 0 ? failures.join('; ') : 'no other node is known';
    throw new SkeinError('PEER_UNREACHABLE', `no member has signed: ${reasons}`);
  }

  #onRenewed(failure: string | null): void {
    this.#isRenewing = false;
    const { log, environment } = this.#parts.resources;
    if (failure === null) {
      this.#failedRenewals = 0;
      this.#show();
      log.info('certificates were renewed');
      return this.#renewLater();
    }
    this.#failedRenewals++;
    const rows = this.#renewable().map(({ certificate }) =>
      detailsOf(readCertificate(certificate)),
    );
    const leftMs = Math.min(...rows.map(({ validToMs }) => validToMs)) - environment.now();
    log.error({ failure, leftMs }, 'a certificate could not be renewed');
    const random = environment.random();
    const waitMs = renewalRetryMs({ attempt: this.#failedRenewals, leftMs, random });
    this.#context.startTimer('renew', waitMs, { type: 'timer.renew' });
  }
}

const shownValidity = (row: CertificateRow): string => {
  try {
    const { validFrom, validTo } = readCertificate(row.certificate);
    return `${validFrom} to ${validTo}`;
  } catch (error) {
    return messageOf(error);
  }
};

const answer = async <T>(replyTo: Reply<T>, work: () => Promise<T>): Promise<void> => {
  try {
    replyTo.ok(await work());
  } catch (error) {
    replyTo.fail(error instanceof Error ? error : new Error(messageOf(error)));
  }
};
