/**
 * What is checked of a peer's entries and rows before they are stored. Every node passes over the same changes, so
 * nodes stay equal whatever one of them sent. Called by commit.ts.
 */
import { guard } from '../protocol/byteGuard.js';
import { readEntryTables, type KeyedChange, type TableChanges } from '../protocol/entry.js';
import { SkeinError } from '../protocol/errors.js';
import { checkKey } from '../protocol/orderedKey.js';
import type { EncodedAttribute, Row } from '../protocol/row.js';

/**
 * The changes without those whose key or record is no valid one, and without a second change of a row: all of an
 * entry's changes share one stamp.
 */
export const soundChanges = (
  tables: readonly TableChanges[],
): { tables: readonly TableChanges[]; passedOver: number } => {
  const seen = new Set<string>();
  let passedOver = 0;
  const sound = tables.map((table) => {
    const changes = table.changes.filter((one) => isFirst(table, one, seen) && isSound(one));
    passedOver += table.changes.length - changes.length;
    return changes.length === table.changes.length ? table : { ...table, changes };
  });
  return { tables: sound, passedOver };
};

/** Undefined when the body breaks the layout. */
export const readTables = (entry: Buffer): TableChanges[] | undefined => {
  let tables: TableChanges[] | undefined;
  whenWellFormed(() => {
    tables = readEntryTables(entry);
  });
  return tables;
};

const isFirst = (table: TableChanges, { key }: KeyedChange, seen: Set<string>): boolean => {
  const size = seen.size;
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
  return seen.add(`${table.table}/${table.generation}/${bytes}`).size > size;
};

/** Whether a copied row may be stored. */
export const isSoundRow = (key: Uint8Array, row: Row): boolean =>
  whenWellFormed(() => {
    checkKey(key);
    if (row.kind === 'whole') return isGuardedMap(row.body);
    if (row.kind === 'deleted') return true;
    return [...row.registers].every(([name, { value }]) => isSoundAttribute({ name, value }));
  });

/** False when it throws MALFORMED, or answers false. */
const whenWellFormed = (check: () => boolean | void): boolean => {
  try {
    return check() !== false;
  } catch (error) {
    if (error instanceof SkeinError && error.code === 'MALFORMED') return false;
    throw error;
  }
};

const isSound = ({ key, change }: KeyedChange): boolean =>
  whenWellFormed(() => {
    checkKey(key);
    if (change.type === 'put') return isGuardedMap(change.body);
    return change.type === 'delete' || change.attributes.every(isSoundAttribute);
  });

const isGuardedMap = (body: Uint8Array): boolean => {
  guard(body);
  const head = body[0] ?? 0;
  return (head & 0xf0) === 0x80 || head === 0xde || head === 0xdf;
};

const isSoundAttribute = ({ name, value }: EncodedAttribute): boolean => {
  guard(value);
  return name !== '__proto__';
};
