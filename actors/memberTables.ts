/**
 * What the `system` database holds of the members: node table, lives, and the notes that stay on this node. Read for
 * the membership actor, which writes them; told of every commit. Decides nothing.
 */
import { asText, SkeinError, messageOf } from '../protocol/errors.js';
import type { NodeName } from '../protocol/ids.js';
import type { FlowNotes, MembershipTables } from '../protocol/membership.js';
import type { RecordObject } from '../protocol/operations.js';
import { rulesIn, rulesProblem, type RowRules } from '../protocol/rowRules.js';
import type { LocalWrite } from '../storage/evaluate.js';
import type { Reply } from './kernel/types.js';
import type { LogOpening, RouterMessage } from './messages.js';
import { GENERATIONS, NODES } from './systemDatabase.js';

interface MemberTablesParts {
  readonly own: NodeName;
  readonly ask: <T>(question: (replyTo: Reply<T>) => RouterMessage) => Promise<T>;
  /** Called outside of the actor's turn. */
  readonly changed: () => void;
}

export class MemberTables {
  readonly #parts: MemberTablesParts;
  #log: LogOpening | null = null;

  constructor(parts: MemberTablesParts) {
    this.#parts = parts;
  }

  /** Told of every commit of the database; a writer that began a new life has to be asked anew. */
  async listen(): Promise<void> {
    if (this.#log?.isOpen()) return;
    this.#log = await this.#parts.ask<LogOpening>((replyTo) => ({
      type: 'log.open',
      listener: this.#parts.changed,
      replyTo,
    }));
  }

  close(): void {
    this.#log?.close();
  }

  async read(): Promise<MembershipTables & { readonly leader: NodeName | null }> {
    const [generations, notes] = await Promise.all([
      this.#search(GENERATIONS),
      this.#get('hdb_info', [ANNOUNCED_URL, LEADER, PARTNERS, RULES]),
    ]);
    const [announced, leader, partners, rules] = notes.map((note) => note?.['value']);
    return {
      nodes: await this.#readNodes(generations),
      generations,
      announcedUrl: typeof announced === 'string' ? announced : null,
      leader: typeof leader === 'string' ? (leader as NodeName) : null,
      notes: readFlowNotes(partners, rules),
    };
  }

  /** One row that cannot be read must not hide the others: then they are read one by one. */
  async #readNodes(generations: readonly RecordObject[]): Promise<RecordObject[]> {
    try {
      return await this.#search(NODES);
    } catch (error) {
      if (!(error instanceof SkeinError) || !UNREADABLE.has(error.code)) throw error;
      const names = new Set([this.#parts.own, ...generations.map(({ name }) => asText(name))]);
      const rows = await Promise.all([...names].map((name) => this.#readNode(name)));
      return rows.filter((row) => row !== undefined);
    }
  }

  async #readNode(name: string): Promise<RecordObject | undefined> {
    try {
      const [row] = await this.#get(NODES, [name]);
      return row;
    } catch (error) {
      return { name, replicates: `unreadable: ${messageOf(error)}` };
    }
  }

  #get(table: string, keys: readonly string[]): Promise<(RecordObject | undefined)[]> {
    return this.#parts.ask<(RecordObject | undefined)[]>((replyTo) => ({
      type: 'records.get',
      table,
      keys,
      replyTo,
    }));
  }

  #search(table: string): Promise<RecordObject[]> {
    return this.#parts.ask<RecordObject[]>((replyTo) => ({
      type: 'records.search',
      table,
      query: { operator: 'and', conditions: [] },
      refuseDamaged: true,
      replyTo,
    }));
  }
}

const UNREADABLE: ReadonlySet<string> = new Set(['DAMAGED', 'MALFORMED']);

/** Keys of `hdb_info`, which stays on this node. */
export const ANNOUNCED_URL = 'announced url';
export const LEADER = 'leader';
const PARTNERS = 'partners';
const RULES = 'rules of nodes';

export const noteWrite = (key: string, value: unknown): LocalWrite => ({
  table: 'hdb_info',
  type: 'put',
  records: [{ info_id: key, value }],
});

export const flowNotes = ({ partners, rules }: FlowNotes): LocalWrite[] => [
  noteWrite(PARTNERS, [...partners]),
  noteWrite(
    RULES,
    [...rules].map(([name, { replicates, subscriptions, startTimeMs }]) => ({
      name,
      replicates,
      subscriptions,
      start_time: startTimeMs,
    })),
  ),
];

const readFlowNotes = (partners: unknown, rules: unknown): FlowNotes => ({
  partners: Array.isArray(partners) ? partners.filter(isText) : [],
  rules: new Map(
    (Array.isArray(rules) ? rules : [])
      .filter((rule: RecordObject) => rulesProblem(rule) === undefined)
      .map((rule: RecordObject): [NodeName, RowRules] => [rule['name'] as NodeName, rulesIn(rule)]),
  ),
});

const isText = (value: unknown): value is NodeName => typeof value === 'string';
