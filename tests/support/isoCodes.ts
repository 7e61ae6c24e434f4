/**
 * Tables of real data from Debian's package iso-codes. Called by tests/system and scripts/loadIsoCodes.ts. Reads files;
 * whom to send operations to is the caller's business.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type IsoRecord = Readonly<Record<string, string>>;

export interface IsoTable {
  readonly name: string;
  readonly primaryKey: string;
  readonly records: readonly IsoRecord[];
}

export type Send = (operation: Record<string, unknown>) => Promise<unknown>;

const DIRECTORY = '/usr/share/iso-codes/json';

const TABLES = [
  { name: 'country', file: '3166-1', primaryKey: 'alpha_2' },
  { name: 'subdivision', file: '3166-2', primaryKey: 'code' },
  { name: 'language', file: '639-3', primaryKey: 'alpha_3' },
  { name: 'currency', file: '4217', primaryKey: 'alpha_3' },
] as const;

const RECORDS_IN_ONE = 500;

/** Rejects with ENOENT, naming the file, where the package is not installed. */
export const isoTables = (): Promise<IsoTable[]> =>
  Promise.all(
    TABLES.map(async ({ name, file, primaryKey }) => {
      const text = await readFile(join(DIRECTORY, `iso_${file}.json`), 'utf8');
      const records = (JSON.parse(text) as Record<string, IsoRecord[]>)[file] ?? [];
      return { name, primaryKey, records };
    }),
  );

/** Makes the table and inserts its records, some hundreds in a transaction. Rejects when one is skipped. */
export const loadIsoTable = async (table: IsoTable, send: Send): Promise<void> => {
  const { name, primaryKey, records } = table;
  await send({ operation: 'create_table', table: name, primary_key: primaryKey });
  for (let at = 0; at < records.length; at += RECORDS_IN_ONE) {
    const some = records.slice(at, at + RECORDS_IN_ONE);
    const answer = (await send({ operation: 'insert', table: name, records: some })) as {
      skipped_hashes: unknown[];
    };
    if (answer.skipped_hashes.length > 0)
      throw new Error(`${name}: not inserted: ${answer.skipped_hashes.join(', ')}`);
  }
};
