/**
 * Older spellings folded into one, before anything is checked. Called by validate.ts only. Makes new
 * objects that hold known fields and nothing else; never changes or trusts what came in.
 */

/** Own fields of something that came from outside. */
export type Fields = { [field: string]: unknown };

export const operationAliases: ReadonlyMap<string, string> = new Map([
  ['create_schema', 'create_database'],
  ['drop_schema', 'drop_database'],
  ['describe_schema', 'describe_database'],
  ['search_by_hash', 'search_by_id'],
  ['set_node', 'add_node'],
]);

/** Older spellings of a field, the first one that is given counts. */
const FIELD_ALIASES: ReadonlyMap<string, readonly string[]> = new Map([
  ['database', ['schema']],
  ['ids', ['hash_values']],
  ['primary_key', ['hash_attribute']],
  ['attribute', ['search_attribute']],
  ['value', ['search_value']],
  ['comparator', ['search_type']],
  ['hostname', ['node_name', 'name']],
  ['verify_tls', ['rejectUnauthorized']],
]);

const CONDITION_FIELDS = ['attribute', 'comparator', 'value'];
const GROUP_FIELDS = ['operator', 'conditions'];
const SORT_FIELDS = ['attribute', 'descending', 'next'];
const ATTRIBUTE_FIELDS = ['name', 'type', 'is_primary_key', 'indexed'];

export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An own field; undefined also for what only a prototype has. */
export const ownField = (fields: Fields, name: string): unknown =>
  Object.hasOwn(fields, name) ? fields[name] : undefined;

/**
 * The named fields under their plain names, and how the user spelled each. The plain spelling wins
 * over the older one; a field that is undefined is absent.
 */
export const foldFields = (
  body: Fields,
  names: readonly string[],
): { fields: Fields; spelling: (field: string) => string } => {
  const fields: Fields = {};
  const spellings = new Map<string, string>();
  for (const name of names) {
    const spelled = spellingIn(body, name);
    if (spelled === undefined) continue;
    fields[name] = body[spelled];
    spellings.set(name, spelled);
  }
  return { fields, spelling: (field) => spellings.get(field) ?? field };
};

/** Conditions and groups at every depth; comparators default to equals, operators to and. */
export const foldConditions = (conditions: unknown): unknown =>
  Array.isArray(conditions) ? conditions.map(foldCondition) : conditions;

/** A sort and those that follow it. */
export const foldSort = (sort: unknown): unknown => {
  if (!isObject(sort)) return sort;
  const { fields } = foldFields(sort, SORT_FIELDS);
  return Object.hasOwn(fields, 'next') ? { ...fields, next: foldSort(fields['next']) } : fields;
};

/** A projection: undefined for everything, which is also what `*` says. */
export const foldProjection = (attributes: unknown): unknown => {
  if (attributes === '*') return undefined;
  return Array.isArray(attributes) && attributes.includes('*') ? undefined : attributes;
};

/** Declared attributes with their known fields. */
export const foldAttributes = (attributes: unknown): unknown =>
  Array.isArray(attributes)
    ? attributes.map((item: unknown) =>
        isObject(item) ? foldFields(item, ATTRIBUTE_FIELDS).fields : item,
      )
    : attributes;

const spellingIn = (body: Fields, name: string): string | undefined =>
  [name, ...(FIELD_ALIASES.get(name) ?? [])].find(
    (spelling) => ownField(body, spelling) !== undefined,
  );

const foldCondition = (item: unknown): unknown => {
  if (!isObject(item)) return item;
  if (ownField(item, 'conditions') !== undefined) {
    const { fields } = foldFields(item, GROUP_FIELDS);
    return { operator: 'and', ...fields, conditions: foldConditions(fields['conditions']) };
  }
  return { comparator: 'equals', ...foldFields(item, CONDITION_FIELDS).fields };
};
