/**
 * When a record ends, as a pure function of its row and the time (docs/ARCHITECTURE.md, Expiry). The deadline is a
 * register like any other, under a name that no attribute can have, and so it is joined, logged and copied with the
 * rest. Called by storage/ for what is read, indexed, written and removed. Changes no row; never decodes a record.
 */
import { compareStamps, millisecondsOf, TICKS_PER_MILLISECOND, type Stamp } from './clock.js';
import { encodeMapOf } from './codec.js';
import type { Version } from './ids.js';
import {
  rowFrom,
  type EncodedAttribute,
  type PatchedRow,
  type Register,
  type Row,
  type RowChange,
  type WholeRow,
} from './row.js';
import { mapEntries, skipValue } from './skipScan.js';

/** The register that holds the deadline. Attributes have names of one character and more; this sorts before them. */
export const DEADLINE = '';

/** When a row is looked at, and by which rule of its table. */
export interface Moment {
  readonly nowMs: number;
  /** Milliseconds that a record of this table lives after its newest write, as the definition now says. */
  readonly lifeMs: number | undefined;
}

/** What a write says of its record's end: at that time; whenever the table says; or never. */
export type Deadline =
  | { readonly kind: 'given'; readonly atMs: number }
  | { readonly kind: 'ofTable'; readonly atMs: number }
  | { readonly kind: 'none' };

/** The deadline of a write with this version to a table whose records live so long. */
export const tableDeadline = (version: Version, lifeMs: number): Deadline => ({
  kind: 'ofTable',
  atMs: endOfLife(version, lifeMs),
});

/** The value of the register. */
export const encodeDeadline = (deadline: Deadline): Uint8Array => {
  if (deadline.kind === 'none') return Buffer.from([NIL]);
  const bytes = Buffer.allocUnsafe(9);
  bytes[0] = FLOAT_64;
  bytes.writeDoubleBE(deadline.kind === 'given' ? deadline.atMs : -deadline.atMs, 1);
  return bytes;
};

/** The change with this deadline, which always comes first in it. */
export const withDeadline = (
  change: Exclude<RowChange, { type: 'delete' }>,
  value: Uint8Array,
): RowChange => {
  const first: EncodedAttribute = { name: DEADLINE, value };
  if (change.type === 'patch')
    return { type: 'patch', attributes: [first, ...change.attributes.filter(isAttribute)] };
  const attributes = mapEntries(change.body)
    .map(({ name, start, end }) => ({ name, value: change.body.subarray(start, end) }))
    .filter(isAttribute);
  const entries = [first, ...attributes].map((one) => [one.name, one.value] as const);
  return { type: 'put', body: encodeMapOf(entries, entries.length) };
};

/** The row as it is shown at that moment; undefined: it is deleted or has expired. */
export const shownAt = (
  row: Row | undefined,
  moment: Moment,
): WholeRow | PatchedRow | undefined => {
  const settledRow = row && settled(row);
  if (!settledRow || settledRow.kind === 'deleted') return undefined;
  const endMs = endOf(settledRow, moment.lifeMs);
  return endMs !== undefined && endMs <= moment.nowMs ? undefined : settledRow;
};

/**
 * The row without what had expired when its newest writes were made: expiring is a delete at the deadline. The same
 * object where nothing had. A late write may prove it wrong, so this is for looking, and never stored before its time.
 */
export const settled = (row: Row): Row => {
  if (row.kind !== 'patched') return row;
  const register = row.registers.get(DEADLINE);
  const deadline = register && decodeDeadline(register.value);
  if (!register || !deadline) return row;
  const isLater = (stamp: Stamp | null): stamp is Stamp =>
    stamp !== null &&
    compareStamps(stamp, register.stamp) > 0 &&
    millisecondsOf(stamp.version) >= deadline.atMs;
  if (!isLater(row.alive)) return row;
  const registers = new Map([...row.registers].filter(([, { stamp }]) => isLater(stamp)));
  return rowFrom({ floor: null, alive: row.alive, dead: row.dead, registers }) ?? row;
};

/**
 * From when on what the row's deadline ends may be forgotten, in whole ms: the deadline, or the write that set it where
 * that came later. Undefined: it has none. Says nothing of the table's present rule.
 */
export const endedAtMs = (row: Row): number | undefined => {
  if (row.kind === 'deleted') return undefined;
  const register = deadlineRegister(row);
  const deadline = register && decodeDeadline(register.value);
  if (!register || !deadline) return undefined;
  return Math.ceil(Math.max(deadline.atMs, millisecondsOf(register.stamp.version)));
};

/** The first version after that time. */
export const versionAt = (ms: number): Version => (ms * TICKS_PER_MILLISECOND) as Version;

/** Whether an encoded record has a register for its deadline, without looking further. */
export const hasDeadline = (body: Uint8Array): boolean => {
  const at = firstName(body);
  return body[at] === EMPTY_TEXT;
};

/** Whether the record has ended by the deadline in its row. */
export const hasEnded = (row: Row, nowMs: number): boolean =>
  row.kind !== 'deleted' && shownAt(row, { nowMs, lifeMs: undefined }) === undefined;

const NIL = 0xc0;
const FLOAT_64 = 0xcb;
const EMPTY_TEXT = 0xa0;

const isAttribute = ({ name }: EncodedAttribute): boolean => name !== DEADLINE;

const endOfLife = (version: Version, lifeMs: number): number =>
  Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(millisecondsOf(version) + lifeMs));

/** What was given stands; a table's rule that has been shortened meanwhile also ends older records. */
const endOf = (row: WholeRow | PatchedRow, lifeMs: number | undefined): number | undefined => {
  const register = deadlineRegister(row);
  const deadline = register && decodeDeadline(register.value);
  if (deadline?.kind === 'given') return deadline.atMs;
  if (lifeMs === undefined) return deadline?.atMs;
  const { version } = row.kind === 'whole' ? row.stamp : row.alive;
  return Math.min(deadline?.atMs ?? Infinity, endOfLife(version, lifeMs));
};

const deadlineRegister = (row: WholeRow | PatchedRow): Register | undefined => {
  if (row.kind === 'patched') return row.registers.get(DEADLINE);
  const value = registerIn(row.body);
  return value && { stamp: row.stamp, value };
};

/** It comes first in every record that has it. */
const registerIn = (body: Uint8Array): Uint8Array | undefined => {
  if (!hasDeadline(body)) return undefined;
  const start = firstName(body) + 1;
  return body.subarray(start, skipValue(body, start));
};

/** Undefined for none, and for what a peer should not have sent. */
const decodeDeadline = (value: Uint8Array): Exclude<Deadline, { kind: 'none' }> | undefined => {
  if (value.length !== 9 || value[0] !== FLOAT_64) return undefined;
  const ms = Buffer.from(value.buffer, value.byteOffset, value.length).readDoubleBE(1);
  if (!Number.isSafeInteger(ms) || ms === 0) return undefined;
  return ms > 0 ? { kind: 'given', atMs: ms } : { kind: 'ofTable', atMs: -ms };
};

const firstName = (body: Uint8Array): number => {
  const head = body[0];
  if (head === 0x80) return body.length;
  return head === 0xde ? 3 : head === 0xdf ? 5 : 1;
};
