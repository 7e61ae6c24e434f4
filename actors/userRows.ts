/**
 * Rows of `hdb_user` and `hdb_role` as users and roles. Used by users.ts and the operations on both. Reads and judges
 * single rows; writes nothing.
 */
import type { RecordObject } from '../protocol/operations.js';
import { readRights, type Rights } from '../protocol/permissions.js';

export const USERS = 'hdb_user';
export const ROLES = 'hdb_role';

/** The role that every node knows without a row, and that nobody can change. */
export const SUPER_USER = 'super_user';

export interface UserRow {
  readonly username: string;
  /** The stored hash. */
  readonly password: string;
  /** Id of a role, which need not exist any more. */
  readonly role: string;
  readonly active: boolean;
  /** Tokens of another series do not count. */
  readonly series: string;
  /** Hash of the latest refresh token; null: there is none. */
  readonly refreshToken: string | null;
  readonly createdMs: unknown;
  readonly updatedMs: unknown;
}

export interface RoleRow {
  readonly id: string;
  readonly role: string;
  readonly permission: unknown;
  readonly rights: Rights;
  readonly times: RecordObject;
}

/**
 * Undefined for what is no user: also for what is left of one when it was dropped on one node while another changed
 * something about it. Such a change has a newer stamp than the drop, so its attributes come back, but only they:
 * `hash_function` is written by add_user alone.
 */
export const userOf = (record: RecordObject | undefined): UserRow | undefined => {
  if (!record) return undefined;
  const { username, password, role, active, hash_function } = record;
  const { token_series, refresh_token } = record;
  if (typeof username !== 'string' || typeof password !== 'string' || typeof role !== 'string')
    return undefined;
  if (typeof hash_function !== 'string') return undefined;
  return {
    username,
    password,
    role,
    // Anything but a clear yes is none.
    active: active === true,
    series: typeof token_series === 'string' ? token_series : '',
    refreshToken: typeof refresh_token === 'string' ? refresh_token : null,
    createdMs: record['__createdtime__'],
    updatedMs: record['__updatedtime__'],
  };
};

/**
 * What a node writes about its first user, in an attribute of its own: the row of a user there is stays as it is, and a
 * dropped one stays dropped, when a node with the same setting is started for the first time later on.
 */
export const firstUserRecord = (username: string, hash: string): RecordObject => ({
  username,
  first_password: hash,
});

/** A super user, as long as there are no others. Undefined for other rows. */
export const firstUserOf = (record: RecordObject | undefined): UserRow | undefined => {
  if (!record) return undefined;
  const { username, first_password: password, refresh_token } = record;
  if (typeof username !== 'string' || typeof password !== 'string') return undefined;
  return {
    username,
    password,
    role: SUPER_USER,
    active: true,
    // Tokens of the same first user go on when it becomes a user like others.
    series: `first ${password.slice(-SERIES_CHARACTERS)}`,
    refreshToken: typeof refresh_token === 'string' ? refresh_token : null,
    createdMs: record['__createdtime__'],
    updatedMs: record['__updatedtime__'],
  };
};

/** The whole row of a user who is one from now on. */
export const wholeRecord = ({
  username,
  password,
  role,
  active,
  series,
  refreshToken,
}: Omit<UserRow, 'createdMs' | 'updatedMs'>): RecordObject => ({
  username,
  password,
  role,
  active,
  hash_function: 'scrypt',
  token_series: series,
  refresh_token: refreshToken,
});

const SERIES_CHARACTERS = 16;

/** The same for roles, of which add_role alone writes the time of creation. */
export const roleOf = (record: RecordObject | undefined): RoleRow | undefined => {
  if (!record) return undefined;
  const { id, role, permission, __createdtime__, __updatedtime__ } = record;
  if (typeof id !== 'string' || typeof role !== 'string' || typeof __createdtime__ !== 'number')
    return undefined;
  if (id === SUPER_USER || role === SUPER_USER) return undefined;
  return {
    id,
    role,
    permission,
    rights: readRights(permission),
    times: { __createdtime__, __updatedtime__ },
  };
};

export const SUPER_USER_ROLE: RoleRow = {
  id: SUPER_USER,
  role: SUPER_USER,
  permission: { super_user: true },
  rights: readRights({ super_user: true }),
  times: {},
};

/** As operations answer it. */
export const shownRole = ({ id, role, permission, times }: RoleRow): RecordObject => ({
  id,
  role,
  permission,
  ...times,
});
