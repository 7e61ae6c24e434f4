/**
 * Reads GraphQL type definitions with `@table` into table definitions. Called by load.ts for the files under
 * `schemas` and by resolve.ts for the text under `schema`. Only the syntax is GraphQL's; the directives are ours.
 */
import type {
  DefinitionNode,
  DirectiveNode,
  FieldDefinitionNode,
  ObjectTypeDefinitionNode,
  TypeNode,
} from 'graphql/language/ast.js';
import { parse } from 'graphql/language/parser.js';
import { messageOf } from '../protocol/errors.js';
import { databaseName, tableName } from '../protocol/ids.js';
import {
  ATTRIBUTE_TYPES,
  type AttributeDefinition,
  type TableDefinition,
} from '../protocol/tableDefinition.js';
import { argumentsOf, checkDirectives, type Place, type Reader } from './directives.js';
import { invalidConfiguration } from './findings.js';
import { nameProblem } from './names.js';
import { nearest } from './nearest.js';

/** Tables without `database:` are in this one. */
export const DEFAULT_DATABASE = 'data';

const KEY_TYPES = new Set(['ID', 'String', 'Int', 'Long', 'Float', 'Any']);
/** Of an attribute that says when its record expires: milliseconds since the epoch, or a Date. */
const TIME_TYPES = new Set(['Date', 'Long', 'Float', 'Any']);

/**
 * The tables of one document, in its order; `warn` gets one sentence for everything that was read and has no effect.
 * Throws INVALID_CONFIGURATION naming file, line and what was expected.
 */
export function parseTableDefinitions(
  text: string,
  fileName: string,
  warn: (message: string) => void = () => undefined,
): TableDefinition[] {
  const definitions = parsed(text, fileName);
  const reader: Reader = {
    fail: (place, message) => {
      throw invalidConfiguration(`${at(place, fileName)}: ${message}`);
    },
    warn: (place, message) => warn(`${at(place, fileName)}: ${message}`),
  };
  const types = new Set(definitions.flatMap((definition) => nameOf(definition) ?? []));
  const tables = definitions.flatMap((definition) => tableOf(definition, types, reader) ?? []);
  refuseRepeated(tables, definitions, reader);
  return tables;
}

