/**
 * Where revocation checks remember what they were told: three tables of the `system` database that stay on this node. Used
 * by the revocation actor. Rows end by themselves; what is read is judged by the checks.
 */
import type { RecordObject } from '../protocol/operations.js';
import type {
  AnswerRow,
  ListRow,
  RevocationCache,
  RevokedRow,
} from '../security/revocationPorts.js';
import type { LocalWrite } from '../storage/evaluate.js';
import { ANSWERS, LISTS, REVOKED } from './systemDatabase.js';
import type { AskSystem } from './users.js';

/** Rejects when the database cannot be read or written now. A list is kept for `gracePeriodMs` after its nextUpdate. */
export const revocationTables = (
  ask: AskSystem,
  { gracePeriodMs }: { gracePeriodMs: number },
): RevocationCache => {
  const get = async (table: string, key: string): Promise<RecordObject | undefined> => {
    const rows = await ask<(RecordObject | undefined)[]>((replyTo) => ({
      type: 'records.get',
      table,
      keys: [key],
      replyTo,
    }));
    return rows[0];
  };
  const submit = async (writes: readonly LocalWrite[]): Promise<void> => {
    await ask((replyTo) => ({ type: 'transaction.submit', writes, notes: NOTES, replyTo }));
  };
  return {
    answer: async (id) => (await get(ANSWERS, id)) as Partial<AnswerRow> | undefined,
    putAnswer: (row) => submit([put(ANSWERS, [row], row.expiresAt)]),
    list: async (url) => (await get(LISTS, keyOf(url))) as Partial<ListRow> | undefined,
    putList: (row) => {
      const endsMs = Math.max(row.expiresAt, row.next_update + gracePeriodMs);
      return submit([
        put(LISTS, [{ ...row, distribution_point: keyOf(row.distribution_point) }], endsMs),
      ]);
    },
    replaceRevoked: async (source, rows) => {
      const held = await ask<RecordObject[]>((replyTo) => ({
        type: 'records.search',
        table: REVOKED,
        query: { conditions: [{ attribute: 'crl_source', comparator: 'equals', value: source }] },
        replyTo,
      }));
      await submit(replacement(held, rows));
    },
  };
};

/** Of an address: keys of records have no slashes. */
const keyOf = encodeURIComponent;

const NOTES = { operation: 'check_revocation' };

const put = (table: string, rows: readonly object[], expiresAt: number): LocalWrite => ({
  table,
  type: 'put',
  records: rows.map((row) => ({ ...row })),
  expiresAt,
});

const replacement = (held: readonly RecordObject[], rows: readonly RevokedRow[]): LocalWrite[] => {
  const kept = new Set(rows.map(({ composite_id: id }) => id));
  const keys = held.map((row) => String(row['composite_id'])).filter((id) => !kept.has(id));
  const [first] = rows;
  return [
    { table: REVOKED, type: 'delete', keys },
    ...(first === undefined ? [] : [put(REVOKED, rows, first.expiresAt)]),
  ];
};
