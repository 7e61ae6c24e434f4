/**
 * Refuses searches for attributes that a table cannot have. Called by search.ts before anything is read.
 * What is projected is not checked: records may hold attributes that no schema declares.
 */
import { SkeinError } from '../protocol/errors.js';
import type { Sort } from '../protocol/operations.js';
import type { NormalisedConditionItem } from '../protocol/operationSchemas.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import type { SearchQuery } from './search.js';

/** Kept in every record whatever its table declares. */
const TIMES = ['__createdtime__', '__updatedtime__'];

/**
 * INVALID_REQUEST with status 404, naming every attribute in conditions and sort that a schema-defined
 * table does not declare. A dynamic table may be asked for any.
 */
export const refuseUnknownAttributes = (definition: TableDefinition, query: SearchQuery): void => {
  if (!definition.schemaDefined) return;
  const known = new Set([...definition.attributes.map(({ name }) => name), ...TIMES]);
  known.add(definition.primaryKey);
  const unknown = [...attributesOf(query)].filter((name) => !known.has(name));
  const last = unknown.pop();
  if (last === undefined) return;
  const names = unknown.length === 0 ? last : `${unknown.join(', ')} and ${last}`;
  throw new SkeinError('INVALID_REQUEST', `unknown attribute '${names}'`, { statusCode: 404 });
};

/** Attributes that conditions and sort name. */
export const attributesOf = (query: SearchQuery): Set<string> =>
  new Set([...conditionAttributes(query.conditions), ...sortAttributes(query.sort)]);

const conditionAttributes = (conditions: readonly NormalisedConditionItem[]): string[] =>
  conditions.flatMap((item) =>
    'conditions' in item ? conditionAttributes(item.conditions) : [item.attribute],
  );

const sortAttributes = (sort: Sort | undefined): string[] =>
  sort === undefined ? [] : [sort.attribute, ...sortAttributes(sort.next)];
