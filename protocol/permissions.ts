/**
 * What a role may do: the permission object as it is stored, read into maps that know own fields only. Called by
 * actors/users.ts for every login; authorisation.ts decides with what comes out. What cannot be read gives no rights.
 */
import { groupOperations, permissionSchema } from './schemas/userSchemas.js';
import { operationAliases } from './schemas/aliases.js';
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
  const { super_user, structure_user, operations, cluster_user, ...databases } =
    permission as StoredPermission;
  void cluster_user;
  return {
    superUser: super_user === true,
    structure: structure_user === true ? 'everywhere' : new Set(structure_user || []),
    operations: operations === undefined ? null : new Set(operations.flatMap(operationsOf)),
    tables: new Map(
      Object.entries(databases as Databases)
        // Nobody but a super user reaches it, whatever a role says.
        .filter(([database]) => database !== 'system')
        .map(([database, { tables }]) => [database, tableRights(tables ?? {})]),
    ),
  };
};

interface StoredAttribute {
  readonly attribute_name: string;
  readonly read?: boolean;
  readonly insert?: boolean;
  readonly update?: boolean;
}
interface StoredTable {
  readonly read?: boolean;
  readonly insert?: boolean;
  readonly update?: boolean;
  readonly delete?: boolean;
  readonly attribute_permissions?: readonly StoredAttribute[] | null;
}
interface StoredPermission {
  readonly super_user?: boolean;
  readonly structure_user?: boolean | readonly string[];
  readonly cluster_user?: boolean;
  readonly operations?: readonly string[];
  readonly [database: string]: unknown;
}
type Databases = Readonly<Record<string, { tables?: Readonly<Record<string, StoredTable>> }>>;

const permissionProblems = compileSchema(permissionSchema);

const operationsOf = (name: string): readonly string[] =>
  groupOperations.get(name) ?? [operationAliases.get(name) ?? name];

const tableRights = (
  tables: Readonly<Record<string, StoredTable>>,
): ReadonlyMap<string, TableRights> =>
  new Map(
    Object.entries(tables).map(([table, stored]): [string, TableRights] => {
      const rules = stored.attribute_permissions ?? [];
      return [
        table,
        {
          actions: actionsOf(stored, ['read', 'insert', 'update', 'delete']),
          attributes:
            rules.length === 0
              ? null
              : new Map(
                  rules.map((rule) => [
                    rule.attribute_name,
                    actionsOf(rule, ['read', 'insert', 'update']),
                  ]),
                ),
        },
      ];
    }),
  );

const actionsOf = <Action extends string>(
  stored: object,
  actions: readonly Action[],
): ReadonlySet<Action> =>
  new Set(
    actions.filter((action) => Object.hasOwn(stored, action) && Reflect.get(stored, action) === true),
  );
