/**
 * The operations as they are after validate.ts: one spelling for everything, defaults filled in; and the
 * schema that each has to fit. Actors and storage use the types; only validate.ts uses the schemas.
 * One schema per operation, so that a union never has to be searched.
 */
import type { Comparator, Key, RecordObject, Sort } from './operations.js';
import { ATTRIBUTE_TYPES, type AttributeType } from './tableDefinition.js';
import {
  connections,
  nodeProperties,
  routes,
  targetProperties,
  type NormalisedClusterOperation,
} from './schemas/clusterSchemas.js';
import {
  certificateFields,
  type NormalisedCertificateOperation,
} from './schemas/certificateSchemas.js';
import { userFields, type NormalisedUserOperation } from './schemas/userSchemas.js';
import { NAME_KEYWORD } from './schemas/wording.js';

export interface NormalisedCondition {
  readonly attribute: string;
  readonly comparator: Comparator;
  readonly value: unknown;
}
export interface NormalisedConditionGroup {
  readonly operator: 'and' | 'or';
  readonly conditions: readonly NormalisedConditionItem[];
}
export type NormalisedConditionItem = NormalisedCondition | NormalisedConditionGroup;

export interface DeclaredAttribute {
  readonly name: string;
  readonly type?: AttributeType;
  readonly is_primary_key?: boolean;
  readonly indexed?: boolean;
}

interface InDatabase {
  readonly database: string;
}
interface InTable extends InDatabase {
  readonly table: string;
}
interface Droppable {
  /** True: the drop is carried to the other nodes. Absent is false. */
  readonly replicated?: boolean;
}
interface Described {
  readonly exact_count?: boolean;
}
interface Projected {
  /** Attributes to answer with; absent is all of them. */
  readonly get_attributes?: readonly string[];
}
interface Windowed {
  readonly limit?: number;
  readonly offset?: number;
}

/** One operation, checked; a union on `operation`. Lists of records are the caller's own, not copies. */
export type NormalisedOperation =
  | ({ readonly operation: 'create_database' } & InDatabase)
  | ({ readonly operation: 'drop_database' } & InDatabase & Droppable)
  | ({
      readonly operation: 'create_table';
      readonly primary_key: string;
      readonly attributes?: readonly DeclaredAttribute[];
      /** Seconds. */
      readonly expiration?: number;
      readonly audit?: boolean;
      readonly replicate?: boolean;
    } & InTable)
  | ({ readonly operation: 'drop_table' } & InTable & Droppable)
  | ({
      readonly operation: 'create_attribute';
      readonly attribute: string;
      readonly type?: AttributeType;
      readonly indexed?: boolean;
    } & InTable)
  | ({ readonly operation: 'drop_attribute'; readonly attribute: string } & InTable & Droppable)
  | ({ readonly operation: 'describe_all' } & Described)
  | ({ readonly operation: 'describe_database' } & InDatabase & Described)
  | ({ readonly operation: 'describe_table' } & InTable & Described)
  | ({
      readonly operation: 'insert' | 'update' | 'upsert';
      readonly records: readonly RecordObject[];
      /** Of all these records, ms since the epoch. */
      readonly expiresAt?: number;
    } & InTable)
  | ({ readonly operation: 'delete'; readonly ids: readonly Key[] } & InTable)
  | ({ readonly operation: 'search_by_id'; readonly ids: readonly Key[] } & InTable & Projected)
  | ({
      readonly operation: 'search_by_value';
      readonly attribute: string;
      readonly value: unknown;
      readonly desc?: boolean;
    } & InTable &
      Projected &
      Windowed)
  | ({
      readonly operation: 'search_by_conditions';
      readonly operator: 'and' | 'or';
      readonly conditions: readonly NormalisedConditionItem[];
      readonly sort?: Sort;
    } & InTable &
      Projected &
      Windowed)
  | NormalisedClusterOperation
  | { readonly operation: 'cluster_status' }
  | { readonly operation: 'system_information'; readonly attributes?: readonly string[] }
  | NormalisedCertificateOperation
  | NormalisedUserOperation;

export type NormalisedOperationName = NormalisedOperation['operation'];

/** A JSON Schema, with the keyword `isName` for names. */
export interface Schema {
  readonly [keyword: string]: unknown;
}

export interface OperationShape {
  /** Every field the operation has, under its plain name. */
  readonly fields: readonly string[];
  readonly schema: Schema;
  /** Absent `database` means `data`. */
  readonly hasDefaultDatabase: boolean;
}

const COMPARATORS: readonly Comparator[] = [
  'equals',
  'contains',
  'starts_with',
  'ends_with',
  'greater_than',
  'greater_than_equal',
  'less_than',
  'less_than_equal',
  'between',
  'not_equal',
];
const TEXT_COMPARATORS: readonly Comparator[] = ['contains', 'starts_with', 'ends_with'];

type Properties = { readonly [field: string]: Schema };

const name: Schema = { type: 'string', [NAME_KEYWORD]: true };
const flag: Schema = { type: 'boolean' };
const count: Schema = { type: 'integer', minimum: 0 };
const operator: Schema = { enum: ['and', 'or'] };
const attributeType: Schema = { enum: ATTRIBUTE_TYPES };

