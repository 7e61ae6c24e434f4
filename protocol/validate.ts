/**
 * The one check of what comes from outside: operations here, frames through `compileSchema`. Doors and
 * the cluster supervisor call it once; behind it types are trusted. The only importer of ajv in protocol/.
 * Must not change its input, and must not compile a schema before it is needed (the first one is slow).
 */
import { Ajv, type SchemaValidateFunction } from 'ajv';

import { invalidRequest } from './errors.js';
import type { OperationName } from './operations.js';
import {
  operationShapes,
  type NormalisedOperation,
  type OperationShape,
  type Schema,
} from './operationSchemas.js';
import {
  foldAttributes,
  foldConditions,
  foldFields,
  foldProjection,
  foldSort,
  isObject,
  operationAliases,
  ownField,
  type Fields,
} from './schemas/aliases.js';
import { clusterProblems, foldConnections, foldNode } from './schemas/clusterFields.js';
import { idProblems, nestingProblem, recordProblems } from './schemas/contents.js';
import { nameProblem } from './schemas/names.js';
import { permissionProblems } from './schemas/userSchemas.js';
import { NAME_KEYWORD, problemTexts, type Failure } from './schemas/wording.js';

export { recordKey } from './schemas/recordKey.js';
export type { NormalisedOperation, Schema } from './operationSchemas.js';
export type { NormalisedCertificateOperation } from './schemas/certificateSchemas.js';
export type { NormalisedUserOperation } from './schemas/userSchemas.js';
export type {
  DirectionLists,
  NodeFields,
  NodeTarget,
  ReceivingRule,
  Replicates,
  RouteFields,
  SendingRule,
  TableSubscription,
} from './schemas/clusterSchemas.js';

/** Problems told in one answer. */
const PROBLEMS_MAX = 20;
/** Characters of an unknown operation's name that are repeated in the answer. */
const ECHOED_CHARACTERS_MAX = 100;
const DEFAULT_DATABASE = 'data';
/** Known fields that change what a write means: they are refused, because leaving them out would lie. */
const UNSUPPORTED_FIELDS = ['replicateTo', 'replicatedConfirmation'];

/** Every name an operation can be asked by, older spellings included. */
export const operationNames: readonly OperationName[] = [
  ...operationShapes.keys(),
  ...operationAliases.keys(),
] as OperationName[];

/**
 * The operation with one spelling for everything and its defaults (behaviour: docs/OPERATIONS.md).
 * Throws INVALID_REQUEST with every problem, joined by `. `. Unknown fields are left out. Records
 * and values in the answer are those of `body`, which is not changed.
 */
export const validateOperation = (body: unknown): NormalisedOperation => {
  if (!isObject(body)) throw invalidRequest('Invalid JSON.');
  const { operation, shape } = shapeOf(body);
  const { fields, spelling } = foldFields(body, shape.fields);
  refuse([...unsupportedProblems(body), ...nestingProblems(fields, spelling)]);

  const normalised = normalise(operation, shape, fields);
  refuse([
    ...problemTexts(failuresOf(shape.schema, normalised), spelling),
    ...recordProblems(normalised['records']),
    ...idProblems(normalised['ids'], spelling('ids')),
    ...attributeProblems(normalised),
    ...clusterProblems(operation, normalised, spelling),
    ...permissionProblems(normalised, isOperationName),
  ]);
  // The schema of this very operation has accepted it.
  return { operation, ...normalised } as unknown as NormalisedOperation;
};

/**
 * A check of values by a JSON Schema, compiled when first used. The check answers the problems in
 * words, none for a good value.
 */
export const compileSchema =
  (schema: Schema): ((value: unknown) => string[]) =>
  (value) =>
    problemTexts(failuresOf(schema, value), (field) => field);

const shapeOf = (body: Fields): { operation: string; shape: OperationShape } => {
  const asked = ownField(body, 'operation');
  if (asked === undefined || asked === null || asked === '') {
    throw invalidRequest("Request body must include an 'operation' property.");
  }
  if (typeof asked !== 'string') throw invalidRequest("'operation' must be a string");
  const operation = operationAliases.get(asked) ?? asked;
  const shape = operationShapes.get(operation);
  if (shape !== undefined) return { operation, shape };
  throw invalidRequest(`Operation '${asked.slice(0, ECHOED_CHARACTERS_MAX)}' not found`);
};

