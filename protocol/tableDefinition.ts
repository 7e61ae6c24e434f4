/**
 * What a table is: its key, its attributes and how it takes part. Pure data; made by the schema
 * operations or from GraphQL `@table` definitions, stored and replicated as rows of the database itself.
 */
import type { DatabaseName, TableName } from './ids.js';

/** Types an attribute can have, beside types of the same document and lists. */
export const ATTRIBUTE_TYPES = [
  'ID',
  'String',
  'Int',
  'Long',
  'Float',
  'BigInt',
  'Boolean',
  'Date',
  'Bytes',
  'Any',
  'Blob',
] as const;

export type AttributeType = (typeof ATTRIBUTE_TYPES)[number];

export interface AttributeDefinition {
  readonly name: string;
  readonly type?: AttributeType | string;
  readonly indexed?: boolean;
  readonly isPrimaryKey?: boolean;
  /** Set from the version at the origin. */
  readonly assignedCreatedTime?: boolean;
  readonly assignedUpdatedTime?: boolean;
  /** Its value, ms since the epoch or a Date, is when the record expires. */
  readonly expiresAt?: boolean;
  readonly nullable?: boolean;
  readonly elements?: string;
}

export interface TableDefinition {
  readonly database: DatabaseName;
  readonly name: TableName;
  readonly primaryKey: string;
  readonly attributes: readonly AttributeDefinition[];
  /** True: attributes were declared and unknown ones are kept but neither added nor indexed. False: dynamic, every new attribute is added and indexed. */
  readonly schemaDefined: boolean;
  /** No attributes beyond the declared ones are accepted. */
  readonly sealed?: boolean;
  /** False: the table stays on this node. */
  readonly replicate?: boolean;
  /** A record expires so long after its newest write. */
  readonly expirationSeconds?: number;
  readonly audit?: boolean;
}
