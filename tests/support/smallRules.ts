/**
 * The rules of catching up, by name, so that the small world can leave each of them out. Used by smallNode.ts and the
 * tests over it. Names only.
 */

/** What each is good for is seen by leaving it out. */
export const RULES = [
  'late entries are not applied',
  'marks are inherited',
  'news that the source may have forgotten the delete of is written again',
  'news that the receiver may have forgotten the delete of is written again',
  'the receiver does not take what it knows to be superseded',
  'the receiver drops what the source knows to be superseded',
  'absence is judged by the snapshot of the chunk',
  'absence is judged for each component',
  'the minimum of all snapshots is adopted',
  'a purge at the source ends a checkpoint',
  'what a source owes is owed with its rows',
  'orphans are written again',
  'what was dropped on the word of a lost source is written again',
  'only deletes that the vector covers are purged',
  'nothing is purged in the middle of a copy',
  'an unclean start begins a new incarnation',
] as const;

export type Rule = (typeof RULES)[number];
