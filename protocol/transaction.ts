/**
 * Folds the changes of one transaction per row: a log entry holds at most one change per row, the net
 * effect in program order, because all of them share one stamp. Called by storage/commit.ts at the origin.
 */
import { encodeMapOf } from './codec.js';
import type { EncodedAttribute, RowChange } from './row.js';
import { mapEntries } from './skipScan.js';

/** What `first`, then `second`, come to. */
export const foldChanges = (first: RowChange, second: RowChange): RowChange => {
  if (second.type !== 'patch') return second;
  switch (first.type) {
    case 'delete':
      return { type: 'put', body: bodyOf(second.attributes) };
    case 'put':
      return { type: 'put', body: bodyOf(overlay(attributesOf(first.body), second.attributes)) };
    case 'patch':
      return { type: 'patch', attributes: overlay(first.attributes, second.attributes) };
    default:
      return first satisfies never;
  }
};

const attributesOf = (body: Uint8Array): EncodedAttribute[] =>
  mapEntries(body).map(({ name, start, end }) => ({ name, value: body.subarray(start, end) }));

const overlay = (
  below: readonly EncodedAttribute[],
  above: readonly EncodedAttribute[],
): EncodedAttribute[] => {
  const merged = new Map<string, EncodedAttribute>();
  for (const attribute of below) merged.set(attribute.name, attribute);
  for (const attribute of above) merged.set(attribute.name, attribute);
  return [...merged.values()];
};

const bodyOf = (attributes: readonly EncodedAttribute[]): Uint8Array =>
  encodeMapOf(
    attributes.map(({ name, value }): [string, Uint8Array] => [name, value]),
    attributes.length,
  );
