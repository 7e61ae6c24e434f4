/**
 * Watches that transactions over two tables are never seen in part. Each transaction gives two rows of one table and
 * one of another the same number; all are written by one node, so that the numbers only rise. Called by unit and cluster tests, with their own ways to read.
 */
export const SCHEMA = `
  type Pair @table { id: ID @primaryKey  number: Int @indexed }
  type Single @table { id: ID @primaryKey  number: Int }
`;

export interface Sight {
  /** Of the rows of Pair, read at once: their numbers. */
  readonly pair: () => Promise<readonly number[]>;
  /** Of the row of Single. */
  readonly single: () => Promise<number>;
}

export interface Watched {
  /** Different numbers that were seen. */
  readonly seen: number;
  readonly partial: readonly string[];
}

/**
 * Looks again and again until `isOver`. Of two reads the later one may show a newer transaction and never an older
 * one: the table that is read second must be at least as far as the first.
 */
export const watchTransactions = async (sight: Sight, isOver: () => boolean): Promise<Watched> => {
  const seen = new Set<number>();
  const partial: string[] = [];
  const judge = (isWhole: boolean, what: string): void => {
    if (!isWhole) partial.push(what);
  };
  while (!isOver()) {
    const [first = 0, second = 0] = await sight.pair();
    judge(first === second, `rows of one table show ${first} and ${second}`);
    const single = await sight.single();
    judge(single >= first, `Single shows ${single} after Pair showed ${first}`);
    const [later = 0] = await sight.pair();
    judge(later >= single, `Pair shows ${later} after Single showed ${single}`);
    seen.add(first).add(single);
  }
  return { seen: seen.size, partial };
};
