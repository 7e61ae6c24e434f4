/**
 * A RevocationChecker with a network, tables and a clock made by the test: what each address answers is a function, and
 * everything that was asked and stored can be looked at.
 */
import type {
  AnswerRow,
  FetchRequest,
  ListRow,
  RevocationCache,
  RevokedRow,
} from '../../security/revocationPorts.js';
import { RevocationChecker } from '../../security/revocationChecker.js';
import { readRevocationSettings } from '../../security/revocationSettings.js';

export type Responder = (
  request: FetchRequest,
) => Uint8Array | number | Promise<Uint8Array | number>;

export interface RevocationScene {
  readonly checker: RevocationChecker;
  /** A node that was started again: same tables, nothing in memory. */
  readonly restart: (settings?: unknown) => RevocationChecker;
  /** Bytes with status 200, or another status. */
  readonly answers: Map<string, Responder>;
  readonly asked: { readonly url: string; readonly request: FetchRequest }[];
  readonly warnings: string[];
  readonly tables: MemoryTables;
  nowMs: number;
}

export class MemoryTables implements RevocationCache {
  readonly answerRows = new Map<string, Partial<AnswerRow>>();
  readonly listRows = new Map<string, Partial<ListRow>>();
  revoked: RevokedRow[] = [];
  failing = false;

  readonly answer = async (id: string) => this.#working().answerRows.get(id);
  readonly putAnswer = async (row: AnswerRow) =>
    void this.#working().answerRows.set(row.certificate_id, row);
  readonly list = async (url: string) => this.#working().listRows.get(url);
  readonly putList = async (row: ListRow) =>
    void this.#working().listRows.set(row.distribution_point, row);
  readonly replaceRevoked = async (source: string, rows: readonly RevokedRow[]) => {
    const others = this.#working().revoked.filter((row) => row.crl_source !== source);
    this.revoked = [...others, ...rows];
  };

  #working(): this {
    if (this.failing) throw new Error('the table is closed');
    return this;
  }
}

export function revocationScene(settings: unknown = true): RevocationScene {
  const answers = new Map<string, Responder>();
  const asked: RevocationScene['asked'] = [];
  const warnings: string[] = [];
  const tables = new MemoryTables();
  const fetch = async (url: string, request: FetchRequest) => {
    asked.push({ url, request });
    const answer = await answers.get(url)?.(request);
    if (answer === undefined) throw new Error('connection refused');
    if (typeof answer === 'number') return { status: answer, bytes: new Uint8Array() };
    return { status: 200, bytes: Uint8Array.from(answer) };
  };
  const create = (value: unknown): RevocationChecker =>
    new RevocationChecker(readRevocationSettings(value), {
      fetch,
      cache: tables,
      now: () => scene.nowMs,
      warn: (text) => void warnings.push(text),
      version: '1.2.3',
    });
  const restart = (value: unknown = settings): RevocationChecker => create(value);
  const checker = create(settings);
  const scene = { checker, restart, answers, asked, warnings, tables, nowMs: Date.now() };
  return scene;
}
