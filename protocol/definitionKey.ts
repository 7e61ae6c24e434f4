/**
 * How definitions of tables lie in the reserved table of definitions: its name, and the key of each row. Called by
 * storage, and by the filter of entries, which has to tell whose definition it is.
 */
import { tableGeneration, tableName, type TableGeneration, type TableName } from './ids.js';
import { decodeKey, encodeKey } from './orderedKey.js';

/** The reserved table whose rows are the definitions; in every log entry under this name. */
export const DEFINITIONS_TABLE = tableName('__tables__');

/** Key of a definition: one row for each life of a name. */
export const definitionKey = (name: TableName, generation: TableGeneration): Buffer =>
  encodeKey(`${generation}/${name}`);

/** Undefined when the key is none of a definition. MALFORMED when it is no key. */
export const readDefinitionKey = (
  key: Uint8Array,
): { name: TableName; generation: TableGeneration } | undefined => {
  const text = decodeKey(key);
  if (typeof text !== 'string') return undefined;
  const slash = text.indexOf('/');
  const generation = Number(text.slice(0, slash));
  if (slash < 1 || !Number.isSafeInteger(generation)) return undefined;
  return { name: tableName(text.slice(slash + 1)), generation: tableGeneration(generation) };
};
