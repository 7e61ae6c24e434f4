/**
 * add_role, alter_role, drop_role and list_roles, with the documented answers. Called by run.ts. A role's id is the
 * name it was added with, so that the same role, added on two nodes at once, is one role.
 */
import { invalidRequest, SkeinError } from '../../protocol/errors.js';
import type { RecordObject } from '../../protocol/operations.js';
import type { NormalisedOperation } from '../../protocol/operationSchemas.js';
import { readRights } from '../../protocol/permissions.js';
import { ROLES, shownRole, SUPER_USER, type RoleRow } from '../userRows.js';
import { notesOf, type OperationContext } from './context.js';
import { refuseWithoutSuperUser, updatedAnswer } from './users.js';

type Operation<Name extends NormalisedOperation['operation']> = Extract<
  NormalisedOperation,
  { operation: Name }
>;

/** The row. ALREADY_EXISTS (409) for a name that is taken. */
export const addRole = (
  context: OperationContext,
  { operation, role, permission }: Operation<'add_role'>,
): Promise<RecordObject> =>
  context.users.change(async () => {
    await refuseTaken(context, role);
    await context.users.write(
      { table: ROLES, type: 'put', records: [{ id: role, role, permission }] },
      notesOf(context, operation),
    );
    return shownRole(await roleWithId(context, role));
  });

/** What its users may do changes with their next request. */
export const alterRole = (
  context: OperationContext,
  operation: Operation<'alter_role'>,
): Promise<RecordObject> =>
  context.users.change(async () => {
    const { id, role: name, permission } = operation;
    refuseBuiltIn(id);
    if (name === undefined && permission === undefined)
      throw invalidRequest('nothing to update, must supply role or permission to update');
    const role = await roleWithId(context, id);
    if (name !== undefined && name !== role.role) await refuseTaken(context, name);
    if (permission !== undefined)
      await refuseWithoutSuperUser(context, {
        roles: [{ ...role, permission, rights: readRights(permission) }],
      });
    const record = {
      id,
      ...(name !== undefined && { role: name }),
      ...(permission !== undefined && { permission }),
    };
    const accepted = await context.users.write(
      { table: ROLES, type: 'update', records: [record] },
      notesOf(context, operation.operation),
    );
    return updatedAnswer(accepted);
  });

/** Refused (409) while a user has it. */
export const dropRole = (
  context: OperationContext,
  { operation, id }: Operation<'drop_role'>,
): Promise<string> =>
  context.users.change(async () => {
    refuseBuiltIn(id);
    const { role } = await roleWithId(context, id);
    const users = (await context.users.users()).filter((user) => user.role === id);
    if (users.length > 0)
      throw new SkeinError(
        'INVALID_REQUEST',
        `Cannot drop role ${role} as it has users tied to it: ${users
          .slice(0, USERS_NAMED_MAX)
          .map(({ username }) => username)
          .join(', ')}`,
        { statusCode: 409 },
      );
    await context.users.write(
      { table: ROLES, type: 'delete', keys: [id] },
      notesOf(context, operation),
    );
    return `${role} successfully deleted`;
  });

export const listRoles = async (context: OperationContext): Promise<RecordObject[]> =>
  (await context.users.roles()).map(shownRole);

const USERS_NAMED_MAX = 10;

const refuseTaken = async (context: OperationContext, name: string): Promise<void> => {
  const roles = await context.users.roles();
  if (roles.some(({ id, role }) => id === name || role === name))
    throw new SkeinError('ALREADY_EXISTS', `A role with name '${name}' already exists`, {
      statusCode: 409,
    });
};

const refuseBuiltIn = (id: string): void => {
  if (id === SUPER_USER)
    throw invalidRequest(`role '${SUPER_USER}' is built in and stays as it is`);
};

const roleWithId = async (context: OperationContext, id: string): Promise<RoleRow> => {
  const role = await context.users.findRole(id);
  if (!role) throw new SkeinError('NOT_FOUND', `${id} role not found`);
  return role;
};