/** Fields that need more than another name; runs before the check, on values of any type. */
const normalise = (operation: string, shape: OperationShape, fields: Fields): Fields => {
  const normalised: Fields = shape.hasDefaultDatabase
    ? { database: DEFAULT_DATABASE, ...fields }
    : { ...fields };
  if (operation === 'search_by_conditions') {
    setField(normalised, 'operator', fields['operator'] ?? 'and');
    setField(normalised, 'conditions', foldConditions(fields['conditions']));
    setField(normalised, 'sort', foldSort(fields['sort']));
  }
  if (operation === 'create_table') {
    const attributes = foldAttributes(fields['attributes']);
    const [marked] = primaryKeysIn(attributes);
    setField(normalised, 'attributes', attributes);
    setField(normalised, 'primary_key', fields['primary_key'] ?? marked);
  }
  const { expiresAt } = fields;
  if (expiresAt instanceof Date) setField(normalised, 'expiresAt', expiresAt.getTime());
  if (operation === 'add_node' || operation === 'update_node') return foldNode(normalised);
  setField(normalised, 'connections', foldConnections(fields['connections']));
  setField(normalised, 'get_attributes', foldProjection(fields['get_attributes']));
  return normalised;
};

const setField = (fields: Fields, name: string, value: unknown): void => {
  if (value === undefined) delete fields[name];
  else fields[name] = value;
};

const unsupportedProblems = (body: Fields): string[] =>
  UNSUPPORTED_FIELDS.filter((field) => ownField(body, field) !== undefined).map(
    (field) => `'${field}' is not supported by this version`,
  );

/** Records count their nesting one by one, as they are stored. */
const nestingProblems = (fields: Fields, spelling: (field: string) => string): string[] => {
  const problems: string[] = [];
  for (const [field, value] of Object.entries(fields)) {
    const parts: unknown[] = field === 'records' && Array.isArray(value) ? value : [value];
    const problem = firstOf(parts, nestingProblem);
    if (problem !== undefined) problems.push(`'${spelling(field)}' ${problem}`);
  }
  return problems;
};

const firstOf = <Item>(
  items: readonly Item[],
  problemOf: (item: Item) => string | undefined,
): string | undefined => {
  for (const item of items) {
    const problem = problemOf(item);
    if (problem !== undefined) return problem;
  }
  return undefined;
};

const isOperationName = (name: string): boolean =>
  operationShapes.has(name) || operationAliases.has(name);

/** What one declared attribute cannot say about the others. */
const attributeProblems = ({ attributes, primary_key: primaryKey }: Fields): string[] => {
  if (!Array.isArray(attributes) || primaryKey === undefined) return [];
  const names = attributes.filter(isObject).map((attribute) => attribute['name']);
  const problems: string[] = [];
  if (new Set(names).size < names.length) problems.push("'attributes' contains a duplicate value");
  if (primaryKeysIn(attributes).some((marked) => marked !== primaryKey)) {
    problems.push("'attributes' may mark only the primary key with is_primary_key");
  }
  return problems;
};

const primaryKeysIn = (attributes: unknown): unknown[] =>
  Array.isArray(attributes)
    ? attributes
        .filter((item) => isObject(item) && item['is_primary_key'] === true)
        .map((item: Fields) => item['name'])
    : [];

const refuse = (problems: readonly string[]): void => {
  if (problems.length === 0) return;
  const told = problems.slice(0, PROBLEMS_MAX);
  const untold = problems.length - told.length;
  if (untold > 0) told.push(`${untold} more problems`);
  throw invalidRequest(told.join('. '));
};

const failuresOf = (schema: Schema, value: unknown): readonly Failure[] => {
  const validate = ajv().compile(schema); // ajv keeps what it has compiled, by the schema object
  return validate(value) ? [] : (validate.errors ?? []);
};

let instance: Ajv | undefined;

const ajv = (): Ajv => {
  instance ??= newAjv();
  return instance;
};

/** Schemas are our own and checked in tests: no meta schema at run time, which halves the start. */
const newAjv = (): Ajv => {
  const created = new Ajv({
    allErrors: true,
    ownProperties: true,
    meta: false,
    validateSchema: false,
    strict: true,
    strictTypes: false,
    strictRequired: false,
  });
  created.addKeyword({
    keyword: NAME_KEYWORD,
    type: 'string',
    errors: true,
    validate: checkName,
  });
  return created;
};

const checkName: SchemaValidateFunction = (_schema: unknown, name: string): boolean => {
  const message = nameProblem(name);
  if (message === undefined) return true;
  checkName.errors = [{ keyword: NAME_KEYWORD, params: {}, message }];
  return false;
};
