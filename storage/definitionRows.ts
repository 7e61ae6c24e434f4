/**
 * A table definition as a row of the definitions table and back. Each property is an attribute of its own, so
 * that definitions changed on two nodes at once merge like any other row. Called by commit.ts.
 */
import { decode, encode } from '../protocol/codec.js';
import { databaseName, type DatabaseName, type TableName } from '../protocol/ids.js';
import { recordOf, type EncodedAttribute, type Row } from '../protocol/row.js';
import type { AttributeDefinition, TableDefinition } from '../protocol/tableDefinition.js';

export { definitionKey, readDefinitionKey } from '../protocol/definitionKey.js';

const ATTRIBUTE_PREFIX = 'attribute ';

/** The attributes of the patch that turns `before` into `after`; empty when nothing changes. */
export const definitionPatch = (
  before: TableDefinition | undefined,
  after: TableDefinition,
): EncodedAttribute[] => {
  const old = before ? propertiesOf(before) : new Map<string, Buffer>();
  const changed: EncodedAttribute[] = [];
  for (const [name, value] of propertiesOf(after))
    if (!old.get(name)?.equals(value)) changed.push({ name, value });
  return changed;
};

/** A definition that says nothing of replication shares a table that stayed here: that has to be said. */
export const stated = (
  before: TableDefinition | undefined,
  after: TableDefinition,
): TableDefinition =>
  before?.replicate === false && after.replicate === undefined
    ? { ...after, replicate: true }
    : after;

/** Peers know nothing of a table that stayed here: when it is shared, its whole definition is news. */
export const shareable = (
  before: TableDefinition | undefined,
  after: TableDefinition,
): TableDefinition | undefined =>
  before?.replicate === false && after.replicate !== false ? undefined : before;

/** Undefined when the row is deleted or lacks what every definition has. */
export const definitionOf = (place: {
  database: DatabaseName;
  name: TableName;
  row: Row;
}): TableDefinition | undefined => {
  const bytes = recordOf(place.row);
  if (!bytes) return undefined;
  const record = decode(bytes) as Record<string, unknown>;
  if (typeof record.primaryKey !== 'string') return undefined;
  const attributes: AttributeDefinition[] = [];
  for (const [name, value] of Object.entries(record))
    if (name.startsWith(ATTRIBUTE_PREFIX))
      attributes.push({
        ...(value as Omit<AttributeDefinition, 'name'>),
        name: name.slice(ATTRIBUTE_PREFIX.length),
      });
  return {
    database: databaseName(place.database),
    name: place.name,
    primaryKey: record.primaryKey,
    schemaDefined: record.schemaDefined === true,
    attributes: attributes.sort(byPlace),
    ...(typeof record.sealed === 'boolean' && { sealed: record.sealed }),
    ...(typeof record.replicate === 'boolean' && { replicate: record.replicate }),
    ...(typeof record.expirationSeconds === 'number' && {
      expirationSeconds: record.expirationSeconds,
    }),
    ...(typeof record.audit === 'boolean' && { audit: record.audit }),
  };
};

const byPlace = (a: AttributeDefinition, b: AttributeDefinition): number =>
  Number(b.isPrimaryKey ?? false) - Number(a.isPrimaryKey ?? false) ||
  (a.name < b.name ? -1 : Number(a.name > b.name));

const propertiesOf = (definition: TableDefinition): Map<string, Buffer> => {
  const { database: _database, name: _name, attributes, ...properties } = definition;
  const encoded = new Map<string, Buffer>();
  for (const [name, value] of Object.entries(properties))
    if (value !== undefined) encoded.set(name, encode(value));
  for (const { name, ...attribute } of attributes)
    encoded.set(ATTRIBUTE_PREFIX + name, encode(attribute));
  return encoded;
};