const inTable: Properties = { database: name, table: name };
const projected: Properties = { get_attributes: { type: 'array', minItems: 1, items: name } };
const windowed: Properties = { limit: count, offset: count };

/** Records and ids are checked one by one in schemas/contents.ts. */
const list: Schema = { type: 'array' };

const declaredAttribute: Schema = {
  type: 'object',
  required: ['name'],
  properties: { name, type: attributeType, is_primary_key: flag, indexed: flag },
};

const valueFor = (comparators: readonly Comparator[], value: Schema): Schema => ({
  if: { required: ['comparator'], properties: { comparator: { enum: comparators } } },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  then: { properties: { value } },
});

const definitions: { readonly [definition: string]: Schema } = {
  condition: {
    type: 'object',
    required: ['attribute', 'value'],
    properties: { attribute: name, comparator: { enum: COMPARATORS }, value: {} },
    allOf: [
      valueFor(['between'], { type: 'array', minItems: 2, maxItems: 2 }),
      valueFor(TEXT_COMPARATORS, { type: 'string' }),
    ],
  },
  group: {
    type: 'object',
    required: ['conditions'],
    properties: { operator, conditions: { $ref: '#/definitions/conditions' } },
  },
  conditions: {
    type: 'array',
    minItems: 1,
    items: {
      if: { type: 'object', required: ['conditions'] },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: { $ref: '#/definitions/group' },
      else: { $ref: '#/definitions/condition' },
    },
  },
  sort: {
    type: 'object',
    required: ['attribute'],
    properties: { attribute: name, descending: flag, next: { $ref: '#/definitions/sort' } },
  },
};

const shape = (
  required: readonly string[],
  properties: Properties,
  options: { hasDefaultDatabase?: boolean } = {},
): OperationShape => ({
  fields: Object.keys(properties),
  schema: { type: 'object', required, properties, definitions },
  hasDefaultDatabase: options.hasDefaultDatabase ?? Object.hasOwn(properties, 'database'),
});

type FieldTable = Readonly<
  Record<string, { readonly required: readonly string[]; readonly properties: Properties }>
>;

const shapesOf = <Table extends FieldTable>(table: Table): Record<keyof Table, OperationShape> =>
  Object.fromEntries(
    Object.entries(table).map(([operation, { required, properties }]) => [
      operation,
      shape(required, properties),
    ]),
  ) as Record<keyof Table, OperationShape>;

const expiresAt: Schema = { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER };
const write = shape(['table', 'records'], { ...inTable, records: list, expiresAt });
const byIds = { ...inTable, ids: list };

const shapes: { readonly [Name in NormalisedOperationName]: OperationShape } = {
  create_database: shape([], { database: name }),
  // A drop names what it drops; `data` by default would lose data by an oversight.
  drop_database: shape(
    ['database'],
    { database: name, replicated: flag },
    { hasDefaultDatabase: false },
  ),
  create_table: shape(['table', 'primary_key'], {
    ...inTable,
    primary_key: name,
    attributes: { type: 'array', items: declaredAttribute },
    expiration: { type: 'number', exclusiveMinimum: 0 },
    audit: flag,
    replicate: flag,
  }),
  drop_table: shape(['table'], { ...inTable, replicated: flag }),
  create_attribute: shape(['table', 'attribute'], {
    ...inTable,
    attribute: name,
    type: attributeType,
    indexed: flag,
  }),
  drop_attribute: shape(['table', 'attribute'], { ...inTable, attribute: name, replicated: flag }),
  describe_all: shape([], { exact_count: flag }),
  describe_database: shape([], { database: name, exact_count: flag }),
  describe_table: shape(['table'], { ...inTable, exact_count: flag }),
  insert: write,
  update: write,
  upsert: write,
  delete: shape(['table', 'ids'], byIds),
  search_by_id: shape(['table', 'ids'], { ...byIds, ...projected }),
  search_by_value: shape(['table', 'attribute', 'value'], {
    ...inTable,
    attribute: name,
    value: {},
    desc: flag,
    ...projected,
    ...windowed,
  }),
  search_by_conditions: shape(['table', 'conditions'], {
    ...inTable,
    operator,
    conditions: { $ref: '#/definitions/conditions' },
    sort: { $ref: '#/definitions/sort' },
    ...projected,
    ...windowed,
  }),
  add_node: shape([], nodeProperties),
  update_node: shape(['hostname'], nodeProperties),
  remove_node: shape([], targetProperties),
  configure_cluster: shape(['connections'], { connections }),
  cluster_set_routes: shape(['routes'], { routes }),
  cluster_delete_routes: shape(['routes'], { routes }),
  cluster_get_routes: shape([], {}),
  cluster_status: shape([], {}),
  system_information: shape([], { attributes: { type: 'array', items: { type: 'string' } } }),
  ...shapesOf(certificateFields),
  ...shapesOf(userFields),
};

/** By plain name; a Map, so that `constructor` is no operation. */
export const operationShapes: ReadonlyMap<string, OperationShape> = new Map(Object.entries(shapes));
