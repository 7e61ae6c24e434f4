/**
 * Expiring records in a store: which deadline a write sets, and the removal of what ended long ago, in small steps and
 * on this node alone (docs/ARCHITECTURE.md, Expiry). Reading needs none of this: protocol/expiry.ts hides what has
 * ended. The removal is driven by actors/maintenance.ts, which must not do so in the middle of a copy.
 */
import { coveredBy } from '../protocol/absence.js';
import { newer, type Stamp } from '../protocol/clock.js';
import { invalidRequest } from '../protocol/errors.js';
import {
  encodeDeadline,
  endedAtMs,
  settled,
  tableDeadline,
  versionAt,
  type Deadline,
} from '../protocol/expiry.js';
import type { OriginId, Version } from '../protocol/ids.js';
import type { Mark } from '../protocol/frames.js';
import type { RecordObject } from '../protocol/operations.js';
import { componentsOf, type Row } from '../protocol/row.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import type { Table } from './catalog.js';
import type { Commit } from './commit.js';
import { allOf, PREFIX, readDeadlineKey } from './keys.js';
import { isLocalOrigin } from './origins.js';
import type { Store } from './store.js';

/** Milliseconds that a record of the table lives after its newest write; undefined: for ever. */
export const lifeMsOf = ({ expirationSeconds = 0 }: TableDefinition): number | undefined =>
  expirationSeconds > 0 ? expirationSeconds * 1000 : undefined;

/**
 * The deadline that a write sets, encoded: what the record says, else what the write says, else what the table says;
 * undefined: it sets none, and a patch leaves the one that is there. INVALID_REQUEST for what is no time.
 */
export const deadlineOfWrite = (write: {
  readonly definition: TableDefinition;
  readonly version: Version;
  readonly record: RecordObject;
  readonly index: number;
  readonly expiresAt: number | undefined;
}): Uint8Array | undefined => {
  const deadline = deadlineFor(write);
  return deadline && encodeDeadline(deadline);
};

/** Removes what ended before a time, and leaves marks like those of deletes. */
export class ExpirySweep {
  readonly #store: Store;
  /** Where this round has got to; what cannot be removed yet is looked at again in the next. */
  #after: Buffer | null = null;
  /** Records removed. */
  removed = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Removes some records that ended before `beforeMs`; false: this round is over. */
  async step(commit: Commit, request: { beforeMs: number; rowsMax: number }): Promise<boolean> {
    const { beforeMs, rowsMax } = request;
    const { gte, lt } = allOf(PREFIX.deadline);
    const from = this.#after ? { gt: this.#after } : { gte };
    const found = await this.#store.level.keys({ ...from, lt, limit: rowsMax }).all();
    const witness = newestPosition(this.#store);
    for (const key of found) {
      const place = readDeadlineKey(key);
      if (place.endedAtMs >= beforeMs) return this.#endRound();
      this.#after = key;
      this.#remove(commit, { ...place, indexKey: key, witness });
    }
    return found.length === rowsMax || this.#endRound();
  }

  #endRound(): false {
    this.#after = null;
    return false;
  }

  #remove(
    commit: Commit,
    place: {
      indexKey: Buffer;
      endedAtMs: number;
      table: number;
      primaryKey: Buffer;
      witness: Stamp | null;
    },
  ): void {
    const { primaryKey } = place;
    const table = this.#tableNumbered(place.table);
    const old = table && commit.rows.row(table, primaryKey);
    if (!table || !old || endedAtMs(old) !== place.endedAtMs)
      return commit.putNote(place.indexKey, undefined);
    const row = settled(old);
    const left = row === old ? undefined : row;
    const gone = stampsGone(old, left);
    // What came with a copy and is not in the vector, nobody else may know yet.
    if (!gone.every(coveredBy(this.#store.accepted))) return;
    const marks = marksFor(gone, place);
    if (!marks) return;
    commit.rows.replace({ target: table, key: primaryKey, old, row: left });
    commit.raiseMarks(marks);
    this.removed++;
  }

  #tableNumbered(number: number): Table | undefined {
    return this.#store.catalog.tables.find((table) => table.number === number);
  }
}

const NO_DEADLINE: Deadline = { kind: 'none' };

const deadlineFor = (write: Parameters<typeof deadlineOfWrite>[0]): Deadline | undefined => {
  const { definition, record, version } = write;
  const lifeMs = lifeMsOf(definition);
  const ofTable = lifeMs === undefined ? undefined : tableDeadline(version, lifeMs);
  const name = definition.attributes.find(({ expiresAt }) => expiresAt)?.name;
  const said = name !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
  if (said === null) return ofTable ?? NO_DEADLINE;
  if (said !== undefined)
    return { kind: 'given', atMs: timeOf(said, `records[${write.index}].${name}`) };
  if (write.expiresAt !== undefined)
    return { kind: 'given', atMs: timeOf(write.expiresAt, 'expiresAt') };
  return ofTable;
};

const timeOf = (value: unknown, label: string): number => {
  const ms = value instanceof Date ? value.getTime() : value;
  if (typeof ms === 'number' && Number.isSafeInteger(ms) && ms > 0) return ms;
  throw invalidRequest(
    `'${label}' must be when the record expires: a positive whole number of milliseconds since the epoch, or a Date`,
  );
};

/** What the row loses. */
const stampsGone = (old: Row, left: Row | undefined): Stamp[] => {
  const before = componentsOf(old);
  const after = left && componentsOf(left);
  const gone = [...before.registers.entries()]
    .filter(([name]) => after?.registers.has(name) !== true)
    .map(([, { stamp }]) => stamp);
  if (before.floor) gone.push(before.floor);
  if (!after && before.alive) gone.push(before.alive);
  if (!after && before.dead) gone.push(before.dead);
  return gone;
};

/** The newest write in any log that peers have, which tells them how much this node knows. */
const newestPosition = (store: Store): Stamp | null => {
  let newest: Stamp | null = null;
  for (const [origin, { version }] of store.accepted)
    if (!isLocalOrigin(origin)) newest = newer(newest, { origin, version });
  return newest;
};

/**
 * The writes that are forgotten, and the deadline itself: a write from before it that comes late must not be taken for
 * a new record. The deadline is nobody's write, so its mark is of an origin that went on after it: whoever has
 * that origin's log so far is taken to know. Undefined: nobody has written since.
 */
const marksFor = (
  gone: readonly Stamp[],
  { endedAtMs: endMs, witness }: { endedAtMs: number; witness: Stamp | null },
): Mark[] | undefined => {
  if (gone.every(({ origin }) => isLocalOrigin(origin))) return [];
  const version = versionAt(endMs);
  if (!witness || witness.version < version) return undefined;
  const marks = new Map<OriginId, Version>([[witness.origin, version]]);
  for (const stamp of gone)
    if (stamp.version > (marks.get(stamp.origin) ?? 0)) marks.set(stamp.origin, stamp.version);
  return [...marks].map(([origin, markVersion]) => ({ origin, version: markVersion }));
};
