/**
 * The clients of a simulated cluster: what they ask for, what they were answered, and whether that agrees with the log
 * entries and rows found on the disks. Used by simulatedCluster.ts.
 */
import { messageOf, SkeinError } from '../../protocol/errors.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import type { Key, RecordObject } from '../../protocol/operations.js';
import type { Accepted } from '../../storage/commit.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import { endOf, rowName, textOf, type Effect, type History } from './simulatedHistory.js';
import type { SimulatedNode } from './simulatedNode.js';
import type { SeededRandom } from './simulatedTime.js';
import type { NodeWatch } from './simulatedWatch.js';

export const TABLES = ['t1', 't2'] as const;

interface Operation {
  readonly id: string;
  readonly writes: readonly LocalWrite[];
  state: 'pending' | 'acknowledged' | 'refused' | 'notStored' | 'unknown';
  accepted: Accepted | null;
  origin: string;
}

export class SimulatedClients {
  readonly operations: Operation[] = [];
  readonly #history: History;
  readonly #random: SeededRandom;
  readonly #keys: readonly Key[];
  readonly #fail: (error: Error) => void;
  reads = 0;

  constructor(parts: {
    history: History;
    random: SeededRandom;
    keys: number;
    fail: (error: Error) => void;
  }) {
    this.#history = parts.history;
    this.#random = parts.random;
    this.#fail = parts.fail;
    this.#keys = Array.from({ length: parts.keys }, (_, place) =>
      place % 2 ? place : `k${place}`,
    );
  }

  get keys(): readonly Key[] {
    return this.#keys;
  }

  /** A random transaction; when it is acknowledged, what was written is read back there. */
  write(node: SimulatedNode, watch: NodeWatch): void {
    const id = `op${this.operations.length + 1}`;
    const writes = this.#writes(this.operations.length + 1);
    const operation: Operation = { id, writes, state: 'pending', accepted: null, origin: '' };
    this.operations.push(operation);
    node
      .ask<Accepted>((replyTo) => ({
        type: 'transaction.submit',
        writes,
        notes: { user: 'simulation', operation: id },
        replyTo,
      }))
      .then(
        (accepted) => {
          this.#onAccepted(operation, accepted, watch);
          this.read(node, watch);
        },
        (error: unknown) => this.#onRefused(operation, error),
      )
      .catch((error: unknown) => this.#fail(asError(error)));
  }

  /** Every record of both tables, in one turn: has to be what the disk's vector stands for. */
  read(node: SimulatedNode, watch: NodeWatch): void {
    for (const table of TABLES)
      node
        .ask<(RecordObject | undefined)[]>((replyTo) => ({
          type: 'records.get',
          table,
          keys: this.#keys,
          replyTo,
        }))
        .then((records) => this.#checkRead(table, records, { watch, nowMs: node.nowMs() }))
        .catch((error: unknown) => {
          if (!(error instanceof SkeinError)) this.#fail(asError(error));
        });
  }

  /** Whether what was asked for, in the order it was, is what the entry says. */
  #onAccepted(operation: Operation, accepted: Accepted, watch: NodeWatch): void {
    operation.state = 'acknowledged';
    operation.accepted = accepted;
    const entry = this.#history.entryOf(operation.id);
    const wanted = effectsOf(operation.writes, accepted);
    if (accepted.sequence === undefined) {
      if (entry || wanted.size > 0) throw new Error(`${operation.id} was not logged`);
      return;
    }
    if (!entry) throw new Error(`${operation.id} was acknowledged and is on no disk`);
    operation.origin = entry.origin;
    if (!watch.covers(entry.origin, entry.sequence))
      throw new Error(`${operation.id} was acknowledged and is not on that disk`);
    const logged = new Map(entry.changes.map(({ row, effect }) => [row, effect]));
    if (logged.size !== entry.changes.length || logged.size !== wanted.size)
      throw new Error(`${operation.id} changed ${logged.size} rows, expected ${wanted.size}`);
    for (const [row, effect] of wanted)
      if (!isWanted(logged.get(row), effect))
        throw new Error(
          `${operation.id} did ${effectText(logged.get(row))} to ${row}, expected ${effectText(effect)}`,
        );
  }

  #onRefused(operation: Operation, error: unknown): void {
    if (!(error instanceof SkeinError)) throw error;
    if (error.code === 'NOT_FOUND') operation.state = 'refused';
    else if (
      error.message.startsWith('The write was not stored') ||
      error.code === 'STORAGE_FAILED'
    )
      operation.state = 'notStored';
    else if (error.code === 'OUTCOME_UNKNOWN' || error.code === 'UNAVAILABLE')
      operation.state = 'unknown';
    else throw error;
  }

  #checkRead(
    table: string,
    records: readonly (RecordObject | undefined)[],
    { watch, nowMs }: { watch: NodeWatch; nowMs: number },
  ): void {
    if (!watch.isExact) return;
    this.reads++;
    for (const [place, key] of this.#keys.entries()) {
      const expected = watch.expectedAt(rowName(table, encodeKey(key)), nowMs);
      if (textOf(records[place]) !== textOf(expected))
        throw new Error(
          `${watch.name} shows ${table} ${key} as ${textOf(records[place])}, expected ${textOf(expected)}`,
        );
    }
  }

  #writes(tag: number): LocalWrite[] {
    const random = this.#random;
    if (random.chance(0.6)) return [this.#single(random.pick(TABLES), tag)];
    if (random.chance(0.5)) return TABLES.map((table) => this.#single(table, tag));
    return Array.from({ length: random.between(2, 5) }, () =>
      this.#single(random.pick(TABLES), tag),
    );
  }

  #single(table: string, tag: number): LocalWrite {
    const random = this.#random;
    const keys = random.chance(0.8) ? [random.pick(this.#keys)] : [...this.#keys];
    const type = random.pick([
      'insert',
      'put',
      'update',
      'update',
      'upsert',
      'delete',
      'delete',
    ] as const);
    if (type === 'delete') return { table, type, keys };
    return { table, type, records: keys.map((id) => this.#record(id, tag)) };
  }

  #record(id: Key, tag: number): RecordObject {
    const random = this.#random;
    return {
      id,
      ...(random.chance(0.6) && { tag }),
      ...(random.chance(0.5) && { x: `x${tag}` }),
      ...(random.chance(0.5) && { y: tag * 1.5 }),
      ...(random.chance(0.1) && { long: 'long '.repeat(40) }),
    };
  }
}

/** An upsert of a record that is not visible is whole where records expire. */
const isWanted = (logged: Effect | undefined, wanted: Effect): boolean => {
  if (effectText(logged) === effectText(wanted)) return true;
  if (logged?.type !== 'put' || wanted.type !== 'patch' || endOf(logged.values) === Infinity)
    return false;
  return effectText({ ...logged, type: 'patch' }) === effectText(wanted);
};

/** Times that the store sets by itself are left out. */
const effectText = (effect: Effect | undefined): string => {
  if (!effect) return 'nothing';
  if (effect.type === 'delete') return 'delete';
  const {
    __createdtime__: _created,
    __updatedtime__: _updated,
    '': _end,
    ...values
  } = effect.values;
  return `${effect.type} ${textOf(values)}`;
};

/** The net effect per row of the writes that were not skipped. */
const effectsOf = (writes: readonly LocalWrite[], accepted: Accepted): Map<string, Effect> => {
  const effects = new Map<string, Effect>();
  for (const [place, write] of writes.entries()) {
    const written = new Set(accepted.results[place]?.written);
    if (write.type === 'delete')
      for (const key of write.keys) {
        if (written.has(key)) effects.set(rowName(write.table, encodeKey(key)), { type: 'delete' });
      }
    else
      for (const record of write.records) {
        const key = record.id as Key;
        if (!written.has(key)) continue;
        const row = rowName(write.table, encodeKey(key));
        effects.set(row, after(effects.get(row), write.type, record));
      }
  }
  return effects;
};

const after = (
  before: Effect | undefined,
  type: 'insert' | 'put' | 'update' | 'upsert',
  values: RecordObject,
): Effect => {
  if (type === 'insert' || type === 'put') return { type: 'put', values };
  if (!before) return { type: 'patch', values };
  if (before.type === 'delete') return { type: 'put', values };
  return { type: before.type, values: { ...before.values, ...values } };
};

export const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(messageOf(thrown));
