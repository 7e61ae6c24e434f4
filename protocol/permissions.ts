/**
 * What a role may do: the permission object as it is stored, read into maps that know own fields only. Called by
 * actors/users.ts for every login; authorisation.ts decides with what comes out. What cannot be read gives no rights.
 */
import { asText } from './errors.js';
import { groupOperations, permissionSchema } from './schemas/userSchemas.js';
import { operationAliases, ownField, type Fields } from './schemas/aliases.js';
import { compileSchema } from './validate.js';

export type TableAction = 'read' | 'insert' | 'update' | 'delete';
/** Records are deleted whole, so attributes have no right of that name. */
export type AttributeAction = Exclude<TableAction, 'delete'>;

export interface TableRights {
  readonly actions: ReadonlySet<TableAction>;
  /** By attribute; null: all of them, as the table says. Of a table with rules, an attribute without one is closed. */
  readonly attributes: ReadonlyMap<string, ReadonlySet<AttributeAction>> | null;
}

export interface Rights {
  readonly superUser: boolean;
  /** Databases whose tables and attributes may be made and dropped. */
  readonly structure: 'everywhere' | ReadonlySet<string>;
  /** No operation but these, by plain name; null: all that the rest allows. */
  readonly operations: ReadonlySet<string> | null;
  /** By database and table. */
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, TableRights>>;
}

export const NO_RIGHTS: Rights = {
  superUser: false,
  structure: new Set(),
  operations: new Set(),
  tables: new Map(),
};

/** Total: a permission object that does not fit its schema gives no rights at all, rather than some. */
export const readRights = (permission: unknown): Rights => {
  if (permissionProblems(permission).length > 0) return NO_RIGHTS;
  // Own fields only: what a prototype says is no permission.
  const fields = new Map(Object.entries(permission as Readonly<Record<string, unknown>>));
  const structure = fields.get('structure_user');
  const operations = fields.get('operations') as readonly string[] | undefined;
  return {
    superUser: fields.get('super_user') === true,
    structure:
      structure === true
        ? 'everywhere'
        : new Set(Array.isArray(structure) ? (structure as string[]) : []),
    operations: operations === undefined ? null : new Set(operations.flatMap(operationsOf)),
    tables: new Map(
      [...fields]
        .filter(([name]) => !NO_DATABASES.has(name))
        .map(([database, rule]) => [database, tableRights(ownField(rule as Fields, 'tables'))]),
    ),
  };
};

/** Keys that are something else, and the database that nobody but a super user reaches, whatever a role says. */
const NO_DATABASES: ReadonlySet<string> = new Set([
  'super_user',
  'structure_user',
  'cluster_user',
  'operations',
  'system',
]);

const permissionProblems = compileSchema(permissionSchema);

const operationsOf = (name: string): readonly string[] =>
  groupOperations.get(name) ?? [operationAliases.get(name) ?? name];

const tableRights = (tables: unknown): ReadonlyMap<string, TableRights> =>
  new Map(
    Object.entries((tables ?? {}) as Readonly<Record<string, Fields>>).map(
      ([table, stored]): [string, TableRights] => {
        const rules = (ownField(stored, 'attribute_permissions') ?? []) as readonly Fields[];
        return [
          table,
          {
            actions: actionsOf(stored, ['read', 'insert', 'update', 'delete']),
            attributes: rules.length === 0 ? null : new Map(rules.map(attributeRights)),
          },
        ];
      },
    ),
  );

const attributeRights = (rule: Fields): [string, ReadonlySet<AttributeAction>] => [
  asText(ownField(rule, 'attribute_name')),
  actionsOf(rule, ['read', 'insert', 'update']),
];

const actionsOf = <Action extends string>(
  stored: Fields,
  actions: readonly Action[],
): ReadonlySet<Action> => new Set(actions.filter((action) => ownField(stored, action) === true));
