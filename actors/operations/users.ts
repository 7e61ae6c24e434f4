/**
 * add_user, alter_user, drop_user, list_users and user_info, with the documented answers. Called by run.ts. Rows are
 * read and written through the user directory, one change after the other; tokens end with what they were issued for.
 */
import { millisecondsOf } from '../../protocol/clock.js';
import { invalidRequest, SkeinError } from '../../protocol/errors.js';
import type { RecordObject } from '../../protocol/operations.js';
import type { NormalisedOperation } from '../../protocol/operationSchemas.js';
import { hashPassword } from '../../security/credentials.js';
import type { Accepted } from '../../storage/commit.js';
import { shownRole, USERS, wholeRecord, type RoleRow, type UserRow } from '../userRows.js';
import { notesOf, type OperationContext } from './context.js';

type Operation<Name extends NormalisedOperation['operation']> = Extract<
  NormalisedOperation,
  { operation: Name }
>;

/** ALREADY_EXISTS (409) for a user there is, NOT_FOUND for a role there is not. */
export const addUser = (
  context: OperationContext,
  operation: Operation<'add_user'>,
): Promise<string> =>
  context.users.change(async () => {
    const { username, password, role, active = true } = operation;
    const { id } = await roleNamed(context, role);
    if (await context.users.find(username))
      throw new SkeinError('ALREADY_EXISTS', `User ${username} already exists`, {
        statusCode: 409,
      });
    const record = wholeRecord({
      username,
      password: await hashPassword(password),
      role: id,
      active,
      series: context.users.newSeries(),
      refreshToken: null,
    });
    await context.users.write(
      { table: USERS, type: 'put', records: [record] },
      notesOf(context, operation.operation),
    );
    return `${username} successfully added`;
  });

/** Another password or role, and a user who is not active any more, end all tokens of the user. */
export const alterUser = (
  context: OperationContext,
  operation: Operation<'alter_user'>,
): Promise<RecordObject> =>
  context.users.change(async () => {
    const { username, password, role, active } = operation;
    if (password === undefined && role === undefined && active === undefined)
      throw invalidRequest('nothing to update, must supply active, role or password to update');
    const user = await userNamed(context, username);
    const newRole = role === undefined ? undefined : await roleNamed(context, role);
    const after = { ...user, role: newRole?.id ?? user.role, active: active ?? user.active };
    if (await isActiveSuperUser(context, user))
      await refuseWithoutSuperUser(context, { users: [after] });
    const endsTokens = password !== undefined || after.role !== user.role || !after.active;
    const record = {
      username,
      ...(password !== undefined && { password: await hashPassword(password) }),
      ...(newRole && { role: newRole.id }),
      ...(active !== undefined && { active }),
      ...(endsTokens && { token_series: context.users.newSeries(), refresh_token: null }),
    };
    const accepted = await context.users.write(
      { table: USERS, type: 'update', records: [record] },
      notesOf(context, operation.operation),
    );
    return updatedAnswer(accepted);
  });

export const dropUser = (
  context: OperationContext,
  { operation, username }: Operation<'drop_user'>,
): Promise<string> =>
  context.users.change(async () => {
    const user = await userNamed(context, username);
    if (await isActiveSuperUser(context, user))
      await refuseWithoutSuperUser(context, { without: username });
    await context.users.write(
      { table: USERS, type: 'delete', keys: [username] },
      notesOf(context, operation),
    );
    return `${username} successfully deleted`;
  });

/** Without hashes; a role that does not exist any more is null. */
export const listUsers = async (context: OperationContext): Promise<RecordObject[]> => {
  const [users, roles] = await Promise.all([context.users.users(), context.users.roles()]);
  return users.map((user) =>
    shownUser(
      user,
      roles.find(({ id }) => id === user.role),
    ),
  );
};

/** Of who asks. Programs that embed the node, and local requests without a login, are super users of no row. */
export const userInfo = async (context: OperationContext): Promise<RecordObject> => {
  const { user } = context;
  if (!user) return { username: null, active: true, role: { permission: { super_user: true } } };
  const row = await context.users.find(user.username);
  if (row) return shownUser(row, await context.users.findRole(row.role));
  return {
    username: user.username,
    active: user.active,
    role: { role: user.role ?? null, permission: { super_user: user.superUser } },
  };
};

/**
 * INVALID_REQUEST when nobody would be left who may do everything. Judged by what this node knows: two nodes that do
 * not hear each other can still take away the last two at the same time.
 */
export const refuseWithoutSuperUser = async (
  context: OperationContext,
  change: {
    readonly users?: readonly UserRow[];
    readonly roles?: readonly RoleRow[];
    readonly without?: string;
  },
): Promise<void> => {
  const [users, roles] = await Promise.all([context.users.users(), context.users.roles()]);
  const before = superUsers(users, roles);
  const after = superUsers(
    users
      .map((user) => change.users?.find(({ username }) => username === user.username) ?? user)
      .filter(({ username }) => username !== change.without),
    roles.map((role) => change.roles?.find(({ id }) => id === role.id) ?? role),
  );
  const [last] = before;
  if (last !== undefined && after.length === 0)
    throw invalidRequest(
      `'${last}' is the last active super user, and there must be one: add another before`,
    );
};

/** The documented answer of a change to one row. */
export const updatedAnswer = ({ version, results: [result] }: Accepted): RecordObject => ({
  message: `updated ${result?.written.length ?? 0} of 1 records`,
  new_attributes: [],
  txn_time: millisecondsOf(version),
  update_hashes: result?.written ?? [],
  skipped_hashes: result?.skipped ?? [],
});

/** Others can go without looking at everybody. */
const isActiveSuperUser = async (context: OperationContext, user: UserRow): Promise<boolean> =>
  user.active && (await context.users.findRole(user.role))?.rights.superUser === true;

const superUsers = (users: readonly UserRow[], roles: readonly RoleRow[]): string[] => {
  const powerful = new Set(roles.filter(({ rights }) => rights.superUser).map(({ id }) => id));
  return users
    .filter(({ active, role }) => active && powerful.has(role))
    .map(({ username }) => username);
};

const userNamed = async (context: OperationContext, username: string): Promise<UserRow> => {
  const user = await context.users.find(username);
  if (!user) throw new SkeinError('NOT_FOUND', `User ${username} does not exist`);
  return user;
};

const roleNamed = async (context: OperationContext, name: string): Promise<RoleRow> => {
  const role = (await context.users.roles()).find((one) => one.role === name);
  if (!role) throw new SkeinError('NOT_FOUND', `${name} role not found`);
  return role;
};

const shownUser = (user: UserRow, role: RoleRow | undefined): RecordObject => ({
  username: user.username,
  active: user.active,
  role: role ? shownRole(role) : null,
  __createdtime__: user.createdMs,
  __updatedtime__: user.updatedMs,
});
