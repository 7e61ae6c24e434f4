/**
 * Table definitions in GraphQL: what they say about tables, and what is refused with which file and line.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { repeatedTable, parseTableDefinitions } from '../../config/tableDefinitions.js';
import { SkeinError } from '../../protocol/errors.js';
import type { TableDefinition } from '../../protocol/tableDefinition.js';

const parse = (text: string): TableDefinition[] => parseTableDefinitions(text, 'a.graphql');
const parsed = (text: string): unknown => parse(text);

test('everything that can be said about a table is read', (t) => {
  const text = `
    "A dog"
    type Dog @table(database: "pets", table: "dogs", expiration: 60, replicate: false, audit: true) @sealed {
      key: ID! @primaryKey
      name: String! @indexed
      weight: Float
      friends: [String!]!
      address: Address
      created: Float @createdTime
      updated: Long @updatedTime
    }
    type Address { street: String }
  `;
  t.deepEqual(parsed(text), [
    {
      database: 'pets',
      name: 'dogs',
      primaryKey: 'key',
      attributes: [
        { name: 'key', type: 'ID', isPrimaryKey: true, nullable: false },
        { name: 'name', type: 'String', indexed: true, nullable: false },
        { name: 'weight', type: 'Float' },
        { name: 'friends', type: 'array', elements: 'String', nullable: false },
        { name: 'address', type: 'Address' },
        { name: 'created', type: 'Float', assignedCreatedTime: true },
        { name: 'updated', type: 'Long', assignedUpdatedTime: true },
      ],
      schemaDefined: true,
      sealed: true,
      replicate: false,
      expirationSeconds: 60,
      audit: true,
    },
  ]);
});

test('a table that says nothing is in the database data, keyed by id and defined by its schema', (t) => {
  t.deepEqual(parsed('type LocalTable @table(replicate: false) { id: ID! }'), [
    {
      database: 'data',
      name: 'LocalTable',
      primaryKey: 'id',
      attributes: [{ name: 'id', type: 'ID', isPrimaryKey: true, nullable: false }],
      schemaDefined: true,
      replicate: false,
    },
  ]);
});

test('tables keep the order of the document', (t) => {
  const names = parse('type B @table { id: ID } type A @table { id: ID }').map(({ name }) => name);
  t.deepEqual(names.map(String), ['B', 'A']);
});

test('a document without definitions has no tables', (t) => {
  for (const text of ['', '\n', '# only a comment', '# one\n  # two\n'])
    t.deepEqual(parse(text), []);
});

test('types without @table are ignored, with a word if they have @export', (t) => {
  const warnings: string[] = [];
  const text =
    'type A { x: Strng }\ntype B @export { id: ID }\nenum C { D }\ninterface E { x: Int }';
  t.deepEqual(
    parseTableDefinitions(text, 'a.graphql', (warning) => warnings.push(warning)),
    [],
  );
  t.deepEqual(warnings, ['a.graphql line 2: type B has @export but no @table, ignored']);
});

test('what is documented and has no effect yet is warned about', (t) => {
  const warnings: string[] = [];
  const text = `type A @table(eviction: 1, scanInterval: 2) @export(name: "a") {
    id: ID
  }`;
  parseTableDefinitions(text, 'a.graphql', (warning) => warnings.push(warning));
  t.deepEqual(warnings, [
    'a.graphql line 1: not supported by this version: @table(eviction)',
    'a.graphql line 1: not supported by this version: @table(scanInterval)',
    'a.graphql line 1: not supported by this version: @export',
  ]);
});

test('an attribute can say when its record expires', (t) => {
  const [table] = parseTableDefinitions('type A @table { id: ID gone: Date @expiresAt }', 'a');
  t.deepEqual(table?.attributes, [
    { name: 'id', type: 'ID', isPrimaryKey: true },
    { name: 'gone', type: 'Date', expiresAt: true },
  ]);
});

const PROBLEMS: readonly (readonly [string, string])[] = [
  ['type A @table {', 'line 1: Syntax Error: Expected Name, found <EOF>.'],
  ['\n\ntype A @table { id }', 'line 3: Syntax Error: Expected ":", found "}".'],
  [
    'type A @table { name: String }',
    'line 1: type A has no primary key, expected a field with @primaryKey or one named id',
  ],
  [
    'type A @table',
    'line 1: type A has no primary key, expected a field with @primaryKey or one named id',
  ],
  [
    'type A @table {\n a: ID @primaryKey\n b: ID @primaryKey }',
    'line 3: type A has more than one @primaryKey',
  ],
  [
    'type A @table { id: [ID] }',
    'line 1: the primary key must be one of ID, String, Int, Long, Float, Any',
  ],
  ['type A @table { id: ID\n id: Int }', 'line 2: field id of type A is defined twice'],
  ['type A @table { id: ID x: Strng }', 'line 1: unknown type Strng, did you mean String?'],
  ['type A @table { id: ID x(a: Int): Int }', 'line 1: field x takes no arguments'],
  ['type A @tabel @table { id: ID }', 'line 1: unknown directive @tabel, did you mean @table?'],
  [
    'type A @table {\n id: ID\n x: Int @index }',
    'line 3: unknown directive @index, did you mean @indexed?',
  ],
  [
    'type A @table { id: ID @constructor }',
    'line 1: unknown directive @constructor, did you mean @export?',
  ],
  ['type A @table @indexed { id: ID }', 'line 1: expected @indexed on a field, not on a type'],
  ['type A @table { id: ID @sealed }', 'line 1: expected @sealed on a type, not on a field'],
  ['type A @table @table { id: ID }', 'line 1: @table is given twice'],
  ['interface A @table { id: ID }', "line 1: expected '@table' on a type only"],
  ['extend type A @table { id: ID }', "line 1: expected '@table' on a type only"],
  ['{ dogs { id } }', 'line 1: expected definitions of types, not a query'],
  [
    'type A @table(databse: "x") { id: ID }',
    "line 1: unknown argument 'databse' of @table, did you mean 'database'?",
  ],
  [
    'type A @table { id: ID x: Int @indexed(type: "x") }',
    "line 1: unknown argument 'type' of @indexed, it takes none",
  ],
  [
    'type A @table(audit: true, audit: false) { id: ID }',
    "line 1: argument 'audit' is given twice",
  ],
  ['type A @table(database: 1) { id: ID }', "line 1: argument 'database' must be a text in quotes"],
  [
    'type A @table(expiration: -1) { id: ID }',
    "line 1: argument 'expiration' must be a number of seconds greater than 0",
  ],
  [
    'type A @table(expiration: 0) { id: ID }',
    "line 1: argument 'expiration' must be a number of seconds greater than 0",
  ],
  [
    'type A @table(eviction: -1) { id: ID }',
    "line 1: argument 'eviction' must be a number of seconds, 0 or more",
  ],
  [
    'type A @table { id: ID gone: String @expiresAt }',
    'line 1: a field with @expiresAt must be one of Date, Long, Float, Any',
  ],
  [
    'type A @table { id: ID a: Long @expiresAt b: Long @expiresAt }',
    'line 1: type A has more than one @expiresAt',
  ],
  [
    'type A @table { id: Long @expiresAt }',
    'line 1: the primary key cannot be when a record expires',
  ],
  [
    'type A @table(expiration: "60") { id: ID }',
    "line 1: argument 'expiration' must be a number of seconds greater than 0",
  ],
  [
    'type A @table(replicate: "no") { id: ID }',
    "line 1: argument 'replicate' must be true or false",
  ],
  [
    'type A @table(database: "../x") { id: ID }',
    "line 1: '../x' is no name: names cannot include backticks or forward slashes",
  ],
  [
    'type A @table(table: "..") { id: ID }',
    "line 1: '..' is no name: names cannot consist of dots",
  ],
  [
    'type A @table(database: "a\\u0000") { id: ID }',
    "line 1: 'a\u0000' is no name: names cannot include control characters or backslashes",
  ],
  ['type A @table(table: "") { id: ID }', "line 1: '' is no name: names have 1 to 250 characters"],
  [
    'type A @table(database: "system") { id: ID }',
    "line 1: database 'system' belongs to Skein itself",
  ],
  ['type A @table { id: ID }\ntype A { id: ID }', 'line 2: type A is defined twice'],
];

for (const [text, problem] of PROBLEMS) {
  test(`${JSON.stringify(text)} is refused`, (t) => {
    const error = t.throws(() => parse(text), { instanceOf: SkeinError });
    t.is(error?.code, 'INVALID_CONFIGURATION');
    t.is(error?.message, `Skein config file validation error: a.graphql ${problem}`);
  });
}

test('two types cannot define one table', (t) => {
  const text = 'type A @table(table: "x") { id: ID } type B @table(table: "x") { id: ID }';
  t.throws(() => parse(text), {
    message: 'Skein config file validation error: a.graphql: table data.x is defined twice',
  });
});

test('a table is the same table only in the same database', (t) => {
  const both = parse(
    'type A @table { id: ID } type B @table(table: "A", database: "b") { id: ID }',
  );
  t.is(repeatedTable(both), undefined);
  t.is(repeatedTable([...both, ...both]), 'data.A');
});

test('any text is read or refused as INVALID_CONFIGURATION', (t) => {
  const part = fc.constantFrom(
    'type',
    'A',
    '@table',
    '@',
    '(',
    ')',
    '{',
    '}',
    ':',
    'id',
    'ID',
    '"',
    '#',
    '\n',
    '1',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(part).map((parts) => parts.join(' ')),
      ),
      (text) => {
        try {
          t.true(Array.isArray(parse(text)));
        } catch (error) {
          t.is((error as SkeinError).code, 'INVALID_CONFIGURATION', String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});
