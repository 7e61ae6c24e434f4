/**
 * Copies between stores without actors: opens the source, merges in small steps, each in a batch of its own, and adopts
 * at the end. For the tests of storage/ and of the counterexamples; decides nothing by itself.
 */
import {
  begunAgain,
  mustBeginAgain,
  newCopy,
  withRows,
  withSnapshot,
  type CopyCheckpoint,
} from '../../protocol/copyCheckpoint.js';
import {
  ALL_ORIGINS,
  EVERYTHING,
  isRefused,
  type OriginScope,
  type TableScope,
} from '../../protocol/flow.js';
import { sequence, tableName } from '../../protocol/ids.js';
import type { Commit, CopiedRow } from '../../storage/commit.js';
import { CopiedRows, type MergeStep } from '../../storage/copiedRows.js';
import { settleDebts } from '../../storage/debts.js';
import { openCopy, type CopySource } from '../../storage/snapshot.js';
import type { Store } from '../../storage/store.js';
import { NOW_MS } from './stores.js';

export interface CopyOptions {
  /** Of an interrupted copy. */
  readonly checkpoint?: CopyCheckpoint;
  /** Interrupt it after so many rows of the source. */
  readonly rowsMax?: number;
  /** Rows merged in one batch. */
  readonly stepRows?: number;
  readonly nowMs?: number;
  readonly owed?: CopyCheckpoint['reach'];
  /** Only these tables, to pay debts. */
  readonly tables?: TableScope;
  /** What the source may send. */
  readonly sends?: TableScope;
  readonly startTimeMs?: number;
  /** Whose writes are taken. */
  readonly origins?: OriginScope;
}

/** One copy from `from` into `to`, adopting at its end when it gets there. */
export const copyInto = async (
  to: Store,
  from: Store,
  options: CopyOptions = {},
): Promise<CopyCheckpoint> => {
  const { nowMs = NOW_MS, stepRows = 3 } = options;
  const { source, copy: begun } = await begin(from, options);
  let copy = begun;
  const { origins = ALL_ORIGINS, startTimeMs } = options;
  const said = snapshotOf(source);
  const snapshot = startTimeMs === undefined ? said : { ...said, tables: [] };
  const merging = new CopiedRows(to, snapshot, copy.after, origins);
  const rows = await allRows(source);
  merging.add(rows.slice(0, options.rowsMax ?? rows.length));
  if ((options.rowsMax ?? Infinity) > rows.length) merging.end();
  for (let state: MergeStep['state'] = 'more'; state === 'more';) {
    const commit: Commit = to.commit();
    const step = await merging.step(commit, { copy: copy.number, rowsMax: stepRows, nowMs });
    copy = withRows(copy, { count: step.count, after: step.place });
    state = step.state;
    if (state === 'ended') settleDebts(to, copy, origins);
    if (state === 'ended' && !options.tables) commit.adopt(adopted(copy));
    await commit.write();
    if (state === 'undefined') throw new Error('a table was not defined');
  }
  await source.close();
  return copy;
};

/** All rows of a copy, in their order. */
export const allRows = async (source: CopySource): Promise<CopiedRow[]> => {
  const rows: CopiedRow[] = [];
  for (;;) {
    const next = await source.next(1);
    if (next.isEnd) return rows;
    rows.push(...next.rows);
  }
};

/** What CopyBegin says. */
export const snapshotOf = (source: CopySource) => ({
  positions: [...source.vector].map(([origin, position]) => ({ origin, ...position })),
  marks: source.marks,
  tables: source.tables,
});

const begin = async (
  from: Store,
  options: CopyOptions,
): Promise<{ source: CopySource; copy: CopyCheckpoint }> => {
  const { tables = options.sends ?? EVERYTHING, startTimeMs = null } = options;
  const scope = { tables, startTimeMs };
  let copy = options.checkpoint ?? newCopy(1, options.tables);
  let source = await openCopy(from, copy.after ?? undefined, scope);
  if (mustBeginAgain(copy, source.marks)) {
    copy = begunAgain(copy);
    await source.close();
    source = await openCopy(from, undefined, scope);
  }
  const owed = [...(options.owed?.values() ?? [])];
  const { leftOut, inPart } = source;
  const cutOff = startTimeMs === null ? [] : source.tables.map(({ table }) => tableName(table));
  // Positions of origins that are not taken are not adopted.
  const positions = snapshotOf(source).positions.filter(
    ({ origin }) => !isRefused(options.origins ?? ALL_ORIGINS, origin),
  );
  return {
    source,
    copy: withSnapshot(copy, { positions, owed, estimatedRows: 0, leftOut, inPart, cutOff }),
  };
};

const adopted = ({ adopt }: CopyCheckpoint) =>
  [...(adopt ?? [])].map(
    ([origin, position]) => [origin, { ...position, logStart: sequence(1) }] as const,
  );