function parsed(text: string, fileName: string): readonly DefinitionNode[] {
  if (/^[\s,\uFEFF]*(?:#[^\n]*\s*)*$/.test(text)) return [];
  try {
    return parse(text).definitions;
  } catch (error) {
    const line = lineOfSyntaxError(error);
    const place = line === undefined ? fileName : `${fileName} line ${line}`;
    throw invalidConfiguration(`${place}: ${messageOf(error)}`, error);
  }
}

function lineOfSyntaxError(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('locations' in error)) return undefined;
  const { locations } = error as { locations?: readonly { line: number }[] };
  return locations?.[0]?.line;
}

const at = (place: Place, fileName: string): string =>
  place.loc === undefined ? fileName : `${fileName} line ${place.loc.startToken.line}`;

const nameOf = (definition: DefinitionNode): string | undefined =>
  'name' in definition ? definition.name?.value : undefined;

function tableOf(
  definition: DefinitionNode,
  types: ReadonlySet<string>,
  reader: Reader,
): TableDefinition | undefined {
  const table = definition.directives?.find(({ name }) => name.value === 'table');
  if (definition.kind === 'ObjectTypeDefinition') {
    if (table !== undefined) return readTable(definition, { table, types, reader });
    if (definition.directives?.some(({ name }) => name.value === 'export'))
      reader.warn(definition, `type ${definition.name.value} has @export but no @table, ignored`);
    return undefined;
  }
  if (definition.kind === 'OperationDefinition' || definition.kind === 'FragmentDefinition')
    return reader.fail(definition, 'expected definitions of types, not a query');
  if (table !== undefined) return reader.fail(table, "expected '@table' on a type only");
  return undefined;
}

interface Surroundings {
  readonly table: DirectiveNode;
  readonly types: ReadonlySet<string>;
  readonly reader: Reader;
}

function readTable(type: ObjectTypeDefinitionNode, around: Surroundings): TableDefinition {
  const { table, reader } = around;
  checkDirectives(type.directives ?? [], 'type', reader);
  const { replicate, audit, expiration, ...named } = argumentsOf(table, reader);
  const database = `${named['database'] ?? DEFAULT_DATABASE}`;
  const name = `${named['table'] ?? type.name.value}`;
  for (const checked of [database, name]) checkName(checked, table, reader);
  if (database === 'system') return reader.fail(table, "database 'system' belongs to Skein itself");
  return {
    database: databaseName(database),
    name: tableName(name),
    ...keyAndAttributes(type, around),
    schemaDefined: true,
    ...(hasDirective(type, 'sealed') ? { sealed: true } : {}),
    ...(typeof replicate === 'boolean' ? { replicate } : {}),
    ...(typeof expiration === 'number' ? { expirationSeconds: expiration } : {}),
    ...(typeof audit === 'boolean' ? { audit } : {}),
  };
}

function checkName(name: string, place: Place, reader: Reader): void {
  const problem = nameProblem(name);
  if (problem !== undefined) reader.fail(place, `'${name}' is no name: ${problem}`);
}

function keyAndAttributes(
  type: ObjectTypeDefinitionNode,
  { types, reader }: Surroundings,
): { primaryKey: string; attributes: AttributeDefinition[] } {
  const fields = type.fields ?? [];
  refuseRepeatedFields(fields, type.name.value, reader);
  const key = keyField(type, reader);
  const primaryKey = key.name.value;
  const attributes = fields.map((field) => readAttribute(field, { types, reader, primaryKey }));
  checkExpiresAt(type, primaryKey, reader);
  return { primaryKey, attributes };
}

function keyField(type: ObjectTypeDefinitionNode, reader: Reader): FieldDefinitionNode {
  const fields = type.fields ?? [];
  const [marked, another] = fields.filter((field) => hasDirective(field, 'primaryKey'));
  if (another !== undefined)
    return reader.fail(another, `type ${type.name.value} has more than one @primaryKey`);
  const key = marked ?? fields.find(({ name }) => name.value === 'id');
  if (key === undefined)
    return reader.fail(
      type,
      `type ${type.name.value} has no primary key, expected a field with @primaryKey or one named id`,
    );
  const keyType = typeOf(key.type).type;
  return KEY_TYPES.has(keyType)
    ? key
    : reader.fail(key, `the primary key must be one of ${[...KEY_TYPES].join(', ')}`);
}

function checkExpiresAt(type: ObjectTypeDefinitionNode, primaryKey: string, reader: Reader): void {
  const [field, another] = (type.fields ?? []).filter((one) => hasDirective(one, 'expiresAt'));
  if (another !== undefined)
    return reader.fail(another, `type ${type.name.value} has more than one @expiresAt`);
  if (field === undefined) return;
  if (field.name.value === primaryKey)
    return reader.fail(field, 'the primary key cannot be when a record expires');
  if (!TIME_TYPES.has(typeOf(field.type).type))
    reader.fail(field, `a field with @expiresAt must be one of ${[...TIME_TYPES].join(', ')}`);
}

interface AttributeSurroundings {
  readonly types: ReadonlySet<string>;
  readonly reader: Reader;
  readonly primaryKey: string;
}

function readAttribute(
  field: FieldDefinitionNode,
  { types, reader, primaryKey }: AttributeSurroundings,
): AttributeDefinition {
  const name = field.name.value;
  checkName(name, field, reader);
  checkDirectives(field.directives ?? [], 'field', reader);
  if ((field.arguments ?? []).length > 0) reader.fail(field, `field ${name} takes no arguments`);
  checkType(field.type, types, reader);
  return {
    name,
    ...typeOf(field.type),
    ...(name === primaryKey ? { isPrimaryKey: true } : {}),
    ...(hasDirective(field, 'indexed') ? { indexed: true } : {}),
    ...(hasDirective(field, 'createdTime') ? { assignedCreatedTime: true } : {}),
    ...(hasDirective(field, 'updatedTime') ? { assignedUpdatedTime: true } : {}),
    ...(hasDirective(field, 'expiresAt') ? { expiresAt: true } : {}),
    ...(field.type.kind === 'NonNullType' ? { nullable: false } : {}),
  };
}

function typeOf(type: TypeNode): { type: string; elements?: string } {
  if (type.kind === 'NonNullType') return typeOf(type.type);
  if (type.kind === 'ListType') return { type: 'array', elements: typeOf(type.type).type };
  return { type: type.name.value };
}

function checkType(type: TypeNode, types: ReadonlySet<string>, reader: Reader): void {
  if (type.kind !== 'NamedType') return checkType(type.type, types, reader);
  const known = new Set<string>([...ATTRIBUTE_TYPES, ...types]);
  const name = type.name.value;
  if (!known.has(name))
    reader.fail(type, `unknown type ${name}, did you mean ${nearest(name, known)}?`);
}

const hasDirective = (
  node: { readonly directives?: readonly DirectiveNode[] | undefined },
  wanted: string,
): boolean => node.directives?.some(({ name }) => name.value === wanted) ?? false;

function refuseRepeatedFields(
  fields: readonly FieldDefinitionNode[],
  type: string,
  reader: Reader,
): void {
  const seen = new Set<string>();
  for (const field of fields) {
    const name = field.name.value;
    if (seen.has(name)) reader.fail(field, `field ${name} of type ${type} is defined twice`);
    seen.add(name);
  }
}

function refuseRepeated(
  tables: readonly TableDefinition[],
  definitions: readonly DefinitionNode[],
  reader: Reader,
): void {
  const types = new Set<string>();
  for (const definition of definitions) {
    const name = nameOf(definition);
    if (name === undefined || definition.kind !== 'ObjectTypeDefinition') continue;
    if (types.has(name)) reader.fail(definition, `type ${name} is defined twice`);
    types.add(name);
  }
  const repeated = repeatedTable(tables);
  if (repeated !== undefined) reader.fail({}, `table ${repeated} is defined twice`);
}

/** `database.table` of a table that occurs twice in the list; undefined when there is none. */
export function repeatedTable(tables: readonly TableDefinition[]): string | undefined {
  const names = tables.map(({ database, name }) => `${database}.${name}`);
  return names.find((name, index) => names.indexOf(name) !== index);
}
